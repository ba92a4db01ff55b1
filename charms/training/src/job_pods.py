"""The pods of jobs: the labels that the controllers give them, and what places them on GPUs or off them."""

from __future__ import annotations

from training_options import TrainingConfig

from kubeflow_charm import Manifest
from kubeflow_charm.gpu import admission
from kubeflow_charm.gpu.pools import Gpus

OPERATOR = "kubeflow-training-jobs"
"""The name of what places the training operator's pods."""
JOBSET = "kubeflow-training-jobsets"
"""The name of what places the pods of JobSets, and so those of TrainJobs."""

_JOB = "training.kubeflow.org/job-name"
_CONTROLLER = "training.kubeflow.org/operator-name"
"""Labels of its pods (kubeflow/trainer v1.9.4, pkg/apis/kubeflow.org/v1/common_types.go)."""
_JOBSET = "jobset.sigs.k8s.io/jobset-name"
_GROUP = "jobset.sigs.k8s.io/replicatedjob-name"
"""Labels of the pods of JobSets (kubernetes-sigs/jobset v0.10.1, api/jobset/v1alpha2/jobset_types.go)."""

_GROUPS = ["node", "launcher", "dataset-initializer", "model-initializer"]
"""The groups of Jobs that the runtimes have, ours and those that clients make."""


def policies(config: TrainingConfig, gpus: Gpus, *, served: bool) -> list[Manifest]:
    """Return what places the pods of jobs, as `admission.pod_policies` does; nothing without GPUs.

    A policy selects all pods of the controllers. A PodDefault needs a label and its value: so it selects the
    pods of each controller of the training operator, and those of the groups that runtimes have.

    Args:
        config: the options, which say whose jobs there are.
        gpus: the cluster's GPUs.
        served: whether the API server has policies that change pods.

    Raises:
        Problem: if the nodes have too many taints or models for a policy.
    """
    placed: list[Manifest] = []
    if config.kinds:
        controllers = [f"{kind.lower()}-controller" for kind in config.kinds]
        selector = _any(_JOB) if served else _any(_JOB, _CONTROLLER, controllers)
        placed += admission.pod_policies(OPERATOR, gpus, selector, served)
    if config.trainer:
        selector = _any(_JOBSET) if served else _any(_JOBSET, _GROUP, _GROUPS)
        placed += admission.pod_policies(JOBSET, gpus, selector, served)
    return placed


def _any(label: str, key: str = "", values: list[str] | None = None) -> Manifest:
    """Return the selector of pods that have a label, and one of some values of another."""
    expressions: list[Manifest] = [{"key": label, "operator": "Exists"}]
    if values:
        expressions.append({"key": key, "operator": "In", "values": values})
    return {"matchExpressions": expressions}
