"""CRDs that somebody else manages: who manages them, and whether their schema serves us.

A type exists once in a cluster, even if several installations bring it, such as Argo by Helm and Argo by us.
A CRD is shared if somebody else created it or writes its schema. `managedFields` shows this: in server-side
apply, a manager of the field `spec.group` or `spec.versions` has written it. Managers of smaller fields do
not count: a program that injects the CA bundle of a conversion webhook, or one that labels or annotates the
CRD, or the API server, which writes the subresource `status`.

We never overwrite the schema of a shared CRD. To release a CRD, we remove our labels and our entry in
`managedFields`, and nothing else. A CRD without any manager belongs to nobody, and we take it if we need it.
"""

from __future__ import annotations

from typing import Any

from kubeflow_charm.cluster.ownership import INSTANCE, PART_OF
from kubeflow_charm.cluster.resources import Manifest
from kubeflow_charm.cluster.settled import APPLIED_HASH

_MADE, _SCHEMA = "f:group", "f:versions"
_NOBODY = "before-first-apply"
"""The manager that the API server invents for existing fields when somebody first applies an object
(k8s.io/apimachinery v0.36, pkg/util/managedfields/internal/skipnonapplied.go)."""
_OPEN = "x-kubernetes-preserve-unknown-fields"


def other_managers(crd: Manifest, ours: str) -> tuple[str, ...]:
    """Return the others who created a CRD or write its schema, sorted.

    Args:
        crd: as the API server has it; metadata is enough.
        ours: our field manager.
    """
    found = {
        entry.get("manager") or "another"
        for entry in _entries(crd)
        if entry.get("manager") not in (ours, _NOBODY) and _spec(entry).keys() & {_MADE, _SCHEMA}
    }
    return tuple(sorted(found))


def is_our_schema(crd: Manifest, ours: str) -> bool:
    """Whether only we write a CRD's schema, even if somebody else created the CRD."""
    writers = {entry.get("manager") for entry in _entries(crd) if _SCHEMA in _spec(entry)}
    return writers - {_NOBODY} == {ours}


def release_patch(crd: Manifest, ours: str) -> dict[str, Any]:
    """Return the merge patch that releases a CRD: it removes our labels, our annotation and our fields.

    Fields without a manager stay as they are. A list with one empty entry clears `managedFields`
    (https://kubernetes.io/docs/reference/using-api/server-side-apply/#clearing-managedfields).
    """
    metadata = crd["metadata"]
    labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    others = [entry for entry in metadata.get("managedFields") or [] if entry.get("manager") != ours]
    return {
        "metadata": {
            "resourceVersion": metadata["resourceVersion"],
            "managedFields": others or [{}],
            "labels": {key: None for key in (INSTANCE, PART_OF) if key in labels},
            "annotations": {key: None for key in (APPLIED_HASH,) if key in annotations},
        }
    }


def shortcoming(wanted: Manifest, existing: Manifest) -> str:
    """Return why an existing CRD does not serve us, or an empty text if it does.

    It serves us if it has the same names and scope, serves every version of ours with the same subresources,
    keeps every field of our schema, and gives no field another type.
    """
    ours, theirs = wanted["spec"], existing["spec"]
    if ours["scope"] != theirs["scope"]:
        return f"its scope is {theirs['scope']}"
    if ours["names"]["kind"] != theirs["names"]["kind"]:
        return f"its kind is {theirs['names']['kind']}"
    versions = {version["name"]: version for version in theirs["versions"] if version.get("served")}
    for version in ours["versions"]:
        if not version.get("served"):
            continue
        name = version["name"]
        if name not in versions:
            return f"{name} is not served"
        found = _version_shortcoming(version, versions[name])
        if found:
            return f"{name}: {found}"
    return ""


def _version_shortcoming(ours: dict[str, Any], theirs: dict[str, Any]) -> str:
    for name in ours.get("subresources") or {}:
        if name not in (theirs.get("subresources") or {}):
            return f"no subresource {name}"
    return _schema_shortcoming(_schema(ours), _schema(theirs), "")


def _schema_shortcoming(ours: dict[str, Any], theirs: dict[str, Any], path: str) -> str:
    """Compare two nodes of structural schemas, and the nodes below them."""
    if theirs.get("type") and ours.get("type") and theirs["type"] != ours["type"]:
        return f"{path or 'it'} is of type {theirs['type']}"
    for name, node in (ours.get("properties") or {}).items():
        place = f"{path}.{name}" if path else name
        if name in (theirs.get("properties") or {}):
            found = _schema_shortcoming(node, theirs["properties"][name], place)
        elif isinstance(theirs.get("additionalProperties"), dict):
            found = _schema_shortcoming(node, theirs["additionalProperties"], place)
        elif theirs.get(_OPEN) or theirs.get("additionalProperties") is True or _is_implied(path, name):
            continue
        else:
            found = f"no field {place}"
        if found:
            return found
    for key in ("items", "additionalProperties"):
        if isinstance(ours.get(key), dict) and isinstance(theirs.get(key), dict):
            found = _schema_shortcoming(ours[key], theirs[key], f"{path}[]")
            if found:
                return found
    return ""


def _is_implied(path: str, name: str) -> bool:
    """Whether every object has a field even if its schema does not name it."""
    return not path and name in ("apiVersion", "kind", "metadata")


def _schema(version: dict[str, Any]) -> dict[str, Any]:
    return (version.get("schema") or {}).get("openAPIV3Schema") or {}


def _entries(crd: Manifest) -> list[dict[str, Any]]:
    entries = crd["metadata"].get("managedFields") or []
    return [entry for entry in entries if not entry.get("subresource")]


def _spec(entry: dict[str, Any]) -> dict[str, Any]:
    return (entry.get("fieldsV1") or {}).get("f:spec") or {}
