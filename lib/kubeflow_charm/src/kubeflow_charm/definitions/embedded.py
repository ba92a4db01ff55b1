"""Types of Kubernetes inside our own kinds, checked as strictly as the API server checks its own.

Kinds of Kubeflow embed pods, containers, volumes and affinities. Without a check, the API server would store
one object with `memory: 2.0GB` or `containerPort: "8888"`, and the typed list of the kind's controller would
then fail for the objects of all users. So we make their schemas from lightkube's models. These are generated
from Kubernetes' OpenAPI, and every charm imports them anyway. The models have names, nesting and required
fields. They lack the width of integers, the content of maps, and the keys of lists: the tables below have
these. A test compares everything with the API server's own OpenAPI.

A schema here equals the schema that controller-gen makes from the same Go types for upstream's CRDs, with the
fields of the newest Kubernetes. Two differences are deliberate. Lists have keys only if a pod's validation
refuses duplicates, or if upstream's CRDs have had keys for long: a pod may repeat an environment variable.
And we leave out the granularity of server-side apply (`x-kubernetes-map-type: atomic`).
"""

from __future__ import annotations

import dataclasses
import re
import sys
import typing
from collections.abc import Mapping
from typing import Annotated, Any, TypeAlias

import pydantic
from lightkube.models import core_v1, meta_v1

Node: TypeAlias = dict[str, Any]
Path: TypeAlias = tuple[str, ...]

_NUMBER = r"(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))"
INT_OR_STRING: Node = {
    "x-kubernetes-int-or-string": True,
    "anyOf": [{"type": "integer"}, {"type": "string"}],
}
QUANTITY: Node = INT_OR_STRING | {
    "pattern": rf"^(\+|-)?{_NUMBER}(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?[0-9]+))?$"
}
"""The schema that controller-gen gives `resource.Quantity`, without `1e1.5`, which Go cannot read."""
TIME: Node = {"type": "string", "format": "date-time"}
TEXTS: Node = {"type": "object", "additionalProperties": {"type": "string"}}
METADATA: Node = {
    "type": "object",
    "properties": {
        "annotations": TEXTS,
        # Go programs write null where no object has been created.
        "creationTimestamp": TIME | {"nullable": True},
        "finalizers": {"type": "array", "items": {"type": "string"}},
        "generateName": {"type": "string"},
        "labels": TEXTS,
        "name": {"type": "string"},
        "namespace": {"type": "string"},
    },
}
"""The metadata of a template: the fields of controller-gen's `generateEmbeddedObjectMeta`, and two that
    people
write: argo-workflows adds `generateName` to its CRDs (v3.7.14, hack/manifests/crds.go)."""

_NAMED: Mapping[str, Node] = {
    "str": {"type": "string"},
    "bool": {"type": "boolean"},
    "float": {"type": "number"},
    "resource.Quantity": QUANTITY,
    "util_intstr.IntOrString": INT_OR_STRING,
    "meta_v1.Time": TIME,
    "Time": TIME,
    "meta_v1.ObjectMeta": METADATA,
}
_LONG = frozenset(
    (
        "activeDeadlineSeconds",
        "defaultUser",
        "expirationSeconds",
        "fsGroup",
        "runAsGroup",
        "runAsUser",
        "seconds",
        "supplementalGroups",
        "terminationGracePeriodSeconds",
        "tolerationSeconds",
        "user",
    )
)
"""Fields with integers of 64 bits; all others have 32."""
_QUANTITIES = frozenset(
    (
        "allocatedResources",
        "capacity",
        "default",
        "defaultRequest",
        "hard",
        "limits",
        "max",
        "maxLimitRequestRatio",
        "min",
        "overhead",
        "requests",
        "used",
    )
)
"""Fields that map names of resources to amounts; all other maps hold text."""
_KEYS: Mapping[str, tuple[str, ...]] = {
    "Container": ("name",),
    "ContainerPort": ("containerPort", "protocol"),
    "EphemeralContainer": ("name",),
    "PodResourceClaim": ("name",),
    "PodSchedulingGate": ("name",),
    "ResourceClaim": ("name",),
    "TopologySpreadConstraint": ("topologyKey", "whenUnsatisfiable"),
    "Volume": ("name",),
    "VolumeDevice": ("devicePath",),
    "VolumeMount": ("mountPath",),
}
"""Types to the keys of their lists."""
_DEFAULTS: Mapping[tuple[str, str], Any] = {("ContainerPort", "protocol"): "TCP"}
"""The defaults of keys that are not required."""

_OPTIONAL = re.compile(r"Optional\[(.*)\]")
_LIST = re.compile(r"List\[(.*)\]")


@dataclasses.dataclass(frozen=True, eq=False)
class Kubernetes:
    """Marks an annotation as a type of Kubernetes: `Annotated[dict[str, Any], Kubernetes(core_v1.Volume)]`.

    Args:
        model: the type, as lightkube models it.
        changes: the differences of our kind, as pairs of path in the schema and value; None removes.
    """

    model: type
    changes: tuple[tuple[Path, Any], ...] = ()

    def node(self) -> Node:
        """Return the schema; nobody may change it."""
        node = schema(self.model)
        for path, value in self.changes:
            node = _changed(node, path, value)
        return node


Int32 = Annotated[int, pydantic.WithJsonSchema({"type": "integer", "format": "int32"})]
Int64 = Annotated[int, pydantic.WithJsonSchema({"type": "integer", "format": "int64"})]
IntOrString = Annotated[int | str, pydantic.WithJsonSchema(INT_OR_STRING)]
"""`80` or `http`, `1` or `500m`."""
Quantity = Annotated[int | str, pydantic.WithJsonSchema(QUANTITY)]
"""An amount of a resource: `4`, `500m` or `64Gi`."""

Metadata = Annotated[dict[str, Any], pydantic.WithJsonSchema(METADATA)]
"""The metadata of an object that a controller will create."""
Affinity = Annotated[dict[str, Any], Kubernetes(core_v1.Affinity)]
ConfigMapKey = Annotated[dict[str, Any], Kubernetes(core_v1.ConfigMapKeySelector)]
Container = Annotated[dict[str, Any], Kubernetes(core_v1.Container)]
EnvFrom = Annotated[dict[str, Any], Kubernetes(core_v1.EnvFromSource)]
EnvVar = Annotated[dict[str, Any], Kubernetes(core_v1.EnvVar)]
HostAlias = Annotated[dict[str, Any], Kubernetes(core_v1.HostAlias)]
LabelSelector = Annotated[dict[str, Any], Kubernetes(meta_v1.LabelSelector)]
ObjectName = Annotated[dict[str, Any], Kubernetes(core_v1.LocalObjectReference)]
PodDnsConfig = Annotated[dict[str, Any], Kubernetes(core_v1.PodDNSConfig)]
PodSecurityContext = Annotated[dict[str, Any], Kubernetes(core_v1.PodSecurityContext)]
PodSpec = Annotated[dict[str, Any], Kubernetes(core_v1.PodSpec)]
PodTemplate = Annotated[dict[str, Any], Kubernetes(core_v1.PodTemplateSpec)]
ResourceQuota = Annotated[dict[str, Any], Kubernetes(core_v1.ResourceQuotaSpec)]
SecretKey = Annotated[dict[str, Any], Kubernetes(core_v1.SecretKeySelector)]
Toleration = Annotated[dict[str, Any], Kubernetes(core_v1.Toleration)]
Volume = Annotated[dict[str, Any], Kubernetes(core_v1.Volume)]
VolumeClaim = Annotated[dict[str, Any], Kubernetes(core_v1.PersistentVolumeClaim)]
VolumeMount = Annotated[dict[str, Any], Kubernetes(core_v1.VolumeMount)]

_cache: dict[type, Node] = {}


def schema(model: type, within: frozenset[type] = frozenset()) -> Node:
    """Return the structural schema of a type of Kubernetes; nobody may change it.

    Args:
        model: the type, as lightkube models it.
        within: the surrounding types.

    Raises:
        TypeError: for a field that no structural schema can express, such as a type within itself.
    """
    if model in _cache:
        return _cache[model]
    if model in within:
        raise TypeError(f"{model.__name__} is within itself, without end")
    fields = model.__annotations__
    defaults = model.__struct_defaults__  # type: ignore[attr-defined]
    required = [*fields][: len(fields) - len(defaults)]
    properties: Node = {}
    for name, annotation in fields.items():
        node = _field(model, name, annotation, within | {model})
        if (default := _DEFAULTS.get((model.__name__, name))) is not None:
            node = node | {"default": default}
        properties[name] = node
    node: Node = {"type": "object", "properties": properties}
    _cache[model] = node | {"required": required} if required else node
    return _cache[model]


def _field(model: type, name: str, annotation: str, within: frozenset[type]) -> Node:
    """Return the schema of a field; its annotation is text, as in lightkube's modules."""
    if optional := _OPTIONAL.fullmatch(annotation):
        annotation = optional[1]
    if items := _LIST.fullmatch(annotation):
        node: Node = {"type": "array", "items": _field(model, name, items[1], within)}
        if keys := _KEYS.get(items[1]):
            node |= {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)}
        return node
    if annotation == "int":
        return {"type": "integer", "format": "int64" if name in _LONG else "int32"}
    if annotation == "dict":
        return {"type": "object", "additionalProperties": QUANTITY} if name in _QUANTITIES else TEXTS
    if (named := _NAMED.get(annotation)) is not None:
        return named
    found: Any = sys.modules[model.__module__]
    for part in annotation.split("."):
        found = getattr(found, part)
    if found is typing.Dict:  # noqa: UP006 (an object without fields, or with any: lightkube names it so)
        return {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    if not hasattr(found, "__struct_fields__"):
        raise TypeError(f"{model.__name__}.{name}: {annotation} has no place in a structural schema")
    return schema(found, within)


def _changed(node: Node, path: Path, value: Any) -> Node:
    """Return a copy of a schema that differs at one path."""
    key, *rest = path
    if rest:
        return node | {key: _changed(node.get(key, {}), tuple(rest), value)}
    if value is None:
        return {name: each for name, each in node.items() if name != key}
    return node | {key: value}
