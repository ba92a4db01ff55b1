"""What several kinds of KServe have in common: conditions, addresses, scaling.

Source: kserve v0.16.0, config/crd/full.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pydantic
from lightkube.models import autoscaling_v2, core_v1

from kubeflow_charm.definitions.crds import Column
from kubeflow_charm.definitions.embedded import Int32, Int64, Kubernetes, Quantity
from kubeflow_charm.definitions.schemas import Schema

GROUP = "serving.kserve.io"

Labels = dict[str, str] | None
Resources = Annotated[dict[str, Any], Kubernetes(core_v1.ResourceRequirements)]
ScaleMetric = Literal["cpu", "memory", "concurrency", "rps"]
Behavior = Annotated[dict[str, Any], Kubernetes(autoscaling_v2.HorizontalPodAutoscalerBehavior)]

AGE = Column("Age", "date", ".metadata.creationTimestamp")
REACHED = (
    Column("URL", "string", ".status.url"),
    Column("Ready", "string", ".status.conditions[?(@.type=='Ready')].status"),
)
"""The first columns of what has an address."""


class MetricTarget(Schema):
    """The wanted value of a metric."""

    average_utilization: Int32 | None = None
    average_value: Quantity | None = None
    type: Literal["Utilization", "Value", "AverageValue"] | None = None
    value: Quantity | None = None


class Address(Schema):
    """Where something is reached within the cluster (Knative's duck type Addressable)."""

    ca_certs: Annotated[str | None, pydantic.Field(alias="CACerts")] = None
    audience: str | None = None
    name: str | None = None
    url: str | None = None


class Condition(Schema):
    """A condition, as Knative writes it."""

    type: str
    status: str
    last_transition_time: str | None = None
    message: str | None = None
    reason: str | None = None
    severity: str | None = None


class Status(Schema):
    """What every status has."""

    annotations: Labels = None
    conditions: list[Condition] | None = None
    observed_generation: Int64 | None = None


class Reached(Status):
    """The status of what has an address."""

    address: Address | None = None
    url: str | None = None


class Parallelism(Schema):
    """How many GPUs share a model (of `workerSpec`)."""

    pipeline_parallel_size: int | None = None
    tensor_parallel_size: int | None = None


class Scaling(Schema):
    """How many pods a component has, as plain numbers."""

    max_replicas: Int32 | None = None
    min_replicas: Int32 | None = None
    scale_metric: ScaleMetric | None = None
    scale_target: Int32 | None = None
