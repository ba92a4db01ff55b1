"""Gang schedulers: Volcano, or the scheduler-plugins of Kubernetes' scheduling group.

Both have a kind PodGroup. The training operator ends at once if the kind is not there (kubeflow/trainer
v1.9.4, cmd/training-operator.v1/main.go, `validateCRD`), and Trainer looks for it only when it starts
(v2.1.0, pkg/runtime/framework/plugins). So the charm looks first.
"""

from __future__ import annotations

from training_options import TrainingConfig

from kubeflow_charm import Problem
from kubeflow_charm.cluster.executor import Cluster
from kubeflow_charm.cluster.resources import CUSTOM_RESOURCE_DEFINITION, Manifest
from kubeflow_charm.problems import blocked
from kubeflow_charm.watch import watcher

DEFINITIONS = {
    "volcano": "podgroups.scheduling.volcano.sh",
    "scheduler-plugins": "podgroups.scheduling.x-k8s.io",
}
"""Gang scheduler to the name of the definition of its PodGroup."""


def followed(config: TrainingConfig) -> tuple[watcher.Followed, ...]:
    """Return what to follow, so that a hook runs when the gang scheduler comes or goes."""
    name = DEFINITIONS.get(config.gang_scheduler)
    return () if name is None else (watcher.definition(name),)


def check(config: TrainingConfig, cluster: Cluster) -> None:
    """Check that the gang scheduler of the options is in the cluster; one request, none without one.

    Raises:
        Problem: if it is not, or if the cluster cannot be read.
    """
    name = DEFINITIONS.get(config.gang_scheduler)
    if name and not cluster.named(CUSTOM_RESOURCE_DEFINITION, name):
        raise missing(config.gang_scheduler)


def missing(scheduler: str) -> Problem:
    """Return the problem that a gang scheduler is not installed."""
    return blocked(
        f"option gang-scheduler: no CRD {DEFINITIONS[scheduler]}", f"install {scheduler}, or set none"
    )


def policy(config: TrainingConfig) -> Manifest | None:
    """Return a runtime's `podGroupPolicy`, or None without a gang scheduler.

    Source: kubeflow/trainer v2.1.0, pkg/apis/trainer/v1alpha1/trainingruntime_types.go.
    """
    policies: dict[str, Manifest | None] = {
        "none": None,
        "volcano": {"volcano": {}},
        "scheduler-plugins": {"coscheduling": {}},
    }
    return policies[config.gang_scheduler]
