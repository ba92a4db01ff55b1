"""InferencePool and InferenceModel: Kubernetes' own way to choose a pod for a request to a language model.

Fields and validations are those of kserve v0.16.0, config/llmisvc/gateway-inference-extension.yaml.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pydantic

from kubeflow_charm import Manifest
from kubeflow_charm.definitions.conditions import Condition
from kubeflow_charm.definitions.crds import Column, Names, Version, definition, rules
from kubeflow_charm.definitions.embedded import Int32
from kubeflow_charm.definitions.schemas import Schema

GROUP = "inference.networking.x-k8s.io"

_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
ObjectName = Annotated[str, pydantic.Field(min_length=1, max_length=253)]
ObjectGroup = Annotated[str, pydantic.Field(max_length=253, pattern=rf"^$|^{_LABEL}(\.{_LABEL})*$")]
ObjectKind = Annotated[
    str, pydantic.Field(min_length=1, max_length=63, pattern=r"^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$")
]
Port = Annotated[Int32, pydantic.Field(ge=1, le=65535)]
LabelText = Annotated[
    str,
    pydantic.Field(min_length=0, max_length=63, pattern=r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$"),
]


def _conditions(first: str) -> dict[str, Any]:
    """Return the keywords of a list of conditions that begins with one."""
    pending = {
        "lastTransitionTime": "1970-01-01T00:00:00Z",
        "message": "Waiting for controller",
        "reason": "Pending",
        "status": "Unknown",
        "type": first,
    }
    return {
        "default": [pending],
        "maxItems": 8,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
    }


class PoolRef(Schema):
    """The pool of a model."""

    group: ObjectGroup = GROUP
    kind: ObjectKind = "InferencePool"
    name: ObjectName


class TargetModel(Schema):
    """One of several models behind a name."""

    name: Annotated[str, pydantic.Field(max_length=253)]
    weight: Annotated[Int32 | None, pydantic.Field(ge=1, le=1000000)] = None


_FIXED = rules(("self == oldSelf", "modelName is immutable"))
_WEIGHTS = {"maxItems": 10} | rules(
    (
        "self.all(model, has(model.weight)) || self.all(model, !has(model.weight))",
        "Weights should be set for all models, or none of the models.",
    )
)


class ModelSpec(Schema):
    """A model of a pool."""

    criticality: Literal["Critical", "Standard", "Sheddable"] | None = None
    model_name: Annotated[str, pydantic.Field(max_length=256, json_schema_extra=_FIXED)]
    pool_ref: PoolRef
    target_models: Annotated[list[TargetModel] | None, pydantic.Field(json_schema_extra=_WEIGHTS)] = None


class ModelStatus(Schema):
    """The state of a model."""

    conditions: Annotated[list[Condition] | None, pydantic.Field(json_schema_extra=_conditions("Ready"))] = (
        None
    )


class InferenceModel(Schema):
    """A model of a pool."""

    spec: ModelSpec | None = None
    status: ModelStatus | None = None


class Extension(Schema):
    """The service that chooses a pod."""

    failure_mode: Literal["FailOpen", "FailClose"] = "FailClose"
    group: ObjectGroup = ""
    kind: ObjectKind = "Service"
    name: ObjectName
    port_number: Port | None = None


class PoolSpec(Schema):
    """Pods that serve the same model."""

    extension_ref: Extension
    selector: dict[str, LabelText]
    target_port_number: Port


class ParentRef(Schema, keywords={"x-kubernetes-map-type": "atomic"}):
    """A Gateway (core/v1 ObjectReference)."""

    api_version: str | None = None
    field_path: str | None = None
    kind: str | None = None
    name: str | None = None
    namespace: str | None = None
    resource_version: str | None = None
    uid: str | None = None


class Parent(Schema):
    """The state of a pool behind a Gateway."""

    conditions: Annotated[
        list[Condition] | None, pydantic.Field(json_schema_extra=_conditions("Accepted"))
    ] = None
    parent_ref: ParentRef


class PoolStatus(Schema):
    """The state of a pool."""

    parent: Annotated[list[Parent], pydantic.Field(max_length=32)] | None = None


class InferencePool(Schema):
    """Pods that serve the same model."""

    spec: PoolSpec | None = None
    status: PoolStatus | None = None


_COLUMNS = (
    Column("Model Name", "string", ".spec.modelName"),
    Column("Inference Pool", "string", ".spec.poolRef.name"),
    Column("Criticality", "string", ".spec.criticality"),
    Column("Age", "date", ".metadata.creationTimestamp"),
)


def definitions() -> list[Manifest]:
    """Return the CustomResourceDefinitions."""
    return [
        definition(
            Names("InferenceModel", "inferencemodels", GROUP),
            [Version("v1alpha2", InferenceModel, storage=True, columns=_COLUMNS)],
        ),
        definition(
            Names("InferencePool", "inferencepools", GROUP),
            [Version("v1alpha2", InferencePool, storage=True)],
        ),
    ]
