"""What of an object matters to the charm, in a few bytes.

Two things do. What a status speaks of, or what decides where pods can run: any change of that is news. And
the fields that the charm has applied: news is only what others do to them, since a hook need not hear of its
own writes. `managedFields` tells them apart. A writer that changes or removes one of our fields takes it out
of our entry and leaves the entry's time alone; the time changes when we write (Kubernetes 1.36,
k8s.io/apimachinery/pkg/apis/meta/v1/types.go, ManagedFieldsEntry.Time).
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
"""Keys of taints that come and go with a node's health and life: nothing is decided by them."""

Item = dict[str, Any]
"""An object, or its metadata only."""


class Digest(NamedTuple):
    """What of an object matters, in short."""

    state: bytes
    """What is news whoever changes it; empty if nothing is."""
    applied: bytes
    """The fields that the charm applied and still has; empty if there are none."""
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
        matters: a name in `STATES`, or `APPLIED`.
        manager: our field manager.
    """
    state = b"" if matters == APPLIED else STATES[matters](item)
    for entry in item["metadata"].get("managedFields") or []:
        ours = entry.get("manager") == manager and entry.get("operation") == "Apply"
        if ours and not entry.get("subresource"):
            return Digest(state, _hashed(entry.get("fieldsV1")), entry.get("time") or "")
    return Digest(state, b"", "")


def status_digest(item: Item, *, whole: bool = False) -> bytes:
    """Return what of an object a status speaks of, in short.

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
    """Return what of a node decides where pods can run, in short: labels, taints, and devices.

    Whether it is ready at the moment does not count, nor what the kubelet reports again and again.
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


STATES: dict[str, Callable[[Item], bytes]] = {
    "status": status_digest,
    "spec": partial(status_digest, whole=True),
    "placement": node_digest,
}
"""What is news whoever changes it: what a status speaks of; labels, finalizers and spec as well; what decides
where pods can run."""
APPLIED = "applied"
"""Nothing but our own fields matters."""


def place(item: Item) -> str:
    """Return what tells an object from all others of its kind."""
    return f"{item['metadata'].get('namespace', '')}/{item['metadata']['name']}"


def _hashed(facts: Any) -> bytes:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).digest()[:16]
