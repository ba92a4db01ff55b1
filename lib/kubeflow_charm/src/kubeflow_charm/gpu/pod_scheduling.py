"""Tolerations and affinities that operators write, as typed models: the part of core/v1 that places pods.

The fields and rules are those of Kubernetes v1.36 (core/v1 Toleration and Affinity, and their validation in
pkg/apis/core/validation), so that what is accepted here is accepted in a pod, and what is refused here comes
with its place in the option. A pod that Kubernetes refuses would be a user's notebook, long after.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

import pydantic
from pydantic.alias_generators import to_camel

_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_DOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_SEVERAL = {"In", "NotIn"}  # codespell:ignore


def _label_key(value: str) -> str:
    prefix, slash, name = value.rpartition("/")
    if not _NAME.fullmatch(name) or (slash and not (len(prefix) <= 253 and _DOMAIN.fullmatch(prefix))):
        raise ValueError(f"{value[:70]!r} is not a label's key")
    return value


def _label_value(value: str) -> str:
    if value and not _NAME.fullmatch(value):
        raise ValueError(f"{value[:70]!r} is not a label's value")
    return value


def _resource(value: str) -> str:
    prefix, _, name = value.partition("/")
    known = prefix and _DOMAIN.fullmatch(prefix) and not re.search(r"(^|\.)kubernetes\.io$", prefix)
    if not (known and _NAME.fullmatch(name)) or value.startswith("requests."):
        raise ValueError(f"{value[:70]!r} is not an extended resource, such as nvidia.com/gpu")
    return value


LabelKey = Annotated[str, pydantic.AfterValidator(_label_key)]
LabelValue = Annotated[str, pydantic.AfterValidator(_label_value)]
ExtendedResource = Annotated[str, pydantic.AfterValidator(_resource)]
"""`<domain>/<name>`: what device plugins call their devices."""
Weight = Annotated[int, pydantic.Field(ge=1, le=100, strict=True)]


class _Piece(pydantic.BaseModel):
    """A piece of a pod's specification: no field is unknown, and what is not given is left out."""

    model_config = pydantic.ConfigDict(
        alias_generator=to_camel, frozen=True, extra="forbid", validate_by_name=False
    )


class Toleration(_Piece):
    """A taint that a pod puts up with (core/v1 Toleration)."""

    key: LabelKey | None = None
    operator: Literal["Exists", "Equal"] | None = None
    value: LabelValue | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute", ""] | None = None
    toleration_seconds: Annotated[int, pydantic.Field(strict=True)] | None = None

    @pydantic.model_validator(mode="after")
    def _fits(self) -> Toleration:
        if not self.key and self.operator != "Exists":
            raise ValueError("without a key, the operator has to be Exists")
        if self.operator == "Exists" and self.value:
            raise ValueError("with the operator Exists, there is no value")
        if self.toleration_seconds is not None and self.effect != "NoExecute":
            raise ValueError("tolerationSeconds needs the effect NoExecute")
        return self


class LabelRequirement(_Piece):
    """A condition on labels of pods or namespaces (meta/v1 LabelSelectorRequirement)."""

    key: LabelKey
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]  # codespell:ignore
    values: list[LabelValue] | None = None

    @pydantic.model_validator(mode="after")
    def _fits(self) -> LabelRequirement:
        _check_values(self.operator, self.values)
        return self


class LabelSelector(_Piece):
    """Which pods or namespaces (meta/v1 LabelSelector)."""

    match_labels: dict[LabelKey, LabelValue] | None = None
    match_expressions: list[LabelRequirement] | None = None


class NodeRequirement(_Piece):
    """A condition on labels of nodes (core/v1 NodeSelectorRequirement)."""

    key: LabelKey
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"]  # codespell:ignore
    values: list[str] | None = None

    @pydantic.model_validator(mode="after")
    def _fits(self) -> NodeRequirement:
        if self.operator in ("Gt", "Lt"):
            if len(self.values or []) != 1:
                raise ValueError(f"{self.operator} takes one value, a whole number")
        else:
            _check_values(self.operator, self.values)
        return self


class FieldRequirement(_Piece):
    """A condition on a field of nodes: their name, there is no other (core/v1 NodeSelectorRequirement)."""

    key: Literal["metadata.name"]
    operator: Literal["In", "NotIn"]  # codespell:ignore
    values: Annotated[list[str], pydantic.Field(min_length=1, max_length=1)]


class NodeTerm(_Piece):
    """Conditions of which all must hold (core/v1 NodeSelectorTerm)."""

    match_expressions: list[NodeRequirement] | None = None
    match_fields: list[FieldRequirement] | None = None


class NodeSelector(_Piece):
    """Terms of which one must hold (core/v1 NodeSelector)."""

    node_selector_terms: Annotated[list[NodeTerm], pydantic.Field(min_length=1)]


class PreferredNodes(_Piece):
    """Nodes that are better than others (core/v1 PreferredSchedulingTerm)."""

    weight: Weight
    preference: NodeTerm


class NodeAffinity(_Piece):
    """Which nodes (core/v1 NodeAffinity)."""

    required: Annotated[
        NodeSelector | None, pydantic.Field(alias="requiredDuringSchedulingIgnoredDuringExecution")
    ] = None
    preferred: Annotated[
        list[PreferredNodes] | None, pydantic.Field(alias="preferredDuringSchedulingIgnoredDuringExecution")
    ] = None


class PodTerm(_Piece):
    """Near to which pods, or far from them (core/v1 PodAffinityTerm)."""

    topology_key: LabelKey
    label_selector: LabelSelector | None = None
    namespace_selector: LabelSelector | None = None
    namespaces: list[str] | None = None
    match_label_keys: list[LabelKey] | None = None
    mismatch_label_keys: list[LabelKey] | None = None


class PreferredPods(_Piece):
    """Pods that are better to be near to, or far from (core/v1 WeightedPodAffinityTerm)."""

    weight: Weight
    pod_affinity_term: PodTerm


class PodAffinity(_Piece):
    """Near to which pods, or, as an anti-affinity, far from which (core/v1 PodAffinity)."""

    required: Annotated[
        list[PodTerm] | None, pydantic.Field(alias="requiredDuringSchedulingIgnoredDuringExecution")
    ] = None
    preferred: Annotated[
        list[PreferredPods] | None, pydantic.Field(alias="preferredDuringSchedulingIgnoredDuringExecution")
    ] = None


class Affinity(_Piece):
    """Where a pod may run, and where it had better (core/v1 Affinity)."""

    node_affinity: NodeAffinity | None = None
    pod_affinity: PodAffinity | None = None
    pod_anti_affinity: PodAffinity | None = None


def document(piece: pydantic.BaseModel) -> dict[str, object]:
    """Return a model as Kubernetes has it: fields that were not given are left out."""
    return piece.model_dump(by_alias=True, exclude_none=True)


def _check_values(operator: str, values: list[str] | None) -> None:
    if operator in _SEVERAL and not values:
        raise ValueError(f"{operator} takes one value or more")
    if operator not in _SEVERAL and values:
        raise ValueError(f"{operator} takes no values")
