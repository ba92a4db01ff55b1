"""The custom resource Profile: a namespace that belongs to a user, a group or a service account.

Fields and validations are those of kubeflow/kubeflow v1.10.0,
components/profile-controller/config/crd/bases/kubeflow.org_profiles.yaml, with the list and map types that
kubeflow/dashboard has added since.
"""

from __future__ import annotations

from typing import Annotated

import pydantic

from kubeflow_charm import Manifest
from kubeflow_charm.definitions.crds import Embedded, Names, Schema, Version, definition

_ATOMIC_LIST = pydantic.Field(json_schema_extra={"x-kubernetes-list-type": "atomic"})
_ATOMIC_MAP = pydantic.ConfigDict(json_schema_extra={"x-kubernetes-map-type": "atomic"})
_NUMBER = r"(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))"

Quantity = Annotated[
    int | str,
    pydantic.WithJsonSchema(
        {
            "x-kubernetes-int-or-string": True,
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "pattern": rf"^(\+|-)?{_NUMBER}(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?{_NUMBER}))?$",
        }
    ),
]
"""An amount of a resource, such as `4`, `500m` or `64Gi` (apimachinery's resource.Quantity)."""


class Subject(Schema):
    """Whom the profile belongs to (rbac/v1 Subject)."""

    model_config = _ATOMIC_MAP

    api_group: str | None = None
    kind: str
    name: str
    namespace: str | None = None


class Plugin(Schema):
    """Something that a cloud adds to the profile, such as a workload identity."""

    api_version: str | None = None
    kind: str | None = None
    spec: Embedded | None = None


class ScopeRequirement(Schema):
    """One condition on the scope of the objects that a quota counts."""

    operator: str
    scope_name: str
    values: Annotated[list[str], _ATOMIC_LIST] | None = None


class ScopeSelector(Schema):
    """All conditions on the scope of the objects that a quota counts."""

    model_config = _ATOMIC_MAP

    match_expressions: Annotated[list[ScopeRequirement], _ATOMIC_LIST] | None = None


class ResourceQuotaSpec(Schema):
    """The quota of the profile's namespace (core/v1 ResourceQuotaSpec)."""

    hard: dict[str, Quantity] | None = None
    scope_selector: ScopeSelector | None = None
    scopes: Annotated[list[str], _ATOMIC_LIST] | None = None


class ProfileSpec(Schema):
    """What is asked for."""

    owner: Subject | None = None
    plugins: list[Plugin] | None = None
    resource_quota_spec: ResourceQuotaSpec | None = None


class ProfileCondition(Schema):
    """One thing that the controller says of the profile."""

    message: str | None = None
    status: str | None = None
    type: str | None = None


class ProfileStatus(Schema):
    """What became of it."""

    conditions: list[ProfileCondition] | None = None


class Profile(Schema):
    """A namespace that belongs to somebody."""

    spec: ProfileSpec | None = None
    status: ProfileStatus | None = None


def profile_definition() -> Manifest:
    """Return the CustomResourceDefinition of Profile: v1 is stored, v1beta1 has the same fields."""
    versions = [Version("v1", Profile, storage=True), Version("v1beta1", Profile)]
    return definition(Names("Profile", "profiles", "kubeflow.org"), versions, namespaced=False)
