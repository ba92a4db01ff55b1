"""Models as a user of a profile serves them, in both modes, on GPUs and off them: the whole bundle, active.

Real are the charms, the API server with the policies, the scheduler and the Deployment controller; KServe's and
Knative's controllers and webhooks are played.
"""

from __future__ import annotations

import base64
import copy
import dataclasses
import json
from collections.abc import Iterator, Mapping
from typing import Any

import gpu_placement
import pytest
import serving_examples as examples
from gpu_placement import bare_pod, tolerated
from kubeflow_platform import MODEL, Platform
from kubeflow_users import Requests
from serving_examples import MODE, model, service

from kubeflow_charm.cluster.resources import Manifest
from kubeflow_charm.gpu.pools import Gpus
from rehearsal.cluster.existing import Refused
from rehearsal.patience import until

NVIDIA, AMD = "nvidia.com/gpu", "amd.com/gpu"
SERVICES = "/apis/serving.kserve.io/v1beta1/namespaces/ada/inferenceservices"
GRAPHS = "/apis/serving.kserve.io/v1alpha1/namespaces/ada/inferencegraphs"
LLMS = "/apis/serving.kserve.io/v1alpha1/namespaces/ada/llminferenceservices"
KNATIVE = "/apis/serving.knative.dev/v1/namespaces/ada/services"
DEPLOYMENTS = "/apis/apps/v1/namespaces/ada/deployments"
AUTOSCALERS = "/apis/autoscaling.internal.knative.dev/v1alpha1/namespaces/ada/podautoscalers"
VIRTUAL_SERVICES = "/apis/networking.istio.io/v1/namespaces/ada/virtualservices"
PODS = "/api/v1/namespaces/ada/pods"
CONCURRENCY = "rehearsal/concurrency"
"""The annotation of a PodAutoscaler that tells how many requests there are at a time."""
MODES = ("Standard", "Knative")
OF_SERVICE = "serving.kserve.io/inferenceservice"
OF_GRAPH = "serving.kserve.io/inferencegraph"
OF_LLM = "app.kubernetes.io/part-of"
REVISION = "serving.knative.dev/revision"


@pytest.fixture(autouse=True)
def cleared(platform: Platform) -> Iterator[None]:
    """What serves models goes with each test, and its pods with it."""
    yield
    for kinds in (GRAPHS, LLMS, SERVICES):
        platform.admin.delete(kinds)
    # The garbage collector looks for new types every half minute only.
    until(lambda: not platform.admin.items(PODS), "the end of the models' pods", within=240)


def in_mode(mode: str, document: Manifest) -> Manifest:
    """Return a service, or a graph, that asks for a mode; as is usual if the mode is empty."""
    made = copy.deepcopy(document)
    if mode:
        made["metadata"].setdefault("annotations", {})[MODE] = mode
    return made


def iris(name: str = "iris", **more: Any) -> Manifest:
    """Return a service with a model from the platform's store."""
    predictor = model("sklearn", storageUri="s3://mlpipeline/models/ada/iris")
    return service(name, predictor | {"serviceAccountName": "kserve-s3"} | more)


def states(status: Manifest) -> dict[str, str]:
    """Return the conditions of a status."""
    return {each["type"]: each["status"] for each in status.get("conditions", [])}


def ready(user: Requests, path: str) -> Manifest:
    """Return an object's status as soon as it says that the newest specification is ready."""

    def found() -> Manifest:
        item = user.get(path)
        status = item.get("status", {})
        return status if states(status).get("Ready") == "True" else {}

    return until(found, lambda: user.get(path).get("status"))


def pods_of(user: Requests, label: str, value: str) -> list[Manifest]:
    """Return the pods with a label that are not about to end."""
    found = user.items(f"{PODS}?labelSelector={label}={value}")
    return [each for each in found if "deletionTimestamp" not in each["metadata"]]


def traffic(status: Manifest) -> dict[str, int]:
    """Return the share of each revision of the predictor."""
    shares: dict[str, int] = {}
    for each in status["components"]["predictor"].get("traffic", []):
        shares[each["revisionName"]] = shares.get(each["revisionName"], 0) + each.get("percent", 0)
    return {name: share for name, share in shares.items() if share}


def message(refusal: Refused) -> str:
    """Return what the API server says."""
    return json.loads(str(refusal).partition(": ")[2])["message"]


# What a profile gets


def test_a_profile_gets_what_fetches_its_models_from_the_store(platform: Platform, ada: Requests) -> None:
    account = until(lambda: platform.admin.find("/api/v1/namespaces/ada/serviceaccounts/kserve-s3"))
    assert [each["name"] for each in account["secrets"]] == ["kserve-s3"]
    secret = until(lambda: platform.admin.find("/api/v1/namespaces/ada/secrets/kserve-s3"))
    said = {
        name.removeprefix("serving.kserve.io/s3-"): value
        for name, value in secret["metadata"]["annotations"].items()
        if name.startswith("serving.kserve.io/s3-")
    }
    assert said["endpoint"].startswith(f"minio.{MODEL}")
    assert said["usehttps"] == "0"
    other = until(lambda: platform.admin.find("/api/v1/namespaces/bob/secrets/kserve-s3"))
    keys = [base64.b64decode(each["data"]["AWS_ACCESS_KEY_ID"]) for each in (secret, other)]
    assert keys[0] != keys[1], "each profile has a key of its own"


# Services in both modes


@pytest.mark.parametrize("mode", ["", *MODES], ids=["by the option", "Standard", "Knative"])
def test_a_service_becomes_ready_and_tells_its_address(platform: Platform, ada: Requests, mode: str) -> None:
    platform.have_nodes("default")
    ada.create(SERVICES, in_mode(mode, iris()))
    status = ready(ada, f"{SERVICES}/iris")
    assert status["deploymentMode"] == (mode or "Knative")
    assert status["clusterServingRuntimeName"] == "kserve-sklearnserver"
    assert [name for name, state in states(status).items() if state != "True"] == ["Stopped"]
    until(
        lambda: ada.get(f"{SERVICES}/iris")["status"]["modelStatus"]["states"]["activeModelState"] == "Loaded"
    )
    (pod,) = pods_of(ada, OF_SERVICE, "iris")
    assert pod["spec"]["serviceAccountName"] == "kserve-s3"
    (fetcher,) = [each for each in pod["spec"]["initContainers"] if each["name"] == "storage-initializer"]
    assert fetcher["args"] == ["s3://mlpipeline/models/ada/iris", "/mnt/models"]
    variables = {each["name"]: each for each in fetcher["env"]}
    assert variables["AWS_ACCESS_KEY_ID"]["valueFrom"]["secretKeyRef"]["name"] == "kserve-s3"
    assert variables["AWS_ENDPOINT_URL"]["value"].startswith(f"http://minio.{MODEL}")
    inside = "iris-predictor" if mode == "Standard" else "iris"
    assert status["address"]["url"] == f"http://{inside}.ada.svc.cluster.local"
    if mode == "Standard":
        assert status["url"] == "http://iris-ada.example.com"
        assert ada.get(f"{DEPLOYMENTS}/iris-predictor")["status"]["readyReplicas"] == 1
        assert ada.items(KNATIVE) == []
    else:
        assert status["url"] == "http://example.com/serving/ada/iris"
        told = ada.get(f"{KNATIVE}/iris-predictor")["status"]
        assert status["components"]["predictor"]["url"] == told["url"]
        route = platform.admin.get(f"{VIRTUAL_SERVICES}/iris")
        assert "example.com" in route["spec"]["hosts"]


@pytest.mark.parametrize("mode", MODES)
def test_a_transformer_stands_in_front_of_the_predictor(platform: Platform, ada: Requests, mode: str) -> None:
    platform.have_nodes("default")
    made = iris()
    made["spec"]["transformer"] = {"containers": [{"name": "change", "image": "example.com/change:1"}]}
    ada.create(SERVICES, in_mode(mode, made))
    status = ready(ada, f"{SERVICES}/iris")
    assert {"PredictorReady", "TransformerReady"} <= states(status).keys()
    assert set(status["components"]) == {"predictor", "transformer"}
    roles = {each["metadata"]["labels"]["component"]: each for each in pods_of(ada, OF_SERVICE, "iris")}
    assert set(roles) == {"predictor", "transformer"}
    container = roles["transformer"]["spec"]["containers"][0]
    assert "--predictor_host" in container["args"]
    host = container["args"][container["args"].index("--predictor_host") + 1]
    assert host.startswith("iris-predictor.ada")
    for name in ("iris-predictor", "iris-transformer"):
        ada.get(f"{DEPLOYMENTS if mode == 'Standard' else KNATIVE}/{name}")
    ada.delete(f"{SERVICES}/iris")
    until(lambda: not pods_of(ada, OF_SERVICE, "iris"), "the pods' end", within=240)


# On Knative: canaries, and no pods while nobody asks


def test_a_canary_gets_its_share_and_then_everything(platform: Platform, ada: Requests) -> None:
    platform.have_nodes("default")
    path = f"{SERVICES}/iris"
    ada.create(SERVICES, in_mode("Knative", iris()))
    ready(ada, path)
    (first,) = traffic(until(lambda: _rolled_out(ada, path)))
    change = {"canaryTrafficPercent": 20, "model": {"storageUri": "s3://mlpipeline/models/ada/iris-2"}}
    ada.patch(path, {"spec": {"predictor": change}})
    shared = until(lambda: _split(ada, path, 2), lambda: ada.get(path).get("status"))
    (second,) = shared.keys() - {first}
    assert shared == {first: 80, second: 20}
    assert ada.get(path)["status"]["components"]["predictor"]["latestRolledoutRevision"] == first
    ada.patch(path, {"spec": {"predictor": {"canaryTrafficPercent": None}}})
    assert until(lambda: _split(ada, path, 1, second), lambda: ada.get(path).get("status")) == {second: 100}
    until(lambda: not pods_of(ada, REVISION, first), "the end of the first revision's pods")


def _rolled_out(user: Requests, path: str) -> Manifest:
    """Return the status if a revision has had all traffic."""
    status = user.get(path)["status"]
    return status if status["components"]["predictor"].get("latestRolledoutRevision") else {}


def _split(user: Requests, path: str, number: int, among: str = "") -> dict[str, int]:
    """Return the shares if so many revisions have one, and the one that must be among them has."""
    shares = traffic(user.get(path)["status"])
    return shares if len(shares) == number and (not among or among in shares) else {}


def test_a_model_that_nobody_asks_has_no_pod_and_comes_back(platform: Platform, ada: Requests) -> None:
    platform.have_nodes("default")
    path = f"{SERVICES}/iris"
    ada.create(SERVICES, in_mode("Knative", iris(minReplicas=0, maxReplicas=3, scaleTarget=10)))
    ready(ada, path)
    revision = ada.get(path)["status"]["components"]["predictor"]["latestReadyRevision"]

    def told(concurrency: int) -> None:
        change = {"metadata": {"annotations": {CONCURRENCY: str(concurrency)}}}
        platform.admin.patch(f"{AUTOSCALERS}/{revision}", change)

    for concurrency, pods in ((0, 0), (15, 3), (0, 0), (1, 1)):
        told(concurrency)
        until(lambda pods=pods: _running(ada, revision) == pods, f"{pods} pods for {concurrency} requests")
        assert states(ready(ada, path))["PredictorReady"] == "True", "it can be asked all the time"


def _running(user: Requests, revision: str) -> int | None:
    """Return how many pods of a revision run; None while some come or go."""
    found = user.items(f"{PODS}?labelSelector={REVISION}={revision}")
    running = [each for each in found if each["status"].get("phase") == "Running"]
    settled = all("deletionTimestamp" not in each["metadata"] for each in found)
    return len(running) if settled and len(running) == len(found) else None


# Graphs and language models


@pytest.mark.parametrize("mode", MODES)
def test_a_graph_leads_to_its_services(platform: Platform, ada: Requests, mode: str) -> None:
    platform.have_nodes("default")
    root = {"routerType": "Sequence", "steps": [{"serviceName": "iris", "name": "first"}]}
    graph = {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "InferenceGraph",
        "metadata": {"name": "graph"},
        "spec": {"nodes": {"root": root}},
    }
    ada.create(GRAPHS, in_mode(mode, graph))
    ada.create(SERVICES, in_mode(mode, iris()))
    address = ready(ada, f"{SERVICES}/iris")["address"]["url"]
    status = ready(ada, f"{GRAPHS}/graph")
    assert platform.admin.get(f"{KNATIVE if mode == 'Knative' else DEPLOYMENTS}/graph"), "its router"
    assert status["url"].startswith("http://graph")
    (pod,) = until(lambda: pods_of(ada, OF_GRAPH, "graph"))
    (router, *_) = pod["spec"]["containers"]
    assert router["image"] == "kserve/router:v0.16.0"
    (step,) = json.loads(router["args"][router["args"].index("--graph-json") + 1])["nodes"]["root"]["steps"]
    assert step["serviceUrl"] == f"{address}/v1/models/iris:predict"


def llm(**more: Any) -> Manifest:
    """Return a language model on one GPU, with no router: the bundle has no Gateway API."""
    container = {"name": "main", "resources": {"limits": {NVIDIA: "1", "cpu": "1", "memory": "16Gi"}}}
    spec = {
        "model": {"uri": "hf://Qwen/Qwen3-0.6B", "name": "qwen"},
        "replicas": 2,
        "template": {"containers": [container]},
    }
    return {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "LLMInferenceService",
        "metadata": {"name": "chat"},
        "spec": spec | more,
    }


def test_a_language_model_runs_on_gpus_in_the_configuration_of_the_charm(
    platform: Platform, ada: Requests
) -> None:
    platform.have_nodes("default")
    until(lambda: _policy_of(platform, {OF_LLM: "llminferenceservice"}), "the policy for language models")
    ada.create(LLMS, llm())
    status = ready(ada, f"{LLMS}/chat")
    assert states(status)["MainWorkloadReady"] == "True"
    pods = pods_of(ada, OF_LLM, "llminferenceservice")
    assert len(pods) == 2
    for pod in pods:
        assert pod["spec"]["nodeName"] == "gpu-0"
        assert tolerated(pod["spec"]) == {NVIDIA}
        (server,) = [each for each in pod["spec"]["containers"] if each["name"] == "main"]
        assert server["image"] == "ghcr.io/llm-d/llm-d-dev:v0.2.2"
        assert server["command"] == ["vllm", "serve", "/mnt/models"]


# GPUs


@dataclasses.dataclass(frozen=True)
class Part:
    """The pods of a component, and where they should run.

    Args:
        asks: for which devices each asks.
        on: how the names of their nodes begin.
        keys: which taints they should tolerate.
        selector: labels of the nodes that their user selects.
    """

    asks: Mapping[str, int]
    on: str
    keys: frozenset[str] = frozenset()
    selector: Mapping[str, str] = dataclasses.field(default_factory=dict)


def part(asks: Mapping[str, int], on: str, *keys: str, selector: Mapping[str, str] | None = None) -> Part:
    """Return a part; see there."""
    return Part(asks, on, frozenset(keys), selector or {})


PRODUCT = "nvidia.com/gpu.product"
H100, A100 = {PRODUCT: "NVIDIA-H100-80GB-HBM3"}, {PRODUCT: "NVIDIA-A100-SXM4-40GB"}
CASES: list[tuple[str, str, dict[str, Part]]] = [
    ("default", "model that asks for a GPU", {"predictor": part({NVIDIA: 1}, "gpu-0", NVIDIA)}),
    ("default", "model that asks for none", {"predictor": part({}, "cpu-")}),
    ("default", "model on a GPU behind a transformer on none", {
        "predictor": part({NVIDIA: 2}, "gpu-0", NVIDIA), "transformer": part({}, "cpu-")}),
    ("default", "model on none behind a transformer on a GPU", {
        "predictor": part({}, "cpu-"), "transformer": part({NVIDIA: 1}, "gpu-0", NVIDIA)}),
    ("one-nvidia", "model on none beside a GPU without a taint", {"predictor": part({}, "cpu")}),
    ("one-nvidia", "model on a GPU without a taint", {"predictor": part({NVIDIA: 1}, "gpu")}),
    ("dgx-h100", "model on none where every node is tainted", {"predictor": part({}, "dgx", NVIDIA)}),
    ("dgx-h100", "model on a GPU where every node is tainted", {
        "predictor": part({NVIDIA: 1}, "dgx", NVIDIA)}),
    ("amd", "model on AMD", {"predictor": part({AMD: 4}, "mi300x-", AMD)}),
    ("mig", "slice of the strategy mixed", {
        "predictor": part({"nvidia.com/mig-3g.20gb": 1}, "mig-mixed-", NVIDIA)}),
    ("teams", "device that only a taint tells of", {
        "predictor": part({"example.com/npu": 4}, "npu-0", "example.com/npu")}),
    ("mixed-200", "one model of GPU behind another", {
        "predictor": part({NVIDIA: 8}, "h100-", NVIDIA, "dedicated", selector=H100),
        "transformer": part({NVIDIA: 1}, "a100-", NVIDIA, "dedicated", selector=A100)}),
    ("mixed-200", "model on none among 200 nodes", {"predictor": part({}, "cpu-")}),
]  # fmt: skip


def _policy_of(platform: Platform, labels: Mapping[str, str], expected: frozenset[str] | None = None) -> bool:
    """Tell whether a pod with some labels, and a GPU, would get tolerations; those expected if told."""
    spec = dry_run(platform.admin, labels, {NVIDIA: 1})
    keys = tolerated(spec)
    return bool(keys) if expected is None else keys == expected


def dry_run(user: Requests, labels: Mapping[str, str], asks: Mapping[str, int]) -> Manifest:
    """Return the spec of a pod as it would be stored."""
    return user.create(f"{PODS}?dryRun=All", bare_pod("probe", labels, asks))["spec"]


@pytest.fixture(scope="module")
def gpus(platform: Platform, request: pytest.FixtureRequest) -> Gpus:
    """The cluster has the nodes of a file, and the API server has learned the policies for them."""
    found = gpu_placement.having(platform, request.param)

    def placed_so() -> bool:
        kinds = ({OF_LLM: "llminferenceservice"}, {OF_SERVICE: "probe"})
        return all(
            gpu_placement.is_as(found, lambda asks, labels=labels: dry_run(platform.admin, labels, asks))
            for labels in kinds
        )

    until(placed_so, "the policies for models")
    return found


def on_nodes(parts: Mapping[str, Part]) -> Manifest:
    """Return a service whose components ask for what the parts do."""
    spec: Manifest = {}
    for component, each in parts.items():
        limits = {"cpu": "1", "memory": "4Gi", **{key: str(number) for key, number in each.asks.items()}}
        resources = {"limits": limits, "requests": {"cpu": "1", "memory": "4Gi"}}
        if component == "predictor":
            spec[component] = model(
                "sklearn", storageUri="s3://mlpipeline/models/ada/iris", resources=resources
            )
        else:
            container = {"name": "change", "image": "example.com/change:1", "resources": resources}
            spec[component] = {"containers": [container]}
        if each.selector:
            spec[component]["nodeSelector"] = dict(each.selector)
    predictor = spec.pop("predictor")
    return service("placed", predictor, **spec)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("gpus", "parts"),
    [pytest.param(file, parts, id=f"{file}: {what}") for file, what, parts in CASES],
    indirect=["gpus"],
)
def test_models_run_where_they_should_and_nobody_writes_a_toleration(
    platform: Platform, ada: Requests, gpus: Gpus, parts: dict[str, Part], mode: str
) -> None:
    ada.create(SERVICES, in_mode(mode, on_nodes(parts)))
    ready(ada, f"{SERVICES}/placed")
    found = {each["metadata"]["labels"]["component"]: each for each in pods_of(ada, OF_SERVICE, "placed")}
    assert found.keys() == parts.keys()
    for component, each in parts.items():
        spec = found[component]["spec"]
        assert spec["nodeName"].startswith(each.on)
        assert tolerated(spec) == each.keys
        assert ("affinity" in spec) == (not each.asks)
    if mode == "Knative":
        for item in ada.items(KNATIVE):
            assert "tolerations" not in item["spec"]["template"]["spec"], "only pods have them"


# Other users


@pytest.mark.parametrize("path", [SERVICES, GRAPHS, LLMS, KNATIVE, PODS])
def test_the_profile_of_another_user_is_closed(bob: Requests, path: str) -> None:
    with pytest.raises(Refused) as refusal:
        bob.get(path)
    assert refusal.value.status == 403


@pytest.mark.parametrize("document", [iris(), *examples.OTHERS], ids=lambda each: each["kind"])
def test_a_user_serves_nothing_in_the_profile_of_another(bob: Requests, document: Manifest) -> None:
    kinds = f"{document['kind'].lower()}s"
    with pytest.raises(Refused) as refusal:
        bob.create(f"/apis/{document['apiVersion']}/namespaces/ada/{kinds}", document)
    assert refusal.value.status == 403
    assert f'User "bob@example.com" cannot create resource "{kinds}"' in message(refusal.value)


def test_a_service_that_no_runtime_serves_says_so(platform: Platform, ada: Requests) -> None:
    ada.create(
        SERVICES, service("odd", model("nobody-knows-it", storageUri="s3://mlpipeline/models/ada/odd"))
    )
    path = f"{SERVICES}/odd"
    told = until(lambda: ada.get(path).get("status", {}).get("modelStatus", {}).get("lastFailureInfo"))
    assert told["reason"] == "NoSupportingRuntime"


# The mode of a running platform


def test_another_usual_mode_leaves_existing_services_as_they_are(platform: Platform, ada: Requests) -> None:
    platform.have_nodes("default")
    names = {"old-knative": "Knative", "old-standard": "Standard"}
    for name, mode in names.items():
        ada.create(SERVICES, in_mode("" if mode == "Knative" else mode, iris(name)))
    before = {name: ready(ada, f"{SERVICES}/{name}") for name in names}
    kept = {each["metadata"]["uid"] for each in pods_of(ada, OF_SERVICE, "old-standard")}
    platform.stage.juju("config", "kserve", "deployment-mode=rawdeployment")
    try:
        until(lambda: _usual(platform) == "Standard", lambda: _usual(platform), within=240)
        platform.settle()
        ada.create(SERVICES, iris("new"))
        assert ready(ada, f"{SERVICES}/new")["deploymentMode"] == "Standard"
        # A change of an old one is carried out in the mode that it has: a new revision.
        change = {"model": {"storageUri": "s3://mlpipeline/models/ada/iris-2"}}
        ada.patch(f"{SERVICES}/old-knative", {"spec": {"predictor": change}})
        revision = before["old-knative"]["components"]["predictor"]["latestReadyRevision"]
        until(lambda: _newest(ada, f"{SERVICES}/old-knative") not in ("", revision), "a new revision")
        for name, mode in names.items():
            status = ready(ada, f"{SERVICES}/{name}")
            assert status["deploymentMode"] == mode
            assert status["url"] == before[name]["url"]
        assert kept == {each["metadata"]["uid"] for each in pods_of(ada, OF_SERVICE, "old-standard")}
        for name in names:
            ada.delete(f"{SERVICES}/{name}")
            until(lambda name=name: platform.admin.find(f"{SERVICES}/{name}") is None, "the service's end")
    finally:
        platform.stage.juju("config", "kserve", "deployment-mode=serverless")
        until(lambda: _usual(platform) == "Knative", lambda: _usual(platform), within=240)
        platform.settle()


def _newest(user: Requests, path: str) -> str:
    """Return the newest revision of the predictor that has been ready."""
    return user.get(path)["status"]["components"]["predictor"].get("latestReadyRevision", "")


def _usual(platform: Platform) -> str:
    """Return the mode in KServe's own settings."""
    settings = platform.admin.get(f"/api/v1/namespaces/{MODEL}/configmaps/inferenceservice-config")
    return json.loads(settings["data"]["deploy"])["defaultDeploymentMode"]


def test_what_was_played_had_every_right_it_needed(platform: Platform) -> None:
    assert platform.stage.players is not None
    assert platform.stage.players.refusals() == []
