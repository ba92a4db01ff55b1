"""What a TrainJob changes of the pods of its runtime, merged as Kubernetes merges pods.

k8s.io/api v0.34, core/v1/types.go: which lists are merged, and by which key. kubeflow/trainer v2.1.0,
pkg/runtime/core/trainingruntime.go. The directives of a strategic merge patch, `$patch` and the like, are not
played.
"""

from __future__ import annotations

import copy
from typing import Any

from rehearsal.players.kinds import Object

_KEYS = {
    "containers": "name",
    "initContainers": "name",
    "volumes": "name",
    "env": "name",
    "imagePullSecrets": "name",
    "schedulingGates": "name",
    "volumeMounts": "mountPath",
}
"""Lists of a pod that are merged; the others are put anew."""


def merged(said: Any, patch: Any, field: str = "") -> Any:
    """Return a value with a patch; what is null in it goes."""
    if isinstance(said, dict) and isinstance(patch, dict):
        found = dict(said)
        for name, value in patch.items():
            if value is None:
                found.pop(name, None)
            else:
                found[name] = merged(said.get(name), value, name)
        return found
    if isinstance(said, list) and isinstance(patch, list) and field in _KEYS:
        return _by_key(said, patch, _KEYS[field])
    return copy.deepcopy(patch)


def upsert(items: list[Object] | None, new: list[Object], key: str = "name") -> list[Object]:
    """Return a list with further items, each in the place of the one that it replaces."""
    found = list(items or ())
    for item in new:
        at = next((at for at, each in enumerate(found) if each.get(key) == item.get(key)), None)
        if at is None:
            found.append(item)
        else:
            found[at] = item
    return found


def _by_key(said: list[Object], patch: list[Object], key: str) -> list[Object]:
    """Return a merged list; Kubernetes puts what is new before what was there."""
    known = {each.get(key): each for each in patch}
    there = [merged(each, known.pop(each.get(key), {})) for each in said]
    return [*known.values(), *there]
