"""Near the pod that has a volume already: what can be mounted on one node only is mounted there."""

from __future__ import annotations

from rehearsal.players.kinds import Object


def preferring(node: str) -> Object:
    """Return the affinity of a pod that had better be on this node."""
    expression = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
    term = {"weight": 100, "preference": {"matchExpressions": [expression]}}
    return {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [term]}}


def claims(pod: Object) -> list[str]:
    """Return the names of the claims that a pod mounts, one for each volume."""
    volumes = [each.get("persistentVolumeClaim") for each in pod["spec"].get("volumes", ())]
    return [volume["claimName"] for volume in volumes if volume]
