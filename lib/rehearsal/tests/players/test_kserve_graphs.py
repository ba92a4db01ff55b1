"""What becomes of inference graphs and trained models."""

from __future__ import annotations

import json
from typing import Any

import pytest
from player_bench import Bench, owners, until

from rehearsal.players import discovery, kinds

from .test_kserve import KServe, config, kserve, model, states

PROGRAM = "kserve-controller"
ROUTER = {"image": "kserve/router:v0.16.0", "cpuRequest": "100m", "memoryRequest": "100Mi", "cpuLimit": "1"}
NODES = {
    "root": {
        "routerType": "Sequence",
        "steps": [{"serviceName": "iris"}, {"serviceUrl": "http://elsewhere", "data": "$response"}],
    }
}

__all__ = ["kserve"]


def test_a_graph_is_a_router_that_knows_its_steps(kserve: KServe):
    headers = {"headers": {"propagate": ["Authorization"]}}
    kserve.deploy(config(router={**ROUTER, **headers}))
    bench: Bench = kserve.bench
    bench.make(
        kinds.INFERENCE_GRAPH, "graph", {"nodes": NODES, "nodeSelector": {"kubernetes.io/os": "linux"}}
    )
    assert bench.find(kinds.DEPLOYMENT, "graph") is None
    kserve.serve()
    kserve.ready()
    deployment = bench.get(kinds.DEPLOYMENT, "graph")
    assert owners(deployment) == [("InferenceGraph", "graph", True)]
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["image"] == "kserve/router:v0.16.0"
    assert pod["nodeSelector"] == {"kubernetes.io/os": "linux"}
    assert container["env"] == [{"name": "PROPAGATE_HEADERS", "value": "Authorization"}]
    flag, text = container["args"]
    assert flag == "--graph-json"
    assert text.startswith('{"nodes":{"root":')
    assert text.endswith('"resources":{},"nodeSelector":{"kubernetes.io/os":"linux"}}')
    assert container["readinessProbe"]["initialDelaySeconds"] == 5
    first, second = json.loads(text)["nodes"]["root"]["steps"]
    assert first["serviceUrl"] == (
        f"http://iris-predictor.{bench.namespace}.svc.cluster.local/v1/models/iris:predict"
    )
    assert second["serviceUrl"] == "http://elsewhere"

    def ready() -> bool:
        status = bench.get(kinds.INFERENCE_GRAPH, "graph").get("status") or {}
        return states(status).get("Ready") == "True" and status["url"].startswith(
            f"http://graph-{bench.namespace}."
        )

    until(ready, lambda: bench.get(kinds.INFERENCE_GRAPH, "graph").get("status"))
    assert bench.get(kinds.AUTOSCALER, "graph")["spec"]["maxReplicas"] == 1
    bench.annotate(kinds.INFERENCE_GRAPH, "graph", **{"serving.kserve.io/stop": "true"})
    until(lambda: bench.find(kinds.DEPLOYMENT, "graph") is None, "the router to go")
    bench.assert_settled()


def test_a_graph_on_a_knative_that_is_not_there_is_told(kserve: KServe, monkeypatch: pytest.MonkeyPatch):
    find = discovery.find

    def without_knative(cluster: Any, version: str, kind: str) -> Any:
        return None if version == "serving.knative.dev/v1" else find(cluster, version, kind)

    monkeypatch.setattr(discovery, "find", without_knative)
    kserve.deploy(config(mode="Knative", router=ROUTER))
    bench: Bench = kserve.bench
    node = {"routerType": "Sequence", "steps": [{"serviceUrl": "http://elsewhere"}]}
    bench.make(kinds.INFERENCE_GRAPH, "graph", {"nodes": {"root": node}})

    def told() -> bool:
        events = bench.client.list(kinds.EVENT, namespace=bench.namespace)
        return any(each["reason"] == "ServerlessModeRejected" for each in events)

    until(told)
    assert not bench.get(kinds.INFERENCE_GRAPH, "graph").get("status")


def test_a_trained_model_goes_with_its_service_and_says_why_none_serves_it(kserve: KServe):
    kserve.deploy()
    bench: Bench = kserve.bench
    kserve.serve()
    kserve.ready()
    spec = {
        "inferenceService": "iris",
        "model": {"storageUri": "s3://a", "framework": "sklearn", "memory": "1Gi"},
    }
    bench.make(kinds.TRAINED_MODEL, "one", spec)

    def status() -> dict:
        return bench.get(kinds.TRAINED_MODEL, "one").get("status") or {}

    until(lambda: status().get("url"), "a URL")
    assert status()["url"].endswith("/v1/models/one:predict")
    assert states(status())["IsMMSPredictor"] == "False"
    assert states(status())["Ready"] == "False"
    assert bench.get(kinds.TRAINED_MODEL, "one")["metadata"]["labels"] == {"inferenceservice": "iris"}
    bench.make(kinds.TRAINED_MODEL, "lost", {**spec, "inferenceService": "nothing"})
    until(lambda: bench.find(kinds.TRAINED_MODEL, "lost") is None, "what belongs to nothing to go")


def test_a_predictor_of_no_model_is_told(kserve: KServe):
    kserve.deploy()
    kserve.serve({"predictor": {"model": model(storageUri="ftp://models")}})
    bench = kserve.bench

    def told() -> bool:
        events = bench.client.list(kinds.EVENT, namespace=bench.namespace)
        return any("StorageURI not supported" in each["message"] for each in events)

    until(told, "an event")
