"""Strategic merges of parts of pods: what is named in both is merged, other lists are replaced.

k8s.io/apimachinery v0.34, pkg/util/strategicpatch; the keys are those of k8s.io/api, core/v1/types.go. What
may surprise there, and so here: what only the original has keeps its place before what both have, and
otherwise comes last; tolerations are replaced as a whole.
"""

from __future__ import annotations

import copy
from typing import Any

from rehearsal.players.kinds import Object

_KEYS = {
    "containers": "name",
    "initContainers": "name",
    "ephemeralContainers": "name",
    "volumes": "name",
    "env": "name",
    "imagePullSecrets": "name",
    "ports": "containerPort",
    "volumeMounts": "mountPath",
    "volumeDevices": "devicePath",
    "hostAliases": "ip",
    "topologySpreadConstraints": "topologyKey",
}


def merge(original: Object, patch: Object) -> Object:
    """Return an object with a patch merged into it; what is null in the patch goes."""
    merged = copy.deepcopy(original)
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        elif isinstance(value, dict) and isinstance(merged.get(name), dict):
            merged[name] = merge(merged[name], value)
        elif isinstance(value, list) and name in _KEYS:
            merged[name] = _merge_list(merged.get(name) or [], value, _KEYS[name])
        else:
            merged[name] = copy.deepcopy(value)
    return merged


def _merge_list(original: list[Any], patch: list[Any], key: str) -> list[Any]:
    there = {each.get(key): each for each in original}
    said = {each.get(key) for each in patch}
    order = [each.get(key) for each in original]
    rest = [copy.deepcopy(each) for each in original if each.get(key) not in said]
    merged = []
    for each in patch:
        name = each.get(key)
        while rest and name in there and order.index(rest[0].get(key)) < order.index(name):
            merged.append(rest.pop(0))
        merged.append(merge(there.get(name, {}), each))
    return merged + rest
