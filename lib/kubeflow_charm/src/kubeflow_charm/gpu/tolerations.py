"""The tolerations that pods get for the taints of nodes: one spelling for each key.

A pod can get tolerations for one key from several sides: the form for notebooks (or the defaults of runs),
our PodDefaults, and a PodDefault that a user wrote. The PodDefaults webhook (kubeflow/kubeflow v1.10.0,
components/admission-webhook/main.go, `mergeTolerations`) tells them apart by their key alone. It compares the
last toleration that the pod itself has for a key with those of all PodDefaults, and refuses the pod unless
they are equal in every field: one that merely includes the other is a conflict, too.

So everything that we write has the same toleration for a key, whichever pool it is for:

- Written like the taint, `{key, Equal, value, effect}`, because users write theirs like the taint.
- With `Exists` if the taint has no value, or if nodes have several values for the key.
- Without effect if nodes have several effects for the key.
- `{key, Exists, NoSchedule}` for a device's own key where the API server itself adds this to every pod that
  asks for the device (Kubernetes' admission plugin ExtendedResourceToleration).

All nodes count for this, those without GPUs too. Then charms agree although their options differ.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Literal

import pydantic

from kubeflow_charm.cluster.resources import Manifest
from kubeflow_charm.watch.digests import PASSING_TAINTS

_CONTROL_PLANE = {"node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master"}

_TOLERATED_BY_API_SERVER = {"cloud.google.com/gke-nodepool", "eks.amazonaws.com/nodegroup"}
"""Labels of nodes on clusters with ExtendedResourceToleration: GKE, which it was made for
(kubernetes/kubernetes#55839), and EKS since 1.19 (aws/containers-roadmap#739)."""

ByDefault = Literal["all", "devices", "none"]
"""The taints that pods tolerate if their user chooses nothing: all taints of nodes with GPUs, those with a
device's own key only, or none."""


class Taint(pydantic.BaseModel):
    """A taint that a pod must tolerate to run on a node, and may."""

    model_config = pydantic.ConfigDict(frozen=True, defer_build=True)

    key: str
    value: str = ""
    effect: Literal["NoSchedule", "NoExecute"]


class Toleration(pydantic.BaseModel):
    """The one toleration that we write for a key."""

    model_config = pydantic.ConfigDict(frozen=True, defer_build=True)

    key: str
    value: str = ""
    """The value to tolerate; any if empty."""
    effect: str = ""
    """The effect to tolerate; any if empty."""

    @property
    def manifest(self) -> Manifest:
        """The toleration as core/v1 has it."""
        operator = {"operator": "Equal", "value": self.value} if self.value else {"operator": "Exists"}
        return {"key": self.key, **operator, **({"effect": self.effect} if self.effect else {})}

    def is_for_device(self, resources: Iterable[str]) -> bool:
        """Return whether the key has the domain of one of these extended resources: it is a device's own."""
        return self.key.partition("/")[0] in {resource.partition("/")[0] for resource in resources}


def taints(node: Manifest) -> Iterator[Taint]:
    """Yield the taints of a node that pods of users must tolerate.

    Taints with PreferNoSchedule keep no pod off. Taints of a node's health and of a control plane should keep
    pods off.
    """
    for taint in (node.get("spec") or {}).get("taints") or []:
        key, effect = taint["key"], taint.get("effect")
        if effect not in ("NoSchedule", "NoExecute"):
            continue
        if not PASSING_TAINTS.fullmatch(key) and key not in _CONTROL_PLANE:
            yield Taint(key=key, value=taint.get("value") or "", effect=effect)


def is_control_plane(node: Manifest) -> bool:
    """Return whether a node is kept for the control plane."""
    return any(taint["key"] in _CONTROL_PLANE for taint in (node.get("spec") or {}).get("taints") or [])


def spellings(nodes: Collection[Manifest]) -> Mapping[str, Toleration]:
    """Return the toleration for each key that taints of these nodes have: all nodes of a cluster."""
    by_key: dict[str, set[Taint]] = defaultdict(set)
    for node in nodes:
        for taint in taints(node):
            by_key[taint.key].add(taint)
    from_api_server = _tolerated_by_api_server(nodes)
    return {key: _spelling(key, by_key[key], any_value=key in from_api_server) for key in sorted(by_key)}


def _spelling(key: str, found: set[Taint], *, any_value: bool) -> Toleration:
    values = {taint.value for taint in found}
    effects: set[str] = {taint.effect for taint in found}
    value = values.pop() if len(values) == 1 and not any_value else ""
    return Toleration(key=key, value=value, effect=effects.pop() if len(effects) == 1 else "")


def _tolerated_by_api_server(nodes: Iterable[Manifest]) -> set[str]:
    """Return the extended resources for which the API server adds a toleration to pods that ask for them."""
    resources: set[str] = set()
    managed = False
    for node in nodes:
        managed = managed or bool(_TOLERATED_BY_API_SERVER & (node["metadata"].get("labels") or {}).keys())
        resources |= ((node.get("status") or {}).get("capacity") or {}).keys()
    return {resource for resource in resources if "/" in resource} if managed else set()
