"""Remove KServe's finalizers when its controllers go, so that objects can be deleted without them.

Sources: kserve v0.16.0, pkg/controller: v1beta1/inferenceservice, v1alpha1/{trainedmodel,localmodel,llmisvc}.
"""

from __future__ import annotations

from kserve_options import KServeOptions

from kubeflow_charm.cluster import finalizers
from kubeflow_charm.cluster.executor import Cluster
from kubeflow_charm.cluster.resources import WORKLOAD, Kind

_ALPHA, _BETA = "serving.kserve.io/v1alpha1", "serving.kserve.io/v1beta1"
_HELD = [
    finalizers.Held(Kind(_ALPHA, "TrainedModel", "trainedmodels", WORKLOAD), "trainedmodel.finalizer"),
    finalizers.Held(
        Kind(_BETA, "InferenceService", "inferenceservices", WORKLOAD), "inferenceservice.finalizers"
    ),
]
_LLM = [
    finalizers.Held(
        Kind(_ALPHA, "LLMInferenceService", "llminferenceservices", WORKLOAD),
        "serving.kserve.io/llmisvc-finalizer",
    )
]
_LOCAL = [
    finalizers.Held(
        Kind(_ALPHA, "LocalModelCache", "localmodelcaches", WORKLOAD, namespaced=False),
        "localmodel.kserve.io/finalizer",
    )
]


def released(cluster: Cluster, application: str) -> None:
    """Remove the finalizers of all controllers, after the last pod has ended."""
    finalizers.release(cluster, application, [*_HELD, *_LLM, *_LOCAL])


def released_of_parts(cluster: Cluster, application: str, config: KServeOptions) -> None:
    """Remove the finalizers of controllers that options have switched off, while others go on."""
    held = [*([] if config.llm_inference else _LLM), *([] if config.local_models else _LOCAL)]
    if held:
        finalizers.release(cluster, application, held, wait=False)
