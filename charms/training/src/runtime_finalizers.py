"""Remove Trainer's finalizer from runtimes when Trainer goes, so that runtimes can be deleted without it.

Trainer puts `trainer.kubeflow.org/resource-in-use` on every runtime that a TrainJob names (kubeflow/trainer
v2.1.0, pkg/controller). If it stayed, the deletion of a runtime would hang without a controller. A new
controller adds it again.
"""

from __future__ import annotations

import logging

from lightkube import ALL_NS
from lightkube.types import PatchType

from kubeflow_charm import Problem
from kubeflow_charm.cluster import errors
from kubeflow_charm.cluster.executor import Cluster
from kubeflow_charm.cluster.resources import WORKLOAD, Kind

logger = logging.getLogger(__name__)

FINALIZER = "trainer.kubeflow.org/resource-in-use"

_VERSION = "trainer.kubeflow.org/v1alpha1"
_RUNTIMES = (
    Kind(_VERSION, "ClusterTrainingRuntime", "clustertrainingruntimes", WORKLOAD, namespaced=False),
    Kind(_VERSION, "TrainingRuntime", "trainingruntimes", WORKLOAD),
)


def release(cluster: Cluster, application: str) -> None:
    """Remove the finalizer from all runtimes, whoever made them.

    Never raises for a remote cause: it logs the failure.

    Args:
        cluster: the application's cluster.
        application: the application's name.
    """
    for kind in _RUNTIMES:
        try:
            with errors.explained(kind.plural, application):
                _release(cluster, kind)
        except Problem as problem:
            if not errors.is_missing(problem.__cause__):  # the type went with its last object
                logger.error("%s may not be deletable: %s", kind.plural, problem)


def _release(cluster: Cluster, kind: Kind) -> None:
    everywhere = {"namespace": ALL_NS} if kind.namespaced else {}
    for runtime in cluster.client.list(kind.resource, **everywhere):
        metadata = runtime["metadata"]
        held = metadata.get("finalizers") or []
        if FINALIZER not in held:
            continue
        rest = [each for each in held if each != FINALIZER]
        where = {"namespace": metadata["namespace"]} if kind.namespaced else {}
        patch = {"metadata": {"finalizers": rest or None}}
        cluster.client.patch(kind.resource, metadata["name"], patch, patch_type=PatchType.MERGE, **where)
