"""One charm on a bench: in a namespace of its own, with the rights that Juju gives, its neighbours made up.

Every hook is a process of its own, as in the rehearsal; which hook runs is the test's choice.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from kubeflow_charm.cluster.sharing import release_patch
from kubeflow_charm.watch.apiserver import USER_AGENT
from rehearsal.cluster import crds
from rehearsal.cluster.controlplane import ControlPlane
from rehearsal.cluster.existing import Refused
from rehearsal.cluster.gate import Gate, Request
from rehearsal.guardian import Guardian
from rehearsal.juju.controller.engine import Engine
from rehearsal.juju.model import charms, secrets
from rehearsal.juju.model.state import Endpoint, Hook, Life, Relation, Secret, SeenRelation, Settings
from rehearsal.patience import PATIENCE, until

ROOT = Path(__file__).parents[2]
CHARMS = sorted(path.parents[1] for path in ROOT.glob("charms/*/src/charm.py"))

NEIGHBOURS: dict[str, dict[str, str]] = {
    "istio-gateway-info": {
        "gateway_name": "kubeflow-gateway",
        "gateway_namespace": "istio",
        "gateway_up": "true",
    },
    "serving-local-gateway": {
        "gateway_name": "knative-local-gateway",
        "gateway_namespace": "knative-serving",
        "gateway_up": "true",
    },
    "kubernetes_manifest": {
        "kubernetes_manifests": json.dumps(
            [{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "given"}, "data": {"k": "dg=="}}]
        )
    },
    "k8s-service": {
        "_supported_versions": "- v1\n",
        "data": "service-name: profiles-kfam\nservice-port: '8081'\n",
    },
    "mysql_client": {
        "database": "mlpipeline",
        "endpoints": "mysql-k8s-primary.there.svc.cluster.local.:3306",
        "secret-user": "",
    },
    "object-storage": {
        "_supported_versions": "- v1\n",
        "data": "access-key: k\nnamespace: there\nport: 9000\nsecret-key: s\nsecure: false\nservice: minio\n",
    },
    "prometheus_scrape": {},
    "grafana_dashboard": {},
    "loki_push_api": {"promtail_binary_zip_url": "{}"},
}
"""Interface to what the other application has written, for every needed endpoint of every charm, and for those that
it has for the sake of being observed."""
SECRETS = {"secret-user": {"username": "relation-1", "password": "p"}}
"""Key to what the secret holds whose URI the other application wrote there."""
ALTERNATIVES = {"kubeflow-pipelines": ("object-storage",), "kserve": ("local-gateway",)}
"""Charm to those of its optional endpoints that it needs: one of two, or with the options as they are."""
OTHERS = {"kserve": 5}
"""Charm to how many lists of what is not its own it reads, where these are more than the three of most: nodes,
profiles and types. It also reads Knative's settings, and whom profiles let in."""
SERVED = {"kserve": 3}
"""Charm to how many types it asks for in its first hook before it makes objects of them: they are its own."""
ALONE = {"kubeflow-training"}
"""Charms that need no neighbour."""


def have_knative(cluster: ControlPlane) -> None:
    """Make Knative's kind Service, and its settings as Charmhub's knative-serving makes them."""
    crds.install(cluster, crds.read("knative-serving", ("serving.knative.dev",), ("Service",)))
    namespace = {"metadata": {"name": "knative-serving"}}
    cluster.request("POST", "/api/v1/namespaces", json.dumps(namespace).encode())
    features = ("affinity", "nodeselector", "tolerations", "persistent-volume-claim")
    settings = {
        "config-features": {f"kubernetes.podspec-{feature}": "enabled" for feature in features},
        "config-domain": {"example.com": ""},
    }
    for name, data in settings.items():
        config_map = json.dumps({"metadata": {"name": name}, "data": data})
        cluster.request("POST", "/api/v1/namespaces/knative-serving/configmaps", config_map.encode())


class Bench:
    """A charm, its model, and what it may see of its neighbours."""

    def __init__(
        self,
        source: Path,
        model: str,
        *,
        cluster: ControlPlane,
        gate: Gate,
        guardian: Guardian,
        folder: Path,
        trust: bool = True,
    ):
        self.cluster, self.gate = cluster, gate
        self.charm = charms.load(source)
        self.engine = Engine(folder, guardian, cluster=cluster, server=gate.url)
        self.model = self.engine.add_model(model)
        self._profile = f"/api/v1/namespaces/{model}-profile"
        profile = {"metadata": {"name": f"{model}-profile", "labels": {"user.kubeflow.org/enabled": ""}}}
        cluster.request("POST", "/api/v1/namespaces", json.dumps(profile).encode())
        name = self.charm.name
        self.application = self.engine.add_application(self.model, name, self.charm, trust=trust)
        self.unit = self.application.units[0]
        self.unit.address = "10.1.0.1"
        self.caller = f"system:serviceaccount:{model}:{name}"

    @property
    def required(self) -> list[str]:
        """The endpoints that must be related."""
        specs = self.charm.endpoints.values()
        return [spec.name for spec in specs if spec.role == "requires" and not spec.optional]

    @property
    def needed(self) -> list[str]:
        """The endpoints without which it does nothing: where none is required, the first one.

        Nothing for a charm that works alone.
        """
        if self.charm.name in ALONE:
            return []
        required = self.required or list(self.charm.endpoints)[:1]
        return [*required, *ALTERNATIVES.get(self.charm.name, ())]

    def relate(self, *endpoints: str, unit: dict[str, str] | None = None) -> None:
        """Relate these endpoints to neighbours that have said all they have to say.

        Args:
            endpoints: those to relate; what is needed, if none is named.
            unit: what a unit of each neighbour has written, if it has one.
        """
        for name in endpoints or self.needed:
            spec = self.charm.endpoints[name]
            other = "provides" if spec.role == "requires" else "requires"
            ends = [Endpoint(self.charm.name, name, spec.role), Endpoint(f"{name}-app", "there", other)]
            relation = Relation(self.model.next_relation, spec.interface, ends)
            self.model.next_relation += 1
            written = dict(NEIGHBOURS[spec.interface])
            for key in SECRETS.keys() & written.keys():
                written[key] = self._secret(f"{name}-app", SECRETS[key], relation.id)
            settings = Settings(written, 1)
            relation.application_data[f"{name}-app"] = settings
            relation.unit_data[self.unit.name] = Settings()
            seen = SeenRelation(created=True)
            if unit is not None:
                relation.unit_data[f"{name}-app/0"] = Settings(dict(unit), 1)
                seen.members[f"{name}-app/0"] = 1
            self.model.relations[relation.id] = relation
            self.unit.seen.relations[relation.id] = seen

    def separate(self, endpoint: str) -> None:
        """Take the relations of an endpoint away, as after their last hook."""
        for relation in [*self.model.relations.values()]:
            if any(end.name == endpoint for end in relation.endpoints):
                del self.model.relations[relation.id], self.unit.seen.relations[relation.id]

    def data(self, endpoint: str) -> dict[str, str]:
        """Return what the application and its unit have written on an endpoint's one relation."""
        (relation,) = [
            each
            for each in self.model.relations.values()
            if any(end.name == endpoint for end in each.endpoints)
        ]
        bags = (relation.application_data.get(self.charm.name), relation.unit_data[self.unit.name])
        return {key: value for bag in bags if bag for key, value in bag.data.items()}

    def _secret(self, owner: str, content: dict[str, str], relation: int) -> str:
        """Have a neighbour make a secret, and grant it; return its URI."""
        secret = Secret(secrets.new_id(), owner, revisions={1: content})
        secret.grants[self.application.name] = relation
        self.model.secrets[secret.id] = secret
        return secret.uri

    def hook(self, name: str = "config-changed") -> list[Request]:
        """Run a hook; return the requests it made, those of the watcher left out."""
        since = time.monotonic()
        result = self.engine.run_now(self.model, self.unit, Hook(name, "lifecycle"))
        assert result["ok"], result["traceback"]
        made = self.gate.requests(caller=self.caller, since=since)
        return [request for request in made if not self.is_watcher(request)]

    def settled_hook(self) -> list[Request]:
        """Run a hook that has nothing to do: it lists each kind once, and writes nothing; return its requests."""
        made = self.hook()
        assert {request.verb for request in made} == {"list"}
        # Those of ours, which a label selects, and those of others.
        listed = [(request.group, request.resource, "labelSelector" in request.path) for request in made]
        assert len(listed) == len(set(listed))
        kinds = {(item["apiVersion"], item["kind"]) for item in self.objects()}
        assert len(kinds) <= len(listed) <= len(kinds) + OTHERS.get(self.charm.name, 3)
        return made

    def hooks(self) -> None:
        """Run hooks until one meets no trouble with the API server, as the watcher would have it."""
        passing = ("Kubernetes API", "not served yet", "does not answer")
        until(lambda: (self.hook(), not any(word in self.status[1] for word in passing))[1], every=0.3)

    def logged(self, hook: str = "config-changed") -> list[str]:
        """Run a hook and return the records that the charm logged."""
        before = len(self.model.log)
        self.hook(hook)
        lines = list(self.model.log)[before:]
        return [f"{line.level} {line.message}" for line in lines if line.module.endswith(".juju-log")]

    @staticmethod
    def is_watcher(request: Request) -> bool:
        """Whether a request is the watcher's, which runs beside hooks."""
        return request.user_agent == USER_AGENT

    @property
    def status(self) -> tuple[str, str]:
        """State and text of the unit's status, which must fit its line."""
        assert len(self.unit.workload.message) <= 120
        return self.unit.workload.current, self.unit.workload.message

    def converge(self, within: float = PATIENCE) -> None:
        """Relate everything, and run hooks until the unit is active, as the watcher would have it."""
        self.relate()
        deadline = time.monotonic() + within
        self.hook("install")
        while self.status[0] != "active":
            assert time.monotonic() < deadline, self.status
            time.sleep(0.3)
            self.hook()

    def remove(self) -> None:
        """Run the last unit's last hook; Juju's own objects go with it."""
        self.application.life = Life.DYING
        result = self.engine.run_now(self.model, self.unit, Hook("remove", "lifecycle"))
        assert result["ok"], result["traceback"]

    def objects(self) -> list[dict[str, Any]]:
        """Return every object in the cluster that says it is this application's, of every kind there is."""
        found = []
        selector = f"app.kubernetes.io%2Finstance={self.model.name}.{self.application.name}"
        seen: set[tuple[str, str]] = set()
        for group in ["/api/v1", *self._groups()]:
            for kind in self._read(group).get("resources", []):
                if "list" not in kind["verbs"] or "/" in kind["name"] or kind["name"] in ("pods", "events"):
                    continue
                if (identity := (group.rpartition("/")[0], kind["name"])) in seen:
                    continue  # in another version
                seen.add(identity)
                answer = self._read(f"{group}/{kind['name']}?labelSelector={selector}")
                version = group.removeprefix("/apis/").removeprefix("/api/")
                for item in answer.get("items", []):
                    if item["metadata"].get("ownerReferences") or kind["kind"] == "EndpointSlice":
                        continue  # made by Kubernetes from ours
                    where = f"/namespaces/{item['metadata']['namespace']}" if kind["namespaced"] else ""
                    path = f"{group}{where}/{kind['name']}/{item['metadata']['name']}"
                    found.append({"apiVersion": version, "kind": kind["kind"], **item, "path": path})
        return [item for item in found if item["kind"] not in ("Endpoints", "ReplicaSet")]

    def definitions(self) -> list[dict[str, Any]]:
        """Return every CustomResourceDefinition of the cluster."""
        return self._read("/apis/apiextensions.k8s.io/v1/customresourcedefinitions")["items"]

    def _release_types(self) -> None:
        instance = f"{self.model.name}.{self.application.name}"
        manager = f"juju.{instance}"
        for crd in self.definitions():
            if crd["metadata"].get("labels", {}).get("app.kubernetes.io/instance") == instance:
                patch = release_patch(crd, manager)
                del patch["metadata"]["resourceVersion"]  # Kubernetes may write the status meanwhile
                path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{crd['metadata']['name']}"
                self.cluster.request(
                    "PATCH", path, json.dumps(patch).encode(), "application/merge-patch+json"
                )

    def _read(self, path: str) -> dict[str, Any]:
        """Return what is there; a type that comes or goes just now is asked for again, or is nothing."""
        while True:
            try:
                return json.loads(self.cluster.request("GET", path))
            except Refused as refusal:
                if refusal.status == 404:
                    return {}
                if refusal.status != 429:
                    raise
                time.sleep(0.3)

    def _groups(self) -> list[str]:
        said = json.loads(self.cluster.request("GET", "/apis"))
        # The preferred version comes first; some kinds have only another.
        return [f"/apis/{each['groupVersion']}" for group in said["groups"] for each in group["versions"]]

    def close(self) -> None:
        """Remove the application as Juju does, and its model; its types stay for the next one.

        An API server learns types slowly, and a type without our labels is taken over like a new one.
        """
        if self.application.life is Life.ALIVE:
            self._release_types()
            self.remove()
        self.engine.stop()
        self.cluster.request("DELETE", self._profile)
        self.cluster.request("DELETE", f"/api/v1/namespaces/{self.model.name}")
