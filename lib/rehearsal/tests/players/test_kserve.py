"""What becomes of an InferenceService in the mode `Standard`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from lightkube.types import PatchType
from player_bench import ROLES, Bench, owners, until

from rehearsal.players import kinds
from rehearsal.players.players import Players

PROGRAM = "kserve-controller"
GROUP = "serving.kserve.io"

SKLEARN = {
    "annotations": {"prometheus.kserve.io/port": "8080"},
    "supportedModelFormats": [{"name": "sklearn", "version": "1", "autoSelect": True, "priority": 1}],
    "protocolVersions": ["v1", "v2"],
    "containers": [
        {
            "name": "kserve-container",
            "image": "kserve/sklearnserver:v0.16.0",
            "args": ["--model_name={{.Name}}", "--model_dir=/mnt/models", "--http_port=8080"],
            "resources": {"requests": {"cpu": "100m"}, "limits": {"cpu": "1"}},
        }
    ],
}
INGRESS = {
    "ingressGateway": "knative-serving/knative-ingress-gateway",
    "localGateway": "knative-serving/knative-local-gateway",
    "localGatewayService": "knative-local-gateway.kubeflow.svc.cluster.local",
    "ingressDomain": "models.example",
    "ingressClassName": "istio",
    "domainTemplate": "{{ .Name }}-{{ .Namespace }}.{{ .IngressDomain }}",
    "urlScheme": "http",
}


def config(mode: str = "Standard", ingress: Mapping[str, Any] | None = None, **more: Any) -> dict[str, str]:
    """Return the data of inferenceservice-config."""
    sections = {
        "deploy": {"defaultDeploymentMode": mode},
        "ingress": {**INGRESS, **(ingress or {})},
        "inferenceService": {"resource": {"cpuLimit": "1", "memoryLimit": "2Gi", "cpuRequest": "1"}},
        **more,
    }
    return {name: json.dumps(said) for name, said in sections.items()}


class KServe:
    def __init__(self, bench: Bench):
        self.bench = bench

    def deploy(self, data: dict[str, str] | None = None, **runtimes: dict[str, Any]) -> None:
        """Deploy the controller with its configuration, and runtimes of the namespace."""
        said = {"metadata": {"name": "inferenceservice-config"}, "data": data or config()}
        self.bench.create(kinds.CONFIG_MAP, said)
        for name, spec in (runtimes or {"sklearn": SKLEARN}).items():
            self.bench.make(kinds.SERVING_RUNTIME, name.replace("_", "-"), spec)
        self.bench.deploy({"POD_NAMESPACE": self.bench.namespace}, args=["--leader-elect"])

    def serve(self, spec: dict[str, Any] | None = None, name: str = "iris", **metadata: Any) -> None:
        self.bench.make(kinds.INFERENCE_SERVICE, name, spec or {"predictor": {"model": model()}}, **metadata)

    def status(self, name: str = "iris") -> dict[str, Any]:
        return self.bench.get(kinds.INFERENCE_SERVICE, name).get("status") or {}

    def ready(self, name: str = "iris") -> dict[str, Any]:
        """Return the status as soon as it is ready and the model loaded."""

        def look() -> Any:
            status = self.status(name)
            done = states(status).get("Ready") == "True"
            return status if done and status["modelStatus"].get("transitionStatus") == "UpToDate" else None

        return until(look, lambda: f"ready: {self.status(name)}")

    def fails(self, name: str = "iris") -> dict[str, Any]:
        """Return the failure of the model's status as soon as there is one."""
        return until(lambda: self.status(name).get("modelStatus", {}).get("lastFailureInfo"), "a failure")


def model(**more: Any) -> dict[str, Any]:
    return {"modelFormat": {"name": "sklearn"}, "storageUri": "s3://models/iris", **more}


def states(status: dict[str, Any]) -> dict[str, str]:
    return {each["type"]: each["status"] for each in status.get("conditions", [])}


@pytest.fixture
def kserve(bench: Bench) -> KServe:
    return KServe(bench)


def test_a_model_becomes_a_deployment_a_service_an_autoscaler_and_an_ingress(kserve: KServe):
    kserve.deploy()
    kserve.serve(labels={"team": "a"}, annotations={"own": "1"})
    bench = kserve.bench
    deployment = bench.get(kinds.DEPLOYMENT, "iris-predictor")
    assert owners(deployment) == [("InferenceService", "iris", True)]
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert labels == {
        "app": "isvc.iris-predictor",
        "component": "predictor",
        "serving.kserve.io/inferenceservice": "iris",
        "team": "a",
    }
    annotations = deployment["spec"]["template"]["metadata"]["annotations"]
    assert annotations == {
        "own": "1",
        "prometheus.kserve.io/port": "8080",
        "internal.serving.kserve.io/storage-initializer-sourceuri": "s3://models/iris",
    }
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["args"] == ["--model_name=iris", "--model_dir=/mnt/models", "--http_port=8080"]
    assert container["readinessProbe"]["tcpSocket"] == {"port": 8080}
    assert container["resources"] == {"requests": {"cpu": "100m"}, "limits": {"cpu": "1"}}

    service = bench.get(kinds.SERVICE, "iris-predictor")["spec"]
    assert service["selector"] == {"app": "isvc.iris-predictor"}
    assert [(each["port"], each["targetPort"]) for each in service["ports"]] == [(80, 8080)]
    autoscaler = bench.get(kinds.AUTOSCALER, "iris-predictor")
    assert autoscaler["metadata"]["labels"]["app"] == "isvc.iris-predictor"
    scaler = autoscaler["spec"]
    assert scaler["behavior"]["scaleUp"]["selectPolicy"] == "Max"
    assert (scaler["minReplicas"], scaler["maxReplicas"]) == (1, 1)
    assert scaler["metrics"][0]["resource"]["target"] == {"type": "Utilization", "averageUtilization": 80}

    status = kserve.ready()
    host = f"iris-{bench.namespace}.models.example"
    assert status["url"] == f"http://{host}"
    assert status["address"]["url"] == f"http://iris-predictor.{bench.namespace}.svc.cluster.local"
    assert (
        status["components"]["predictor"]["url"] == f"http://iris-predictor-{bench.namespace}.models.example"
    )
    assert status["deploymentMode"] == "Standard"
    assert status["servingRuntimeName"] == "sklearn"
    assert status["modelStatus"] == {
        "copies": {"failedCopies": 0, "totalCopies": 1},
        "states": {"activeModelState": "Loaded", "targetModelState": "Loaded"},
        "transitionStatus": "UpToDate",
    }
    assert states(status) == {
        "IngressReady": "True",
        "PredictorReady": "True",
        "Ready": "True",
        "Stopped": "False",
    }
    ingress = bench.get(kinds.INGRESS, "iris")["spec"]
    assert ingress["ingressClassName"] == "istio"
    assert [(e["host"], e["http"]["paths"][0]["backend"]["service"]["name"]) for e in ingress["rules"]] == [
        (host, "iris-predictor"),
        (f"iris-predictor-{bench.namespace}.models.example", "iris-predictor"),
    ]
    bench.assert_settled()


def test_a_transformer_stands_in_front_of_its_predictor(kserve: KServe):
    kserve.deploy()
    transformer = {"containers": [{"name": "own", "image": "transform:1", "args": ["--x"]}]}
    kserve.serve({"predictor": {"model": model()}, "transformer": transformer})
    bench = kserve.bench
    spec = bench.get(kinds.DEPLOYMENT, "iris-transformer")["spec"]["template"]["spec"]
    assert spec["containers"][0]["args"] == [
        "--x",
        "--model_name",
        "iris",
        "--predictor_host",
        f"iris-predictor.{bench.namespace}",
        "--http_port",
        "8080",
    ]
    status = kserve.ready()
    assert status["address"]["url"] == f"http://iris-transformer.{bench.namespace}.svc.cluster.local"
    assert set(status["components"]) == {"predictor", "transformer"}
    rules = bench.get(kinds.INGRESS, "iris")["spec"]["rules"]
    services = [each["http"]["paths"][0]["backend"]["service"]["name"] for each in rules]
    assert services == ["iris-transformer", "iris-predictor", "iris-predictor"]


def test_what_the_model_says_is_merged_into_its_runtime(kserve: KServe):
    runtime = {**SKLEARN, "nodeSelector": {"pool": "a"}, "volumes": [{"name": "tmp", "emptyDir": {}}]}
    kserve.deploy(sklearn=runtime)
    said = model(
        args=["--own"],
        env=[{"name": "OWN", "value": "1"}],
        resources={"limits": {"memory": "1Gi"}},
        runtimeVersion="v9",
    )
    tolerations = [{"key": "nvidia.com/gpu", "operator": "Exists"}]
    predictor = {"model": said, "tolerations": tolerations, "serviceAccountName": "store", "minReplicas": 2}
    kserve.serve({"predictor": {**predictor, "maxReplicas": 4, "scaleTarget": 60}})
    bench = kserve.bench
    spec = bench.get(kinds.DEPLOYMENT, "iris-predictor")["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    assert container["image"] == "kserve/sklearnserver:v9"
    assert container["args"][-2:] == ["--http_port=8080", "--own"]
    assert container["env"] == [{"name": "OWN", "value": "1"}]
    assert container["resources"] == {"requests": {"cpu": "100m"}, "limits": {"cpu": "1", "memory": "1Gi"}}
    assert spec["nodeSelector"] == {"pool": "a"}
    assert spec["tolerations"] == tolerations
    assert spec["serviceAccountName"] == "store"
    assert [each["name"] for each in spec["volumes"]] == ["tmp"]
    scaler = bench.get(kinds.AUTOSCALER, "iris-predictor")["spec"]
    assert (scaler["minReplicas"], scaler["maxReplicas"]) == (2, 4)
    assert scaler["metrics"][0]["resource"]["target"]["averageUtilization"] == 60


@pytest.mark.parametrize(
    ("said", "reason", "message"),
    [
        ({"modelFormat": {"name": "unknown"}}, "NoSupportingRuntime", "No runtime found to support"),
        ({"runtime": "nothing"}, "RuntimeNotRecognized", "Waiting for runtime"),
        ({"runtime": "off"}, "RuntimeDisabled", "Specified runtime is disabled"),
        (
            {"runtime": "sklearn", "protocolVersion": "grpc-v2"},
            "NoSupportingRuntime",
            "Specified runtime does not",
        ),
        ({"modelFormat": {"name": "sklearn", "version": "7"}}, "NoSupportingRuntime", "No runtime found"),
    ],
    ids=["format", "no such runtime", "disabled", "protocol", "version"],
)
def test_a_model_that_no_runtime_serves_says_why(kserve: KServe, said, reason, message):
    kserve.deploy(sklearn=SKLEARN, off={**SKLEARN, "disabled": True})
    kserve.serve({"predictor": {"model": model(**said)}})
    failure = kserve.fails()
    assert failure["reason"] == reason
    assert failure["message"].startswith(message)
    assert kserve.status()["modelStatus"]["transitionStatus"] == "InvalidSpec"
    # The controller looks again by itself.
    bench = kserve.bench
    bench.make(kinds.SERVING_RUNTIME, "late", {**SKLEARN, "priority": 9})
    patch = {"predictor": {"model": {"modelFormat": {"name": "sklearn", "version": None}, "runtime": "late"}}}
    bench.patch(kinds.INFERENCE_SERVICE, "iris", {"spec": patch | {}})
    bench.patch(
        kinds.INFERENCE_SERVICE, "iris", {"spec": {"predictor": {"model": {"protocolVersion": None}}}}
    )
    assert kserve.ready()["servingRuntimeName"] == "late"


def test_runtimes_are_chosen_by_protocol_and_priority(kserve: KServe):
    first = {**SKLEARN, "supportedModelFormats": [{"name": "sklearn", "autoSelect": True, "priority": 1}]}
    second = {**SKLEARN, "supportedModelFormats": [{"name": "sklearn", "autoSelect": True, "priority": 2}]}
    v2 = {**second, "protocolVersions": ["v2"]}
    kserve.deploy(first=first, second=second, kserve_mlserver=v2)
    kserve.serve()
    assert kserve.ready()["servingRuntimeName"] == "second"
    kserve.serve({"predictor": {"model": model(runtime="kserve-mlserver", protocolVersion="v2")}}, "other")
    assert kserve.ready("other")["servingRuntimeName"] == "kserve-mlserver"
    deployment = kserve.bench.get(kinds.DEPLOYMENT, "other-predictor")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["env"] == [
        {"name": "MLSERVER_MODEL_NAME", "value": "other"},
        {"name": "MLSERVER_MODEL_URI", "value": "/mnt/models"},
    ]
    assert deployment["metadata"]["labels"]["modelClass"] == "mlserver_sklearn.SKLearnModel"


def test_a_custom_predictor_needs_no_runtime(kserve: KServe):
    kserve.deploy()
    container = {
        "name": "kserve-container",
        "image": "own:1",
        "ports": [{"containerPort": 9000, "name": "h2c"}],
    }
    kserve.serve({"predictor": {"containers": [container]}})
    kserve.ready()
    (port,) = kserve.bench.get(kinds.SERVICE, "iris-predictor")["spec"]["ports"]
    assert (port["port"], port["targetPort"], port["appProtocol"]) == (80, 9000, "kubernetes.io/h2c")


def test_an_explainer_is_told_of_the_model_first(kserve: KServe):
    kserve.deploy(config(explainers={"art": {"image": "art", "defaultImageVersion": "1"}}))
    art = {"type": "SquareAttack", "config": {"nb": "1"}, "args": ["--own"]}
    kserve.serve({"predictor": {"model": model()}, "explainer": {"art": art}})
    pod = kserve.bench.get(kinds.DEPLOYMENT, "iris-explainer")["spec"]["template"]["spec"]
    assert pod["containers"][0]["args"] == [
        *("--model_name", "iris", "--http_port", "8080"),
        *("--predictor_host", f"iris-predictor.{kserve.bench.namespace}"),
        *("--adversary_type", "SquareAttack", "--nb", "1", "--own"),
    ]


def test_an_autoscaler_of_keda_that_is_not_there_is_told(kserve: KServe):
    kserve.deploy()
    kserve.serve(annotations={"serving.kserve.io/autoscalerClass": "keda"})
    kserve.bench.get(kinds.SERVICE, "iris-predictor")
    until(lambda: kserve.status().get("deploymentMode"), kserve.status)
    assert kserve.status()["modelStatus"] == {"transitionStatus": ""}
    assert "conditions" not in kserve.status()
    assert kserve.bench.find(kinds.INGRESS, "iris") is None


def test_it_stops_and_goes_on(kserve: KServe):
    kserve.deploy()
    kserve.serve()
    kserve.ready()
    bench = kserve.bench
    bench.annotate(kinds.INFERENCE_SERVICE, "iris", **{f"{GROUP}/stop": "true"})
    for kind in (kinds.DEPLOYMENT, kinds.SERVICE, kinds.AUTOSCALER):
        until(lambda kind=kind: bench.find(kind, "iris-predictor") is None, f"{kind.__name__} to go")
    until(lambda: states(kserve.status()).get("Stopped") == "True", "it to be stopped")
    assert states(kserve.status())["Ready"] == "False"
    assert bench.find(kinds.INGRESS, "iris") is None
    bench.annotate(kinds.INFERENCE_SERVICE, "iris", **{f"{GROUP}/stop": None})
    assert states(kserve.ready())["Stopped"] == "False"


def test_it_goes_with_everything(kserve: KServe):
    kserve.deploy()
    kserve.serve()
    kserve.ready()
    bench = kserve.bench
    assert bench.get(kinds.INFERENCE_SERVICE, "iris")["metadata"]["finalizers"] == [
        "inferenceservice.finalizers"
    ]
    trained = {
        "inferenceService": "iris",
        "model": {"storageUri": "s3://a", "framework": "x", "memory": "1Gi"},
    }
    bench.make(kinds.TRAINED_MODEL, "one", trained, labels={"inferenceservice": "iris"})
    bench.client.delete(kinds.INFERENCE_SERVICE, "iris", namespace=bench.namespace)
    for kind, name in ((kinds.TRAINED_MODEL, "one"), (kinds.INFERENCE_SERVICE, "iris")):
        until(lambda kind=kind, name=name: bench.find(kind, name) is None, f"{name} to go")
    until(lambda: bench.find(kinds.DEPLOYMENT, "iris-predictor") is None, "the Deployment to go")


def test_routes_of_the_gateway_api_lead_there_once_they_are_accepted(kserve: KServe):
    kserve.deploy(config(ingress={"enableGatewayApi": True, "kserveIngressGateway": "kubeflow/gateway"}))
    kserve.serve()
    bench = kserve.bench
    for name in ("iris-predictor", "iris"):
        route = bench.get(kinds.HTTP_ROUTE, name)
        assert route["spec"]["parentRefs"][0]["name"] == "gateway"
        condition = {"lastTransitionTime": "2026-01-01T00:00:00Z", "message": "", "reason": "Accepted"}
        accepted = {**condition, "type": "Accepted", "status": "True"}
        parent = {"parentRef": {"name": "gateway"}, "controllerName": "istio.io/c", "conditions": [accepted]}
        bench.client.patch(
            kinds.HTTP_ROUTE.Status,
            name,
            {"status": {"parents": [parent]}},
            namespace=bench.namespace,
            patch_type=PatchType.MERGE,
        )
    assert kserve.ready()["url"] == f"http://iris-{bench.namespace}.models.example"
    assert route["spec"]["hostnames"] == [f"iris-{bench.namespace}.models.example"]


def serve_on_several_nodes(kserve: KServe) -> None:
    """Have a model served by workers with six GPUs in all."""
    worker = {"containers": [{"name": "worker-container", "image": "hf:1", "args": ["w"]}]}
    runtime = {
        "supportedModelFormats": [{"name": "huggingface", "autoSelect": True}],
        "containers": [{"name": "kserve-container", "image": "hf:1"}],
        "workerSpec": {**worker, "pipelineParallelSize": 2, "tensorParallelSize": 1},
    }
    kserve.deploy(nodes=runtime)
    said = {
        "model": {"modelFormat": {"name": "huggingface"}, "storageUri": "pvc://models/llama"},
        "workerSpec": {"pipelineParallelSize": 3, "tensorParallelSize": 2},
    }
    kserve.serve({"predictor": said}, annotations={f"{GROUP}/autoscalerClass": "none"})


def test_several_nodes_share_the_gpus(kserve: KServe):
    serve_on_several_nodes(kserve)
    bench = kserve.bench
    workers = bench.get(kinds.DEPLOYMENT, "iris-predictor-worker")["spec"]
    assert workers["replicas"] == 5
    assert "prometheus.kserve.io/port" not in workers["template"]["metadata"].get("annotations", {})
    assert workers["strategy"]["rollingUpdate"] == {"maxUnavailable": "0%", "maxSurge": "100%"}
    (container,) = workers["template"]["spec"]["containers"]
    assert container["resources"]["limits"] == {"nvidia.com/gpu": "1"}
    assert {"name": "HEAD_SVC", "value": "iris-head-1"} in container["env"]
    assert bench.get(kinds.SERVICE, "iris-head-1")["spec"]["clusterIP"] == "None"
    head = bench.get(kinds.DEPLOYMENT, "iris-predictor")["spec"]["template"]["spec"]["containers"][0]
    assert {"name": "RAY_NODE_COUNT", "value": "6"} in head["env"]
    assert bench.find(kinds.AUTOSCALER, "iris-predictor") is None


def test_three_services_of_first_nodes_stay_whosever_they_are(kserve: KServe):
    bench = kserve.bench
    others = [f"other-head-{number}" for number in range(3)]
    for name in others:
        metadata = {"name": name, "labels": {"multinode/role": "head"}}
        bench.create(kinds.SERVICE, {"metadata": metadata, "spec": {"clusterIP": "None"}})
    serve_on_several_nodes(kserve)
    until(lambda: sum(bench.find(kinds.SERVICE, name) is not None for name in others) == 2)
    assert bench.get(kinds.SERVICE, "iris-head-1")


def test_stopped_several_nodes_keep_no_service(kserve: KServe):
    serve_on_several_nodes(kserve)
    bench = kserve.bench
    for name in ("iris-predictor", "iris-head-1"):
        bench.get(kinds.SERVICE, name)
    bench.annotate(kinds.INFERENCE_SERVICE, "iris", **{f"{GROUP}/stop": "true"})
    for name in ("iris-predictor", "iris-head-1"):
        until(lambda name=name: bench.find(kinds.SERVICE, name) is None, f"the end of {name}")


def test_a_missing_right_shows(kserve: KServe, players: Players, monkeypatch: pytest.MonkeyPatch):
    less = [rule for rule in ROLES[PROGRAM] if rule[0] != "autoscaling"]
    monkeypatch.setitem(ROLES, PROGRAM, less)
    kserve.deploy()
    kserve.serve()
    until(lambda: any("horizontalpodautoscalers" in each for each in players.refusals()), "a refusal")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (config(mode="Sideways"), "invalid deployment mode"),
        ({**config(), "ingress": "{"}, "unable to parse ingress config json"),
        (config(ingress={"ingressGateway": ""}), "ingressGateway is required"),
    ],
)
def test_a_configuration_that_makes_no_sense_is_told(kserve: KServe, players: Players, data, message, caplog):
    kserve.deploy(data)
    kserve.serve()
    until(lambda: message in caplog.text, "a warning")
    assert not kserve.status()
