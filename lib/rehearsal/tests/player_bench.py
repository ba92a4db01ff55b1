"""Deployments of Kubeflow's controllers as upstream has them, and a look at what the players make of it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import lightkube
from lightkube.core.exceptions import ApiError
from lightkube.types import PatchType

from rehearsal import documents
from rehearsal.cluster.controlplane import ControlPlane
from rehearsal.cluster.gate import Gate
from rehearsal.cluster.request import Request
from rehearsal.patience import PATIENCE, until
from rehearsal.players import kinds

T = TypeVar("T")

RBAC = "rbac.authorization.k8s.io"
CLUSTER_ROLE = documents.cluster_wide(RBAC, "v1", "ClusterRole", "clusterroles")
CLUSTER_ROLE_BINDING = documents.cluster_wide(RBAC, "v1", "ClusterRoleBinding", "clusterrolebindings")

GARBAGE_COLLECTED = PATIENCE
"""Seconds: the garbage collector looks for new kinds every thirty."""
READS = ["get", "list", "watch"]
MAKES = ["create", *READS, "update"]
VIEWER_RIGHTS = [
    ("apps", ["deployments"], MAKES),
    ("", ["persistentvolumeclaims", "pods"], READS),
    ("", ["services"], MAKES),
    ("networking.istio.io", ["virtualservices"], MAKES),
]
TRAINING_KINDS = ["jaxjobs", "mpijobs", "paddlejobs", "pytorchjobs", "tfjobs", "xgboostjobs"]
ROLES: dict[str, list[tuple[str, list[str], list[str]]]] = {
    "notebook-controller": [
        ("apps", ["statefulsets"], ["*"]),
        ("", ["events"], ["create", "get", "list", "patch", "watch"]),
        ("", ["pods"], READS),
        ("", ["services"], ["*"]),
        ("kubeflow.org", ["notebooks", "notebooks/finalizers", "notebooks/status"], ["*"]),
        ("networking.istio.io", ["virtualservices"], ["*"]),
    ],
    "tensorboard-controller": [
        *VIEWER_RIGHTS,
        ("tensorboard.kubeflow.org", ["tensorboards"], [*MAKES, "delete", "patch"]),
        ("tensorboard.kubeflow.org", ["tensorboards/status"], ["get", "patch", "update"]),
    ],
    "pvcviewer-controller": [
        *VIEWER_RIGHTS,
        ("kubeflow.org", ["pvcviewers"], [*MAKES, "delete", "patch"]),
        ("kubeflow.org", ["pvcviewers/status"], ["get", "patch", "update"]),
    ],
    # Of charms/pipelines' argo-cluster-role, what has to do with Workflows.
    "workflow-controller": [
        ("", ["pods"], ["create", *READS, "patch", "delete"]),
        ("", ["configmaps"], READS),
        ("argoproj.io", ["workflows"], [*MAKES, "patch", "delete"]),
        ("argoproj.io", ["workflows/finalizers"], ["update"]),
    ],
    "jobset": [
        ("", ["events"], ["create", "patch", "update", "watch"]),
        ("", ["nodes"], READS),
        ("", ["pods", "services"], [*MAKES, "delete", "patch"]),
        ("", ["secrets"], [*READS, "update"]),
        ("batch", ["jobs"], [*MAKES, "delete", "patch"]),
        ("batch", ["jobs/status"], ["get", "patch", "update"]),
        ("jobset.x-k8s.io", ["jobsets"], [*MAKES, "delete", "patch"]),
        ("jobset.x-k8s.io", ["jobsets/finalizers"], ["update"]),
        ("jobset.x-k8s.io", ["jobsets/status"], ["get", "patch", "update"]),
    ],
    "trainer-controller-manager": [
        ("", ["configmaps", "secrets"], [*MAKES, "patch"]),
        ("", ["events"], ["create", "patch", "update", "watch"]),
        ("", ["limitranges"], READS),
        ("jobset.x-k8s.io", ["jobsets"], [*MAKES, "patch"]),
        ("scheduling.k8s.io", ["priorityclasses"], READS),
        ("scheduling.volcano.sh", ["podgroups"], [*MAKES, "patch"]),
        ("scheduling.x-k8s.io", ["podgroups"], [*MAKES, "patch"]),
        (
            "trainer.kubeflow.org",
            ["clustertrainingruntimes", "trainingruntimes", "trainjobs"],
            [*READS, "patch", "update"],
        ),
        (
            "trainer.kubeflow.org",
            [
                "clustertrainingruntimes/finalizers",
                "trainingruntimes/finalizers",
                "trainjobs/finalizers",
                "trainjobs/status",
            ],
            ["get", "patch", "update"],
        ),
    ],
    "vc-scheduler": [
        ("", ["nodes", "pods"], READS),
        ("", ["pods/binding"], ["create"]),
        ("", ["events"], ["create"]),
        ("scheduling.volcano.sh", ["podgroups", "podgroups/status"], [*READS, "update"]),
    ],
    "katib-controller": [
        ("", ["services"], ["create", *READS, "delete"]),
        ("", ["events"], ["create", "patch", "update"]),
        ("", ["serviceaccounts", "persistentvolumes", "persistentvolumeclaims"], ["create", *READS]),
        ("", ["namespaces", "configmaps"], READS),
        ("", ["pods", "pods/status"], ["get"]),
        ("", ["secrets"], [*READS, "patch", "update"]),
        ("apps", ["deployments"], ["create", *READS, "delete"]),
        (RBAC, ["roles", "rolebindings"], ["create", *READS]),
        ("batch", ["jobs", "cronjobs"], ["create", *READS, "delete"]),
        ("jobset.x-k8s.io", ["jobsets"], READS),
        ("trainer.kubeflow.org", ["trainjobs"], ["create", *READS, "delete"]),
        (
            "kubeflow.org",
            ["tfjobs", "pytorchjobs", "mpijobs", "xgboostjobs"],
            ["create", *READS, "delete"],
        ),
        *(
            ("kubeflow.org", [kind, f"{kind}/status", f"{kind}/finalizers"], ["*"])
            for kind in ("experiments", "suggestions", "trials")
        ),
    ],
    "training-operator": [
        ("", ["configmaps"], ["create", "list", "update", "watch"]),
        ("", ["events", "pods"], [*MAKES, "delete", "patch"]),
        ("", ["pods/exec"], ["create"]),
        ("", ["secrets"], ["get", "list", "update", "watch"]),
        ("", ["serviceaccounts"], ["create", *READS]),
        ("", ["services"], ["create", *READS, "delete"]),
        ("autoscaling", ["horizontalpodautoscalers"], [*MAKES, "delete", "patch"]),
        ("rbac.authorization.k8s.io", ["roles", "rolebindings"], ["create", "list", "update", "watch"]),
        *(
            rule
            for kind in TRAINING_KINDS
            for rule in (
                ("kubeflow.org", [kind], [*MAKES, "delete", "patch"]),
                ("kubeflow.org", [f"{kind}/finalizers"], ["update"]),
                ("kubeflow.org", [f"{kind}/status"], ["get", "patch", "update"]),
            )
        ),
        *(
            (f"scheduling.{group}", ["podgroups"], [*MAKES, "delete", "patch"])
            for group in ("volcano.sh", "x-k8s.io")
        ),
    ],
    "kserve-controller": [
        ("", ["configmaps"], ["create", "get", "update"]),
        ("", ["events", "services"], [*MAKES, "delete", "patch"]),
        ("", ["namespaces", "pods"], READS),
        ("", ["secrets", "serviceaccounts"], ["get"]),
        ("apps", ["deployments"], [*MAKES, "delete", "patch"]),
        ("autoscaling", ["horizontalpodautoscalers"], [*MAKES, "delete", "patch"]),
        ("gateway.networking.k8s.io", ["httproutes"], [*MAKES, "delete", "patch"]),
        ("networking.istio.io", ["virtualservices"], [*MAKES, "delete", "patch"]),
        ("networking.k8s.io", ["ingresses"], [*MAKES, "delete", "patch"]),
        ("serving.knative.dev", ["services"], [*MAKES, "delete", "patch"]),
        (
            "serving.kserve.io",
            [
                "clusterservingruntimes",
                "clusterstoragecontainers",
                "inferencegraphs",
                "inferenceservices",
                "inferenceservices/finalizers",
                "servingruntimes",
                "trainedmodels",
            ],
            [*MAKES, "delete", "patch"],
        ),
        (
            "serving.kserve.io",
            ["inferencegraphs/status", "inferenceservices/status", "trainedmodels/status"],
            ["get", "patch", "update"],
        ),
        ("serving.kserve.io", ["localmodelcaches"], READS),
    ],
    "llmisvc-controller": [
        ("", ["configmaps"], ["get"]),
        ("", ["events"], ["create", "patch", "update"]),
        ("", ["pods"], READS),
        ("", ["secrets", "serviceaccounts", "services"], [*MAKES, "delete", "patch"]),
        ("apps", ["deployments"], [*MAKES, "delete", "patch"]),
        ("gateway.networking.k8s.io", ["httproutes"], [*MAKES, "delete", "patch"]),
        (
            "serving.kserve.io",
            ["llminferenceserviceconfigs", "llminferenceservices"],
            [*MAKES, "delete", "patch"],
        ),
        ("serving.kserve.io", ["llminferenceservices/finalizers"], ["update"]),
        ("serving.kserve.io", ["llminferenceservices/status"], ["get", "patch", "update"]),
        ("inference.networking.x-k8s.io", ["inferencepools"], READS),
        ("rbac.authorization.k8s.io", ["roles", "rolebindings"], [*MAKES, "delete", "patch"]),
    ],
    # What Knative's release 1.15 gives the account `controller`, as far as it is used.
    "knative-serving-controller": [
        (
            "",
            ["configmaps", "endpoints", "events", "namespaces", "pods", "secrets", "services"],
            [*MAKES, "delete", "patch"],
        ),
        ("", ["endpoints/restricted"], ["create"]),
        ("apps", ["deployments"], [*MAKES, "delete", "patch"]),
        ("autoscaling", ["horizontalpodautoscalers"], [*MAKES, "delete", "patch"]),
        ("networking.istio.io", ["virtualservices"], [*MAKES, "delete", "patch"]),
        *(
            (group, ["*", "*/status", "*/finalizers"], [*MAKES, "delete", "deletecollection", "patch"])
            for group in (
                "serving.knative.dev",
                "autoscaling.internal.knative.dev",
                "networking.internal.knative.dev",
            )
        ),
    ],
    # charms/profiles; upstream's is cluster-admin.
    "profile-controller": [
        ("kubeflow.org", ["profiles"], [*MAKES, "delete"]),
        ("", ["namespaces", "serviceaccounts"], MAKES),
        ("", ["resourcequotas"], [*MAKES, "delete"]),
        ("security.istio.io", ["authorizationpolicies"], [*MAKES, "delete"]),
        ("rbac.authorization.k8s.io", ["rolebindings"], [*MAKES, "delete"]),
        ("rbac.authorization.k8s.io", ["clusterroles"], ["bind"]),
    ],
}
"""What upstream lets each program do (kubeflow/manifests 26.03)."""


PLAYED = (
    kinds.NOTEBOOK,
    kinds.PVC_VIEWER,
    kinds.TENSORBOARD,
    kinds.WORKFLOW,
    kinds.EXPERIMENT,
    kinds.PYTORCH_JOB,
    kinds.TF_JOB,
    kinds.MPI_JOB,
    kinds.XGBOOST_JOB,
    kinds.PADDLE_JOB,
    kinds.JAX_JOB,
    kinds.TRAIN_JOB,
    kinds.JOB_SET,
    kinds.INFERENCE_SERVICE,
    kinds.INFERENCE_GRAPH,
    kinds.TRAINED_MODEL,
    kinds.KNATIVE_SERVICE,
    kinds.LLM_SERVICE,
)
"""What players play on."""


class Bench:
    """A namespace with a controller in it.

    Args:
        client: the administrator's.
        namespace: where.
        program: name of its image.
        gate: that the players go through.
    """

    def __init__(self, client: lightkube.Client, namespace: str, program: str, gate: Gate):
        self.client = client
        self.gate = gate
        self.namespace = namespace
        self.program = program

    def patch(self, kind: Any, name: str, patch: dict[str, Any]) -> None:
        """Merge something into an object."""
        self.client.patch(kind, name, patch, namespace=self.namespace, patch_type=PatchType.MERGE)

    def grant(self, rules: list[tuple[str, list[str], list[str]]]) -> None:
        """Let the service account do this, and nothing else."""
        role = {
            "metadata": {"name": self.namespace},
            "rules": [{"apiGroups": [g], "resources": r, "verbs": v} for g, r, v in rules],
        }
        self.client.apply(
            CLUSTER_ROLE({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", **role})
        )

    def deploy(self, env: Mapping[str, str] | None = None, **container: Any) -> None:
        """Create the service account, its rights and the Deployment."""
        self.grant(ROLES[self.program])
        namespace = {"namespace": self.namespace}
        self.create(kinds.SERVICE_ACCOUNT, {"metadata": {"name": "played"}})
        self.client.create(
            CLUSTER_ROLE_BINDING(
                {
                    "metadata": {"name": self.namespace},
                    "roleRef": {
                        "apiGroup": "rbac.authorization.k8s.io",
                        "kind": "ClusterRole",
                        "name": self.namespace,
                    },
                    "subjects": [{"kind": "ServiceAccount", "name": "played", **namespace}],
                }
            )
        )
        self.create(kinds.DEPLOYMENT, self.deployment(env or {}, container))

    def deployment(self, env: Mapping[str, str], container: dict[str, Any]) -> dict[str, Any]:
        """Return the Deployment: under a name of its own, with an image of some mirror."""
        volumes = container.pop("volumes", [])
        labels = {"app": "any"}
        manager = {
            "name": "manager",
            "image": f"mirror.example:5000/some/{self.program}:v1.10.0@sha256:{'0' * 64}",
            "env": [{"name": name, "value": value} for name, value in env.items()],
            **container,
        }
        pod = {
            "serviceAccountName": "played",
            "containers": [{"name": "proxy", "image": "proxy:1"}, manager],
            "volumes": volumes,
        }
        return {
            "metadata": {"name": "any-name"},
            "spec": {
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": pod},
            },
        }

    def scale(self, replicas: int) -> None:
        """Scale the Deployment, and wait until its pods are as many."""
        self.client.patch(
            kinds.DEPLOYMENT, "any-name", {"spec": {"replicas": replicas}}, namespace=self.namespace
        )
        until(
            lambda: self.get(kinds.DEPLOYMENT, "any-name")["status"].get("availableReplicas", 0) == replicas
        )

    def remove(self) -> None:
        """Take away what is not in the namespace, and what the next test's players would play on."""
        for kind in PLAYED:
            for item in self.client.list(kind, namespace=self.namespace):
                try:
                    self.client.delete(kind, item["metadata"]["name"], namespace=self.namespace)
                except ApiError as error:
                    if error.status.code != 404:  # it may go meanwhile, with its owner
                        raise
        # Their controllers may be gone, and these wait for them.
        for kind in (
            kinds.EXPERIMENT,
            kinds.TRIAL,
            kinds.INFERENCE_SERVICE,
            kinds.TRAINED_MODEL,
            kinds.LLM_SERVICE,
        ):
            for item in self.client.list(kind, namespace=self.namespace):
                self.release(kind, item["metadata"]["name"])
        for kind in (CLUSTER_ROLE_BINDING, CLUSTER_ROLE):
            if self.find(kind, self.namespace):
                self.client.delete(kind, self.namespace)

    def release(self, kind: Any, name: str) -> None:
        """Take an object's finalizers away, and delete it."""
        with contextlib.suppress(ApiError):  # it may go meanwhile
            patch = {"metadata": {"finalizers": None}}
            self.client.delete(kind, name, namespace=self.namespace)
            self.client.patch(kind, name, patch, namespace=self.namespace, patch_type=PatchType.MERGE)

    def create(self, kind: Any, item: dict[str, Any]) -> Any:
        """Create an object in the namespace."""
        metadata = {**item["metadata"], "namespace": self.namespace}
        return self.client.create(kind({**item, "metadata": metadata}))

    def make(self, kind: Any, name: str, spec: dict[str, Any], **metadata: Any) -> Any:
        """Create an object in the namespace by its name and spec."""
        return self.create(kind, {"metadata": {"name": name, **metadata}, "spec": spec})

    def find(self, kind: Any, name: str, namespace: str | None = None) -> Any:
        """Return an object; None if there is none."""
        try:
            return self.client.get(
                kind, name, namespace=namespace or self.namespace if kinds.namespaced(kind) else None
            )
        except ApiError as error:
            if error.status.code == 404:
                return None
            raise

    def get(self, kind: Any, name: str, namespace: str | None = None) -> Any:
        """Return an object as soon as there is one."""
        return until(lambda: self.find(kind, name, namespace), f"{kind.__name__} {name}")

    def annotate(self, kind: Any, name: str, **annotations: str | None) -> None:
        """Set annotations; None takes one away."""
        patch = {"metadata": {"annotations": annotations}}
        self.client.patch(kind, name, patch, namespace=self.namespace, patch_type=PatchType.MERGE)

    def writes(self, namespace: str = "") -> list[Request]:
        """Return what the program has written, here or elsewhere, and in no namespace.

        It plays in the namespaces of earlier tests as well, as long as these go.
        """
        caller = f"system:serviceaccount:{self.namespace}:played"
        ours = [each for each in self.gate.requests() if each.caller == caller and each.writes]
        return [each for each in ours if each.namespace in ("", namespace or self.namespace)]

    def assert_settled(self, namespace: str = "") -> None:
        """Fail unless the program comes to rest: has written something, and then nothing for a good second."""
        assert until_same(lambda: self.writes(namespace), quiet=1.5)


class Reached:
    """A control plane whose clients go through a gate, all but the administrator."""

    def __init__(self, cluster: ControlPlane, url: str):
        self._cluster = cluster
        self._url = url
        self.tokens: list[str] = []
        """The paths by which tokens were asked for."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cluster, name)

    def request(self, method: str, path: str, *rest: Any) -> bytes:
        """Send a request as the administrator."""
        if path.endswith("/token"):
            self.tokens.append(path)
        return self._cluster.request(method, path, *rest)

    def kubeconfig(self, token: str, namespace: str) -> dict[str, Any]:
        """Return a kubeconfig document that leads to the gate."""
        return self._cluster.kubeconfig(token, namespace, server=self._url)


def until_same(look: Callable[[], T], within: float = PATIENCE, quiet: float = 0.5) -> T:
    """Return what a look returns as soon as it has been the same for some seconds."""
    deadline = time.monotonic() + within
    found, since = look(), time.monotonic()
    while time.monotonic() < since + quiet:
        assert time.monotonic() < deadline, "it does not come to rest"
        time.sleep(0.05)
        if (now := look()) != found:
            found, since = now, time.monotonic()
    return found


def owners(item: Any) -> list[tuple[str, str, bool]]:
    """Return kind and name of what owns an object, and whether it controls it."""
    references = item["metadata"].get("ownerReferences", [])
    return [(each["kind"], each["name"], each.get("controller", False)) for each in references]
