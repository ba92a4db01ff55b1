"""Tolerations and affinities that operators write, as typed models: the part of core/v1 that places pods.

Fields and rules are those of Kubernetes v1.36: core/v1 Toleration and Affinity, with their validation in
pkg/apis/core/validation. So Kubernetes accepts in a pod what is accepted here, and a wrong value is found in
the option, with its place, instead of in a user's notebook long after.

The scheduler is stricter than the API server in two cases (component-helpers, scheduling/corev1/nodeaffinity;
apimachinery, pkg/labels), and so are these models: the value of Gt and Lt is a whole number, and the values
of a preference are label values. Kubernetes accepts a pod with others, and never schedules it.
"""

from __future__ import annotations

from typing import Annotated, Literal

import pydantic
from pydantic.alias_generators import to_camel

from kubeflow_charm.gpu.kubernetes_labels import DomainName, LabelKey, LabelValue, Namespace

_WITH_VALUES = {"In", "NotIn"}  # codespell:ignore
_INT64 = 2**63

Weight = Annotated[int, pydantic.Field(ge=1, le=100, strict=True)]


class _Piece(pydantic.BaseModel):
    """A piece of a pod's specification: unknown fields are errors."""

    model_config = pydantic.ConfigDict(
        alias_generator=to_camel, frozen=True, extra="forbid", validate_by_name=False, defer_build=True
    )


class Toleration(_Piece):
    """Taints that do not keep a pod off (core/v1 Toleration)."""

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
    values: list[LabelValue] | None = None

    @pydantic.model_validator(mode="after")
    def _fits(self) -> NodeRequirement:
        if self.operator in ("Gt", "Lt"):
            if len(self.values or []) != 1 or not _is_int64((self.values or [""])[0]):
                raise ValueError(f"{self.operator} takes one value, a whole number")
        else:
            _check_values(self.operator, self.values)
        return self


class FieldRequirement(_Piece):
    """A condition on a node's name, the only field there is (core/v1 NodeSelectorRequirement)."""

    key: Literal["metadata.name"]
    operator: Literal["In", "NotIn"]  # codespell:ignore
    values: Annotated[list[DomainName], pydantic.Field(min_length=1, max_length=1)]


class NodeTerm(_Piece):
    """Conditions that must all hold (core/v1 NodeSelectorTerm)."""

    match_expressions: list[NodeRequirement] | None = None
    match_fields: list[FieldRequirement] | None = None


class NodeSelector(_Piece):
    """Terms, one of which must hold (core/v1 NodeSelector)."""

    node_selector_terms: Annotated[list[NodeTerm], pydantic.Field(min_length=1)]


class PreferredNodes(_Piece):
    """Nodes that a pod prefers (core/v1 PreferredSchedulingTerm)."""

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
    """Pods to run beside, or not (core/v1 PodAffinityTerm)."""

    topology_key: LabelKey
    label_selector: LabelSelector | None = None
    namespace_selector: LabelSelector | None = None
    namespaces: list[Namespace] | None = None
    match_label_keys: list[LabelKey] | None = None
    mismatch_label_keys: list[LabelKey] | None = None


class PreferredPods(_Piece):
    """Pods that a pod prefers to run beside, or not (core/v1 WeightedPodAffinityTerm)."""

    weight: Weight
    pod_affinity_term: PodTerm


class PodAffinity(_Piece):
    """Pods to run beside; as an anti-affinity, pods to keep off (core/v1 PodAffinity)."""

    required: Annotated[
        list[PodTerm] | None, pydantic.Field(alias="requiredDuringSchedulingIgnoredDuringExecution")
    ] = None
    preferred: Annotated[
        list[PreferredPods] | None, pydantic.Field(alias="preferredDuringSchedulingIgnoredDuringExecution")
    ] = None


class Affinity(_Piece):
    """Where a pod may run, and where it should preferably run (core/v1 Affinity)."""

    node_affinity: NodeAffinity | None = None
    pod_affinity: PodAffinity | None = None
    pod_anti_affinity: PodAffinity | None = None


def document(piece: pydantic.BaseModel) -> dict[str, object]:
    """Return a model as Kubernetes has it, without the fields that were not given."""
    return piece.model_dump(by_alias=True, exclude_none=True)


def _check_values(operator: str, values: list[str] | None) -> None:
    if operator in _WITH_VALUES and not values:
        raise ValueError(f"{operator} takes one value or more")
    if operator not in _WITH_VALUES and values:
        raise ValueError(f"{operator} takes no values")


def _is_int64(value: str) -> bool:
    """Return whether the scheduler reads a label's value as a whole number."""
    return value.isascii() and value.isdecimal() and int(value) < _INT64
