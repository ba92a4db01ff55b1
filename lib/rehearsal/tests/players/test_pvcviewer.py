"""What becomes of a PVCViewer."""

from __future__ import annotations

from typing import Any

import pytest
from lightkube.types import PatchType
from player_bench import GARBAGE_COLLECTED, Bench, owners, until

from rehearsal.players import kinds

PROGRAM = "pvcviewer-controller"
CLAIM = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
VOLUME = {"name": "viewed", "persistentVolumeClaim": {"claimName": "data"}}
POD = {"containers": [{"name": "browser", "image": "files:1"}], "volumes": [VOLUME]}
NETWORKING = {"targetPort": 8080, "basePrefix": "/pvcviewer", "rewrite": "/", "timeout": "30s"}
LABELS = {
    "app.kubernetes.io/name": "data",
    "app.kubernetes.io/instance": "pvcviewer-data",
    "app.kubernetes.io/part-of": "pvc-viewer",
}


def view(bench: Bench, **spec: Any) -> None:
    said = {"pvc": "data", "podSpec": POD, "networking": NETWORKING, "rwoScheduling": True, **spec}
    bench.make(kinds.PVC_VIEWER, "data", said)


def ready(bench: Bench) -> dict[str, Any]:
    def look():
        status = bench.get(kinds.PVC_VIEWER, "data").get("status", {})
        return status if status.get("ready") else None

    return until(look, "a ready viewer")


@pytest.fixture
def claim(bench: Bench) -> Bench:
    """A bench with a claim, and the controller."""
    bench.deploy({"ISTIO_GATEWAY": "model/gateway"}, args=["--leader-elect"])
    bench.make(kinds.CLAIM, "data", CLAIM)
    return bench


def test_it_runs_with_an_address_and_a_route(claim: Bench):
    view(claim)
    status = ready(claim)
    assert status["url"] == f"/pvcviewer/{claim.namespace}/data/"
    server = claim.get(kinds.DEPLOYMENT, "pvcviewer-data")
    assert status["conditions"][-1]["type"] == server["status"]["conditions"][0]["type"]
    assert server["spec"]["strategy"] == {"type": "Recreate"}
    assert server["spec"]["template"]["metadata"]["labels"] == LABELS
    assert server["spec"]["template"]["spec"]["containers"][0]["image"] == "files:1"
    assert "affinity" not in server["spec"]["template"]["spec"]
    service = claim.get(kinds.SERVICE, "pvcviewer-data")
    assert service["spec"]["selector"] == LABELS
    assert [(each["name"], each["port"], each["targetPort"]) for each in service["spec"]["ports"]] == [
        ("http", 80, 8080)
    ]
    route = claim.get(kinds.VIRTUAL_SERVICE, "pvcviewer-data")
    host = f"pvcviewer-data.{claim.namespace}.svc.cluster.local"
    assert route["spec"] == {
        "hosts": ["*"],
        "gateways": ["model/gateway"],
        "http": [
            {
                "match": [{"uri": {"prefix": f"/pvcviewer/{claim.namespace}/data/"}}],
                "rewrite": {"uri": "/"},
                "route": [{"destination": {"host": host, "port": {"number": 80}}}],
                "timeout": "30s",
            }
        ],
    }
    for item in (server, service, route):
        assert item["metadata"]["labels"] == LABELS
        assert owners(item) == [("PVCViewer", "data", True)]
    claim.assert_settled()


def test_without_networking_it_has_neither(claim: Bench):
    view(claim, networking={})
    assert "url" not in ready(claim)
    assert claim.find(kinds.SERVICE, "pvcviewer-data") is None
    assert claim.find(kinds.VIRTUAL_SERVICE, "pvcviewer-data") is None
    claim.assert_settled()


def user(bench: Bench, name: str) -> str:
    """Make a pod that uses the claim; return its node."""
    containers = [{"name": "any", "image": "any"}]
    bench.make(kinds.POD, name, {"containers": containers, "volumes": [VOLUME]})
    return until(lambda: bench.get(kinds.POD, name)["spec"].get("nodeName"), "a node")


@pytest.mark.parametrize(
    ("users", "spec", "near"),
    [(1, {}, True), (1, {"rwoScheduling": False}, False), (0, {}, False), (2, {}, False)],
    ids=["used", "not asked for", "unused", "used twice"],
)
def test_it_goes_where_its_volume_is_in_use(claim: Bench, users: int, spec: dict[str, Any], near: bool):
    nodes = [user(claim, f"user-{number}") for number in range(users)]
    view(claim, **spec)
    ready(claim)
    affinity = claim.get(kinds.DEPLOYMENT, "pvcviewer-data")["spec"]["template"]["spec"].get("affinity")
    if not near:
        assert affinity is None
        return
    terms = affinity["nodeAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
    assert terms[0]["preference"]["matchExpressions"][0]["values"] == nodes
    found = claim.client.list(kinds.POD, namespace=claim.namespace, labels={**LABELS})
    assert [pod["spec"]["nodeName"] for pod in found] == nodes
    # Where it is once, it stays: the pod that had the volume may go.
    claim.client.delete(kinds.POD, "user-0", namespace=claim.namespace)
    claim.client.patch(
        kinds.PVC_VIEWER,
        "data",
        [{"op": "replace", "path": "/spec/networking/timeout", "value": "1s"}],
        namespace=claim.namespace,
        patch_type=PatchType.JSON,
    )
    claim.assert_settled()
    server = claim.get(kinds.DEPLOYMENT, "pvcviewer-data")["spec"]["template"]["spec"]
    assert server["affinity"] == affinity
    assert claim.get(kinds.VIRTUAL_SERVICE, "pvcviewer-data")["spec"]["http"][0]["timeout"] == "1s"


def test_a_deleted_one_takes_all_with_it_but_its_volume(claim: Bench):
    view(claim)
    ready(claim)
    claim.client.delete(kinds.PVC_VIEWER, "data", namespace=claim.namespace)
    for kind in (kinds.DEPLOYMENT, kinds.SERVICE, kinds.VIRTUAL_SERVICE):
        until(
            lambda kind=kind: claim.find(kind, "pvcviewer-data") is None,
            f"{kind.__name__} to go",
            GARBAGE_COLLECTED,
        )
    assert claim.get(kinds.CLAIM, "data")["status"]["phase"] == "Bound"


def test_one_for_a_deployment_of_somebody_else_is_left_alone(claim: Bench, caplog):
    labels = {"app": "other"}
    containers = [{"name": "other", "image": "other"}]
    template = {"metadata": {"labels": labels}, "spec": {"containers": containers}}
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "kube-root-ca.crt", "controller": True}
    owner["uid"] = claim.get(kinds.CONFIG_MAP, owner["name"])["metadata"]["uid"]
    spec = {"selector": {"matchLabels": labels}, "template": template}
    claim.make(kinds.DEPLOYMENT, "pvcviewer-data", spec, ownerReferences=[owner])
    view(claim)
    said = "pvcviewer-data is already controlled by another object"
    until(lambda: any(said in each.getMessage() for each in caplog.records), "a warning")
    assert claim.get(kinds.DEPLOYMENT, "pvcviewer-data")["spec"]["template"]["metadata"]["labels"] == labels
