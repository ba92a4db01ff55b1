"""Thirty InferenceServices as users write them, other objects of KServe's, and objects that are wrong at one place."""

from __future__ import annotations

import copy
from typing import Any

Object = dict[str, Any]

MODE = "serving.kserve.io/deploymentMode"
S3 = {"storageUri": "s3://mlpipeline/models/ada/iris"}
GPU = {"resources": {"limits": {"nvidia.com/gpu": "1", "memory": "16Gi"}, "requests": {"cpu": "500m"}}}
TOLERATION = {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}


def service(name: str, predictor: Object, **more: Any) -> Object:
    """Return an InferenceService; `annotations` and `labels` are its metadata."""
    metadata: Object = {"name": name}
    metadata |= {key: more.pop(key) for key in ("annotations", "labels") if key in more}
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": metadata,
        "spec": {"predictor": predictor} | more,
    }


def model(name: str, **more: Any) -> Object:
    """Return a predictor by the format of its model."""
    return {"model": {"modelFormat": {"name": name}} | more}


_RAW, _KNATIVE = {MODE: "Standard"}, {MODE: "Knative"}
_CONTAINER = {"name": "kserve-container", "image": "example.com/server:1", "args": ["--model_name", "m"]}
_SCALED = {"minReplicas": 0, "maxReplicas": 5, "scaleTarget": 10, "scaleMetric": "concurrency"}
_KEDA = {
    "autoScaling": {
        "metrics": [
            {
                "type": "Resource",
                "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}},
            },
            {
                "type": "External",
                "external": {
                    "metric": {"backend": "prometheus", "serverAddress": "http://prometheus", "query": "up"},
                    "target": {"type": "Value", "value": "100"},
                },
            },
        ]
    }
}

SERVICES: list[Object] = [
    service("sklearn", model("sklearn", **S3) | {"serviceAccountName": "kserve-s3"}),
    service("sklearn-v2", model("sklearn", **S3, protocolVersion="v2", runtime="kserve-mlserver")),
    service("old-way", {"sklearn": {**S3, "resources": {"requests": {"cpu": "100m"}}}}),
    service("xgboost", model("xgboost", storageUri="gs://bucket/xgb"), annotations=_RAW),
    service(
        "lightgbm", {"lightgbm": {"storageUri": "https://example.com/m.bst", "runtimeVersion": "v0.16.0"}}
    ),
    service("paddle", model("paddle", storageUri="pvc://models/paddle"), annotations=_KNATIVE),
    service("pmml", model("pmml", storageUri="hdfs://namenode/m.pmml")),
    service("tensorflow", model("tensorflow", storageUri="s3://b/m", runtimeVersion="2.16.1")),
    service("torch", model("pytorch", storageUri="s3://b/t", protocolVersion="v2") | {"timeout": 120}),
    service("onnx", {"onnx": {"storageUri": "s3://b/o"}}),
    service(
        "triton",
        {
            "triton": {
                "storageUri": "gs://b/triton",
                "protocolVersion": "grpc-v2",
                "ports": [{"name": "h2c", "containerPort": 9000}],
            }
        },
    ),
    service("mlflow", model("mlflow", storageUri="s3://mlflow/1/run/artifacts/model", protocolVersion="v2")),
    service(
        "llama",
        model(
            "huggingface",
            args=["--model_id=meta-llama/Llama-3.2-1B"],
            storageUri="hf://meta-llama/Llama-3.2-1B",
            **GPU,
        ),
    ),
    service("custom", {"containers": [_CONTAINER]}),
    service(
        "custom-probed", {"containers": [_CONTAINER | {"readinessProbe": {"httpGet": {"path": "/ready"}}}]}
    ),
    service(
        "with-transformer", model("sklearn", **S3), transformer={"containers": [_CONTAINER | {"name": "t"}]}
    ),
    service("gpu-transformer", model("pytorch", **S3), transformer={"containers": [_CONTAINER | GPU]}),
    service(
        "explained",
        model("sklearn", **S3),
        explainer={"art": {"type": "SquareAttack", "config": {"nb": "1"}}},
    ),
    service("canary", model("sklearn", **S3) | {"canaryTrafficPercent": 10}),
    service("scaled", model("sklearn", **S3) | _SCALED | {"containerConcurrency": 5}),
    service(
        "keda",
        model("sklearn", **S3) | _KEDA,
        annotations=_RAW | {"serving.kserve.io/autoscalerClass": "keda"},
    ),
    service(
        "logged",
        model("sklearn", **S3) | {"logger": {"mode": "all", "url": "http://sink", "metadataHeaders": ["x"]}},
    ),
    service("batched", model("sklearn", **S3) | {"batcher": {"maxBatchSize": 32, "maxLatency": 500}}),
    service(
        "tolerant",
        model("sklearn", **S3, **GPU) | {"tolerations": [TOLERATION], "nodeSelector": {"pool": "a"}},
    ),
    service(
        "strategic",
        model("sklearn", **S3)
        | {
            "deploymentStrategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxSurge": "50%", "maxUnavailable": 0},
            }
        },
        annotations=_RAW,
    ),
    service(
        "several",
        model("sklearn")
        | {"storageUris": [{"uri": "s3://b/1", "mountPath": "/mnt/models/1"}, {"uri": "s3://b/2"}]},
    ),
    service(
        "by-spec", model("sklearn", storage={"key": "mine", "path": "iris", "parameters": {"bucket": "b"}})
    ),
    service(
        "multi-node",
        model("huggingface", storageUri="pvc://llm/model", **GPU)
        | {
            "workerSpec": {
                "pipelineParallelSize": 2,
                "tensorParallelSize": 1,
                "containers": [{"name": "worker-container"} | GPU],
            }
        },
        annotations=_RAW | {"serving.kserve.io/autoscalerClass": "none"},
    ),
    service("modelcar", model("sklearn", storageUri="oci://quay.io/me/model:1")),
    service(
        "own-volumes",
        {
            "containers": [_CONTAINER | {"volumeMounts": [{"name": "data", "mountPath": "/data"}]}],
            "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data", "readOnly": True}}],
        },
        labels={"networking.kserve.io/visibility": "cluster-local"},
    ),
]

OTHERS: list[Object] = [
    {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "InferenceGraph",
        "metadata": {"name": "graph"},
        "spec": {
            "nodes": {
                "root": {
                    "routerType": "Sequence",
                    "steps": [
                        {"serviceName": "sklearn", "name": "a"},
                        {"serviceName": "xgboost", "data": "$request", "dependency": "Hard"},
                    ],
                }
            },
            "minReplicas": 1,
        },
    },
    {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "TrainedModel",
        "metadata": {"name": "more"},
        "spec": {
            "inferenceService": "triton",
            "model": {"framework": "pytorch", "memory": "1Gi", "storageUri": "s3://b/m"},
        },
    },
    {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "ServingRuntime",
        "metadata": {"name": "mine"},
        "spec": {
            "supportedModelFormats": [{"name": "mine", "version": "1", "autoSelect": True, "priority": 1}],
            "protocolVersions": ["v2"],
            "containers": [{"name": "kserve-container", "image": "example.com/mine:1"}],
        },
    },
    {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "LLMInferenceService",
        "metadata": {"name": "llm"},
        "spec": {
            "model": {"uri": "hf://Qwen/Qwen2.5-7B-Instruct", "name": "Qwen/Qwen2.5-7B-Instruct"},
            "replicas": 2,
            "parallelism": {"tensor": 2},
            "router": {"scheduler": {}, "route": {}, "gateway": {}},
            "template": {"containers": [{"name": "main", **GPU}]},
            "prefill": {"replicas": 1, "template": {"containers": [{"name": "main", **GPU}]}},
        },
    },
]
"""A graph, a model of a running server, a runtime of a profile's own, a language model."""


def changed(example: Object, path: tuple[str | int, ...], value: Any) -> Object:
    """Return an object that differs at one place."""
    found = copy.deepcopy(example)
    place: Any = found
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return found


_MODEL = ("spec", "predictor", "model")
WRONG: list[tuple[Object, str]] = [
    (changed(SERVICES[0], ("metadata", "name"), "a" * 54), "metadata.name"),
    (changed(SERVICES[0], ("metadata", "name"), "1st"), "metadata.name"),
    (changed(SERVICES[0], ("metadata", "name"), "a.b"), "metadata.name"),
    (changed(SERVICES[0], (*_MODEL, "storageURI"), "s3://b/m"), "storageURI"),
    (changed(SERVICES[0], (*_MODEL, "resources"), {"limits": {"memory": "2.0GB"}}), "memory"),
    (changed(SERVICES[0], ("spec", "predictor", "minReplicas"), "1"), "minReplicas"),
    (changed(SERVICES[0], ("spec", "predictor", "scaleMetric"), "gpu"), "scaleMetric"),
    (
        changed(SERVICES[13], ("spec", "predictor", "containers", 0, "ports"), [{"containerPort": "80"}]),
        "containerPort",
    ),
    (changed(SERVICES[0], ("spec", "predictors"), {}), "predictors"),
    (changed(SERVICES[21], ("spec", "predictor", "logger", "mode"), "some"), "mode"),
    (changed(SERVICES[25], ("spec", "predictor", "storageUris", 0, "mountPath"), "models"), "mountPath"),
    (changed(OTHERS[0], ("spec", "nodes", "root", "routerType"), "Tree"), "routerType"),
    (changed(OTHERS[1], ("spec", "model", "memory"), "much"), "memory"),
    (changed(OTHERS[2], ("spec", "supportedModelFormats", 0, "priority"), 0), "priority"),
    (changed(OTHERS[3], ("spec", "parallelism", "tensor"), 0), "tensor"),
]
"""Objects, and the place that the API server blames."""
