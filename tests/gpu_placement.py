"""Whether the API server places pods as the cluster's GPUs ask for: it learns policies in its own time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from kubeflow_platform import NODE_FILES, Platform

from kubeflow_charm.cluster.resources import Manifest
from kubeflow_charm.gpu import placement
from kubeflow_charm.gpu.pools import Gpus, discover
from rehearsal.cluster import nodes


def having(platform: Platform, file: str) -> Gpus:
    """Give the cluster the nodes of a file, and return its GPUs."""
    platform.have_nodes(file)
    return discover(nodes.load(NODE_FILES / f"{file}.yaml"))


def is_as(gpus: Gpus, dry_run: Callable[[Mapping[str, int]], Manifest]) -> bool:
    """Return whether pods are placed as the GPUs ask for.

    Args:
        gpus: of the cluster.
        dry_run: returns the spec, as it would be stored, of a pod that asks for some resources.
    """
    keys: dict[str, set[str]] = {pool.resource: set() for pool in gpus.pools}
    for pool in gpus.pools:
        keys[pool.resource] |= {each.key for each in pool.tolerated}
    otherwise = {each.key for each in gpus.tolerated} if gpus.tainted_only else set()
    wanted: list[tuple[Mapping[str, int], set[str], Any]] = [({}, otherwise, placement.away_from(gpus))]
    wanted += [({resource: 1}, expected, None) for resource, expected in keys.items()]
    specs = [dry_run(asks) for asks, _, _ in wanted]
    found = [(tolerated(spec), spec.get("affinity")) for spec in specs]
    return found == [(expected, affinity) for _, expected, affinity in wanted]


def bare_pod(name: str, labels: Mapping[str, str], asks: Mapping[str, int], **spec: Any) -> Manifest:
    """Return a pod that keeps the rules of a profile and fits on none of the platform's own nodes."""
    limits = {"cpu": "1", "memory": "1Gi", **{key: str(each) for key, each in asks.items()}}
    container = {
        "name": "main",
        "image": "example.com/program:1",
        "resources": {"limits": limits},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    context = {"runAsNonRoot": True, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": dict(labels)},
        "spec": {"containers": [container], "securityContext": context, **spec},
    }


def tolerated(spec: Manifest) -> set[str]:
    """Return the keys that a pod tolerates, beyond those that every pod does."""
    keys = [each.get("key", "") for each in spec["tolerations"]]
    assert len(keys) == len(set(keys))
    return set(keys) - {"node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"}
