"""The shape of a bundle and of an overlay, as Juju reads them on a Kubernetes model.

Facts: juju/charm, bundledata.go and bundledatasrc.go, and Juju's documentation "Bundle". Juju ignores unknown
keys silently, and deploys no unit of an application without `scale`; whoever deploys is warned here.
"""

from __future__ import annotations

from typing import Annotated, Any

import pydantic

_Strict = pydantic.ConfigDict(extra="forbid", strict=True)

APPLICATION_NAME = r"[a-z][a-z0-9]*(-[a-z0-9]*[a-z][a-z0-9]*)*"
"""The pattern of an application's name (juju/names, ApplicationSnippet)."""

MAPPINGS = ("options", "resources", "annotations", "storage", "offers")
"""The keys of an application that overlays merge entry by entry."""

REFUSED = {
    "machines": "bundle machines not valid for Kubernetes bundles",
    "services": 'write "applications"',
}
"""Keys with which a bundle is refused, with the reason."""

IGNORED = {
    "to": "here, Kubernetes alone places pods",
    "placement": "here, Kubernetes alone places pods",
    "series": '"base" has taken its place',
    "bindings": "a Kubernetes model has one space",
    "devices": "not in this model of Juju",
    "exposed-endpoints": "not in this model of Juju",
}
"""Keys that Juju knows and that have no effect here, with the reason."""

OVERLAY_ONLY = ("offers",)
"""The keys of an application that only an overlay may have (juju/charm, overlay.go)."""

Scalar = str | int | float | bool


def _mapping(value: Any) -> Any:
    return {} if value is None else value


_Mapping = pydantic.BeforeValidator(_mapping)
"""Turns a key without a value into an empty mapping."""


class Offer(pydantic.BaseModel):
    """An offer of an application; there is one user, so the rights of others have no effect."""

    model_config = _Strict

    endpoints: Annotated[list[str], pydantic.Field(min_length=1)]
    acl: Annotated[dict[str, str | None], _Mapping] = {}


class Consumed(pydantic.BaseModel):
    """An offer of another model."""

    model_config = _Strict

    url: str


class Application(pydantic.BaseModel):
    """An application of a bundle, or an overlay's changes to one."""

    model_config = _Strict

    charm: str = ""
    channel: str | None = None
    revision: Annotated[int, pydantic.Field(ge=0)] | None = None
    base: str | None = None
    scale: Annotated[int, pydantic.Field(ge=0)] = 0
    num_units: Annotated[int, pydantic.Field(ge=0)] | None = None
    trust: bool = False
    options: Annotated[dict[str, Scalar | None], _Mapping] = {}
    resources: Annotated[dict[str, str | int | None], _Mapping] = {}
    constraints: str | None = None
    annotations: Annotated[dict[str, str | None], _Mapping] = {}
    storage: Annotated[dict[str, str | None], _Mapping] = {}
    expose: bool = False
    offers: Annotated[dict[str, Offer | None], _Mapping] = {}


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
    saas: Annotated[dict[str, Consumed | None], _Mapping] = {}
    variables: Any = None


class BundleFile(_File):
    """A bundle."""

    applications: Annotated[dict[str, Application], pydantic.Field(min_length=1)]


class OverlayFile(_File):
    """An overlay; a null application is removed with its relations."""

    applications: dict[str, Application | None] | None = None
