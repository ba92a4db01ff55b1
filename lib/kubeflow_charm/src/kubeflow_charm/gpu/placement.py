"""Affinities and PodDefaults that bring pods to a pool of GPUs, or keep them off."""

from __future__ import annotations

from kubeflow_charm.cluster.resources import Manifest
from kubeflow_charm.gpu.pools import GpuPool, Gpus


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

    It does no harm to a pod that asks for a GPU: such a pod fits only nodes with GPUs.
    """
    expressions = []
    identifying = [pool.labels[0] for pool in gpus.pools]
    for key in sorted({label.key for label in identifying}):
        values = sorted({value for label in identifying if label.key == key for value in label.values})
        expressions.append({"key": key, "operator": "NotIn", "values": values})
    preference = {"weight": 100, "preference": {"matchExpressions": expressions}}
    return {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [preference]}}


def pod_default(pool: GpuPool) -> Manifest:
    """Return the PodDefault that lets a pod run on a pool's nodes.

    Pods with the label `gpu-<pool>: "true"` get it; the spawner offers it as a configuration by its `desc`.
    It has no namespace: the resource dispatcher puts it into every profile.

    It has nothing but tolerations, which are the same in all pools that have the key: then a pod may have
    several of these PodDefaults. Even a label with a value for each pool would be a conflict.
    """
    name = f"gpu-{pool.name}"
    spec: Manifest = {
        "desc": f"Run on {pool.title}",
        "selector": {"matchLabels": {name: "true"}},
    }
    if pool.tolerated:
        spec["tolerations"] = pool.tolerations
    return {
        "apiVersion": "kubeflow.org/v1alpha1",
        "kind": "PodDefault",
        "metadata": {"name": name},
        "spec": spec,
    }
