"""The pods of jobs: the labels that the controllers give them, and what places them on GPUs or off them."""

from __future__ import annotations

from training_options import TrainingConfig

from kubeflow_charm import Manifest
from kubeflow_charm.gpu import admission
from kubeflow_charm.gpu.pools import Gpus

OPERATOR = ("kubeflow-training-jobs", "training.kubeflow.org/job-name")
"""The policy of the training operator's pods, and their label (kubeflow/trainer v1.9.4,
pkg/apis/kubeflow.org/v1/common_types.go, `JobNameLabel`)."""
JOBSET = ("kubeflow-training-jobsets", "jobset.sigs.k8s.io/jobset-name")
"""The policy of JobSets' pods, and so of TrainJobs', and their label (kubernetes-sigs/jobset v0.10.1,
api/jobset/v1alpha2/jobset_types.go, `JobSetNameKey`)."""


def policies(config: TrainingConfig, gpus: Gpus, *, served: bool) -> list[Manifest]:
    """Return what places the pods of jobs, as `admission.pod_policies` does; nothing without GPUs.

    Args:
        config: the options, which say whose jobs there are.
        gpus: the cluster's GPUs.
        served: whether the API server has policies that change pods.
    """
    run = ([OPERATOR] if config.kinds else []) + ([JOBSET] if config.trainer else [])
    return [
        policy
        for name, label in run
        for policy in admission.pod_policies(
            name, gpus, {"matchExpressions": [{"key": label, "operator": "Exists"}]}, served
        )
    ]
