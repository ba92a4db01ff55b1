"""Getting pods onto GPUs, and off them: the pieces of Kubernetes objects that a pool gives."""

from __future__ import annotations

from kubeflow_charm.cluster.resources import Manifest
from kubeflow_charm.gpu.pools import GpuPool, Gpus

POOL_LABEL = "kubeflow.org/gpu-pool"
"""On pods that got a pool's PodDefault, so that what they hold can be counted by pool."""


def onto(pool: GpuPool) -> Manifest:
    """Return the affinity of a pod that runs on a pool's nodes only."""
    expressions = [
        {"key": label.key, "operator": "In", "values": list(label.values)}  # codespell:ignore
        for label in pool.labels
    ]
    terms = [{"matchExpressions": expressions}]
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}


def away_from(gpus: Gpus) -> Manifest:
    """Return the affinity of a pod that runs on nodes without GPUs as long as they have room.

    It does no harm to a pod that asks for a GPU: only nodes with one are left for that.
    """
    expressions = []
    telling = [pool.labels[0] for pool in gpus.pools]
    for key in sorted({label.key for label in telling}):
        values = sorted({value for label in telling if label.key == key for value in label.values})
        expressions.append({"key": key, "operator": "NotIn", "values": values})
    preference = {"weight": 100, "preference": {"matchExpressions": expressions}}
    return {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [preference]}}


def pod_default(pool: GpuPool) -> Manifest:
    """Return the PodDefault that lets a pod run on a pool's nodes.

    Pods with the label `gpu-<pool>: "true"` get it; the spawner offers it as a configuration by its `desc`.
    It has no namespace: the resource dispatcher puts it into every profile.
    """
    name = f"gpu-{pool.name}"
    spec: Manifest = {
        "desc": f"Run on {pool.title}",
        "selector": {"matchLabels": {name: "true"}},
        "labels": {POOL_LABEL: pool.name},
    }
    if pool.taints:
        spec["tolerations"] = pool.tolerations
    return {
        "apiVersion": "kubeflow.org/v1alpha1",
        "kind": "PodDefault",
        "metadata": {"name": name},
        "spec": spec,
    }
