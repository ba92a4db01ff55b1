"""What serves and fetches models in every profile: ClusterServingRuntimes and the ClusterStorageContainer.

Source: kserve v0.16.0, config/runtimes and config/storagecontainers. Images come from the charm's resources.
A runtime without a user of its own runs as the one of its image.
"""

from __future__ import annotations

from typing import Any

from kserve_options import KServeOptions, RuntimeName
from serving_facts import Models

from kubeflow_charm import Manifest
from kubeflow_charm.images import Images, pull_secret_name

VERSION = "serving.kserve.io/v1alpha1"

IMAGES: dict[RuntimeName, str] = {
    "huggingfaceserver": "huggingfaceserver",
    "huggingfaceserver-multinode": "huggingfaceserver-gpu",
    "lgbserver": "lgbserver",
    "mlserver": "mlserver",
    "paddleserver": "paddleserver",
    "pmmlserver": "pmmlserver",
    "sklearnserver": "sklearnserver",
    "tensorflow-serving": "tensorflow-serving",
    "torchserve": "torchserve",
    "tritonserver": "tritonserver",
    "xgbserver": "xgbserver",
}
"""Runtime to what its image is for."""
_WITH_GPU = ("huggingfaceserver", "tensorflow-serving", "torchserve")
"""Runtimes to whose tag KServe adds `-gpu` where a server asks for GPUs
(pkg/controller/v1beta1/inferenceservice/utils/utils.go, UpdateImageTag)."""

Part = dict[str, Any]

_RESOURCES = {"requests": {"cpu": "1", "memory": "2Gi"}, "limits": {"cpu": "1", "memory": "2Gi"}}
_LARGE = {"requests": {"cpu": "2", "memory": "6Gi"}, "limits": {"cpu": "4", "memory": "12Gi"}}
_NAME = "--model_name={{.Name}}"
_OWN_SERVER = [_NAME, "--model_dir=/mnt/models", "--http_port=8080"]
"""The arguments of KServe's own servers."""


def gpu_images(config: KServeOptions, images: dict[str, str]) -> list[str]:
    """Return the images that KServe derives from others for servers that ask for GPUs."""
    names = [IMAGES[name] for name in config.runtimes if name in _WITH_GPU]
    tagged = [
        images[name] for name in names if "@" not in images[name] and ":" in images[name].split("/")[-1]
    ]
    return [image if image.endswith("-gpu") else f"{image}-gpu" for image in tagged]


def made(
    application: str, config: KServeOptions, images: dict[str, str], asking: Images, models: Models | None
) -> list[Manifest]:
    """Return the runtimes of the options, and what fetches models.

    Args:
        application: the application, whose name the pull secret has.
        config: the options.
        images: the images of users' pods, by what they are for.
        asking: the charm's images, which know whose registry asks for credentials.
        models: the store of models, which is reached without a proxy.
    """
    direct = [models.store.host] if models else []
    container = storage_container(config, images["storage-initializer"], direct)
    return [*runtimes(application, config, images, asking), container]


def runtimes(
    application: str, config: KServeOptions, images: dict[str, str], asking: Images
) -> list[Manifest]:
    """Return the runtimes of the options.

    Args:
        application: the application, whose name the pull secret has.
        config: the options.
        images: the images of users' pods, by what they are for.
        asking: the charm's images, which know whose registry asks for credentials.
    """
    found = []
    for name in config.runtimes:
        image = images[IMAGES[name]]
        spec = _spec(name, image)
        if asking.asks(image):
            secret = [{"name": pull_secret_name(application)}]
            spec["imagePullSecrets"] = secret
            if "workerSpec" in spec:
                spec["workerSpec"]["imagePullSecrets"] = secret
        metadata = {"name": f"kserve-{name}"}
        found.append(
            {"apiVersion": VERSION, "kind": "ClusterServingRuntime", "metadata": metadata, "spec": spec}
        )
    return found


def storage_container(config: KServeOptions, image: str, direct: list[str]) -> Manifest:
    """Return what fetches models from every store that KServe knows.

    Args:
        config: the options with the proxies.
        image: the image of the storage initializer.
        direct: hosts that need no proxy, besides those of the option and of the cluster.
    """
    container: Part = {
        "name": "storage-initializer",
        "image": image,
        "resources": {
            "requests": {"cpu": "100m", "memory": "100Mi"},
            "limits": {"cpu": "1", "memory": "1Gi"},
        },
    }
    if environment := _proxies(config, direct):
        container["env"] = environment
    prefixes = ("gs://", "s3://", "hdfs://", "hf://", "webhdfs://")
    patterns = (
        "https://(.+?).blob.core.windows.net/(.+)",
        "https://(.+?).file.core.windows.net/(.+)",
        "https?://(.+)/(.+)",
    )
    formats = [{"prefix": each} for each in prefixes] + [{"regex": each} for each in patterns]
    spec = {"container": container, "supportedUriFormats": formats, "workloadType": "initContainer"}
    return {
        "apiVersion": VERSION,
        "kind": "ClusterStorageContainer",
        "metadata": {"name": "default"},
        "spec": spec,
    }


def _proxies(config: KServeOptions, direct: list[str]) -> list[Part]:
    """Return the variables of the proxies, in both spellings: libraries differ in which they read."""
    if not (config.http_proxy or config.https_proxy):
        return []
    local = ["localhost", "127.0.0.1", ".svc", f".{config.cluster_domain}", *direct]
    values = {
        "HTTP_PROXY": config.http_proxy,
        "HTTPS_PROXY": config.https_proxy,
        "NO_PROXY": ",".join(filter(None, dict.fromkeys([*config.no_proxy.split(","), *local]))),
    }
    return [
        {"name": name, "value": value.replace("$(", "$$(")}
        for key, value in values.items()
        if value
        for name in (key, key.lower())
    ]


def _spec(name: RuntimeName, image: str) -> Part:
    """Return the specification of a runtime."""
    match name:
        case "huggingfaceserver":
            return _hugging_face(image)
        case "huggingfaceserver-multinode":
            return _multinode(image)
        case "lgbserver":
            return _runtime(_container(image, [*_OWN_SERVER, "--nthread=1"]), [_format("lightgbm", "3", 1)])
        case "mlserver":
            return _mlserver(image)
        case "paddleserver":
            return _runtime(_container(image, _OWN_SERVER), [_format("paddle", "2", 1)])
        case "pmmlserver":
            formats = [_format("pmml", version, 1) for version in ("3", "4")]
            return _runtime(_container(image, _OWN_SERVER), formats)
        case "sklearnserver":
            return _runtime(_container(image, _OWN_SERVER), [_format("sklearn", "1", 1)])
        case "tensorflow-serving":
            return _tensorflow(image)
        case "torchserve":
            return _torchserve(image)
        case "tritonserver":
            return _triton(image)
        case "xgbserver":
            return _runtime(_container(image, [*_OWN_SERVER, "--nthread=1"]), [_format("xgboost", "1", 1)])


def _runtime(
    container: Part, formats: list[Part], protocols: tuple[str, ...] = ("v1", "v2"), port: str = "8080"
) -> Part:
    """Return a runtime with one container, whose metrics are at a port."""
    return {
        "annotations": {"prometheus.kserve.io/port": port, "prometheus.kserve.io/path": "/metrics"},
        "supportedModelFormats": formats,
        "protocolVersions": list(protocols),
        "containers": [container],
    }


def _container(image: str, args: list[str] | None = None, *, user: int | None = None, **more: Any) -> Part:
    """Return the container of a server, without any right of its own."""
    security: Part = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "privileged": False,
        "runAsNonRoot": True,
    }
    if user is not None:
        security["runAsUser"] = user
    container: Part = {"name": "kserve-container", "image": image}
    if args is not None:
        container["args"] = args
    return container | {"resources": _RESOURCES, "securityContext": security} | more


def _format(name: str, version: str, priority: int) -> Part:
    """Return a format that KServe chooses a runtime for."""
    return {"name": name, "version": version, "autoSelect": True, "priority": priority}


def _hugging_face(image: str) -> Part:
    container = _container(
        image,
        [_NAME],
        env=[{"name": "LMCACHE_USE_EXPERIMENTAL", "value": "True"}],
        volumeMounts=[{"name": "devshm", "mountPath": "/dev/shm"}],  # noqa: S108 (vLLM's shared memory)
    )
    spec = _runtime(container, [_format("huggingface", "1", 1)], ("v2", "v1"))
    return spec | {"hostIPC": False, "volumes": [{"name": "devshm", "emptyDir": {"medium": "Memory"}}]}


def _mlserver(image: str) -> Part:
    environment = {
        "MLSERVER_MODEL_IMPLEMENTATION": "{{.Labels.modelClass}}",
        "MLSERVER_HTTP_PORT": "8080",
        "MLSERVER_GRPC_PORT": "9000",
        "MODELS_DIR": "/mnt/models",
    }
    formats = [
        _format("sklearn", "0", 2),
        _format("sklearn", "1", 2),
        _format("xgboost", "1", 2),
        _format("xgboost", "2", 2),
        _format("lightgbm", "3", 2),
        _format("lightgbm", "4", 2),
        _format("mlflow", "1", 1),
        _format("mlflow", "2", 1),
    ]
    variables = [{"name": name, "value": value} for name, value in environment.items()]
    return _runtime(_container(image, env=variables), formats, ("v2",))


def _tensorflow(image: str) -> Part:
    args = [
        _NAME,
        "--port=9000",
        "--rest_api_port=8080",
        "--model_base_path=/mnt/models",
        "--rest_api_timeout_in_ms=60000",
    ]
    container = _container(image, args, user=1000, command=["/usr/bin/tensorflow_model_server"])
    formats = [_format("tensorflow", version, 2) for version in ("1", "2")]
    return _runtime(container, formats, ("v1", "grpc-v1"))


def _torchserve(image: str) -> Part:
    args = [
        "torchserve",
        "--start",
        "--model-store=/mnt/models/model-store",
        "--ts-config=/mnt/models/config/config.properties",
    ]
    envelope = [{"name": "TS_SERVICE_ENVELOPE", "value": "{{.Labels.serviceEnvelope}}"}]
    container = _container(image, args, user=1000, env=envelope)
    return _runtime(container, [_format("pytorch", "1", 2)], ("v1", "v2", "grpc-v2"), "8082")


def _triton(image: str) -> Part:
    args = [
        "tritonserver",
        "--model-store=/mnt/models",
        "--grpc-port=9000",
        "--http-port=8080",
        "--allow-grpc=true",
        "--allow-http=true",
    ]
    formats = [
        _format("tensorrt", "8", 1),
        _format("tensorflow", "1", 1),
        _format("tensorflow", "2", 1),
        _format("onnx", "1", 1),
        {"name": "pytorch", "version": "1"},
        _format("triton", "2", 1),
    ]
    return _runtime(_container(image, args, user=1000), formats, ("v2", "grpc-v2"), "8002")


# Several nodes: the first pod is the head of a Ray cluster, and the others join it.

_CHECK = "python ./huggingfaceserver/health_check.py"
_URL = "--health_check_url http://localhost:8080"
_HEAD = f"""\
source=
[ -z "$MODEL_ID" ] || source=--model_dir=$MODEL_ID
[ -z "$MODEL_DIR" ] || source=--model_dir=$MODEL_DIR
export RAY_ADDRESS=$POD_IP:$RAY_PORT
ray start --head --disable-usage-stats --include-dashboard false
{_CHECK} registered_nodes --retries 200 --probe_name runtime_start
exec python -m huggingfaceserver $source --tensor-parallel-size="$TENSOR_PARALLEL_SIZE" \
--pipeline-parallel-size="$PIPELINE_PARALLEL_SIZE" "$0" "$@"
"""
_WORKER = """\
head=$HEAD_SVC.$POD_NAMESPACE.svc.cluster.local:6379
until ray health-check --address "$head"; do
  echo "$head is not there yet"
  sleep 5
done
exec ray start --address="$head" --block
"""
_FIND_HEAD = "head=$HEAD_SVC.$POD_NAMESPACE.svc.cluster.local; export RAY_ADDRESS=$head:6379; "


def _multinode(image: str) -> Part:
    """Return the runtime of models that need the GPUs of several nodes."""
    head: Part = {
        "name": "kserve-container",
        "image": image,
        "command": ["bash", "-c", _HEAD],
        "args": [_NAME],
        "env": [
            {"name": "RAY_PORT", "value": "6379"},
            _own("POD_NAMESPACE", "metadata.namespace"),
            _own("POD_IP", "status.podIP"),
            {"name": "VLLM_CONFIG_ROOT", "value": "/tmp"},  # noqa: S108 (of the container)
            {"name": "HF_HUB_CACHE", "value": "/tmp"},  # noqa: S108
        ],
        "startupProbe": _starts(
            f"{_CHECK} registered_node_and_runtime_health {_URL} --probe_name head_startup"
        ),
        "readinessProbe": _lives(f"{_CHECK} runtime_health {_URL} --probe_name head_readiness"),
        "livenessProbe": _lives(
            f"{_CHECK} registered_node_and_runtime_health {_URL} --probe_name head_liveness"
        ),
    }
    models = "--runtime_url http://$head:8080/v1/models --probe_name worker_startup"
    worker: Part = {
        "name": "worker-container",
        "image": image,
        "command": ["bash", "-c", _WORKER],
        "env": [_own("POD_NAME", "metadata.name"), _own("POD_NAMESPACE", "metadata.namespace")],
        "startupProbe": _starts(f"{_FIND_HEAD}{_CHECK} registered_node_and_runtime_models {models}"),
        "livenessProbe": _lives(f"{_FIND_HEAD}{_CHECK} registered_nodes --probe_name worker_liveness"),
    }
    common: Part = {
        "resources": _LARGE,
        "volumeMounts": [{"name": "shm", "mountPath": "/dev/shm"}],  # noqa: S108 (vLLM's shared memory)
    }
    volumes = {"volumes": [{"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "3Gi"}}]}
    spec = _runtime(head | common, [_format("huggingface", "1", 2)], ("v2", "v1")) | volumes
    workers = {"pipelineParallelSize": 1, "tensorParallelSize": 1, "containers": [worker | common]}
    return spec | {"workerSpec": workers | volumes}


def _own(name: str, field: str) -> Part:
    """Return a variable with a field of the pod."""
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": field}}}


def _lives(check: str) -> Part:
    """Return a probe of a server that runs."""
    return _asked(check, failureThreshold=2, periodSeconds=5, successThreshold=1, timeoutSeconds=15)


def _starts(check: str) -> Part:
    """Return a probe of a server that loads its model, for some twenty minutes."""
    return _asked(
        check,
        failureThreshold=40,
        initialDelaySeconds=60,
        periodSeconds=30,
        successThreshold=1,
        timeoutSeconds=30,
    )


def _asked(check: str, **times: int) -> Part:
    return {"exec": {"command": ["bash", "-c", check]}} | times
