"""What a Notebook, a Tensorboard and a PVCViewer may be: what their controllers can make objects of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import lightkube
import older_objects
import pytest
import tenacity
from charm_harness import deployed as deploy
from lightkube.core.exceptions import ApiError

from rehearsal import documents
from rehearsal.cluster.controlplane import ControlPlane

NOTEBOOK = documents.namespaced("kubeflow.org", "v1", "Notebook", "notebooks")
VIEWER = documents.namespaced("kubeflow.org", "v1alpha1", "PVCViewer", "pvcviewers")
BOARD = documents.namespaced("tensorboard.kubeflow.org", "v1alpha1", "Tensorboard", "tensorboards")
SERVICE = documents.namespaced("", "v1", "Service", "services")
POD = documents.namespaced("", "v1", "Pod", "pods")
POD_SPEC = {"containers": [{"name": "nb", "image": "jupyter"}]}

Refusal = Callable[..., str]


@pytest.fixture(scope="module")
def model() -> str:
    """A model of its own."""
    return "notebooks-rules"


@pytest.fixture(scope="module")
def deployed(notebooks: Any, cluster: ControlPlane, client: lightkube.Client, model: str) -> Iterator[Any]:
    """The state after one hook, when the kinds are served; all is removed in the end."""
    with deploy(notebooks, cluster, client, model) as state:
        for kind in (NOTEBOOK, VIEWER, BOARD):
            _await_served(client, kind)
        yield state


@tenacity.retry(stop=tenacity.stop_after_delay(60), wait=tenacity.wait_fixed(0.1), reraise=True)
def _await_served(client: lightkube.Client, kind: Any) -> None:
    list(client.list(kind, namespace=lightkube.ALL_NS))


@pytest.fixture(scope="module")
def refusal(client: lightkube.Client, deployed: object, model: str) -> Refusal:
    """Create an object as a dry run, every field checked; return what the API server says against it."""

    def refusal(kind: Any, name: str, **body: Any) -> str:
        item = kind({"metadata": {"name": name, **body.pop("metadata", {})}, **body})
        try:
            client.create(item, dry_run=True, namespace=model, field_manager="test")
        except ApiError as error:
            assert error.status.code in (400, 422), error.status.message
            return error.status.message or "?"
        return ""

    return refusal


NAMES = [
    *("nb", "a", "1", "2024-analysis", "a--b", "yes", "null", "1e3", "0x1f", "true", "n"),
    *("a" * length for length in (47, 48, 52, 53, 54, 57, 58, 59, 63, 64, 200)),
    *("a.b", "my.notebook", "1.5", "v2.nb"),
]


@pytest.mark.parametrize("name", NAMES)
def test_a_notebooks_name_is_a_services_and_its_pods_label(refusal: Refusal, name: str):
    labels = {"controller-revision-hash": f"{name}-5d9f8b7c6d", "notebook-name": name}
    made = [
        refusal(SERVICE, name, spec={"ports": [{"name": f"http-{name}", "port": 80}]}),
        refusal(POD, f"{name}-0", metadata={"labels": labels}, spec=POD_SPEC),
    ]
    assert bool(refusal(NOTEBOOK, name, spec={"template": {"spec": POD_SPEC}})) == any(made), made


@pytest.mark.parametrize("name", NAMES)
def test_a_boards_name_is_a_services(refusal: Refusal, name: str):
    made = refusal(
        SERVICE, name, spec={"selector": {"app": name}, "ports": [{"name": f"http-{name}", "port": 80}]}
    )
    assert bool(refusal(BOARD, name, spec={"logspath": "s3://bucket"})) == bool(made), made


@pytest.mark.parametrize("name", NAMES)
def test_a_viewers_name_is_the_end_of_a_services(refusal: Refusal, name: str):
    made = refusal(SERVICE, f"pvcviewer-{name}", spec={"ports": [{"name": "http", "port": 80}]})
    said = refusal(VIEWER, name, spec={"pvc": "data", "rwoScheduling": True})
    assert bool(said) == bool(made), (said, made)


def container(**fields: Any) -> dict[str, Any]:
    return {"containers": [{"name": "nb", "image": "jupyter", **fields}]}


def volume(**fields: Any) -> dict[str, Any]:
    return POD_SPEC | {"volumes": [{"name": "v", **fields}]}


@pytest.mark.parametrize(
    ("pod", "where"),
    [
        (container(resources={"requests": {"cpu": "1", "memory": "2.0GB"}}), "requests.memory"),
        *(
            (container(resources={"limits": {"memory": amount}}), "limits.memory")
            for amount in (
                "2 Gi",
                "2GiB",
                "2gb",
                "1,5Gi",
                "two",
                "",
                "1..5Gi",
                "0x10",
                "1e",
                "5Gi ",
                1.5,
                True,
            )
        ),
        (container(resources={"limits": {"cpu": "1 core"}}), "limits.cpu"),
        (container(resources={"limit": {"cpu": "1"}}), "field not declared"),
        (container(resources={"limits": ["cpu"]}), "limits"),
        (container(ports=[{"containerPort": "8888"}]), "containerPort"),
        (container(ports=[{"containerPort": 8888.5}]), "containerPort"),
        (container(ports=[{"containerPort": 8888888888}]), "containerPort"),
        (container(ports=[{"port": 8888}]), ".port: field not declared"),
        (container(ports=8888), "ports"),
        (container(env={"A": "1"}), "env"),
        (container(env=[{"name": "A", "value": 1}]), "value"),
        (container(env=[{"name": "A", "value": True}]), "value"),
        (container(env=[{"key": "A"}]), ".key: field not declared"),
        (container(args="--x"), "args"),
        (container(args=[1]), "args[0]"),
        (container(command="sh -c true"), "command"),
        (container(imagepullPolicy="Always"), "field not declared"),
        (container(volumeMount=[]), "field not declared"),
        (container(volumeMounts=[{"name": "v"}]), "mountPath"),
        (container(volumeMounts=[{"name": "v", "mountPath": "/a"}] * 2), "duplicate"),
        (container(securityContext={"runAsUser": "1000"}), "runAsUser"),
        (container(securityContext={"privileged": "true"}), "privileged"),
        (container(livenessProbe={"periodSeconds": "10"}), "periodSeconds"),
        (container(livenessProbe={"httpGet": {"path": "/"}}), "port: Required"),
        (container(workingDir=["/"]), "workingDir"),
        ({"containers": [{"name": "nb"}]}, "image: Required"),
        ({"containers": [{"image": "x"}]}, "containers"),
        ({"containers": []}, "containers"),
        ({"container": [{"name": "nb", "image": "x"}]}, ".container: field not declared"),
        ({"containers": [{"name": "nb", "image": "x"}] * 2}, "duplicate"),
        (
            POD_SPEC | {"initContainers": [{"name": "i", "resources": {"limits": {"cpu": "1x"}}}]},
            "limits.cpu",
        ),
        (POD_SPEC | {"tolerations": {"key": "a"}}, "tolerations"),
        (POD_SPEC | {"tolerations": [{"key": "a", "tolerationSeconds": "5"}]}, "tolerationSeconds"),
        (POD_SPEC | {"tolerations": [{"key": "a", "operators": "Exists"}]}, "field not declared"),
        (POD_SPEC | {"nodeSelector": {"gpu": True}}, "nodeSelector.gpu"),
        (POD_SPEC | {"nodeSelector": ["gpu"]}, "nodeSelector"),
        (POD_SPEC | {"affinity": {"nodeAffinty": {}}}, "field not declared"),
        (
            POD_SPEC
            | {
                "affinity": {
                    "nodeAffinity": {
                        "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": "1", "preference": {}}]
                    }
                }
            },
            "weight",
        ),
        (POD_SPEC | {"priority": "high"}, "priority"),
        (POD_SPEC | {"terminationGracePeriodSeconds": "30s"}, "terminationGracePeriodSeconds"),
        (POD_SPEC | {"securityContext": {"fsGroup": "100"}}, "fsGroup"),
        (POD_SPEC | {"hostNetwork": "yes"}, "hostNetwork"),
        (POD_SPEC | {"topologySpreadConstraints": [{"maxSkew": "1"}]}, "topologySpreadConstraint"),
        (volume(emptyDir={"sizeLimit": "2.0GB"}), "sizeLimit"),
        (volume(emptyDir=True), "emptyDir"),
        (volume(secret={"defaultMode": "0400"}), "defaultMode"),
        (volume(persistentVolumeClaim="data"), "persistentVolumeClaim"),
        (volume(persistentVolumeClaim={"name": "data"}), ".name: field not declared"),
        (volume(configmap={"name": "c"}), "field not declared"),
        (
            volume(
                ephemeral={"volumeClaimTemplate": {"spec": {"resources": {"requests": {"storage": "1GB"}}}}}
            ),
            "requests.storage",
        ),
    ],
    ids=str,
)
def test_a_pod_that_go_cannot_read_is_no_notebooks(client, deployed, model, pod: Any, where: str):
    item = NOTEBOOK({"metadata": {"name": "nb"}, "spec": {"template": {"spec": pod}}})
    with pytest.raises(ApiError) as refused:
        client.apply(item, field_manager="test", namespace=model, dry_run=True)
    assert where in str(refused.value)


@pytest.mark.parametrize(
    "pod",
    [
        container(resources={"requests": {"cpu": 1, "memory": "2.0G"}, "limits": {"nvidia.com/gpu": "1"}}),
        container(resources={"requests": {"memory": "1e9", "cpu": ".5"}}),
        container(ports=[{"containerPort": 8888}, {"containerPort": 8888, "protocol": "UDP"}]),
        container(env=[{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]),
        container(livenessProbe={"httpGet": {"port": "http"}}),
        container(env=[{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]),
        POD_SPEC | {"imagePullSecrets": [{"name": "a"}, {"name": "a"}]},
        POD_SPEC | {"initContainers": [{"name": "s", "image": "s", "restartPolicy": "Always"}]},
        POD_SPEC | {"tolerations": [{"operator": "Exists"}], "affinity": {}, "nodeSelector": {"a": "b"}},
        volume(projected={"sources": [{"serviceAccountToken": {"path": "t", "expirationSeconds": 7200}}]}),
        volume(csi={"driver": "d", "volumeAttributes": {"a": "b"}}),
        volume(emptyDir={"medium": "Memory", "sizeLimit": "1Gi"}),
    ],
    ids=str,
)
def test_a_pod_that_kubernetes_takes_is_a_notebooks(client, deployed, model, pod: Any):
    item = NOTEBOOK({"metadata": {"name": "nb"}, "spec": {"template": {"spec": pod}}})
    client.apply(item, field_manager="test", namespace=model, dry_run=True)


@pytest.mark.parametrize("spec", [None, {}, {"template": {}}], ids=str)
def test_a_notebook_has_a_pod(refusal: Refusal, spec: Any):
    body = {} if spec is None else {"spec": spec}
    assert "the notebook's pod, must be there" in refusal(NOTEBOOK, "nb", **body)


@pytest.mark.parametrize(
    ("path", "good"),
    [
        *(
            (path, True)
            for path in ("pvc://logs", "pvc://logs/", "pvc://lo.gs-1/a/b", "s3://b/x", "gs://b", "/x", "")
        ),
        *(
            (path, False)
            for path in ("pvc://", "pvc:///a", "pvc://Logs/a", "pvc://my logs", "pvc://-a", "pvc://a-/b")
        ),
    ],
)
def test_a_board_reads_a_claim_that_can_be(refusal: Refusal, path: str, good: bool):
    assert bool(refusal(BOARD, "tb", spec={"logspath": path})) != good


BAD = {
    "name": "bad",
    "image": "jupyter",
    "ports": [{"containerPort": "8888"}],
    "resources": {"requests": {"memory": "2.0GB"}},
}
OLD = [
    {
        "metadata": {"name": "a" * 60, "finalizers": ["kubeflow.org/x"]},
        "spec": {"template": {"spec": POD_SPEC}},
    },
    {"metadata": {"name": "dotted.nb"}, "spec": {"template": {"spec": POD_SPEC}}},
    {
        "metadata": {"name": "two-gb", "finalizers": ["kubeflow.org/x"]},
        "spec": {"template": {"spec": {"containers": [BAD]}}},
    },
    {"metadata": {"name": "no-pod", "finalizers": ["kubeflow.org/x"]}, "spec": {}},
]


def test_notebooks_from_before_the_rules_stay_usable(
    client: lightkube.Client, notebooks: Any, on_nodes: Callable[[str], Any], namespace: str
):
    on_nodes("no-gpu")
    definition = notebooks.render()["CustomResourceDefinition/notebooks.kubeflow.org"]
    with older_objects.kept(client, definition, OLD, namespace) as kind:
        for old in OLD:
            name = old["metadata"]["name"]
            live = client.get(kind, name, namespace=namespace)
            live["metadata"]["labels"] = {"a": "b"}
            live = client.replace(live)
            live["status"] = {"conditions": [], "readyReplicas": 0, "containerState": {}}
            client.replace(kind.Status(live))
            live = client.get(kind, name, namespace=namespace)
            if old["spec"]:
                pod = live["spec"]["template"]["spec"]
                pod["containers"].append({"name": "other", "image": "other"})
                live = client.replace(live)
                live["spec"]["template"]["spec"]["containers"][1]["ports"] = [{"containerPort": "1"}]
                with pytest.raises(ApiError, match="containerPort"):
                    client.replace(live)
                live = client.get(kind, name, namespace=namespace)
            live["metadata"]["finalizers"] = []
            client.replace(live)
            client.delete(kind, name, namespace=namespace)
            assert name not in {each["metadata"]["name"] for each in client.list(kind, namespace=namespace)}
