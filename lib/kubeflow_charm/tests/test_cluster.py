"""One application's objects on a real API server: nothing of others is touched, nothing of ours is left.

Requests go through the gate, which counts them and puts in faults.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

from kubeflow_charm.cluster import connection, executor
from kubeflow_charm.cluster.executor import Cluster
from kubeflow_charm.cluster.resources import Manifest, kind_of
from kubeflow_charm.problems import Problem, flattened
from rehearsal.cluster.controlplane import ControlPlane
from rehearsal.cluster.existing import Refused
from rehearsal.cluster.gate import Fault, Gate
from rehearsal.cluster.request import Request

DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


class Site:
    """A namespace, what an application wants in it, and the API server as its administrator sees it."""

    def __init__(self, api: ControlPlane, gate: Gate, namespace: str):
        self.api, self.gate, self.namespace = api, gate, namespace
        self.group = f"{namespace}.example.org"
        self.ours = Cluster("app", namespace)

    def of_cluster(self, api_version: str, kind: str, name: str = "", **body: Any) -> Manifest:
        """Return an object without a namespace, of a name that no other test has."""
        name = name or f"{self.namespace}-app"
        return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name}, **body}

    def here(self, api_version: str, kind: str, name: str = "a", **body: Any) -> Manifest:
        """Return an object in the namespace."""
        metadata = {"name": name, "namespace": self.namespace}
        return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **body}

    def crd(self, **spec: Any) -> Manifest:
        """Return a type with a field `spec.size`."""
        schema = {"spec": {"type": "object", "properties": {"size": {"type": "integer"}}}}
        version = {
            "name": "v1",
            "served": True,
            "storage": True,
            "schema": {"openAPIV3Schema": {"type": "object", "properties": schema}},
        }
        names = {"kind": "Thing", "plural": "things"}
        body = {"group": self.group, "names": names, "scope": "Namespaced", "versions": [version], **spec}
        return self.of_cluster(
            "apiextensions.k8s.io/v1", "CustomResourceDefinition", f"things.{self.group}", spec=body
        )

    def binding(self, role: str = "view") -> Manifest:
        """Return a binding, of which the role can never change."""
        return self.here(
            "rbac.authorization.k8s.io/v1",
            "RoleBinding",
            roleRef={"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        )

    def deployment(self, app: str = "a") -> Manifest:
        """Return a workload, of which the selector can never change."""
        pod = {"containers": [{"name": "a", "image": "example.org/a"}]}
        template = {"metadata": {"labels": {"app": app}}, "spec": pod}
        spec = {"replicas": 0, "selector": {"matchLabels": {"app": app}}, "template": template}
        return self.here("apps/v1", "Deployment", spec=spec)

    def webhook(self) -> Manifest:
        """Return a webhook that is never called."""
        nothing = {"apiGroups": ["no.example.org"], "apiVersions": ["v1"], "resources": ["nothings"]}
        webhook = {
            "name": "webhook.example.org",
            "admissionReviewVersions": ["v1"],
            "sideEffects": "None",
            "clientConfig": {"url": "https://127.0.0.1:1"},
            "rules": [nothing | {"operations": ["CREATE"]}],
        }
        return self.of_cluster(
            "admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", webhooks=[webhook]
        )

    def policy(self) -> Manifest:
        """Return a policy that is never used."""
        nothing_done = 'false ? [JSONPatch{op: "remove", path: "/a"}] : []'
        nothing = {"apiGroups": ["no.example.org"], "apiVersions": ["v1"], "resources": ["nothings"]}
        return self.of_cluster(
            "admissionregistration.k8s.io/v1",
            "MutatingAdmissionPolicy",
            spec={
                "matchConstraints": {"resourceRules": [nothing | {"operations": ["CREATE"]}]},
                "reinvocationPolicy": "Never",
                "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": nothing_done}}],
            },
        )

    def everything(self) -> list[Manifest]:
        """Return objects of every rank but the first."""
        return [
            self.webhook(),
            self.deployment(),
            self.here("v1", "ConfigMap", data={"a": "b"}),
            self.here("v1", "Secret", data={"a": "Yg=="}),
            self.binding(),
            self.of_cluster("rbac.authorization.k8s.io/v1", "ClusterRole", rules=[]),
            self.of_cluster("scheduling.k8s.io/v1", "PriorityClass", value=5),
            self.crd(),
        ]

    def path(self, item: Manifest) -> str:
        """Return the path of an object."""
        kind = kind_of(item)
        where = f"/namespaces/{item['metadata']['namespace']}" if kind.namespaced else ""
        root = f"/apis/{kind.api_version}" if kind.group else f"/api/{kind.api_version}"
        return f"{root}{where}/{kind.plural}/{item['metadata']['name']}"

    def get(self, item: Manifest) -> Manifest | None:
        """Return an object as it is; None if it is not."""
        try:
            return json.loads(self.api.request("GET", self.path(item)))
        except Refused as refusal:
            assert refusal.status == 404
            return None

    def create(self, item: Manifest, by: str = "ada") -> Manifest:
        """Make an object as somebody else."""
        folder = self.path(item).rpartition("/")[0]
        body = json.dumps(item).encode()
        return json.loads(self.api.request("POST", f"{folder}?fieldManager={by}", body))

    def patch(self, item: Manifest, change: Any, by: str = "ada") -> None:
        """Change an object as somebody else."""
        kind = "application/merge-patch+json"
        self.api.request("PATCH", f"{self.path(item)}?fieldManager={by}", json.dumps(change).encode(), kind)

    def parent(self) -> Manifest:
        """Return the record's place."""
        return self.here("v1", "ConfigMap", "app-applyset")

    def left(self, *items: Manifest) -> set[str]:
        """Return the kinds of those objects that exist, the record included."""
        return {item["kind"] for item in (*items, self.parent()) if self.get(item)}

    def problems(self, work: Callable[[], Any]) -> list[str]:
        """Return the texts of the problems that `work` raises."""
        found: list[str] = []
        try:
            work()
        except* Problem as group:
            found = [str(problem) for problem in flattened(group)]
        return found

    def requests(self, work: Callable[[], Any]) -> list[Request]:
        """Return the requests that `work` makes."""
        before = len(self.gate.requests())
        work()
        return self.gate.requests()[before:]


@pytest.fixture
def site(
    cluster: ControlPlane, gate: Gate, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Site]:
    """A place of its own for a test."""
    config = yaml.safe_load(cluster.admin_kubeconfig.read_text())
    config["clusters"][0]["cluster"] = {"server": gate.url}
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(config))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    monkeypatch.setattr(executor, "_PAUSES", (0.01, 0.02, 0.03))
    made = Site(cluster, gate, namespace)
    yield made
    gate.faults.clear()
    made.ours.clear()
    made.ours.close()


class TestTypesOfOthers:
    """CRDs that somebody else has made."""

    def test_one_that_serves_us_is_the_same_before_and_after_us(self, site: Site, caplog: Any) -> None:
        before = site.create(site.crd())
        caplog.set_level("INFO")
        site.ours.converge([site.crd(), *site.everything()[:-1]])
        assert f"CRD things.{site.group} is managed by ada" in caplog.text
        caplog.clear()
        again = site.requests(lambda: site.ours.converge(site.everything()))
        assert not [request for request in again if request.writes]
        assert "managed by" not in caplog.text
        site.ours.clear()
        after = site.get(site.crd())
        assert after
        assert _without_status(after) == _without_status(before)
        site.api.request("DELETE", site.path(site.crd()))

    def test_one_that_lacks_a_field_of_ours_blocks_before_anything_is_written(self, site: Site) -> None:
        theirs = site.crd()
        theirs["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"] = {}
        before = site.create(theirs)
        (problem,) = site.problems(lambda: site.ours.converge(site.everything()))
        assert "of ada: v1: no field spec.size; update or remove it" in problem
        assert site.left(*site.everything()) == {"CustomResourceDefinition"}
        assert (site.get(theirs) or {})["spec"] == before["spec"]
        site.api.request("DELETE", site.path(theirs))

    def test_ours_stays_if_somebody_applies_it_too(self, site: Site) -> None:
        site.ours.converge([site.crd()])
        site.api.request(
            "PATCH",
            f"{site.path(site.crd())}?fieldManager=ada",
            json.dumps(site.crd()).encode(),
            "application/apply-patch+yaml",
        )
        site.ours.clear()
        left = site.get(site.crd())
        assert left
        assert not left["metadata"].get("labels")
        assert {entry["manager"] for entry in left["metadata"]["managedFields"]} == {"ada", "kube-apiserver"}
        site.api.request("DELETE", site.path(site.crd()))

    def test_one_that_is_given_back_is_ours_again(self, site: Site) -> None:
        site.create(site.crd())
        site.ours.converge([site.crd()])
        site.patch(site.crd(), {"metadata": {"managedFields": [{}]}})
        site.ours.converge([site.crd()])
        assert not [r for r in site.requests(lambda: site.ours.converge([site.crd()])) if r.writes]
        site.ours.clear()
        _until_gone(site, site.crd())

    def test_an_annotation_of_somebody_s_does_not_make_it_theirs(self, site: Site) -> None:
        site.ours.converge([site.crd()])
        site.patch(site.crd(), {"metadata": {"annotations": {"team": "ada"}, "labels": {"team": "ada"}}})
        site.ours.converge([site.crd()])
        site.ours.clear()
        _until_gone(site, site.crd())

    def test_one_taken_by_force_in_the_past_is_kept_up_and_not_deleted(self, site: Site) -> None:
        theirs = site.crd()
        theirs["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"] = {}
        site.create(theirs)
        claimed = site.ours._claimed(site.crd())
        site.ours._apply(claimed, force=True)  # as earlier revisions did
        site.ours.converge([site.crd()])
        site.ours.clear()
        left = site.get(site.crd())
        assert left
        assert left["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
        assert not left["metadata"].get("labels")
        site.api.request("DELETE", site.path(site.crd()))

    def test_one_in_use_is_released_and_whoever_comes_next_takes_it(self, site: Site, caplog: Any) -> None:
        site.ours.converge([site.crd(), site.here("v1", "ConfigMap")])
        _make_thing(site)
        site.ours.converge([site.here("v1", "ConfigMap")])
        assert f"CustomResourceDefinition things.{site.group} stays" in caplog.text
        caplog.clear()
        settled = site.requests(lambda: site.ours.converge([site.here("v1", "ConfigMap")]))
        assert [(request.verb, request.resource) for request in settled] == [("list", "configmaps")]
        assert not caplog.text
        other = Cluster("other", site.namespace)
        other.converge([site.crd()])
        site.api.request("DELETE", f"/apis/{site.group}/v1/namespaces/{site.namespace}/things/a")
        site.ours.clear()
        other.clear()
        other.close()
        _until_gone(site, site.crd())


class TestServed:
    """Kinds that only newer API servers have."""

    def test_asking_costs_no_request_where_the_kind_is_used(self, site: Site) -> None:
        policy = site.policy()
        lists = [("list", "configmaps"), ("list", kind_of(policy).plural)]
        site.ours.converge([policy])
        for ask in (True, False):
            made = site.requests(partial(_hook, site, policy, ask=ask))
            assert sorted((request.verb, request.resource) for request in made) == lists

    def test_what_was_read_is_used_once(self, site: Site) -> None:
        policy = site.policy()
        assert site.ours.serves(kind_of(policy))
        site.ours.converge([policy])
        site.api.request("DELETE", site.path(policy))
        site.ours.converge([policy])
        assert site.get(policy)
        assert site.ours.serves(kind_of(policy))
        site.api.request("DELETE", site.path(policy))
        site.ours.close()
        site.ours.converge([policy])
        assert site.get(policy)

    def test_a_policy_is_kept_true_and_goes_with_its_last_wish(self, site: Site) -> None:
        policy = site.policy()
        binding = site.of_cluster(
            policy["apiVersion"],
            "MutatingAdmissionPolicyBinding",
            spec={"policyName": policy["metadata"]["name"]},
        )
        config = site.here("v1", "ConfigMap")
        site.ours.converge([binding, policy, config])
        site.patch(policy, {"spec": {"reinvocationPolicy": "IfNeeded"}})
        site.api.request("DELETE", site.path(binding))
        site.ours.converge([binding, policy, config])
        found = site.get(policy)
        assert found and found["spec"]["reinvocationPolicy"] == "Never"
        assert site.left(binding, policy) == {binding["kind"], policy["kind"], "ConfigMap"}
        site.ours.converge([config])
        assert site.left(binding, policy) == {"ConfigMap"}
        site.ours.converge([binding, policy])
        site.ours.clear()
        _until_gone(site, binding, policy, config)

    def test_a_kind_that_the_api_server_does_not_have(self, site: Site) -> None:
        later = dataclasses.replace(kind_of(site.policy()), api_version="admissionregistration.k8s.io/v9")
        asked = site.requests(lambda: site.ours.serves(later))
        assert [(request.verb, request.status) for request in asked] == [("list", 404)]
        assert not site.ours.serves(later)

    def test_one_that_the_api_server_has_no_more(self, site: Site) -> None:
        """As after a downgrade: the record forgets the kind, and hooks go on."""
        config = site.here("v1", "ConfigMap")
        site.ours.converge([config, site.policy()])
        site.gate.faults.append(Fault(lambda request: "polic" in request.resource, 404))
        assert not site.ours.serves(kind_of(site.policy()))
        site.ours.converge([config])
        again = site.requests(lambda: site.ours.converge([config]))
        assert [(request.verb, request.resource) for request in again] == [("list", "configmaps")]
        site.gate.faults.clear()
        site.api.request("DELETE", site.path(site.policy()))

    def test_an_api_server_that_refuses_or_is_away_is_not_one_without_the_kind(self, site: Site) -> None:
        for status, text in ((403, "no rights on"), (500, "Kubernetes API"), (0, "Kubernetes API")):
            site.gate.faults[:] = [Fault(lambda request: "polic" in request.resource, status)]
            (problem,) = site.problems(lambda: site.ours.serves(kind_of(site.policy())))
            assert text in problem


def _hook(site: Site, policy: Manifest, *, ask: bool) -> None:
    if not ask or site.ours.serves(kind_of(policy)):
        site.ours.converge([policy])


class TestOthersObjects:
    """What is neither changed nor deleted."""

    @pytest.mark.parametrize("value", [5, 6], ids=["same value", "other value"])
    def test_a_priority_class_of_another_blocks(self, site: Site, value: int) -> None:
        theirs = site.of_cluster("scheduling.k8s.io/v1", "PriorityClass", value=value)
        before = site.create(theirs)
        (problem,) = site.problems(lambda: site.ours.converge(site.everything()))
        assert problem.endswith("belongs to ada: remove or rename it")
        site.ours.clear()
        assert site.get(theirs) == before
        site.api.request("DELETE", site.path(theirs))

    def test_a_config_map_in_the_place_of_the_record_blocks(self, site: Site) -> None:
        before = site.create({**site.parent(), "data": {"a": "b"}})
        (problem,) = site.problems(lambda: site.ours.converge(site.everything()))
        assert "app-applyset belongs to ada" in problem
        site.ours.clear()
        assert site.get(site.parent()) == before
        assert site.left(*site.everything()) == {"ConfigMap"}


class TestSpread:
    """Objects that stop nothing else."""

    def test_one_that_is_refused_is_told_and_the_rest_goes_on(self, site: Site) -> None:
        limits = {"metadata": {"name": "limits"}, "spec": {"limits": [{"type": "Container"}]}}
        limit = {"apiVersion": "v1", "kind": "LimitRange", **limits}
        wrong = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "Wrong Name"}}
        outcome = site.ours.converge(
            [site.here("v1", "ConfigMap")],
            spread=[(limit, ["no-such", site.namespace]), (wrong, [site.namespace])],
        )
        assert [item["kind"] for item in outcome.live] == ["ConfigMap"]
        told = sorted(str(problem) for problem in outcome.problems)
        assert len(told) == 2
        assert told[0].startswith("ConfigMap ")
        assert told[1].startswith("LimitRange no-such/limits")
        placed = site.here("v1", "LimitRange", "limits")
        assert site.get(placed)
        site.ours.converge([site.here("v1", "ConfigMap")])
        assert site.get(placed) is None


class TestImmutableFields:
    """A field that can never change, changes."""

    @pytest.mark.parametrize("kind", ["RoleBinding", "Deployment", "Secret", "PriorityClass", "ConfigMap"])
    def test_what_has_no_state_is_made_anew(self, site: Site, kind: str, caplog: Any) -> None:
        before, after = {
            "RoleBinding": (site.binding("view"), site.binding("edit")),
            "Deployment": (site.deployment("a"), site.deployment("b")),
            "Secret": (
                site.here("v1", "Secret", type="Opaque"),
                site.here("v1", "Secret", type="example.org/other"),
            ),
            "PriorityClass": (
                site.of_cluster("scheduling.k8s.io/v1", "PriorityClass", value=1),
                site.of_cluster("scheduling.k8s.io/v1", "PriorityClass", value=2),
            ),
            "ConfigMap": (
                site.here("v1", "ConfigMap", immutable=True, data={"a": "b"}),
                site.here("v1", "ConfigMap", immutable=True, data={"a": "c"}),
            ),
        }[kind]
        site.ours.converge([before])
        old = site.get(before)
        site.ours.converge([after])
        new = site.get(after)
        assert old and new and old["metadata"]["uid"] != new["metadata"]["uid"]
        assert "cannot change" in caplog.text
        assert not [r for r in site.requests(lambda: site.ours.converge([after])) if r.writes]

    @pytest.mark.parametrize("kind", ["PersistentVolumeClaim", "StatefulSet", "CustomResourceDefinition"])
    def test_what_may_have_state_is_blocked_with_the_cure(self, site: Site, kind: str) -> None:
        claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
        stateful = {**site.deployment()["spec"], "serviceName": "a"}
        before, after = {
            "PersistentVolumeClaim": (
                site.here("v1", "PersistentVolumeClaim", spec=claim),
                site.here("v1", "PersistentVolumeClaim", spec=claim | {"storageClassName": "fast"}),
            ),
            "StatefulSet": (
                site.here("apps/v1", "StatefulSet", spec=stateful),
                site.here("apps/v1", "StatefulSet", spec=stateful | {"serviceName": "b"}),
            ),
            "CustomResourceDefinition": (site.crd(), site.crd(scope="Cluster")),
        }[kind]
        site.ours.converge([before])
        uid = (site.get(before) or {})["metadata"]["uid"]
        (problem,) = site.problems(lambda: site.ours.converge([after]))
        assert "cannot change: save its data, then delete it" in problem
        assert (site.get(before) or {})["metadata"]["uid"] == uid


class TestRemoval:
    """Whatever happens at a delete, nothing of ours is left."""

    @pytest.mark.parametrize("answer", [0, 429, 500], ids=lambda code: f"answer-{code}")
    @pytest.mark.parametrize("number", range(9))
    def test_a_fault_at_any_delete(self, site: Site, answer: int, number: int) -> None:
        site.ours.converge(site.everything())
        site.gate.faults.append(Fault(_is_delete, answer, times=1, skip=number))
        site.ours.clear()
        assert site.gate.faults[0].times == 0
        _until_gone(site, *site.everything())

    def test_a_type_whose_names_were_never_accepted(self, site: Site) -> None:
        twin = site.crd(names={"kind": "Thing", "plural": "twins"})
        twin["metadata"]["name"] = f"twins.{site.group}"
        site.ours.converge([site.crd()])
        site.ours.converge([site.crd(), twin])
        site.ours.clear()
        _until_gone(site, site.crd(), twin)

    def test_what_cannot_be_deleted_is_named_and_recorded_until_it_is_gone(
        self, site: Site, caplog: Any
    ) -> None:
        site.ours.converge(site.everything())
        site.gate.faults.append(Fault(lambda r: _is_delete(r) and r.resource == "secrets", 500))
        site.ours.clear()
        assert f"left behind: Kubernetes API: 500 on Secret {site.namespace}/a" in caplog.text
        _until(lambda: site.left(*site.everything()) == {"Secret", "ConfigMap"})
        site.gate.faults.clear()
        site.ours.clear()
        _until_gone(site, *site.everything())

    def test_a_workload_stays_while_its_webhook_does_but_not_for_ever(self, site: Site) -> None:
        site.ours.converge(site.everything())
        site.gate.faults.append(Fault(lambda r: _is_delete(r) and "webhook" in r.resource, 500))
        deleted = [r.resource for r in site.requests(site.ours.clear) if _is_delete(r)]
        assert deleted[:4] == ["validatingwebhookconfigurations"] * 4
        remaining = {"ValidatingWebhookConfiguration", "ConfigMap"}
        _until(lambda: site.left(*site.everything()) == remaining)

    def test_what_waits_for_its_webhook_is_not_forgotten(self, site: Site) -> None:
        site.ours.converge(site.everything())
        site.gate.faults.append(Fault(lambda r: _is_delete(r) and "webhook" in r.resource, 500, times=1))
        first = site.ours.converge([site.here("v1", "ConfigMap")])
        assert any("webhook is gone" in str(problem) for problem in first.problems)
        assert site.get(site.deployment())
        assert not site.ours.converge([site.here("v1", "ConfigMap")]).problems
        _until(lambda: site.left(*site.everything()) == {"ConfigMap"})

    def test_kinds_of_a_newer_revision_are_named_and_stay_recorded(self, site: Site, caplog: Any) -> None:
        site.ours.converge(site.everything())
        record = site.ours.own.recorded(site.ours.labelled({kind_of(site.parent())}))
        assert record
        newer = site.ours.own.parent(type(record)(record.names | {"Future.example.org"}))
        site.ours._apply(newer, force=True)
        site.ours.converge([])
        site.ours.clear()
        assert "left behind: Future.example.org" in caplog.text
        assert site.get(site.parent())
        site.ours._apply(site.parent(), force=True)


class Killed(BaseException):
    """The process ends here."""


class TestKilled:
    """The process is killed at any request, before or after it reached the API server."""

    @pytest.mark.parametrize("reaches", [False, True], ids=["before", "after"])
    @pytest.mark.parametrize("hook", ["first", "last"])
    def test_and_the_next_hook_finishes(
        self, site: Site, hook: str, reaches: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        send = connection.Transport.handle_request
        for number in range(100):
            made = killing(send, number, reaches=reaches)
            if hook == "last":
                site.ours.converge(site.everything())
            monkeypatch.setattr(connection.Transport, "handle_request", made)
            finished = True
            try:
                _run(site, hook)
            except Killed:
                finished = False
            monkeypatch.setattr(connection.Transport, "handle_request", send)
            _run(site, hook)
            if hook == "first":
                missing = [item["kind"] for item in site.everything() if not site.get(item)]
                assert not missing, number
                assert not [r for r in site.requests(lambda: _run(site, hook)) if r.writes], number
                site.ours.clear()
            _until_gone(site, *site.everything())
            if finished:
                assert number > 15
                return
        raise AssertionError("it never finished")

    def test_and_a_revision_that_wants_other_kinds_finds_what_it_wrote(self, site: Site) -> None:
        """The record names every kind before the first object of it is there."""
        site.gate.faults.append(Fault(lambda r: r.writes and r.resource == "deployments", 500))
        assert site.problems(lambda: site.ours.converge([site.binding(), site.deployment()]))
        site.gate.faults.clear()
        assert site.get(site.binding())
        site.ours.converge([site.here("v1", "ConfigMap")])
        _until(lambda: not site.get(site.binding()))


def killing(send: Callable[..., Any], number: int, *, reaches: bool) -> Callable[..., Any]:
    """Return a way to send that ends the process at a request; threads that go on are stopped, too."""
    sent = iter(range(1000))

    def handle(transport: connection.Transport, request: httpx2.Request) -> httpx2.Response:
        mine = next(sent)
        if mine >= number:
            if reaches and mine == number:
                send(transport, request)
            raise Killed
        return send(transport, request)

    return handle


def _run(site: Site, hook: str) -> None:
    site.ours.close()
    if hook == "first":
        site.ours.converge(site.everything())
    else:
        site.ours.clear()


def _is_delete(request: Request) -> bool:
    return request.verb == "delete"


def _without_status(item: Manifest) -> Manifest:
    """Return an object without what the API server's own controllers write."""
    metadata = {k: v for k, v in item["metadata"].items() if k not in ("managedFields", "resourceVersion")}
    entries = [e for e in item["metadata"]["managedFields"] if not e.get("subresource")]
    return {**item, "metadata": metadata | {"managedFields": entries}, "status": None}


def _make_thing(site: Site) -> None:
    thing = {"apiVersion": f"{site.group}/v1", "kind": "Thing", "metadata": {"name": "a"}}
    path = f"/apis/{site.group}/v1/namespaces/{site.namespace}/things"
    _until(lambda: _accepted(site, path, thing))


def _accepted(site: Site, path: str, item: Manifest) -> bool:
    try:
        site.api.request("POST", path, json.dumps(item).encode())
    except Refused as refusal:
        assert refusal.status in (404, 429), refusal
        return False
    return True


def _until_gone(site: Site, *items: Manifest) -> None:
    _until(lambda: not site.left(*items))


def _until(condition: Callable[[], bool], within: float = 90.0) -> None:

    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
