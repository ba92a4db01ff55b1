"""What becomes of a Tensorboard."""

from __future__ import annotations

from typing import Any

import pytest
from player_bench import Bench, owners, until

from rehearsal.players import kinds
from rehearsal.players.players import Players

PROGRAM = "tensorboard-controller"
ENV = {
    "TENSORBOARD_IMAGE": "tensorflow:2",
    "ISTIO_GATEWAY": "model/gateway",
    "ISTIO_HOST": "*",
    "RWO_PVC_SCHEDULING": "True",
}
CLAIM = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}


def board(bench: Bench, path: str, name: str = "board") -> None:
    bench.make(kinds.TENSORBOARD, name, {"logspath": path}, labels={"pod-default": "true"})


def pod_of(bench: Bench, name: str = "board") -> dict[str, Any]:
    return bench.get(kinds.DEPLOYMENT, name)["spec"]["template"]["spec"]


def ready(bench: Bench, name: str = "board") -> dict[str, Any]:
    def look():
        status = bench.get(kinds.TENSORBOARD, name).get("status", {})
        return status if status.get("readyReplicas") == 1 else None

    return until(look, "a ready one")


def test_it_runs_with_an_address_and_a_route(bench: Bench):
    bench.deploy(ENV)
    board(bench, "s3://bucket/logs")
    status = ready(bench)
    server = bench.get(kinds.DEPLOYMENT, "board")
    assert [each["deploymentState"] for each in status["conditions"]][-1] == server["status"]["conditions"][
        0
    ]["type"]
    assert server["spec"]["template"]["metadata"]["labels"] == {"app": "board", "pod-default": "true"}
    container = pod_of(bench)["containers"][0]
    assert container["image"] == "tensorflow:2"
    assert container["command"] == ["/usr/local/bin/tensorboard"]
    assert container["args"] == ["--logdir=s3://bucket/logs", "--bind_all"]
    assert "volumes" not in pod_of(bench)
    service = bench.get(kinds.SERVICE, "board")
    assert service["spec"]["selector"] == {"app": "board"}
    assert [(each["name"], each["port"], each["targetPort"]) for each in service["spec"]["ports"]] == [
        ("http-board", 80, 6006)
    ]
    route = bench.get(kinds.VIRTUAL_SERVICE, "board")
    host = f"board.{bench.namespace}.svc.cluster.local"
    assert route["spec"] == {
        "hosts": ["*"],
        "gateways": ["model/gateway"],
        "http": [
            {
                "match": [{"uri": {"prefix": f"/tensorboard/{bench.namespace}/board/"}}],
                "rewrite": {"uri": "/"},
                "route": [{"destination": {"host": host, "port": {"number": 80}}}],
                "timeout": "300s",
            }
        ],
    }
    for item in (server, service, route):
        assert owners(item) == [("Tensorboard", "board", True)]
    bench.assert_settled()


@pytest.mark.parametrize(
    ("path", "folder", "volume", "mount"),
    [
        (
            "pvc://logs/runs/1",
            "/tensorboard_logs/",
            {"persistentVolumeClaim": {"claimName": "logs"}},
            {"mountPath": "/tensorboard_logs/", "subPath": "runs/1"},
        ),
        (
            "pvc://logs",
            "/tensorboard_logs/",
            {"persistentVolumeClaim": {"claimName": "logs"}},
            {"mountPath": "/tensorboard_logs/"},
        ),
        (
            "/old/path",
            "/old/path",
            {"persistentVolumeClaim": {"claimName": "tb-volume"}},
            {"mountPath": "/old/path"},
        ),
        (
            "gs://bucket/logs",
            "gs://bucket/logs",
            {"secret": {"secretName": "user-gcp-sa", "defaultMode": 420}},
            {"mountPath": "/secret/gcp"},
        ),
    ],
)
def test_its_logs_are_mounted(bench: Bench, path: str, folder: str, volume, mount):
    bench.deploy(ENV | {"RWO_PVC_SCHEDULING": "false"})
    board(bench, path)
    pod = pod_of(bench)
    assert pod["containers"][0]["args"][0] == f"--logdir={folder}"
    name = pod["volumes"][0]["name"]
    assert pod["volumes"] == [{"name": name, **volume}]
    assert pod["containers"][0]["volumeMounts"] == [{"name": name, "readOnly": True, **mount}]


def test_it_goes_where_its_volume_is_in_use(bench: Bench):
    bench.make(kinds.CLAIM, "logs", CLAIM)
    until(lambda: bench.get(kinds.CLAIM, "logs").get("status", {}).get("phase") == "Bound", "a bound claim")
    volume = {"name": "logs", "persistentVolumeClaim": {"claimName": "logs"}}
    user = {"containers": [{"name": "any", "image": "any"}], "volumes": [volume]}
    bench.make(kinds.POD, "user", user)
    until(lambda: bench.get(kinds.POD, "user").get("status", {}).get("phase") == "Running", "a running user")
    node = bench.get(kinds.POD, "user")["spec"]["nodeName"]
    bench.deploy(ENV)
    board(bench, "pvc://logs/runs")
    ready(bench)
    terms = pod_of(bench)["affinity"]["nodeAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
    assert terms == [
        {
            "weight": 100,
            "preference": {
                "matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}]
            },
        }
    ]
    found = bench.client.list(kinds.POD, namespace=bench.namespace, labels={"app": "board"})
    assert {pod["spec"]["nodeName"] for pod in found} == {node}
    bench.assert_settled()


def test_it_waits_for_its_volume(bench: Bench):
    bench.deploy(ENV)
    board(bench, "pvc://logs/runs")
    board(bench, "s3://bucket", "other")
    ready(bench, "other")
    assert bench.find(kinds.DEPLOYMENT, "board") is None
    bench.make(kinds.CLAIM, "logs", CLAIM)
    ready(bench)


def test_without_an_image_nothing_is_made(bench: Bench, players: Players, caplog):
    bench.deploy({name: value for name, value in ENV.items() if name != "TENSORBOARD_IMAGE"})
    board(bench, "s3://bucket")
    said = "environment variable TENSORBOARD_IMAGE is not set"
    until(lambda: any(said in each.getMessage() for each in caplog.records), "a warning")
    assert bench.find(kinds.DEPLOYMENT, "board") is None
    assert not players.refusals()
