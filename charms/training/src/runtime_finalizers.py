"""Remove Trainer's finalizer from runtimes when Trainer goes, so that runtimes can be deleted without it.

Trainer puts `trainer.kubeflow.org/resource-in-use` on every runtime that a TrainJob names (kubeflow/trainer
v2.1.0, pkg/controller).
"""

from __future__ import annotations

from kubeflow_charm.cluster import finalizers
from kubeflow_charm.cluster.executor import Cluster
from kubeflow_charm.cluster.resources import WORKLOAD, Kind

FINALIZER = "trainer.kubeflow.org/resource-in-use"

_VERSION = "trainer.kubeflow.org/v1alpha1"
_HELD = [
    finalizers.Held(
        Kind(_VERSION, "ClusterTrainingRuntime", "clustertrainingruntimes", WORKLOAD, namespaced=False),
        FINALIZER,
    ),
    finalizers.Held(Kind(_VERSION, "TrainingRuntime", "trainingruntimes", WORKLOAD), FINALIZER),
]


def release(cluster: Cluster, application: str, *, removed: bool) -> None:
    """Remove the finalizer from all runtimes, whoever made them; never raises for a remote cause.

    Args:
        cluster: the application's cluster.
        application: the application's name.
        removed: whether the application goes, so that its last pod is waited for; otherwise the option
            `trainer` is off, and the application's other pods go on running.
    """
    finalizers.release(cluster, application, _HELD, wait=removed)
