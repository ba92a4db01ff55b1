"""Pydantic models become CustomResourceDefinitions with structural schemas.

The rules of a structural schema are those of Kubernetes' documentation "Extend the Kubernetes API with
CustomResourceDefinitions": every node has a type, no `$ref`, nothing nullable by `anyOf`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any

import pydantic
from pydantic.alias_generators import to_camel

from kubeflow_charm.resources import Manifest

Embedded = Annotated[
    dict[str, Any],
    pydantic.WithJsonSchema({"type": "object", "x-kubernetes-preserve-unknown-fields": True}),
]
"""A piece of another API, kept whole and not checked here: an affinity, a volume."""

IntOrString = Annotated[
    int | str,
    pydantic.WithJsonSchema(
        {"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}, {"type": "string"}]}
    ),
]
"""`80` or `http`, `1` or `500m`."""

_DROPPED = ("title", "$defs", "discriminator", "examples")


class Schema(pydantic.BaseModel):
    """Base of the models: fields are named as Kubernetes writes them, by alias."""

    model_config = pydantic.ConfigDict(alias_generator=to_camel, populate_by_name=True)


@dataclass(frozen=True)
class Version:
    """One version of a kind.

    Args:
        name: `v1`, `v1alpha1`.
        model: a model with `spec` and, if there is one, `status`.
        storage: whether objects are stored in this version.
        columns: what `kubectl get` prints: name, type, JSON path.
        status: whether `status` is a subresource.
    """

    name: str
    model: type[pydantic.BaseModel]
    served: bool = True
    storage: bool = False
    columns: tuple[tuple[str, str, str], ...] = ()
    status: bool = True

    def document(self) -> dict[str, Any]:
        """Return the entry of `spec.versions`."""
        schema = structural(self.model)
        schema["properties"] = {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
        } | schema.get("properties", {})
        entry: dict[str, Any] = {
            "name": self.name,
            "served": self.served,
            "storage": self.storage,
            "schema": {"openAPIV3Schema": schema},
        }
        if self.status:
            entry["subresources"] = {"status": {}}
        if self.columns:
            entry["additionalPrinterColumns"] = [
                {"name": name, "type": kind, "jsonPath": path} for name, kind, path in self.columns
            ]
        return entry


@dataclass(frozen=True)
class Names:
    """What a kind is called."""

    kind: str
    plural: str
    group: str
    short: tuple[str, ...] = ()
    categories: tuple[str, ...] = field(default=())


def definition(names: Names, versions: list[Version], *, namespaced: bool = True) -> Manifest:
    """Return the CustomResourceDefinition of a kind; exactly one version must be the stored one."""
    if [version.storage for version in versions].count(True) != 1:
        raise ValueError(f"{names.kind}: one version is stored, no more and no less")
    spoken: dict[str, Any] = {
        "kind": names.kind,
        "listKind": f"{names.kind}List",
        "plural": names.plural,
        "singular": names.kind.lower(),
    }
    if names.short:
        spoken["shortNames"] = list(names.short)
    if names.categories:
        spoken["categories"] = list(names.categories)
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{names.plural}.{names.group}"},
        "spec": {
            "group": names.group,
            "names": spoken,
            "scope": "Namespaced" if namespaced else "Cluster",
            "versions": [version.document() for version in versions],
        },
    }


def structural(model: type[pydantic.BaseModel]) -> dict[str, Any]:
    """Return the structural schema of a model."""
    schema = model.model_json_schema(by_alias=True)
    return _node(schema, schema.get("$defs", {}))


def _node(node: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in node:
        target = definitions[node["$ref"].rpartition("/")[2]]
        node = target | {key: value for key, value in node.items() if key != "$ref"}
    if "anyOf" in node and not node.get("x-kubernetes-int-or-string"):
        # What is optional is left out in Kubernetes, never null.
        kinds = [kind for kind in node["anyOf"] if kind.get("type") != "null"]
        if len(kinds) != 1:
            raise TypeError(f"no structural schema for a choice of {len(kinds)} types")
        rest = {key: value for key, value in node.items() if key != "anyOf"}
        return _node(kinds[0] | rest, definitions)
    result = {key: value for key, value in node.items() if key not in _DROPPED}
    if result.get("default", ...) is None or result.get("default") in ([], {}):
        del result["default"]
    if "const" in result:
        result["enum"] = [result.pop("const")]
    for key, strict in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if key in result:
            result[strict], result[key] = result[key], True
    if "properties" in result:
        result["properties"] = {
            name: _node(value, definitions) for name, value in result["properties"].items()
        }
        result.pop("additionalProperties", None)
    elif isinstance(result.get("additionalProperties"), dict):
        result["additionalProperties"] = _node(result["additionalProperties"], definitions)
    elif result.pop("additionalProperties", False):
        result["x-kubernetes-preserve-unknown-fields"] = True
    if "items" in result:
        result["items"] = _node(result["items"], definitions)
    return result
