"""The shape of a bundle and of an overlay, as Juju reads them on a Kubernetes model.

Facts: juju/charm, bundledata.go, and Juju's documentation "Bundle". Keys that mean nothing on Kubernetes
(`machines`, `to`, `num_units`) are refused, since they would be ignored in silence.
"""

from __future__ import annotations

from typing import Annotated, Any

import pydantic

_Strict = pydantic.ConfigDict(extra="forbid", populate_by_name=True)

APPLICATION_NAME = r"^[a-z][a-z0-9]*(-[a-z0-9]*[a-z][a-z0-9]*)*$"
Scalar = str | int | float | bool


class Application(pydantic.BaseModel):
    """One application of a bundle."""

    model_config = _Strict

    charm: str
    channel: str | None = None
    revision: int | None = None
    base: str | None = None
    scale: Annotated[int, pydantic.Field(ge=0)] = 1
    trust: bool = False
    options: dict[str, Scalar] = {}
    resources: dict[str, str | int] = {}
    constraints: str | None = None
    annotations: dict[str, str] = {}
    storage: dict[str, str] = {}
    expose: bool = False


class ApplicationChange(pydantic.BaseModel):
    """What an overlay changes of an application that the bundle has, or a whole new one."""

    model_config = _Strict

    charm: str | None = None
    channel: str | None = None
    revision: int | None = None
    base: str | None = None
    scale: Annotated[int, pydantic.Field(ge=0)] | None = None
    trust: bool | None = None
    options: dict[str, Scalar] = {}
    resources: dict[str, str | int] = {}
    constraints: str | None = None
    annotations: dict[str, str] = {}
    storage: dict[str, str] = {}
    expose: bool | None = None


Relation = Annotated[list[str], pydantic.Field(min_length=2, max_length=2)]


class _File(pydantic.BaseModel):
    """What bundles and overlays have in common."""

    model_config = _Strict

    bundle: str | None = None
    name: str | None = None
    description: str | None = None
    docs: str | None = None
    website: str | None = None
    issues: str | None = None
    source: str | None = None
    default_base: Annotated[str | None, pydantic.Field(alias="default-base")] = None
    relations: list[Relation] = []
    variables: Any = None


class BundleFile(_File):
    """A bundle."""

    applications: Annotated[dict[str, Application], pydantic.Field(min_length=1)]


class OverlayFile(_File):
    """An overlay: an application that is null is taken out."""

    applications: dict[str, ApplicationChange | None] = {}
