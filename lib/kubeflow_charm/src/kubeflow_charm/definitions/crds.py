"""Make CustomResourceDefinitions from models.

A charm writes a model for each version of its kind, with the fields of `spec` and `status`. `schemas.py`
makes the structural schema from it. The same models always give the same document.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import Annotated, Any

import pydantic
from pydantic.fields import FieldInfo

from kubeflow_charm.cluster.resources import Manifest
from kubeflow_charm.definitions import schemas

Embedded = Annotated[dict[str, Any], pydantic.WithJsonSchema({"type": "object"} | schemas.ANYTHING)]
"""An object that upstream's own definition does not check; `embedded.py` has those that it checks."""

_SELF = re.compile(r"\bself\b")


def keyed(*keys: str) -> FieldInfo:
    """Mark a list whose items have these fields as keys, so that server-side apply merges it item by item.

    `Annotated[list[Port], keyed("name")]`: the fields are required in `Port`, or have defaults.
    """
    return pydantic.Field(
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)}
    )


def atomic() -> FieldInfo:
    """Mark a list that has one owner, who replaces the complete list."""
    return pydantic.Field(json_schema_extra={"x-kubernetes-list-type": "atomic"})


def rules(*checks: tuple[str, str]) -> dict[str, Any]:
    """Return validations in CEL, as pairs of rule and message, for `keywords` or a `json_schema_extra`.

    `self` is the field or the object, `oldSelf` its value before an update. The API server does not check a
    rule without `oldSelf` if an update does not change the field, so objects that break a new rule stay
    usable. Any update changes the whole object; for rules on it, use `fresh`.
    """
    return {"x-kubernetes-validations": [{"rule": rule, "message": message} for rule, message in checks]}


def object_rules(*checks: tuple[str, str]) -> dict[str, Any]:
    """Return validations of a whole object, for the `keywords` of its model.

    Any update changes the whole object, even the removal of a finalizer. So the rule does not apply to an
    object that broke it before the update. This uses `optionalOldSelf`, which Kubernetes has since 1.30.
    """
    return {
        "x-kubernetes-validations": [
            {
                "rule": f"oldSelf.hasValue() && !({_SELF.sub('oldSelf.value()', rule)}) || ({rule})",
                "message": message,
                "optionalOldSelf": True,
            }
            for rule, message in checks
        ]
    }


@dataclass(frozen=True)
class Column:
    """A column of `kubectl get`.

    Args:
        name: the heading.
        type: integer, number, string, boolean or date.
        path: the JSON path from the object, such as `.status.phase`.
        description: its meaning.
        priority: above 0, only `-o wide` prints it.
    """

    name: str
    type: str
    path: str
    description: str = ""
    priority: int = 0

    def document(self) -> dict[str, Any]:
        """Return it as the API has it."""
        entry = {"name": self.name, "type": self.type, "jsonPath": self.path}
        return entry | _given(description=self.description, priority=self.priority)


@dataclass(frozen=True)
class Scale:
    """The subresource that `kubectl scale` and autoscalers use.

    Args:
        spec: the JSON path of the wanted replicas.
        status: the JSON path of the present replicas.
        selector: the JSON path of the pods' label selector in its text form; without it no autoscaler works.
    """

    spec: str = ".spec.replicas"
    status: str = ".status.replicas"
    selector: str = ""

    def document(self) -> dict[str, Any]:
        """Return it as the API has it."""
        entry = {"specReplicasPath": self.spec, "statusReplicasPath": self.status}
        return entry | _given(labelSelectorPath=self.selector)


@dataclass(frozen=True)
class Version:
    """One version of a kind.

    Args:
        name: `v1`, `v1alpha1`.
        model: a model with `spec` and, if there is one, `status`.
        served: whether the API server serves it.
        storage: whether objects are stored in this version.
        columns: the columns of `kubectl get`.
        status: whether `status` is a subresource.
        scale: the subresource `scale`, if there is one.
        pieces: whether to check embedded types of Kubernetes. The API server needs seconds to load a large
            definition, so leave this off if no typed client lists the objects.
    """

    name: str
    model: type[schemas.Schema]
    served: bool = True
    storage: bool = False
    columns: tuple[Column, ...] = ()
    status: bool = True
    scale: Scale | None = None
    pieces: bool = True

    def document(self, names: Names) -> dict[str, Any]:
        """Return the entry of `spec.versions`."""
        schema = schemas.structural(self.model, pieces=self.pieces)
        common = {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"} | _given(properties=names.objects and {"name": names.objects}),
        }
        schema = schema | {"properties": common | schema["properties"]}
        subresources = _given(status={} if self.status else None, scale=self.scale and self.scale.document())
        entry = {
            "name": self.name,
            "served": self.served,
            "storage": self.storage,
            "schema": {"openAPIV3Schema": schema},
        }
        return entry | _given(
            subresources=subresources or None,
            additionalPrinterColumns=[column.document() for column in self.columns] or None,
        )


def at_most(length: int, *, dots: bool = False) -> dict[str, Any]:
    """Return the schema of names with a length limit, and with or without dots.

    Custom resources may have dots in their names; pods, Services and namespaces may not.
    """
    return {"type": "string", "maxLength": length} | ({} if dots else {"pattern": "^[^.]*$"})


@dataclass(frozen=True)
class Names:
    """The names of a kind.

    Args:
        kind: `PodDefault`.
        plural: `poddefaults`.
        group: `kubeflow.org`.
        short: a short name for the command line, such as `pd`.
        categories: names for several kinds at once in `kubectl get`, such as `all`.
        objects: the schema of objects' names, if it is stricter than lower-case letters, digits, dashes and
            dots: see `at_most`. An update does not change a name, so the API server does not check it again.
    """

    kind: str
    plural: str
    group: str
    short: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    objects: dict[str, Any] | None = None

    def document(self) -> dict[str, Any]:
        """Return it as the API has it."""
        entry = {
            "kind": self.kind,
            "listKind": f"{self.kind}List",
            "plural": self.plural,
            "singular": self.kind.lower(),
        }
        return entry | _given(shortNames=list(self.short) or None, categories=list(self.categories) or None)


@dataclass(frozen=True)
class Converter:
    """The webhook that converts between versions; without one, only the version's name changes.

    Args:
        service: name of its Service.
        namespace: the Service's namespace.
        path: the request's path.
        ca: PEM text, as in `certificates.Certificate`.
        port: the Service's port.
    """

    service: str
    namespace: str
    path: str
    ca: str
    port: int = 443

    def document(self) -> dict[str, Any]:
        """Return `spec.conversion`."""
        service = {
            "name": self.service,
            "namespace": self.namespace,
            "path": self.path,
            "port": self.port,
        }
        client = {"service": service, "caBundle": base64.b64encode(self.ca.encode()).decode()}
        return {
            "strategy": "Webhook",
            "webhook": {"clientConfig": client, "conversionReviewVersions": ["v1"]},
        }


def definition(
    names: Names,
    versions: list[Version],
    *,
    namespaced: bool = True,
    converter: Converter | None = None,
) -> Manifest:
    """Return the CustomResourceDefinition of a kind.

    Args:
        names: its names.
        versions: its versions; exactly one is stored.
        namespaced: whether its objects are in namespaces.
        converter: the webhook that converts between versions, if there is one.

    Raises:
        ValueError: if none or several versions are stored.
        TypeError: with the place, for a field that no structural schema can express.
    """
    if [version.storage for version in versions].count(True) != 1:
        raise ValueError(f"{names.kind}: one version is stored, no more and no less")
    spec = {
        "group": names.group,
        "names": names.document(),
        "scope": "Namespaced" if namespaced else "Cluster",
        "versions": [version.document(names) for version in versions],
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{names.plural}.{names.group}"},
        "spec": spec | _given(conversion=converter and converter.document()),
    }


def _given(**fields: Any) -> dict[str, Any]:
    """Return the fields with a value: an empty text, zero and None are none, an empty object is one."""
    return {name: value for name, value in fields.items() if value or value == {}}
