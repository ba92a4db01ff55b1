"""What the components of an inference service run: metadata and pods, the same for every way of deploying.

kserve/kserve v0.16.0, pkg/controller/v1beta1/inferenceservice/components and utils/utils.go. What may
surprise there, and so here: arguments of a model are put after those of its runtime; the first container of a
transformer is called `kserve-container`; a container of the predictor that has the name of one of the
runtime's is there twice. Models without a place to be loaded from are not shared among servers here.
"""

from __future__ import annotations

import copy
import json
import re
from dataclasses import dataclass, field
from typing import Any

from lightkube.models import core_v1

from rehearsal.players import kinds, strategic
from rehearsal.players.api import Api
from rehearsal.players.kinds import Kind, Object
from rehearsal.players.kserve import naming, runtimes
from rehearsal.players.kserve.settings import Settings

POD_FIELDS = {*core_v1.PodSpec.__struct_fields__}
CONTAINER_FIELDS = {*core_v1.Container.__struct_fields__}
FRAMEWORKS = {
    "sklearn": "",
    "xgboost": "",
    "tensorflow": "",
    "pytorch": "",
    "triton": "v2",
    "onnx": "v2",
    "huggingface": "v2",
    "pmml": "",
    "lightgbm": "",
    "paddle": "",
}
"""The old ways to name a model's format, to the protocol that goes without saying."""

_PREFIXES = (
    "gs://",
    "s3://",
    "pvc://",
    "file://",
    "https://",
    "http://",
    "hdfs://",
    "webhdfs://",
    "oci://",
    "hf://",
)
_SHARED = ("nodeSelector", "affinity", "tolerations", "volumes", "imagePullSecrets")


@dataclass
class Part:
    """A component as it is deployed.

    Attributes:
        component: `predictor`, `transformer` or `explainer`.
        name: of the Deployment, or of the Knative Service.
        labels: of both and their pods.
        annotations: of both and their pods.
        pod: the pods' spec.
        extension: what the inference service says of scaling and the like.
        worker: the other nodes of one that has several.
        kind: of what controls all of it.
    """

    component: str
    name: str
    labels: dict[str, str]
    annotations: dict[str, str]
    pod: Object
    extension: Object
    worker: Part | None = field(default=None)
    kind: Kind = field(default=kinds.INFERENCE_SERVICE)


def source(spec: Object, component: str) -> str | None:
    """Return where a component's model is loaded from by a `storageUri`."""
    model = spec.get("model")
    if component == "predictor" and model is not None:
        return model.get("storageUri")
    for container in spec.get("containers") or ():
        if component != "predictor" or container.get("name") == naming.CONTAINER:
            for variable in container.get("env") or ():
                if variable["name"] == "STORAGE_URI":
                    return variable.get("value", "")
            return None
    return None


def predictor(api: Api, settings: Settings, isvc: Object, runtime: runtimes.Runtime | None) -> Part:
    """Return the predictor; an inference service with a model has a runtime, which has settled it.

    Raises:
        ValueError: if something does not fit.
    """
    spec = isvc["spec"]["predictor"]
    annotations = settings.annotations(isvc["metadata"].get("annotations"))
    _annotate(spec, annotations)
    _storage(spec, annotations)
    _place(api, spec, "predictor", annotations)
    from_runtime: Object = runtime.spec if runtime is not None else {}
    if runtime is not None:
        pod = _pod(isvc, runtime)
    else:
        pod = {name: copy.deepcopy(value) for name, value in spec.items() if name in POD_FIELDS}
    name = isvc["metadata"]["name"]
    return Part(
        "predictor",
        f"{name}-predictor",
        {
            **(from_runtime.get("labels") or {}),
            **(isvc["metadata"].get("labels") or {}),
            **(spec.get("labels") or {}),
            naming.SERVICE_LABEL: name,
            "component": "predictor",
        },
        {
            **settings.annotations(from_runtime.get("annotations")),
            **annotations,
            **settings.annotations(spec.get("annotations")),
        },
        pod,
        spec,
    )


def other(api: Api, settings: Settings, isvc: Object, component: str) -> Part:
    """Return the transformer or the explainer."""
    spec, name = isvc["spec"][component], isvc["metadata"]["name"]
    annotations = settings.annotations(isvc["metadata"].get("annotations"))
    _place(api, spec, component, annotations)
    _annotate(spec, annotations)
    pod = {key: copy.deepcopy(value) for key, value in spec.items() if key in POD_FIELDS}
    if art := spec.get("art"):
        pod["containers"] = [_art(settings, isvc, spec, art), *(pod.get("containers") or [])[1:]]
    else:
        _arguments(pod["containers"][0], isvc, spec)
    return Part(
        component,
        f"{name}-{component}",
        {
            **(isvc["metadata"].get("labels") or {}),
            **(spec.get("labels") or {}),
            naming.SERVICE_LABEL: name,
            "component": component,
        },
        {**annotations, **settings.annotations(spec.get("annotations"))},
        pod,
        spec,
    )


def container(containers: list[Object], name: str) -> Object | None:
    """Return the container of a name."""
    return next((each for each in containers if each.get("name") == name), None)


def merge_container(original: Object, said: Object) -> Object:
    """Return a runtime's container with what an inference service says of it."""
    merged = strategic.merge(original, {key: value for key, value in said.items() if key in CONTAINER_FIELDS})
    merged["name"] = merged.get("name") or original["name"]
    merged["args"] = [*(original.get("args") or []), *(said.get("args") or [])]
    if not merged["args"]:
        del merged["args"]
    return merged


def merge_pod(runtime: Object, said: Object) -> Object:
    """Return a pod's spec: of the runtime what all its pods share, and what the inference service says."""
    shared = {name: runtime[name] for name in _SHARED if runtime.get(name)}
    return strategic.merge(shared, {key: value for key, value in said.items() if key in POD_FIELDS})


def fill(item: Object, isvc: Object) -> Object:
    """Return a container with the placeholders of its runtime filled in."""
    metadata = isvc["metadata"]
    values = {
        "Name": metadata["name"],
        "Namespace": metadata["namespace"],
        "Labels": metadata.get("labels") or {},
        "Annotations": metadata.get("annotations") or {},
    }
    text = re.sub(r"\{\{(.*?)\}\}", lambda found: found[0].replace('\\"', '"'), json.dumps(item))
    return json.loads(naming.fill(text, values))


def _pod(isvc: Object, runtime: runtimes.Runtime) -> Object:
    spec, model = isvc["spec"]["predictor"], isvc["spec"]["predictor"]["model"]
    theirs = runtime.spec.get("containers") or []
    if not theirs:
        raise runtimes.Unservable(
            "InvalidPredictorSpec",
            "No container configuration found in selected serving runtime",
            "No container configuration found in selected serving runtime",
        )
    main = container(theirs, naming.CONTAINER)
    if main is None:
        message = f"failed to find {naming.CONTAINER} in ServingRuntime containers"
        raise runtimes.Unservable("InvalidPredictorSpec", message, message)
    merged = fill(merge_container(main, model), isvc)
    runtimes.image(merged, model.get("runtimeVersion"), runtime.name)
    pod = merge_pod(runtime.spec, spec)
    own = spec.get("containers") or []
    side = [container(each, naming.TRANSFORMER) for each in (theirs, own)]
    beside = []
    if all(side):
        beside = [fill(merge_container(*side), isvc)]  # type: ignore[arg-type]
    elif any(side):
        beside = [fill(side[0] or side[1] or {}, isvc)]
    pod["containers"] = [
        merged,
        *beside,
        *(copy.deepcopy(e) for e in theirs if e["name"] not in (naming.CONTAINER, naming.TRANSFORMER)),
        *(copy.deepcopy(each) for each in own if each.get("name") != naming.TRANSFORMER),
    ]
    return pod


def _place(api: Api, spec: Object, component: str, annotations: dict[str, str]) -> None:
    """Annotate where the model is loaded from, for the webhook that sees to it."""
    uri = source(spec, component)
    if uri is None:
        return
    if component == "predictor" and naming.SOURCE in annotations:
        raise ValueError("must provide only one of storageUri and storage.path")
    annotations[naming.SOURCE] = uri
    if not supported(api, uri):
        raise ValueError(
            f"StorageURI not supported: storageUri, must be one of: [{', '.join(_PREFIXES)}] or match "
            "https://{}.blob.core.windows.net/{}/{} or be an absolute or relative local path. "
            f"StorageUri [{uri}] is not supported"
        )


def supported(api: Api, uri: str) -> bool:
    """Tell whether a model can be loaded from there."""
    if storage_container(api, uri) is not None or not re.search(r"\w+?://", uri):
        return True
    if "blob.core.windows.net" in uri:
        return bool(re.fullmatch(r"https://(.+?).blob.core.windows.net/(.+)", uri))
    return uri.startswith(_PREFIXES)


def storage_container(api: Api, uri: str) -> Object | None:
    """Return the spec of the ClusterStorageContainer that loads from there."""
    for each in api.items(kinds.CLUSTER_STORAGE_CONTAINER, ""):
        if each.get("disabled") or each["spec"].get("workloadType", "initContainer") != "initContainer":
            continue
        for form in each["spec"].get("supportedUriFormats") or ():
            if (form.get("prefix") and uri.startswith(form["prefix"])) or (
                form.get("regex") and re.search(form["regex"], uri)
            ):
                return each["spec"]
    return None


def _storage(spec: Object, annotations: dict[str, str]) -> None:
    """Annotate what a model's `storage` says."""
    storage = (spec.get("model") or {}).get("storage")
    if storage is None:
        return
    annotations[f"{naming.INTERNAL}/storage-spec"] = "true"
    if storage.get("parameters") is not None:
        said = json.dumps(storage["parameters"], sort_keys=True, separators=(",", ":"))
        annotations[f"{naming.INTERNAL}/storage-spec-param"] = said
    if storage.get("key") is not None:
        annotations[f"{naming.INTERNAL}/storage-spec-key"] = storage["key"]
    if storage.get("path") is not None:
        annotations[naming.SOURCE] = f"<scheme-placeholder>://{storage['path'].removeprefix('/')}"


def _annotate(spec: Object, annotations: dict[str, str]) -> None:
    """Annotate what the agent beside a component is to do, for the webhook that adds it."""
    if logger := spec.get("logger"):
        annotations[f"{naming.INTERNAL}/logger"] = "true"
        if "url" in logger:
            annotations[f"{naming.INTERNAL}/logger-sink-url"] = logger["url"]
        annotations[f"{naming.INTERNAL}/logger-mode"] = logger.get("mode", "")
        for key, word in (("metadataHeaders", "headers"), ("metadataAnnotations", "annotations")):
            if logger.get(key) is not None:
                annotations[f"{naming.INTERNAL}/logger-metadata-{word}"] = ",".join(logger[key])
    if (batcher := spec.get("batcher")) is not None:
        annotations[f"{naming.INTERNAL}/batcher"] = "true"
        for key, word in (("maxBatchSize", "batchsize"), ("maxLatency", "latency")):
            if batcher.get(key) is not None:
                annotations[f"{naming.INTERNAL}/batcher-max-{word}"] = str(batcher[key])


def _arguments(main: Object, isvc: Object, spec: Object) -> None:
    """Tell a transformer or an explainer of its model and predictor, unless it has been told."""
    metadata = isvc["metadata"]
    wanted: list[tuple[str, Any]] = [
        ("--model_name", metadata["name"]),
        ("--predictor_host", f"{metadata['name']}-predictor.{metadata['namespace']}"),
        ("--http_port", str(naming.HTTP_PORT)),
        ("--workers", spec.get("containerConcurrency")),
    ]
    args = list(main.get("args") or [])
    for name, value in wanted:
        if value is not None and not any(each.partition("=")[0] == name for each in args):
            args += [name, str(value)]
    main["args"] = args


def _art(settings: Settings, isvc: Object, spec: Object, art: Object) -> Object:
    """Return the container of the robustness toolbox; what it is told of the model comes first."""
    said = settings.section("explainers").get("art") or {}
    version = art.get("runtimeVersion") or said.get("defaultImageVersion", "")
    config = [
        word for name, value in sorted((art.get("config") or {}).items()) for word in (f"--{name}", value)
    ]
    given = {name: copy.deepcopy(value) for name, value in art.items() if name in CONTAINER_FIELDS}
    metadata, args = isvc["metadata"], given.get("args") or []
    wanted: list[tuple[str, Any]] = [
        ("--model_name", metadata["name"]),
        ("--http_port", str(naming.HTTP_PORT)),
        ("--predictor_host", f"{metadata['name']}-predictor.{metadata['namespace']}"),
        ("--workers", spec.get("containerConcurrency")),
    ]
    told = [
        word
        for name, value in wanted
        if value is not None and not any(each.partition("=")[0] == name for each in args)
        for word in (name, str(value))
    ]
    if art.get("storageUri"):
        told += ["--storage_uri", naming.MODELS]
    told += ["--adversary_type", art.get("type", "")]
    return {
        **given,
        "name": naming.CONTAINER,
        "image": given.get("image") or f"{said.get('image', '')}:{version}",
        "args": [*told, *config, *args],
    }


def mount(container: Object, name: str, read_only: bool, inside: str = "", path: str = naming.MODELS) -> None:
    """Mount a volume in a container, unless it is; `inside` is a path of the volume."""
    mounts = container.get("volumeMounts") or []
    if any(each["name"] == name for each in mounts):
        return
    mount: dict[str, Any] = {"name": name, "mountPath": path}
    if read_only:
        mount["readOnly"] = True
    if inside:
        mount["subPath"] = inside
    container["volumeMounts"] = [*mounts, mount]


def volume(spec: Object, name: str, source: Object) -> None:
    """Add a volume to a pod's specification, unless one of its name is there."""
    if not any(each["name"] == name for each in spec.get("volumes") or ()):
        spec["volumes"] = [*(spec.get("volumes") or []), {"name": name, **source}]
