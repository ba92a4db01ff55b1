"""What a Go program can read: an object that does not fit its types makes a whole list fail.

Upstream's controllers list and watch typed objects. Where one field has the wrong JSON type, or a quantity
does not parse, client-go gives up the list, and the controller sees no object of that kind any more, whoever
they belong to. So the players' followers check what they list. Fields that Go does not know it leaves out,
null is nothing, and what is required it does not ask for.

Katib's own definitions take everything, so one experiment that a typed client cannot read stops all of them.

The fields are in `shapes`. The rules are those of encoding/json, and of UnmarshalJSON in k8s.io/apimachinery
v0.36.3, pkg/api/resource/quantity.go, pkg/util/intstr/intstr.go and pkg/apis/meta/v1/time.go.
"""

from __future__ import annotations

import datetime
import json
import re
import sys
from collections.abc import Callable, Mapping
from typing import Any

from lightkube.core.resource import api_info
from lightkube.models import core_v1

from rehearsal.players import shapes
from rehearsal.players.kinds import Kind, Object

_QUANTITY = re.compile(
    r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([KMGTPE]i|[numkMGTPE]?|[eE][+-]?[0-9]+)",
)
_WRONG_QUANTITY = (
    "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
)
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
_LONG = {
    "activeDeadlineSeconds",
    "expirationSeconds",
    "fsGroup",
    "runAsGroup",
    "runAsUser",
    "seconds",
    "supplementalGroups",
    "terminationGracePeriodSeconds",
    "tolerationSeconds",
}
"""Fields of Kubernetes with integers of 64 bits; the others have 32."""
_AMOUNTS = {"hard", "limits", "overhead", "requests"}
"""Fields of Kubernetes that map resources to quantities; other maps hold text."""


class Undecodable(ValueError):
    """A Go program cannot read an object."""


def check(kind: Kind, item: Object) -> None:
    """Read an object as a Go program does; kinds of Kubernetes itself are the API server's to check.

    Raises:
        Undecodable: with the object and what Go says.
    """
    shape = shapes.KINDS.get(api_info(kind).resource.kind)
    if shape is None:
        return
    try:
        _read(item, shape, api_info(kind).resource.kind, "")
    except Undecodable as error:
        metadata = item["metadata"]
        name = "/".join(filter(None, (metadata.get("namespace"), metadata.get("name"))))
        raise Undecodable(f"{name}: {error}") from None


def read(value: Any, shape: Any, struct: str) -> None:
    """Read what is no object of the cluster: a configuration, say.

    Args:
        value: what is read.
        shape: as in this module: names of types, lightkube's models, and lists and structs of such.
        struct: what Go calls it.

    Raises:
        Undecodable: with what Go says.
    """
    _read(value, shape, struct, "")


def _read(value: Any, shape: Any, struct: str, field: str) -> None:
    """Check a value that a field of a struct has."""
    if value is None:
        return
    if isinstance(shape, str):
        _read_named(value, shape, struct, field)
    elif isinstance(shape, list):
        for each in _expect(value, list, struct, field, "slice"):
            _read(each, shape[0], struct, field)
    elif isinstance(shape, dict):
        for name, each in _expect(value, dict, struct, field, "struct").items():
            if name in shape:
                _read(each, shape[name], struct if name in ("spec", "status") else field or struct, name)
    else:
        fields = shape.__annotations__
        for name, each in _expect(value, dict, struct, field, shape.__name__).items():
            if name in fields:
                _read(each, _shape(shape, fields[name]), shape.__name__, name)


def _shape(model: type, annotation: str) -> Any:
    """Return what an annotation of lightkube's says: a name, a model, or a list of such."""
    if annotation.startswith("Optional["):
        annotation = annotation[len("Optional[") : -1]
    if annotation.startswith("List["):
        return [_shape(model, annotation[len("List[") : -1])]
    if annotation in ("str", "int", "bool", "float", "dict"):
        return annotation
    if (last := annotation.rpartition(".")[2]) in _NAMED:
        return last
    found: Any = sys.modules[model.__module__]
    for name in annotation.split("."):
        found = getattr(found, name)
    return found


def _read_named(value: Any, name: str, struct: str, field: str) -> None:
    if name == "meta_v1.LabelSelector":
        _read(value, _shape(core_v1.PodAffinityTerm, name), struct, field)
    else:
        _NAMED[name](value, struct, field)


def _text(value: Any, struct: str, field: str) -> None:
    _expect(value, str, struct, field, "string")


def _bool(value: Any, struct: str, field: str) -> None:
    _expect(value, bool, struct, field, "bool")


def _float(value: Any, struct: str, field: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _mismatch(value, struct, field, "float64")


def _integer(value: Any, struct: str, field: str) -> None:
    _number(value, struct, field, 64 if field in _LONG else 32)


def _int_or_string(value: Any, struct: str, field: str) -> None:
    if not isinstance(value, str):
        _number(value, struct, field, 32)


def _number(value: Any, struct: str, field: str, bits: int) -> None:
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole or not -(2 ** (bits - 1)) <= value < 2 ** (bits - 1):
        raise _mismatch(value, struct, field, f"int{bits}")


def _quantity(value: Any, struct: str, field: str) -> None:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise Undecodable(_WRONG_QUANTITY)
    if not _QUANTITY.fullmatch(str(value)):
        raise Undecodable(f"{struct}.{field}: {value!r}: {_WRONG_QUANTITY}")


def _time(value: Any, struct: str, field: str) -> None:
    text = _expect(value, str, struct, field, "Time")
    try:
        if _TIME.fullmatch(text):
            datetime.datetime.fromisoformat(text)
            return
    except ValueError:
        pass
    raise Undecodable(f"{struct}.{field}: parsing time {text!r}: cannot parse it as RFC 3339")


def _map(value: Any, struct: str, field: str) -> None:
    read = _quantity if field in _AMOUNTS else _text
    for each in _expect(value, dict, struct, field, "map").values():
        if each is not None:
            read(each, struct, field)


def _unstructured(value: Any, struct: str, field: str) -> None:
    if not _expect(value, dict, struct, field, "map[string]interface {}").get("kind"):
        raise Undecodable(f"Object 'Kind' is missing in '{json.dumps(value)}'")


_NAMED: Mapping[str, Callable[[Any, str, str], None]] = {
    "Unstructured": _unstructured,
    "str": _text,
    "bool": _bool,
    "float": _float,
    "int": _integer,
    "int32": _integer,
    "dict": _map,
    "IntOrString": _int_or_string,
    "Quantity": _quantity,
    "Time": _time,
}


def _expect(value: Any, kind: type, struct: str, field: str, wanted: str) -> Any:
    if not isinstance(value, kind):
        raise _mismatch(value, struct, field, wanted)
    return value


def _mismatch(value: Any, struct: str, field: str, wanted: str) -> Undecodable:
    """Return Go's words for a value of another type."""
    match value:
        case bool():
            found = "bool"
        case str():
            found = "string"
        case int() | float():
            found = "number" if isinstance(value, int) and wanted[:3] != "int" else f"number {value}"
        case list():
            found = "array"
        case _:
            found = "object"
    return Undecodable(
        f"json: cannot unmarshal {found} into Go struct field {struct}.{field} of type {wanted}"
    )
