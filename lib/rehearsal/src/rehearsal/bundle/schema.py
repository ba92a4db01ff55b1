"""The shape of a bundle and of an overlay, as Juju reads them on a Kubernetes model.

Facts: juju/charm, bundledata.go, and Juju's documentation "Bundle". Juju silently ignores unknown keys; this
schema refuses them. It also refuses keys that mean nothing on Kubernetes or that the model of Juju does not
support.
"""

from __future__ import annotations

from typing import Annotated, Any

import pydantic

_Strict = pydantic.ConfigDict(extra="forbid", strict=True)

APPLICATION_NAME = r"[a-z][a-z0-9]*(-[a-z0-9]*[a-z][a-z0-9]*)*"
"""The pattern of an application's name (juju/names, ApplicationSnippet)."""

MAPPINGS = ("options", "resources", "annotations", "storage")
"""The keys of an application that overlays merge entry by entry."""

REFUSED = {
    "num_units": 'write "scale" on Kubernetes',
    "to": "pods are placed by Kubernetes",
    "placement": "pods are placed by Kubernetes",
    "machines": "bundle machines not valid for Kubernetes bundles",
    "series": 'write "base"',
    "services": 'write "applications"',
    "bindings": "a Kubernetes model has no spaces",
    "devices": "not in this model of Juju",
    "exposed-endpoints": "not in this model of Juju",
    "offers": "not in this model of Juju",
    "saas": "not in this model of Juju",
}
"""Keys that Juju accepts but this schema refuses, with the reason."""

Scalar = str | int | float | bool


def _mapping(value: Any) -> Any:
    return {} if value is None else value


_Mapping = pydantic.BeforeValidator(_mapping)
"""Turns a key without a value into an empty mapping."""


class Application(pydantic.BaseModel):
    """An application of a bundle, or an overlay's changes to one."""

    model_config = _Strict

    charm: str = ""
    channel: str | None = None
    revision: Annotated[int, pydantic.Field(ge=0)] | None = None
    base: str | None = None
    scale: Annotated[int, pydantic.Field(ge=0)] = 1
    trust: bool = False
    options: Annotated[dict[str, Scalar | None], _Mapping] = {}
    resources: Annotated[dict[str, str | int | None], _Mapping] = {}
    constraints: str | None = None
    annotations: Annotated[dict[str, str | None], _Mapping] = {}
    storage: Annotated[dict[str, str | None], _Mapping] = {}
    expose: bool = False


Relation = Annotated[list[str], pydantic.Field(min_length=2, max_length=2)]


class _File(pydantic.BaseModel):
    """The keys that bundles and overlays share; the first six are Charmhub's, and Juju ignores them."""

    model_config = _Strict

    name: str | None = None
    description: str | None = None
    docs: str | None = None
    website: str | None = None
    issues: str | None = None
    source: str | None = None
    bundle: str | None = None
    default_base: Annotated[str | None, pydantic.Field(alias="default-base")] = None
    relations: list[Relation] | None = None
    variables: Any = None


class BundleFile(_File):
    """A bundle."""

    applications: Annotated[dict[str, Application], pydantic.Field(min_length=1)]


class OverlayFile(_File):
    """An overlay; a null application is removed with its relations."""

    applications: dict[str, Application | None] | None = None
