"""Whether a live object already is what would be applied, decided without writing.

Two facts together are exact. The applied-hash annotation says that what we last applied is what we would
apply now; `managedFields` says that every field we applied is still ours. Another writer that changes or
removes one of our fields takes it out of our set, and a field that others add leaves our set alone.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from kubeflow_charm.cluster.resources import Manifest

APPLIED_HASH = "kubeflow-charm/applied-hash"


def stamp(manifest: Manifest) -> None:
    """Write the hash of a document into its own annotations."""
    annotations = manifest["metadata"].setdefault("annotations", {})
    annotations.pop(APPLIED_HASH, None)
    canonical = json.dumps(manifest, sort_keys=True, separators=(",", ":"))
    annotations[APPLIED_HASH] = hashlib.sha256(canonical.encode()).hexdigest()[:32]


class Settled:
    """Tells whether objects are settled, and remembers which fields were complete.

    Thousands of objects may differ in nothing but their namespace. They have one hash and mostly the same
    fields, so those are compared once.

    Args:
        manager: the field manager.
    """

    def __init__(self, manager: str):
        self._manager = manager
        self._whole: dict[str, dict[str, Any]] = {}
        """Hash of a document to fields that are complete for it."""

    def is_settled(self, desired: Manifest, live: Manifest | None) -> bool:
        """Whether applying `desired`, stamped, would change nothing in `live`."""
        if live is None:
            return False
        digest = desired["metadata"]["annotations"][APPLIED_HASH]
        if (live["metadata"].get("annotations") or {}).get(APPLIED_HASH) != digest:
            return False
        fields = applied_fields(live, self._manager)
        if fields is None:
            return False
        if fields == self._whole.get(digest):
            return True
        body = {key: desired[key] for key in desired if key not in ("apiVersion", "kind")}
        # The name and the namespace are nobody's field.
        body["metadata"] = {k: v for k, v in body["metadata"].items() if k in ("labels", "annotations")}
        if owned(body, fields):
            self._whole[digest] = fields
            return True
        return False


def applied_fields(live: Manifest, manager: str) -> dict[str, Any] | None:
    """Return the `fieldsV1` that server-side apply keeps for `manager`, or None."""
    for entry in live["metadata"].get("managedFields") or []:
        ours = entry.get("manager") == manager and entry.get("operation") == "Apply"
        if ours and not entry.get("subresource"):
            return entry.get("fieldsV1") or {}
    return None


def owned(desired: Any, fields: dict[str, Any]) -> bool:
    """Whether every field of `desired` is in `fields`, a node of `fieldsV1`.

    The format is that of sigs.k8s.io/structured-merge-diff: `f:` a field, `k:` an item of a list by its
    keys, `v:` an item of a set, `.` the item itself; an empty node is a leaf, owned whole.
    """
    if not fields:
        return True
    if isinstance(desired, dict):
        return all(
            f"f:{key}" in fields and owned(value, fields[f"f:{key}"]) for key, value in desired.items()
        )
    if isinstance(desired, list):
        keyed = [(json.loads(k[2:]), node) for k, node in fields.items() if k.startswith("k:")]
        if keyed:
            return all(_owned_item(item, keyed) for item in desired)
        values = {json.dumps(json.loads(k[2:])) for k in fields if k.startswith("v:")}
        return all(json.dumps(item) in values for item in desired)
    return True


def _owned_item(item: Any, keyed: list[tuple[dict[str, Any], dict[str, Any]]]) -> bool:
    """Whether one item of a list with map keys is ours. A key left out of `item` was defaulted."""
    for keys, node in keyed:
        if all(item[key] == value for key, value in keys.items() if key in item):
            return owned(item, node)
    return False
