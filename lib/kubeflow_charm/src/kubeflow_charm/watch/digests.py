"""Digests of the parts of an object that matter to the charm, in a few bytes.

Two parts matter. One is the state that a status shows, or that decides where pods can run: any change of it
is news. The other is the fields that the charm has applied: only changes by others are news, because a hook
need not see its own writes. `managedFields` distinguishes the two. If another writer changes or removes one
of our fields, the field leaves our entry, and the entry's time stays the same. If we write, the time changes
(Kubernetes 1.36, k8s.io/apimachinery/pkg/apis/meta/v1/types.go, ManagedFieldsEntry.Time).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

PASSING_TAINTS = re.compile(
    r"(.*\.)?node(\.cloudprovider)?\.kubernetes\.io/.*|karpenter\.sh/.*|.*(Of|By)ClusterAutoscaler"
)
"""Keys of taints that come and go with a node's health and life; we ignore them."""

Item = dict[str, Any]
"""An object, or its metadata only."""


class Digest(NamedTuple):
    """The parts of an object that matter, hashed."""

    state: bytes
    """The state that is news whoever changes it; empty if there is none."""
    applied: bytes
    """The fields that the charm applied and still owns; empty if there are none."""
    written: str
    """When the charm last wrote."""


def is_news(before: Digest | None, after: Digest | None) -> bool:
    """Whether a hook should see the difference. None stands for no object."""
    if before is None:
        return after is not None and bool(after.state)
    if after is None:
        return bool(before.state or before.applied)
    if before.state != after.state:
        return True
    return before.applied != after.applied and (not after.applied or before.written == after.written)


def digest(item: Item, matters: str, manager: str) -> Digest:
    """Return the digest of an object.

    Args:
        item: the object.
        matters: a name in `STATES`, `APPLIED` or `PRESENCE`.
        manager: our field manager.
    """
    state = _BARE[matters] if matters in _BARE else STATES[matters](item)
    for entry in item["metadata"].get("managedFields") or []:
        ours = entry.get("manager") == manager and entry.get("operation") == "Apply"
        if ours and not entry.get("subresource"):
            return Digest(state, _hashed(entry.get("fieldsV1")), entry.get("time") or "")
    return Digest(state, b"", "")


def status_digest(item: Item, *, whole: bool = False) -> bytes:
    """Return a digest of the fields that a status shows.

    Args:
        item: the object.
        whole: whether its labels, finalizers, generation and spec count, too.
    """
    metadata, status = item["metadata"], item.get("status") or {}
    facts: dict[str, Any] = {
        "uid": metadata.get("uid"),
        "deleted": "deletionTimestamp" in metadata,
        "status": {
            key: value
            for key, value in status.items()
            if key.endswith("eplicas") or key in ("observedGeneration", "phase", "reason")
        },
        "conditions": [
            [each.get("type"), each.get("status"), each.get("reason")]
            for each in status.get("conditions") or []
        ],
        "containers": [
            [state, detail.get("reason")]
            for key in ("initContainerStatuses", "containerStatuses")
            for container in status.get(key) or []
            for when in ("state", "lastState")
            for state, detail in (container.get(when) or {}).items()
        ],
    }
    if whole:
        facts |= {key: metadata.get(key) for key in ("labels", "finalizers", "generation")}
        facts |= {"spec": item.get("spec")}
    return _hashed(facts)


def node_digest(item: Item) -> bytes:
    """Return a digest of what decides where pods can run: a node's labels, taints and devices.

    The node's readiness does not count, and neither do the regular reports of the kubelet.
    """
    status = item.get("status") or {}
    taints = (item.get("spec") or {}).get("taints") or []
    facts = {
        "labels": item["metadata"].get("labels"),
        "taints": [taint for taint in taints if not PASSING_TAINTS.fullmatch(taint["key"])],
        "devices": [
            {name: amount for name, amount in (status.get(key) or {}).items() if "/" in name}
            for key in ("capacity", "allocatable")
        ],
    }
    return _hashed(facts)


def data_digest(item: Item) -> bytes:
    """Return a digest of the data of a ConfigMap."""
    return _hashed([item.get("data"), item.get("binaryData")])


STATES: dict[str, Callable[[Item], bytes]] = {
    "status": status_digest,
    "spec": partial(status_digest, whole=True),
    "placement": node_digest,
    "data": data_digest,
}
"""What is news whoever changes it: what a status speaks of; labels, finalizers and spec as well; what decides
where pods can run; the data of a ConfigMap."""
APPLIED = "applied"
"""Nothing but our own fields matters."""
PRESENCE = "presence"
"""It matters that the object is there, and nothing else."""
_BARE = {APPLIED: b"", PRESENCE: b"there"}
"""What needs no more than an object's metadata, to its state."""


def place(item: Item) -> str:
    """Return the namespace and name of an object."""
    return f"{item['metadata'].get('namespace', '')}/{item['metadata']['name']}"


def _hashed(facts: Any) -> bytes:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).digest()[:16]
