"""Which serving runtime serves a model, and what a runtime adds to the model's settings.

kserve/kserve v0.16.0, pkg/apis/serving/v1beta1/{predictor_model,inference_service_defaults}.go,
pkg/apis/serving/v1alpha1/servingruntime_types.go and utils/utils.go. What may surprise there, and so here: a
model that says no protocol is taken for v1 when a runtime is looked for; a priority counts by the first entry
of a model format in a runtime; runtimes of the namespace come before all others.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rehearsal.players import kinds
from rehearsal.players.api import Api
from rehearsal.players.kinds import Object
from rehearsal.players.kserve import naming

PROTOCOLS = ("v1", "v2", "grpc-v1", "grpc-v2")
MLSERVER, TORCHSERVE, TRITON = "kserve-mlserver", "kserve-torchserve", "kserve-tritonserver"
GPU_TAGGED = ("kserve-tensorflow-serving", TORCHSERVE, "kserve-huggingfaceserver")

_CLASSES = {
    "xgboost": "mlserver_xgboost.XGBoostModel",
    "lightgbm": "mlserver_lightgbm.LightGBMModel",
    "mlflow": "mlserver_mlflow.MLflowRuntime",
}


class Unservable(Exception):
    """A model that no runtime serves as it says.

    Attributes:
        reason: as in the model's status.
        told: the message in the model's status; the exception's own is the event's.
    """

    def __init__(self, reason: str, told: str, message: str):
        super().__init__(message)
        self.reason = reason
        self.told = told


@dataclass(frozen=True)
class Runtime:
    """A serving runtime, of a namespace or of all."""

    name: str
    spec: Object
    of_cluster: bool


def choose(api: Api, isvc: Object, multi_node: bool) -> Runtime:
    """Return the runtime of an inference service's model.

    Raises:
        Unservable: if there is none.
    """
    model, namespace = isvc["spec"]["predictor"]["model"], isvc["metadata"]["namespace"]
    if name := model.get("runtime"):
        return _said(api, model, name, namespace)
    protocol = model.get("protocolVersion") or "v1"
    for runtime in _ordered(api, model["modelFormat"]["name"], namespace):
        spec = runtime.spec
        if (
            not spec.get("disabled")
            and not spec.get("multiModel")
            and bool(spec.get("workerSpec")) == multi_node
            and _speaks(spec, protocol)
            and _supports(spec, model, chosen=False)
        ):
            return runtime
    raise Unservable(
        "NoSupportingRuntime",
        "No runtime found to support specified framework/version",
        "no runtime found to support predictor with model type: "
        f"{{{model['modelFormat']['name']} {model['modelFormat'].get('version') or '<nil>'}}}",
    )


def find(api: Api, name: str, namespace: str) -> Runtime | None:
    """Return a runtime by its name: the namespace's own comes first."""
    if own := api.get(kinds.SERVING_RUNTIME, (namespace, name)):
        return Runtime(name, own["spec"], False)
    if of_all := api.get(kinds.CLUSTER_SERVING_RUNTIME, ("", name)):
        return Runtime(name, of_all["spec"], True)
    return None


def protocol(spec: Object) -> str:
    """Return the protocol that a runtime speaks first of all."""
    spoken = [each for each in PROTOCOLS if each in (spec.get("protocolVersions") or ())]
    return spoken[0] if spoken else ""


def settle(isvc: Object, runtime: str) -> None:
    """Add to an inference service what its runtime wants: variables and a label."""
    model = isvc["spec"]["predictor"]["model"]
    if runtime == MLSERVER:
        model.setdefault("protocolVersion", "v2")
        if "storageUri" not in model and "storage" not in model:
            _variables(model, {"MLSERVER_LOAD_MODELS_AT_STARTUP": "false"})
        else:
            name = isvc["metadata"]["name"]
            _variables(model, {"MLSERVER_MODEL_NAME": name, "MLSERVER_MODEL_URI": naming.MODELS})
        found = _CLASSES.get(model["modelFormat"]["name"], "mlserver_sklearn.SKLearnModel")
        isvc["metadata"].setdefault("labels", {})["modelClass"] = found
    elif runtime == TORCHSERVE:
        _settle_torchserve(isvc, model)
    elif runtime == TRITON:
        model.setdefault("protocolVersion", "v2")
        if "storageUri" not in model and "storage" not in model:
            args = ("--model-control-mode=explicit",)
            model["args"] = [*(model.get("args") or []), *args]


def _settle_torchserve(isvc: Object, model: Object) -> None:
    said = model.setdefault("protocolVersion", "v1")
    envelope = "kservev2" if said in ("v2", "grpc-v2") else "kserve"
    isvc["metadata"].setdefault("labels", {})["serviceEnvelope"] = envelope
    model["env"] = [*(model.get("env") or []), {"name": "PROTOCOL_VERSION", "value": said}]


def image(container: Object, version: str | None, runtime: str) -> None:
    """Set the tag of a container's image: the model's runtime version, or the variant for GPUs."""
    said = container["image"]
    if "@sha256:" in said:
        return
    base, colon, tag = said.rpartition(":")
    tagged = bool(colon) and "/" not in tag
    if version is not None:
        container["image"] = f"{base if tagged else said}:{version}"
    elif _gpus(container) and tagged and runtime in GPU_TAGGED and not said.endswith("-gpu"):
        container["image"] = f"{said}-gpu"


def _gpus(container: Object) -> bool:
    limits = (container.get("resources") or {}).get("limits") or {}
    return any(
        name in ("nvidia.com/gpu", "amd.com/gpu", "intel.com/gpu", "habana.ai/gaudi")
        or name.startswith("nvidia.com/mig")
        for name in limits
    )


def _said(api: Api, model: Object, name: str, namespace: str) -> Runtime:
    found = find(api, name, namespace)
    if found is None:
        raise Unservable(
            "RuntimeNotRecognized",
            "Waiting for runtime to become available",
            f"No ServingRuntimes or ClusterServingRuntimes with the name: {name}",
        )
    if found.spec.get("disabled"):
        raise Unservable(
            "RuntimeDisabled", "Specified runtime is disabled", f"specified runtime {name} is disabled"
        )
    said = model.get("protocolVersion")
    if said is not None and not _speaks(found.spec, said):
        told = "Specified runtime does not support specified protocol version"
        message = f"specified runtime {name} does not support specified protocol version"
        raise Unservable("NoSupportingRuntime", told, message)
    if not _supports(found.spec, model, chosen=True):
        told = "Specified runtime does not support specified framework/version"
        message = f"specified runtime {name} does not support specified framework/version"
        raise Unservable("NoSupportingRuntime", told, message)
    return found


def _speaks(spec: Object, said: str) -> bool:
    return not spec.get("protocolVersions") or said in spec["protocolVersions"]


def _supports(spec: Object, model: Object, *, chosen: bool) -> bool:
    wanted = model["modelFormat"]
    for each in spec.get("supportedModelFormats") or ():
        if (chosen or each.get("autoSelect")) and each["name"] == wanted["name"]:
            version = wanted.get("version")
            if version is None or version == each.get("version"):
                return True
    return False


def _ordered(api: Api, model: str, namespace: str) -> Iterator[Runtime]:
    """Yield the namespace's runtimes, then those of all: by protocol, the newest first, and by priority."""
    for kind, where in ((kinds.SERVING_RUNTIME, namespace), (kinds.CLUSTER_SERVING_RUNTIME, "")):
        found = api.items(kind, where)
        found.sort(key=lambda each: each["metadata"]["name"])
        found.sort(key=lambda each: each["metadata"].get("creationTimestamp", ""), reverse=True)
        found.sort(key=lambda each: _rank(each["spec"]))
        found.sort(key=functools.partial(_urgency, model))
        for each in found:
            yield Runtime(each["metadata"]["name"], each["spec"], not where)


def _rank(spec: Object) -> int:
    spoken: Sequence[str] = spec.get("protocolVersions") or ()
    return min((PROTOCOLS.index(each) for each in spoken if each in PROTOCOLS), default=len(PROTOCOLS))


def _urgency(model: str, item: Object) -> float:
    for each in item["spec"].get("supportedModelFormats") or ():
        if each["name"] == model:
            return -each["priority"] if "priority" in each else float("inf")
    return float("inf")


def _variables(model: Object, variables: dict[str, str]) -> None:
    there = {each["name"] for each in model.get("env") or ()}
    more = [{"name": name, "value": value} for name, value in variables.items() if name not in there]
    model["env"] = [*(model.get("env") or []), *more]
