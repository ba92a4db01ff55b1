"""Make a structural schema of Kubernetes from a model.

The rules are those of Kubernetes' documentation "Extend the Kubernetes API with CustomResourceDefinitions":
every node has a type, there are no references, and `nullable` allows null. If no such schema can express a
field, that is an error with the field's place: a CRD must not check less than its model says.

Schemas share nodes, so nobody may change one.
"""

from __future__ import annotations

import contextvars
import datetime
import enum
import functools
import inspect
import sys
import types
from collections.abc import Iterable, Iterator, Mapping
from typing import (
    Annotated,
    Any,
    ClassVar,
    Literal,
    TypeAlias,
    Union,
    get_args,
    get_origin,
)

import annotated_types
import pydantic
from pydantic.alias_generators import to_camel
from pydantic.fields import FieldInfo

from kubeflow_charm.definitions import embedded

Node: TypeAlias = dict[str, Any]

ANYTHING: Node = {"x-kubernetes-preserve-unknown-fields": True}

_SCALARS: Mapping[Any, Node] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    datetime.datetime: {"type": "string", "format": "date-time"},
    Any: ANYTHING,
}
_KEYWORDS = {
    "default",
    "description",
    "enum",
    "format",
    "maximum",
    "maxItems",
    "maxLength",
    "maxProperties",
    "minimum",
    "minItems",
    "minLength",
    "minProperties",
    "nullable",
    "pattern",
    "type",
}
"""Keywords that `json_schema_extra` may have, besides those that begin with `x-kubernetes-`."""
_LENGTHS = {
    "string": ("minLength", "maxLength"),
    "array": ("minItems", "maxItems"),
    "object": ("minProperties", "maxProperties"),
}


class Schema:
    """Base of the models: the field `pod_template` is `podTemplate` in the resource.

    A model has no instances, so it is a plain class. The definition of a pydantic model takes thirty times as
    long, which matters for a hundred of them in every hook. Fields are written as in pydantic: a default, an
    alias or a constraint (`pydantic.Field`), `Annotated`. `class Pet(Schema, keywords={...})` adds keywords
    to the schema of the whole object.
    """

    keywords: ClassVar[Node] = {}
    piece: ClassVar[bool] = False
    """Whether a definition without embedded types leaves it unchecked, like Kubernetes' types."""
    inlined: ClassVar[embedded.Kubernetes | None] = None
    """A type of Kubernetes whose fields the object has, too; it requires none of them."""

    def __init_subclass__(
        cls,
        *,
        keywords: Node | None = None,
        piece: bool = False,
        inlined: embedded.Kubernetes | None = None,
    ) -> None:
        """Store the class arguments; subclasses do not inherit them."""
        cls.keywords, cls.piece, cls.inlined = keywords or {}, piece, inlined


_cache: dict[tuple[type[Schema], bool], Node] = {}


_pieces = contextvars.ContextVar("pieces", default=True)
"""Whether the schema in progress checks embedded types."""


def structural(model: type[Schema], *, pieces: bool = True) -> Node:
    """Return the structural schema of a model; with `pieces` false, it keeps types of Kubernetes unchecked.

    A field that may be None and has a default is optional, and never null. A required field that may be None
    is nullable. None and default factories do not become schema defaults.

    Raises:
        TypeError: with the place, for a field that no structural schema can express.
    """
    token = _pieces.set(pieces)
    try:
        return _object(model, model.__name__, frozenset())
    finally:
        _pieces.reset(token)


def _object(model: type[Schema], place: str, within: frozenset[type]) -> Node:
    """Return the schema of a model at `place`, inside the models `within`."""
    if model.piece and not _pieces.get():
        return {"type": "object"} | ANYTHING
    key = (model, _pieces.get())
    if key in _cache:
        return _cache[key]
    if model in within:
        raise TypeError(f"{place}: {model.__name__} is within itself, without end")
    inlined = model.inlined if _pieces.get() else None
    properties: Node = dict(inlined.node()["properties"]) if inlined else {}
    required: list[str] = []
    for name, annotation in _annotations(model).items():
        field = _field_info(model, name, annotation)
        alias = field.alias or to_camel(name)
        node = _annotated(
            annotation, [field], f"{place}.{alias}", within | {model}, nullable=field.is_required()
        )
        properties[alias] = node | _default(field)
        if field.is_required():
            required.append(alias)
    node: Node = {"type": "object", "properties": properties}
    if model.inlined and not inlined:
        node |= ANYTHING
    if model.__doc__:
        node["description"] = inspect.cleandoc(model.__doc__)
    if required:
        node["required"] = required
    _cache[key] = node | _extra(model.keywords, place)
    return _cache[key]


def _annotations(model: type[Schema]) -> dict[str, Any]:
    """Return the annotations of a model's fields, its bases' first."""
    found: dict[str, Any] = {}
    for each in reversed(model.__mro__):
        if each not in (object, Schema):
            for name, annotation in inspect.get_annotations(each).items():
                found[name] = _evaluated(annotation, each.__module__)
    return found


@functools.cache
def _evaluated(annotation: Any, module: str) -> Any:
    """Return the meaning of an annotation in a module; a common name is looked up once."""
    return eval(annotation, vars(sys.modules[module])) if isinstance(annotation, str) else annotation  # noqa: S307


def _field_info(model: type[Schema], name: str, annotation: Any) -> FieldInfo:
    """Return a field with its default and its alias."""
    given = getattr(model, name, ...)
    field = given if isinstance(given, FieldInfo) else FieldInfo(default=given)
    if field.alias is None and get_origin(annotation) is Annotated:
        field.alias = next(
            (each.alias for each in get_args(annotation)[1:] if isinstance(each, FieldInfo)), None
        )
    return field


def _default(field: FieldInfo) -> Node:
    if field.is_required() or field.default_factory or field.default is None:
        return {}
    default = field.default
    return {"default": default.value if isinstance(default, enum.Enum) else default}


def _annotated(
    annotation: Any, metadata: Iterable[Any], place: str, within: frozenset[type], *, nullable: bool = True
) -> Node:
    """Return the schema of an annotation with the metadata of `Annotated` and of the field."""
    flat = [*_flattened(metadata)]
    for each in flat:
        if isinstance(each, pydantic.WithJsonSchema):
            node: Node = dict(each.json_schema or {})
            break
        if isinstance(each, embedded.Kubernetes):
            node = each.node() if _pieces.get() else {"type": "object"} | ANYTHING
            break
    else:
        node = _type(annotation, place, within, nullable=nullable)
    added: Node = {}
    for each in flat:
        added |= _constraint(each, node, place)
    return node | added if added else node


def _flattened(metadata: Iterable[Any]) -> Iterator[Any]:
    """Yield each piece of metadata, and the pieces inside a field."""
    for each in metadata:
        yield each
        if isinstance(each, FieldInfo):
            yield from each.metadata


def _type(annotation: Any, place: str, within: frozenset[type], *, nullable: bool) -> Node:
    """Return the schema of a plain annotation."""
    if (scalar := _SCALARS.get(annotation)) is not None:
        return scalar
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _annotated(arguments[0], arguments[1:], place, within, nullable=nullable)
    if origin in (Union, types.UnionType):
        return _union(arguments, place, within, nullable=nullable)
    if origin is Literal:
        return _enumeration(arguments, place)
    kind = origin or annotation
    if kind in (list, set):
        items = _type(arguments[0] if arguments else Any, f"{place}[]", within, nullable=True)
        node: Node = {"type": "array", "items": items}
        return node | {"x-kubernetes-list-type": "set"} if kind is set else node
    if kind is dict:
        return _mapping(arguments, place, within)
    if inspect.isclass(kind) and issubclass(kind, enum.Enum):
        return _enumeration([member.value for member in kind], place)
    if inspect.isclass(kind) and issubclass(kind, Schema):
        return _object(kind, place, within)
    raise TypeError(f"{place}: {getattr(kind, '__name__', kind)} has no place in a structural schema")


def _union(arguments: tuple[Any, ...], place: str, within: frozenset[type], *, nullable: bool) -> Node:
    kinds = [kind for kind in arguments if kind is not types.NoneType]
    if len(kinds) != 1:
        raise TypeError(f"{place}: a choice of {len(kinds)} types")
    node = _type(kinds[0], place, within, nullable=True)
    return node | {"nullable": True} if nullable and len(arguments) > 1 else node


def _mapping(arguments: tuple[Any, ...], place: str, within: frozenset[type]) -> Node:
    key, value = arguments or (str, Any)
    if key is not str:
        raise TypeError(f"{place}: a mapping's keys are plain text in a structural schema")
    if value is Any:
        return {"type": "object"} | ANYTHING
    values = _type(value, f"{place}.*", within, nullable=True)
    return {"type": "object", "additionalProperties": values}


def _enumeration(values: Iterable[Any], place: str) -> Node:
    values = list(values)
    kinds = {type(value) for value in values}
    if len(kinds) != 1 or (kind := kinds.pop()) not in _SCALARS:
        raise TypeError(f"{place}: values of several types")
    return {**_SCALARS[kind], "enum": values}


def _constraint(constraint: Any, node: Node, place: str) -> Node:
    """Return the keywords that one piece of metadata adds to a node."""
    match constraint:
        case FieldInfo():
            described = {"description": constraint.description} if constraint.description else {}
            return described | _extra(constraint.json_schema_extra, place)
        case annotated_types.Ge():
            return {"minimum": constraint.ge}
        case annotated_types.Gt():
            return {"minimum": constraint.gt, "exclusiveMinimum": True}
        case annotated_types.Le():
            return {"maximum": constraint.le}
        case annotated_types.Lt():
            return {"maximum": constraint.lt, "exclusiveMaximum": True}
        case annotated_types.MultipleOf():
            return {"multipleOf": constraint.multiple_of}
        case annotated_types.MinLen():
            return {_LENGTHS[node["type"]][0]: constraint.min_length}
        case annotated_types.MaxLen():
            return {_LENGTHS[node["type"]][1]: constraint.max_length}
        case _ if pattern := getattr(constraint, "pattern", None):
            return {"pattern": pattern}
        case _:
            return {}


def _extra(extra: Any, place: str) -> Node:
    """Return the keywords of a `json_schema_extra`.

    Raises:
        TypeError: for a keyword that structural schemas do not have.
    """
    for keyword in extra or {}:
        if keyword not in _KEYWORDS and not keyword.startswith("x-kubernetes-"):
            raise TypeError(f"{place}: {keyword} has no place in a structural schema")
    return dict(extra or {})
