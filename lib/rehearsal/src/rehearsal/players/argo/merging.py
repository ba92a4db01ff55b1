"""Merge documents: onto defaults, and as Kubernetes merges a patch into a pod."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_KEYS = {
    "containers": "name",
    "initContainers": "name",
    "env": "name",
    "volumes": "name",
    "volumeMounts": "mountPath",
    "imagePullSecrets": "name",
}
"""The field by which a strategic merge patch identifies a list's items (k8s.io/api, core/v1/types.go)."""


def with_defaults(defaults: Any, document: Any) -> Any:
    """Return a document merged onto defaults: mappings key by key, anything else as a whole."""
    if isinstance(defaults, dict) and isinstance(document, dict):
        keys = [*defaults, *(key for key in document if key not in defaults)]
        return {
            key: with_defaults(defaults.get(key), document[key]) if key in document else defaults[key]
            for key in keys
        }
    return document


def patched(spec: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """Return a pod's spec, or a part of it, with a strategic merge patch applied.

    In the patch, null deletes a field; `$patch` is not supported.
    """
    result = {key: value for key, value in spec.items() if patch.get(key, "") is not None}
    for key, value in patch.items():
        if isinstance(value, dict):
            result[key] = patched(spec.get(key) or {}, value)
        elif isinstance(value, list) and key in _KEYS:
            result[key] = _items(spec.get(key) or [], value, _KEYS[key])
        elif value is not None:
            result[key] = value
    return result


def _items(items: list[dict[str, Any]], patch: list[dict[str, Any]], field: str) -> list[dict[str, Any]]:
    result = {item[field]: item for item in items}
    for item in patch:
        result[item[field]] = patched(result.get(item[field], {}), item)
    return list(result.values())
