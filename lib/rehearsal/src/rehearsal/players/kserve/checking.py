"""What KServe's webhooks refuse.

kserve/kserve v0.16.0, pkg/apis/serving/v1beta1/{inference_service_validation,component}.go,
pkg/apis/serving/v1alpha1/{trainedmodel_webhook,inference_graph_validation}.go and
pkg/webhook/admission/servingruntime. What may surprise there, and so here: the first problem is told, and no
other; a name may be so long that no Service can have it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from rehearsal.players.kinds import Object
from rehearsal.players.kserve import components, naming, storage
from rehearsal.players.kserve.nodes import GPUS

_NAME = "[a-z]([-a-z0-9]*[a-z0-9])?"
_PREDICTORS = (
    "SKLearn, XGBoost, Tensorflow, PyTorch, Triton, ONNX, HuggingFace, PMML, LightGBM, Paddle, Model, "
    "WorkerSpec, StorageUris, PodSpec"
)
_STORES = ("gs://", "s3://", "file://", "https://", "http://", "hdfs://", "webhdfs://")
_STANDARD_METRICS, _KNATIVE_METRICS = ("cpu", "memory"), ("concurrency", "rps")


def service(isvc: Object, before: Object | None) -> list[str]:
    """Return what is wrong with an inference service."""
    return first(_service(isvc, before))


def first(problems: Iterator[str]) -> list[str]:
    """Return the first problem."""
    return [problem for problem in [next(problems, "")] if problem]


def implementations(spec: Object, component: str) -> int:
    """Return in how many ways a component is said."""
    if component == "explainer":
        return ("art" in spec) + bool(spec.get("containers") and "art" not in spec)
    if component == "transformer":
        return 1 if spec.get("containers") else 0
    found = sum(each in spec for each in (*components.FRAMEWORKS, "model"))
    return found or (1 if spec.get("containers") else 0)


def graph(item: Object, before: Object | None) -> list[str]:
    """Return what is wrong with an inference graph."""
    return first(_graph(item))


def trained(item: Object, before: Object | None) -> list[str]:
    """Return what is wrong with a trained model."""
    return first(_trained(item, before))


def runtime(item: Object, others: Sequence[Object]) -> list[str]:
    """Return what is wrong with a serving runtime, given the others of its kind."""
    return first(_runtime(item, others))


def _service(isvc: Object, before: Object | None) -> Iterator[str]:
    metadata, spec = isvc["metadata"], isvc["spec"]
    name, annotations = metadata.get("name", ""), metadata.get("annotations") or {}
    was = ((before or {}).get("status") or {}).get("deploymentMode", "")
    if was and annotations.get(naming.MODE, was) != was:
        said = annotations[naming.MODE]
        yield f"update rejected: deploymentMode cannot be changed from '{was}' to '{said}'"
    if not re.fullmatch(_NAME, name):
        yield (
            f'the InferenceService "{name}" is invalid: a InferenceService name must consist of lower case '
            "alphanumeric characters or '-', and must start with alphabetical character. (e.g. \"my-name\" "
            "or "
            f"\"abc-123\", regex used for validation is '{_NAME}')"
        )
    scaler = annotations.get(naming.AUTOSCALER)
    if scaler is not None and scaler not in ("hpa", "external", "keda", "none"):
        yield f"[{scaler}] is not a supported autoscaler class type"
    yield from _nodes(name, annotations, spec["predictor"])
    for container in spec["predictor"].get("containers") or ():
        if container.get("name") == naming.TRANSFORMER and any(
            each["name"] == "STORAGE_URI" for each in container.get("env") or ()
        ):
            yield "storage uri should not be specified in transformer container"
    for component in ("transformer", "explainer", "predictor"):
        if component in spec:
            yield from _places(spec[component], component)
    for framework in (*components.FRAMEWORKS, "model"):
        if (spec["predictor"].get(framework) or {}).get("name"):
            yield "the 'name' field is not allowed in standard predictor"
    for component in naming.COMPONENTS:
        if component in spec:
            yield from _component(annotations, spec[component], component)


def _places(spec: Object, component: str) -> Iterator[str]:
    """Yield what is wrong with the places that models are loaded from."""
    uris = spec.get("storageUris")
    if uris is None:
        return
    if components.source(spec, component) is not None:
        yield "Setting both StorageURI and StorageURIs is not supported."
    paths = []
    for each in uris:
        path = each.get("mountPath", naming.MODELS)
        if path == "/":
            yield "storage path cannot be empty"
        if not path.startswith("/"):
            yield f"storage path must be absolute: {path}"
        if ".." in path:
            yield f"storage path cannot contain '..' for security reasons: {path}"
        if not each["uri"].startswith("pvc://"):
            paths.append(path)
    if len(paths) > 1 and storage.parent(paths) == "/":
        yield (
            f"storage paths must have a common parent directory. Current paths: [{' '.join(paths)}] have no "
            "common parent beyond root"
        )


def _nodes(name: str, annotations: Object, spec: Object) -> Iterator[str]:
    workers, model = spec.get("workerSpec"), spec.get("model")
    if workers is None:
        return
    wrong = f'the InferenceService "{name}" is invalid: '
    if len(workers.get("containers") or ()) > 1:
        yield f"{wrong}setting multiple containers in workerSpec is not allowed"
    if model is not None:
        for variable in model.get("env") or ():
            if variable["name"] in ("PIPELINE_PARALLEL_SIZE", "TENSOR_PARALLEL_SIZE"):
                yield f"{wrong}setting {variable['name']} in environment variables is not allowed"
        if _unknown_gpu(model):
            yield f"{wrong}{_GPU}"
        uri = model.get("storageUri")
        if uri is None:
            yield f"{wrong}StorageURI must be set for multinode enabled"
        elif (protocol := uri.partition("://")[0]) not in ("pvc", "oci"):
            yield f"{wrong}Multinode only supports 'pvc' and 'oci' Storage Protocol({protocol})"
        if annotations.get(naming.AUTOSCALER) != "none":
            scaler = annotations.get(naming.AUTOSCALER, "")
            yield f"{wrong}Multinode only supports 'none' autoscaler({scaler})"
    for key, title in (("pipelineParallelSize", "Pipeline"), ("tensorParallelSize", "Tensor")):
        if (size := workers.get(key)) is not None and size < 1:
            yield f"{wrong}WorkerSpec.{title}ParallelSize cannot be less than 1({size})"
    for container in workers.get("containers") or ():
        if _unknown_gpu(container):
            yield f"{wrong}{_GPU}"


_GPU = (
    "Unknown GPU resource type. Set 'serving.kserve.io/gpu-resource-types' annotation to use custom gpu "
    "resource type"
)


def _unknown_gpu(container: Object) -> bool:
    resources = container.get("resources") or {}
    names = {*(resources.get("limits") or {}), *(resources.get("requests") or {})}
    basic = {"cpu", "memory", "storage", "ephemeral-storage"}
    return any(each not in (*basic, *GPUS) and not each.startswith("nvidia.com/mig") for each in names)


def _component(annotations: Object, spec: Object, component: str) -> Iterator[str]:
    if implementations(spec, component) != 1:
        ways = {"predictor": _PREDICTORS, "transformer": "PodSpec", "explainer": "ART, PodSpec"}[component]
        yield f"exactly one of [{ways}] must be specified in {component.capitalize()}Spec"
    for container in (spec.get("containers") or [])[:1]:
        for variable in container.get("env") or ():
            if variable["name"] == "PROTOCOL" and variable.get("value") not in ("v1", "v2"):
                yield f"invalid protocol {variable.get('value', '')}. Must be one of [v1, v2]"
    if (spec.get("containerConcurrency") or 0) < 0:
        yield "parallelism cannot be less than 0"
    least, most = spec.get("minReplicas", 1), spec.get("maxReplicas") or 0
    if least < 0:
        yield "MinReplicas cannot be less than 0"
    if most < 0:
        yield "MaxReplicas cannot be less than 0"
    if least > most != 0:
        yield "MinReplicas cannot be greater than MaxReplicas"
    if "logger" in spec and spec["logger"].get("mode") not in ("all", "request", "response"):
        yield "invalid logger type"
    yield from _scaling(annotations, spec)


def _scaling(annotations: Object, spec: Object) -> Iterator[str]:
    standard = annotations.get(naming.MODE) == naming.STANDARD
    if standard and annotations.get(naming.AUTOSCALER) == "keda" and "scaleMetric" in spec:
        yield "ScaleMetric is not supported for KEDA"
    hpa = annotations.get("autoscaling.knative.dev/class") == "hpa.autoscaling.knative.dev"
    by_usage = annotations.get(naming.AUTOSCALER) == "hpa" if standard else hpa
    metric, target = spec.get("scaleMetric"), spec.get("scaleTarget")
    if by_usage:
        if (metric or "cpu") not in _STANDARD_METRICS:
            yield f"[{metric}] is not a supported metric"
        if target is not None and (((metric or "cpu") == "cpu" and target < 1) or target > 100):
            yield "the target utilization percentage should be a [1-100] integer"
    elif not standard:
        if "deploymentStrategy" in spec:
            yield "customizing deploymentStrategy is only supported for raw deployment mode"
        if (metric or "concurrency") not in _KNATIVE_METRICS:
            yield f"[{metric}] is not a supported metric"
        if metric == "rps" and target is not None and target < 1:
            yield "the target for rps should be greater than 1"


def _graph(item: Object) -> Iterator[str]:
    name, nodes = item["metadata"].get("name", ""), item["spec"].get("nodes") or {}
    if not re.fullmatch(_NAME, name):
        yield (
            f'The InferenceGraph "{name}" is invalid: a InferenceGraph name must consist of lower case '
            "alphanumeric characters or '-', and must start with alphabetical character. "
            f'(e.g. "my-name" or "abc-123", regex used for validation is \'{_NAME}\')'
        )
    if "root" not in nodes:
        yield (
            "root node not found, InferenceGraph needs a node with name 'root' as the root node of the graph"
        )
    for node, said in nodes.items():
        names = [each["name"] for each in said.get("steps") or () if each.get("name")]
        for each in names:
            if names.count(each) > 1:
                where = f'Node "{node}" of InferenceGraph "{name}"'
                yield f'{where} contains more than one step with name "{each}"'
    for node, said in nodes.items():
        for at, step in enumerate(said.get("steps") or ()):
            targets = sum(bool(step.get(each)) for each in ("nodeName", "serviceName", "serviceUrl"))
            where = f'Step {at} ("{step.get("name", "")}") in node "{node}" of InferenceGraph "{name}"'
            if targets == 0:
                yield f"{where} does not specify an inference target"
            if targets > 1:
                yield f"{where} specifies more than one of nodeName, serviceName, serviceUrl"
    for node, said in nodes.items():
        if said.get("routerType") == "Splitter":
            for step in said.get("steps") or ():
                if step.get("weight") is None:
                    target = step.get("serviceName", "")
                    yield f"InferenceGraph[{name}] Node[{node}] Route[{target}] missing the 'Weight'"
            if sum(each.get("weight") or 0 for each in said.get("steps") or ()) != 100:
                yield (
                    f"InferenceGraph[{name}] Node[{node}] splitter node: the sum of traffic weights for all "
                    "routing targets should be 100"
                )


def _trained(item: Object, before: Object | None) -> Iterator[str]:
    name, model = item["metadata"].get("name", ""), item["spec"]["model"]
    if not re.fullmatch("[a-zA-Z0-9_-]+", name):
        yield f'the Trained Model "{name}" is invalid: a Trained Model name must match ^[a-zA-Z0-9_-]+$'
    if not model["storageUri"].startswith(_STORES):
        yield (
            f'the Trained Model "{name}" storageUri field is invalid. The storage uri must start with one of '
            f"the prefixes: {', '.join(_STORES)}. "
            f'(the storage uri given is "{model["storageUri"]}")'
        )
    if before is not None and before["spec"]["model"].get("memory") != model.get("memory"):
        old, new = before["spec"]["model"].get("memory"), model.get("memory")
        yield (
            f'the Trained Model "{name}" memory field is immutable. The memory was "{old}" but it is updated '
            f'to "{new}"'
        )


def _runtime(item: Object, others: Sequence[Object]) -> Iterator[str]:
    spec, name, kind = item["spec"], item["metadata"]["name"], item["kind"]
    if spec.get("disabled"):
        return
    which = kind.lower()
    where = f" in namespace {item['metadata'].get('namespace', '')}" if which == "servingruntime" else ""
    for other in others:
        priorities: dict[str, int | None] = {}
        for each in spec.get("supportedModelFormats") or ():
            if each.get("autoSelect"):
                known = priorities.setdefault(each["name"], each.get("priority"))
                if known is not None and each.get("priority") not in (None, known):
                    yield (
                        f"different priorities assigned for the model format {each['name']} "
                        f"under the {which} {name}"
                    )
        if clash := _clash(spec, other["spec"], name == other["metadata"]["name"]):
            theirs = other["metadata"]["name"]
            yield (
                f"same priority assigned for the model format {clash} "
                f"in the {which}s {theirs} and {name}{where}"
            )
    own = next((each["spec"] for each in others if each["metadata"]["name"] == name), {})
    for problem in first(_workers(spec, own)):
        yield f"the {kind} {name} is invalid: {problem}"


def _clash(spec: Object, other: Object, same: bool) -> str:
    if same or other.get("disabled") or bool(spec.get("multiModel")) != bool(other.get("multiModel")):
        return ""
    if not {*(spec.get("protocolVersions") or ())} & {*(other.get("protocolVersions") or ())}:
        return ""
    for theirs in other.get("supportedModelFormats") or ():
        for ours in spec.get("supportedModelFormats") or ():
            if (
                theirs.get("autoSelect")
                and ours.get("autoSelect")
                and theirs["name"].lower() == ours["name"].lower()
                and theirs.get("version") == ours.get("version")
                and ours.get("priority") is not None
                and theirs.get("priority") == ours["priority"]
            ):
                return ours["name"]
    return ""


def _workers(spec: Object, before: Object) -> Iterator[str]:
    workers = spec.get("workerSpec")
    if before.get("workerSpec") is not None and workers is None:
        yield "removing workerSpec where it already exists is not allowed"
    if workers is None:
        return
    if len(workers.get("containers") or ()) > 1:
        yield "setting multiple containers in workerSpec is not allowed"
    main = components.container(spec.get("containers") or [], naming.CONTAINER) or {}
    for variable in main.get("env") or ():
        if variable["name"] in ("PIPELINE_PARALLEL_SIZE", "TENSOR_PARALLEL_SIZE"):
            yield f"setting {variable['name']} in environment variables is not allowed"
    for container, title in (
        (main, naming.CONTAINER),
        ((workers.get("containers") or [{}])[0], naming.WORKER),
    ):
        if _unknown_gpu(container):
            yield f"unknown GPU resource type in a container({title})"
    for key, title in (("pipelineParallelSize", "Pipeline"), ("tensorParallelSize", "Tensor")):
        if (size := workers.get(key)) is not None and size < 1:
            yield f"the WorkerSpec.{title}ParallelSize cannot be less than 1({size})"
