"""InferenceGraph and TrainedModel (kserve v0.16.0, config/crd/full)."""

from __future__ import annotations

from typing import Literal

from serving_types import AGE, GROUP, REACHED, Labels, Reached, Resources, Scaling, Status

from kubeflow_charm import Manifest
from kubeflow_charm.definitions.crds import Names, Version, at_most, definition
from kubeflow_charm.definitions.embedded import Affinity, Int64, Quantity, Toleration
from kubeflow_charm.definitions.schemas import Schema


class Step(Schema):
    """A step of a node: a service, or another node."""

    condition: str | None = None
    data: str | None = None
    dependency: Literal["Soft", "Hard"] | None = None
    map_predictions_to_instances: bool | None = None
    name: str | None = None
    node_name: str | None = None
    service_name: str | None = None
    service_url: str | None = None
    weight: Int64 | None = None


class Node(Schema):
    """A node of a graph."""

    router_type: Literal["Sequence", "Splitter", "Ensemble", "Switch"]
    steps: list[Step] | None = None


class Timeouts(Schema):
    """How many seconds the router waits."""

    server_idle: Int64 | None = None
    server_read: Int64 | None = None
    server_write: Int64 | None = None
    service_client: Int64 | None = None


class GraphSpec(Scaling):
    """The wanted graph, and its router's pod."""

    affinity: Affinity | None = None
    node_name: str | None = None
    node_selector: Labels = None
    nodes: dict[str, Node]
    resources: Resources | None = None
    router_timeouts: Timeouts | None = None
    service_account_name: str | None = None
    timeout: Int64 | None = None
    tolerations: list[Toleration] | None = None


class GraphStatus(Status):
    """The state of a graph."""

    deployment_mode: str | None = None
    url: str | None = None


class InferenceGraph(Schema):
    """Several models behind one address."""

    spec: GraphSpec | None = None
    status: GraphStatus | None = None


class TrainedModelContent(Schema):
    """A model, and the memory that it needs."""

    framework: str
    memory: Quantity
    storage_uri: str


class TrainedModelSpec(Schema):
    """A model that an InferenceService loads besides."""

    inference_service: str
    model: TrainedModelContent


class TrainedModel(Schema):
    """A model that a running server loads."""

    spec: TrainedModelSpec | None = None
    status: Reached | None = None


def definitions() -> list[Manifest]:
    """Return the CustomResourceDefinitions. A graph's name is that of a Service."""
    columns = (*REACHED, AGE)
    return [
        definition(
            Names("InferenceGraph", "inferencegraphs", GROUP, short=("ig",), objects=at_most(63)),
            [Version("v1alpha1", InferenceGraph, storage=True, columns=columns)],
        ),
        definition(
            Names("TrainedModel", "trainedmodels", GROUP, short=("tm",)),
            [Version("v1alpha1", TrainedModel, storage=True, columns=columns)],
        ),
    ]
