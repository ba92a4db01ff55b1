"""From the JSON schema of a pydantic model to a structural schema of Kubernetes.

The rules are those of Kubernetes' documentation "Extend the Kubernetes API with CustomResourceDefinitions":
every node has a type, a definition is written where it is used, and null is a matter of `nullable`. What no
such schema can say is an error here, with its place: a CRD that checks less than its model says would be a
lie.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pydantic
import pydantic.json_schema

Node = dict[str, Any]

_KEPT = {
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
    "multipleOf",
    "nullable",
    "pattern",
    "required",
    "type",
}
_DROPPED = {"$defs", "deprecated", "examples", "readOnly", "title", "writeOnly"}
"""Words for people that Kubernetes has no place for."""

_ANYTHING = {"x-kubernetes-preserve-unknown-fields": True}
_NULL = {"type": "null"}


def structural(model: type[pydantic.BaseModel]) -> Node:
    """Return the structural schema of a model.

    A field that may be None and has a default is left out rather than null; one that must be there and may
    be None is nullable. A default of None is none, and so is a `default_factory`: it is the charm's, and not
    the API's.

    Raises:
        TypeError: with the place, for a field that no structural schema can have.
    """
    schema, definitions = _SEEN.get(model) or _seen([model])[model]
    return _Converter(definitions).node(schema, model.__name__, frozenset())


def look_at(*models: type[pydantic.BaseModel]) -> None:
    """Make the JSON schemas of these models in one go: what they have in common is made once.

    That is most of the time that large definitions take, in every hook.
    """
    if not _SEEN.keys() >= set(models):
        _SEEN.update(_seen(models))


_SEEN: dict[type[pydantic.BaseModel], tuple[Node, dict[str, Node]]] = {}
"""Model to its JSON schema, and to what that refers to."""


def _seen(
    models: Iterable[type[pydantic.BaseModel]],
) -> dict[type[pydantic.BaseModel], tuple[Node, dict[str, Node]]]:
    asked = [(model, "validation") for model in models]
    nodes, shared = pydantic.json_schema.models_json_schema(asked, by_alias=True)  # pyright: ignore[reportArgumentType]
    return {model: (node, shared.get("$defs", {})) for (model, _), node in nodes.items()}  # pyright: ignore[reportReturnType]


class _Converter:
    def __init__(self, definitions: dict[str, Node]):
        self._definitions = definitions

    def node(self, node: Node, place: str, within: frozenset[str], *, nullable: bool = True) -> Node:
        """Convert one node.

        Args:
            node: of the JSON schema.
            place: `Notebook.spec.template`, for an error.
            within: the definitions that are being written out around it.
            nullable: whether null is a value here, if the node says so.
        """
        if "$ref" in node:
            name = node["$ref"].rpartition("/")[2]
            if name in within:
                raise TypeError(f"{place}: {name} is within itself, without end")
            within |= {name}
            node = self._definitions[name] | {key: value for key, value in node.items() if key != "$ref"}
            return self.node(node, place, within, nullable=nullable)
        if "anyOf" in node and "x-kubernetes-int-or-string" not in node:
            return self._choice(node, place, within, nullable=nullable)
        result: Node = {}
        for key, value in node.items():
            result |= self._word(key, value, node, place, within)
        if not result.keys() & {"type", "x-kubernetes-int-or-string"}:
            if "enum" in result:
                raise TypeError(f"{place}: values of several types")
            result |= _ANYTHING
        return result

    def _choice(self, node: Node, place: str, within: frozenset[str], *, nullable: bool) -> Node:
        kinds = [kind for kind in node["anyOf"] if kind != _NULL]
        if len(kinds) != 1:
            raise TypeError(f"{place}: a choice of {len(kinds)} types")
        rest = {key: value for key, value in node.items() if key != "anyOf"}
        result = self.node(kinds[0] | rest, place, within)
        return result | {"nullable": True} if nullable and _NULL in node["anyOf"] else result

    def _word(self, key: str, value: Any, node: Node, place: str, within: frozenset[str]) -> Node:
        """Return what becomes of one word of a node."""
        match key:
            case "properties":
                return {key: self._properties(value, node.get("required", []), place, within)}
            case "items":
                return {key: self.node(value, f"{place}[]", within)}
            case "additionalProperties" if isinstance(value, dict):
                return {key: self.node(value, f"{place}.*", within)}
            case "additionalProperties":  # what is not known is dropped, unless it is said that it is not
                return _ANYTHING if value else {}
            case "const":
                return {"enum": [value]}
            case "exclusiveMinimum" | "exclusiveMaximum":
                return {key.removeprefix("exclusive").lower(): value, key: True}
            case "uniqueItems":
                return {"x-kubernetes-list-type": "set"}
            case "default":
                return {} if value is None else {key: _without_null(value)}
            case "anyOf":  # an int or a string
                return {key: value}
            case _ if key in _KEPT or key.startswith("x-kubernetes-"):
                return {key: value}
            case _ if key in _DROPPED:
                return {}
        raise TypeError(f"{place}: {key} has no place in a structural schema")

    def _properties(
        self, properties: dict[str, Node], required: list[str], place: str, within: frozenset[str]
    ) -> dict[str, Node]:
        return {
            name: self.node(value, f"{place}.{name}", within, nullable=name in required)
            for name, value in properties.items()
        }


def _without_null(value: Any) -> Any:
    """Return a default without what is left out in it."""
    if isinstance(value, dict):
        return {key: _without_null(each) for key, each in value.items() if each is not None}
    return value
