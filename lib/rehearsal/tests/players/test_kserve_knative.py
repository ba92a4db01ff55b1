"""What becomes of an InferenceService in the mode `Knative`, with Knative's programs behind it."""

from __future__ import annotations

from typing import Any

import pytest
from player_bench import ROLES, Bench, owners, until

from rehearsal.players import kinds
from rehearsal.players.knative import conventions

from .test_kserve import SKLEARN, config, model, states

PROGRAM = "kserve-controller"
KNATIVE = (
    "knative-serving-controller",
    "knative-serving-autoscaler",
    "knative-serving-autoscaler-hpa",
    "net-istio-controller",
)


class Serverless:
    """KServe and Knative in one namespace, with one account."""

    def __init__(self, bench: Bench, monkeypatch: pytest.MonkeyPatch):
        self.bench = bench
        monkeypatch.setitem(ROLES, PROGRAM, [*ROLES[PROGRAM], *ROLES["knative-serving-controller"]])

    def deploy(self, data: dict[str, str] | None = None) -> None:
        bench, namespace = self.bench, self.bench.namespace
        gateways = {
            "gateway.kubeflow.kubeflow-gateway": "workload.kubeflow.svc.cluster.local",
            "local-gateway.knative-serving.knative-local-gateway": "knative-local-gateway.kubeflow.svc.cluster.local",
        }
        queue = {"queue-sidecar-image": "queue:1"}
        domain = {"models.example": ""}
        maps = {"autoscaler": {}, "domain": domain, "istio": gateways, "deployment": queue}
        for name, said in maps.items():
            bench.create(kinds.CONFIG_MAP, {"metadata": {"name": f"config-{name}"}, "data": said})
        whole = {"metadata": {"name": "inferenceservice-config"}, "data": data or config("Serverless")}
        bench.create(kinds.CONFIG_MAP, whole)
        bench.make(kinds.SERVING_RUNTIME, "sklearn", SKLEARN)
        bench.deploy({"POD_NAMESPACE": namespace, "KNATIVE_CONFIG_AUTOSCALER_NAMESPACE": namespace})
        env = [{"name": "SYSTEM_NAMESPACE", "value": namespace}]
        containers = [{"name": each, "image": f"some/{each}:1", "env": env} for each in KNATIVE]
        labels = {"app": "knative"}
        pod = {"serviceAccountName": "played", "containers": containers}
        template = {"metadata": {"labels": labels}, "spec": pod}
        bench.make(kinds.DEPLOYMENT, "knative", {"selector": {"matchLabels": labels}, "template": template})

    def serve(self, **spec: Any) -> None:
        said = {"predictor": {"model": model(), **spec.pop("predictor", {})}, **spec}
        self.bench.make(kinds.INFERENCE_SERVICE, "iris", said)

    def status(self) -> dict[str, Any]:
        return self.bench.get(kinds.INFERENCE_SERVICE, "iris").get("status") or {}

    def ready(self, revision: str = "iris-predictor-00001") -> dict[str, Any]:
        def look() -> Any:
            status = self.status()
            found = status.get("components", {}).get("predictor", {})
            done = states(status).get("Ready") == "True" and found.get("latestReadyRevision") == revision
            return status if done and status["modelStatus"].get("transitionStatus") == "UpToDate" else None

        return until(look, lambda: f"ready: {self.status()}")


@pytest.fixture
def serverless(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Serverless:
    return Serverless(bench, monkeypatch)


def test_a_model_becomes_a_knative_service_behind_the_gateways(serverless: Serverless):
    serverless.deploy()
    transformer = {"containers": [{"name": "kserve-container", "image": "transform:1"}]}
    serverless.serve(
        transformer=transformer, predictor={"minReplicas": 0, "maxReplicas": 3, "scaleTarget": 5}
    )
    status = serverless.ready()
    bench = serverless.bench
    namespace = bench.namespace
    service = bench.get(kinds.KNATIVE_SERVICE, "iris-predictor")
    assert owners(service) == [("InferenceService", "iris", True)]
    annotations = service["spec"]["template"]["metadata"]["annotations"]
    assert annotations["autoscaling.knative.dev/min-scale"] == "0"
    assert annotations["autoscaling.knative.dev/max-scale"] == "3"
    assert annotations["autoscaling.knative.dev/target"] == "5"
    assert annotations["autoscaling.knative.dev/class"] == "kpa.autoscaling.knative.dev"
    assert annotations["internal.serving.kserve.io/storage-initializer-sourceuri"] == "s3://models/iris"
    deployment = bench.get(kinds.DEPLOYMENT, "iris-predictor-00001-deployment")
    pod = deployment["spec"]["template"]
    assert pod["metadata"]["labels"]["serving.kserve.io/inferenceservice"] == "iris"
    assert [each["name"] for each in pod["spec"]["containers"]] == ["kserve-container", "queue-proxy"]

    host = f"iris.{namespace}.models.example"
    assert status["url"] == f"http://{host}"
    assert status["address"] == {"url": f"http://iris.{namespace}.svc.cluster.local"}
    assert status["deploymentMode"] == "Knative"
    assert set(states(status).values()) == {"True", "False"}
    assert [name for name, state in states(status).items() if state == "False"] == ["Stopped"]
    assert states(status).keys() >= {"LatestDeploymentReady", "RoutesReady", "TransformerRouteReady"}
    route = bench.get(kinds.VIRTUAL_SERVICE, "iris")["spec"]
    assert route["hosts"] == [f"iris.{namespace}.svc.cluster.local", host]
    (way,) = route["http"]
    assert way["headers"]["request"]["set"]["Host"] == f"iris-transformer.{namespace}.svc.cluster.local"
    assert way["route"][0]["destination"]["host"] == "knative-local-gateway.kubeflow.svc.cluster.local"
    assert way["match"][1] == {
        "authority": {"regex": rf"^{host.replace('.', chr(92) + '.')}(?::\d{{1,5}})?$"},
        "gateways": ["knative-serving/knative-ingress-gateway"],
    }
    external = bench.get(kinds.SERVICE, "iris")["spec"]
    assert external["externalName"] == "knative-local-gateway.kubeflow.svc.cluster.local"
    bench.assert_settled()


def test_a_canary_gets_its_share_and_then_everything(serverless: Serverless):
    serverless.deploy()
    serverless.serve()
    status = serverless.ready()
    assert status["components"]["predictor"]["latestRolledoutRevision"] == "iris-predictor-00001"
    bench = serverless.bench
    change = {"model": {"storageUri": "s3://models/iris-2"}, "canaryTrafficPercent": 20}
    bench.patch(kinds.INFERENCE_SERVICE, "iris", {"spec": {"predictor": change}})
    serverless.ready("iris-predictor-00002")

    def shares() -> list[tuple[str, int]]:
        found = serverless.status()["components"]["predictor"].get("traffic") or []
        return [(each["revisionName"], each["percent"]) for each in found]

    until(
        lambda: shares() == [("iris-predictor-00002", 20), ("iris-predictor-00001", 80)],
        lambda: str(shares()),
    )
    said = serverless.status()["components"]["predictor"]
    assert said["latestRolledoutRevision"] == "iris-predictor-00001"
    assert said["traffic"][1]["tag"] == "prev"
    bench.patch(kinds.INFERENCE_SERVICE, "iris", {"spec": {"predictor": {"canaryTrafficPercent": 100}}})
    until(lambda: shares() == [("iris-predictor-00002", 100)], lambda: str(shares()))

    def rolled_out() -> Any:
        found = serverless.status()["components"]["predictor"]
        return found.get("previousRolledoutRevision") == "iris-predictor-00001" and found

    assert until(rolled_out, "it to be rolled out")["latestRolledoutRevision"] == "iris-predictor-00002"


def test_it_sleeps_while_nobody_asks(serverless: Serverless):
    serverless.deploy()
    serverless.serve(predictor={"minReplicas": 0})
    serverless.ready()
    bench = serverless.bench
    bench.annotate(kinds.POD_AUTOSCALER, "iris-predictor-00001", **{conventions.CONCURRENCY: "0"})

    def replicas() -> int:
        return bench.get(kinds.DEPLOYMENT, "iris-predictor-00001-deployment")["spec"]["replicas"]

    until(lambda: replicas() == 0, "no pods")
    bench.assert_settled()
    assert states(serverless.status())["Ready"] == "True"
    bench.annotate(kinds.POD_AUTOSCALER, "iris-predictor-00001", **{conventions.CONCURRENCY: "1"})
    until(lambda: replicas() == 1, "a pod")


def test_the_mode_of_one_that_runs_stays(serverless: Serverless):
    serverless.deploy()
    serverless.serve()
    serverless.ready()
    bench = serverless.bench
    bench.patch(kinds.CONFIG_MAP, "inferenceservice-config", {"data": config("Standard")})
    bench.make(kinds.INFERENCE_SERVICE, "other", {"predictor": {"model": model()}})
    bench.get(kinds.DEPLOYMENT, "other-predictor")
    bench.annotate(kinds.INFERENCE_SERVICE, "iris", touched="1")
    bench.assert_settled()
    assert serverless.status()["deploymentMode"] == "Knative"
    assert bench.find(kinds.DEPLOYMENT, "iris-predictor") is None


def test_it_stops(serverless: Serverless):
    serverless.deploy()
    serverless.serve()
    serverless.ready()
    bench = serverless.bench
    bench.annotate(kinds.INFERENCE_SERVICE, "iris", **{"serving.kserve.io/stop": "true"})
    for kind, name in (
        (kinds.KNATIVE_SERVICE, "iris-predictor"),
        (kinds.VIRTUAL_SERVICE, "iris"),
        (kinds.SERVICE, "iris"),
    ):
        until(lambda kind=kind, name=name: bench.find(kind, name) is None, f"{kind.__name__} {name} to go")
    until(lambda: states(serverless.status()).get("Stopped") == "True", "it to be stopped")
