"""The pods of models: the labels that the controllers give them, and what places them on GPUs or off them."""

from __future__ import annotations

from kserve_options import KServeOptions

from kubeflow_charm import Manifest
from kubeflow_charm.gpu import admission
from kubeflow_charm.gpu.pools import Gpus
from kubeflow_charm.images import pull_secret_name
from kubeflow_charm.webhooks.pod_policies import pull_policy

SERVICES = "kserve-inferenceservices"
"""The name of what places the pods of InferenceServices, and the workers of those on several nodes."""
GRAPHS = "kserve-inferencegraphs"
"""The name of what places the routers of InferenceGraphs."""
LLMS = "kserve-llminferenceservices"
"""The name of what places the pods of LLMInferenceServices."""

_SERVICE = "serving.kserve.io/inferenceservice"
_GRAPH = "serving.kserve.io/inferencegraph"
_COMPONENT, _COMPONENTS = "component", ["predictor", "transformer", "explainer"]
"""Labels of their pods, also on Knative, which hands them on (kserve v0.16.0, pkg/constants/constants.go)."""
_PART, _LLM = "app.kubernetes.io/part-of", "llminferenceservice"
"""The label of all pods of LLMInferenceServices, also the schedulers' (pkg/controller/v1alpha1/llmisvc)."""


def policies(config: KServeOptions, gpus: Gpus, *, served: bool) -> list[Manifest]:
    """Return what places the pods of models, as `admission.pod_policies` does; nothing without GPUs.

    A policy selects all pods of a kind. A PodDefault needs a label and its value: so it selects by component,
    and leaves out the routers of graphs, which ask for no GPU.

    Args:
        config: the options, which say whose pods there are.
        gpus: the cluster's GPUs.
        served: whether the API server has policies that change pods.

    Raises:
        Problem: if the nodes have too many taints or models for a policy.
    """
    services: list[Manifest] = [_exists(_SERVICE)]
    if not served:
        services.append({"key": _COMPONENT, "operator": "In", "values": _COMPONENTS})
    placed = admission.pod_policies(SERVICES, gpus, {"matchExpressions": services}, served)
    if served:
        placed += admission.pod_policies(GRAPHS, gpus, {"matchExpressions": [_exists(_GRAPH)]}, served)
    if config.llm_inference:
        placed += admission.pod_policies(LLMS, gpus, {"matchLabels": {_PART: _LLM}}, served)
    return placed


def pulling(application: str) -> list[Manifest]:
    """Return the policy that names the pull secret of profiles in all pods of models.

    A runtime names it as well. But KServe adds containers of ours to pods of others, too.
    """
    return pull_policy(pull_secret_name(application), (_SERVICE, _GRAPH, f"{_PART}={_LLM}"))


def _exists(label: str) -> Manifest:
    return {"key": label, "operator": "Exists"}
