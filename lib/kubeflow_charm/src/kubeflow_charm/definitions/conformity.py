"""Check a value against a structural schema: a part of an option that Kubernetes will read.

The API server does the same for objects. A part of an option ends up in the file of a program, which may look
at it much later.
"""

from __future__ import annotations

import re
from typing import Any

from kubeflow_charm.definitions.embedded import Node

_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
}
_ARTICLES = {"integer": "an integer", "array": "a list", "object": "an object"}


def fault(value: Any, node: Node, place: str = "") -> str:
    """Return the first fault as `<place>: <reason>`, or an empty text if the value conforms.

    It checks types, unknown and required fields, patterns and choices, as schemas of Kubernetes' types have.

    Args:
        value: the value, as YAML or JSON has it.
        node: the schema.
        place: the place of the value, such as `env[0].name`.
    """
    if node.get("x-kubernetes-int-or-string"):
        reason = _scalar_fault(value, node, "an integer or text", isinstance(value, int | str))
        return _at(place, reason)
    kind = node.get("type")
    if kind is None:
        return ""
    fits = isinstance(value, _TYPES[kind])
    if reason := _scalar_fault(value, node, _ARTICLES.get(kind, f"a {kind}"), fits):
        return _at(place, reason)
    if kind == "array":
        return _first(fault(item, node["items"], f"{place}[{n}]") for n, item in enumerate(value))
    return _object_fault(value, node, place) if kind == "object" else ""


def _scalar_fault(value: Any, node: Node, wanted: str, fits: bool) -> str:
    # In Python, true is a number as well.
    if not fits or (isinstance(value, bool) and node.get("type") != "boolean"):
        return f"should be {wanted}"
    if "enum" in node and value not in node["enum"]:
        return f"should be one of {', '.join(map(str, node['enum']))}"
    if "pattern" in node and isinstance(value, str) and not re.search(node["pattern"], value):
        return f"{value[:40]!r} does not match"
    return ""


def _object_fault(value: dict[str, Any], node: Node, place: str) -> str:
    fields = node.get("properties") or {}
    for name in node.get("required", ()):
        if name not in value:
            return _at(place, f"{name} is missing")
    others = node.get("additionalProperties")
    for name, item in value.items():
        inner = f"{place}.{name}" if place else str(name)
        if not isinstance(name, str):
            return _at(place, f"{name!r} is no text")
        if name in fields:
            found = fault(item, fields[name], inner)
        elif isinstance(others, dict):
            found = fault(item, others, inner)
        elif others or node.get("x-kubernetes-preserve-unknown-fields"):
            found = ""
        else:
            found = _at(inner, "no such field")
        if found:
            return found
    return ""


def _first(faults: Any) -> str:
    return next(filter(None, faults), "")


def _at(place: str, reason: str) -> str:
    return f"{place}: {reason}" if place and reason else reason
