"""Values of the Kubernetes API as a Go program compares and prints them: k8s.io/api v0.28, core/v1.

A Go struct has all its fields, so one that is left out and one that is empty are the same; but a pointer
to an empty value is not the same as none. Printed with `%#v`, a struct shows its fields, and of what is
behind a pointer only an address, which is nowhere the same twice: here it is a row of zeros.
"""

from __future__ import annotations

import json
from typing import Any

_PLAIN_BOOLEANS = frozenset(("readOnly", "stdin", "stdinOnce", "tty"))
_PLAIN_NUMBERS = frozenset(
    (
        "containerPort",
        "failureThreshold",
        "hostPort",
        "initialDelaySeconds",
        "periodSeconds",
        "successThreshold",
        "timeoutSeconds",
    )
)
_PLAIN_STRUCTS = frozenset(("resources",))

_STRUCTS = {
    "EnvVar": {"name": "", "value": "", "valueFrom": "*v1.EnvVarSource"},
    "VolumeMount": {
        "name": "",
        "readOnly": "bool",
        "mountPath": "",
        "subPath": "",
        "mountPropagation": "*v1.MountPropagationMode",
        "subPathExpr": "",
    },
    "Toleration": {"key": "", "operator": "", "value": "", "effect": "", "tolerationSeconds": "*int64"},
}
"""Fields in their order; the type of each that is no string."""


def same(one: Any, other: Any) -> bool:
    """Tell whether two values, as JSON has them, are deeply equal when a Go program has read them."""
    return _read(one) == _read(other)


def shown(kind: str, value: dict[str, Any]) -> str:
    """Return a struct of core/v1 in Go's syntax; of a volume or a container, no more than its name."""
    if kind not in _STRUCTS:
        return f"v1.{kind}{{Name:{quoted(value['name'])}, ...}}"
    fields = (
        f"{name[0].upper()}{name[1:]}:{_field(value.get(name), type_)}"
        for name, type_ in _STRUCTS[kind].items()
    )
    return f"v1.{kind}{{{', '.join(fields)}}}"


def quoted(text: str) -> str:
    """Return a string in Go's syntax."""
    return json.dumps(text, ensure_ascii=False)


def _field(value: Any, kind: str) -> str:
    if kind.startswith("*"):
        return f"({kind})(nil)" if value is None else f"({kind})(0xc000000000)"
    return str(bool(value)).lower() if kind == "bool" else quoted(value or "")


def _read(value: Any) -> Any:
    if isinstance(value, list):
        return [_read(each) for each in value]
    if not isinstance(value, dict):
        return value
    read = {name: _read(each) for name, each in value.items()}
    return {name: each for name, each in read.items() if not _is_nothing(name, each)}


def _is_nothing(name: str, value: Any) -> bool:
    """Tell whether a field is as if it were not there."""
    return (
        value is None
        or value == ""
        or (value is False and name in _PLAIN_BOOLEANS)
        or (value == 0 and name in _PLAIN_NUMBERS)
        or (value == {} and name in _PLAIN_STRUCTS)
    )
