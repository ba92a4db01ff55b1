"""InferenceService: a model behind an address, with transformer and explainer.

Fields, columns and validations are those of kserve v0.16.0, config/crd/full/
serving.kserve.io_inferenceservices.yaml. A component is a pod with further fields, and a framework is a
container with further fields. Upstream's have the fields of an old Kubernetes; ours have those of the newest.
"""

from __future__ import annotations

import datetime
from typing import Annotated, Any, Literal

import pydantic
from lightkube.models import apps_v1, core_v1
from serving_types import (
    AGE,
    GROUP,
    REACHED,
    Address,
    Behavior,
    Labels,
    MetricTarget,
    Parallelism,
    Reached,
    Scaling,
)

from kubeflow_charm import Manifest
from kubeflow_charm.definitions.crds import Column, Names, Version, atomic, definition
from kubeflow_charm.definitions.embedded import Int32, Int64, Kubernetes
from kubeflow_charm.definitions.schemas import ANYTHING, Schema

NAME = {"type": "string", "maxLength": 53, "pattern": "^[a-z]([-a-z0-9]*[a-z0-9])?$"}
"""The schema of a name: `<name>-predictor` is the name of a Service, which has at most 63 characters. The
pattern is that of KServe's webhook (pkg/apis/serving/v1beta1/inference_service_validation.go)."""


def _portless(*place: str) -> list[tuple[tuple[str, ...], None]]:
    """Return the changes of a container at a place: Knative takes probes without a port."""
    return [
        ((*place, "properties", probe, "properties", way, "required"), None)
        for probe in ("livenessProbe", "readinessProbe")
        for way in ("httpGet", "tcpSocket")
    ]


CONTAINER = Kubernetes(core_v1.Container, (*_portless(),))
WHOLE_POD = Kubernetes(core_v1.PodSpec)
POD = Kubernetes(
    core_v1.PodSpec,
    (
        (("properties", "ephemeralContainers"), None),
        (("properties", "os", "required"), None),
        *_portless("properties", "containers", "items"),
    ),
)
"""The pod of a component, as upstream changes it (Makefile, `manifests`)."""
Strategy = Annotated[dict[str, Any], Kubernetes(apps_v1.DeploymentStrategy)]


class SecretRef(Schema):
    """The name of a TriggerAuthentication."""

    name: str


class Authentication(Schema):
    """How KEDA authenticates at a source of metrics."""

    auth_modes: str | None = None
    authentication_ref: SecretRef


class ExternalMetric(Schema):
    """A metric of a server of metrics."""

    backend: Literal["prometheus", "graphite"] | None = None
    namespace: str | None = None
    query: str | None = None
    server_address: str | None = None


class ExternalSource(Schema):
    """A metric from outside, and its target."""

    authentication_ref: Authentication | None = None
    metric: ExternalMetric
    target: MetricTarget


class PodMetric(Schema):
    """A metric that the pods tell."""

    backend: Literal["opentelemetry"] | None = None
    metric_names: list[str] | None = None
    operation_over_time: str | None = None
    query: str | None = None
    server_address: str | None = None


class PodSource(Schema):
    """A metric of the pods, and its target."""

    metric: PodMetric
    target: MetricTarget


class ResourceSource(Schema):
    """A resource, and its target."""

    name: Literal["cpu", "memory"]
    target: MetricTarget


class Metric(Schema):
    """What a component scales by."""

    external: ExternalSource | None = None
    podmetric: PodSource | None = None
    resource: ResourceSource | None = None
    type: Literal["Resource", "External", "PodMetric"]


class AutoScaling(Schema):
    """How KEDA scales a component."""

    behavior: Behavior | None = None
    metrics: list[Metric] | None = None


class Batcher(Schema):
    """How requests are collected."""

    max_batch_size: int | None = None
    max_latency: int | None = None
    timeout: int | None = None


class LoggerStorage(Schema):
    """Where logged requests are stored."""

    key: str | None = None
    parameters: Labels = None
    path: str | None = None
    service_account_name: str | None = None


class Logger(Schema):
    """What is logged of requests."""

    metadata_annotations: list[str] | None = None
    metadata_headers: list[str] | None = None
    mode: Literal["all", "request", "response"] | None = None
    storage: LoggerStorage | None = None
    url: str | None = None


class StorageUri(Schema):
    """One of several places that a model is fetched from."""

    mount_path: Annotated[str, pydantic.Field(max_length=255, pattern="^/.*")] = "/mnt/models"
    uri: Annotated[str, pydantic.Field(min_length=1)]


class _Component(Scaling):
    """What every component has beside its pod."""

    annotations: Labels = None
    auto_scaling: AutoScaling | None = None
    batcher: Batcher | None = None
    canary_traffic_percent: Int64 | None = None
    container_concurrency: Int64 | None = None
    deployment_strategy: Strategy | None = None
    labels: Labels = None
    logger: Logger | None = None
    scale_metric_type: Literal["Utilization", "Value", "AverageValue"] | None = None
    storage_uris: Annotated[list[StorageUri], pydantic.Field(min_length=1), atomic()] | None = None
    timeout: Int64 | None = None


class Storage(Schema):
    """Where the model is, in a store that a Secret names."""

    key: str | None = None
    parameters: Labels = None
    path: str | None = None
    schema_path: str | None = None


class _Framework(Schema):
    """What the container of every framework has besides."""

    runtime_version: str | None = None
    storage: Storage | None = None
    storage_uri: str | None = None


class Framework(_Framework, inlined=CONTAINER):
    """The server of one framework: the old way to say what `model` says."""

    protocol_version: str | None = None


class ModelFormat(Schema):
    """The format of a model."""

    name: str
    version: str | None = None


class Model(_Framework, inlined=CONTAINER):
    """The model and its server."""

    model_format: ModelFormat | None = None
    protocol_version: str | None = None
    runtime: str | None = None


class Worker(Parallelism, inlined=WHOLE_POD):
    """The pods beside the first, if a model needs several nodes."""


class Predictor(_Component, inlined=POD):
    """What serves the model."""

    huggingface: Framework | None = None
    lightgbm: Framework | None = None
    model: Model | None = None
    onnx: Framework | None = None
    paddle: Framework | None = None
    pmml: Framework | None = None
    pytorch: Framework | None = None
    sklearn: Framework | None = None
    tensorflow: Framework | None = None
    triton: Framework | None = None
    worker_spec: Worker | None = None
    xgboost: Framework | None = None


class Transformer(_Component, inlined=POD):
    """What prepares requests and answers."""


class ArtExplainer(_Framework, inlined=CONTAINER):
    """The explainer ART."""

    config: Labels = None
    type: str | None = None


class Explainer(_Component, inlined=POD):
    """What explains answers."""

    art: ArtExplainer | None = None


class InferenceServiceSpec(Schema):
    """The wanted service."""

    explainer: Explainer | None = None
    predictor: Predictor
    transformer: Transformer | None = None


class Traffic(Schema):
    """The share of a revision in the requests."""

    configuration_name: str | None = None
    latest_revision: bool | None = None
    percent: Int64 | None = None
    revision_name: str | None = None
    tag: str | None = None
    url: str | None = None


class ComponentStatus(Schema):
    """The state of a component."""

    address: Address | None = None
    grpc_url: str | None = None
    latest_created_revision: str | None = None
    latest_ready_revision: str | None = None
    latest_rolledout_revision: str | None = None
    previous_rolledout_revision: str | None = None
    rest_url: str | None = None
    traffic: list[Traffic] | None = None
    url: str | None = None


class Copies(Schema):
    """How many pods have the model."""

    failed_copies: int = 0
    total_copies: int | None = None


class FailureInfo(Schema):
    """Why a model was not loaded."""

    exit_code: Int32 | None = None
    location: str | None = None
    message: str | None = None
    model_revision_name: str | None = None
    reason: (
        Literal[
            "ModelLoadFailed",
            "RuntimeUnhealthy",
            "RuntimeDisabled",
            "NoSupportingRuntime",
            "RuntimeNotRecognized",
            "InvalidPredictorSpec",
        ]
        | None
    ) = None
    time: datetime.datetime | None = None


ModelState = Literal["", "Pending", "Standby", "Loading", "Loaded", "FailedToLoad"]


class ModelStates(Schema):
    """The state of the model that answers, and of the next one."""

    active_model_state: ModelState = "Pending"
    target_model_state: ModelState = ""


class ModelStatus(Schema):
    """The state of the model."""

    copies: Copies | None = None
    last_failure_info: FailureInfo | None = None
    states: ModelStates | None = None
    transition_status: Literal["", "UpToDate", "InProgress", "BlockedByFailedLoad", "InvalidSpec"] = (
        "UpToDate"
    )


class InferenceServiceStatus(Reached, keywords=ANYTHING):
    """The state of the service."""

    cluster_serving_runtime_name: str | None = None
    components: dict[str, ComponentStatus] | None = None
    deployment_mode: str | None = None
    model_status: ModelStatus | None = None
    serving_runtime_name: str | None = None


class InferenceService(Schema):
    """A model behind an address."""

    spec: InferenceServiceSpec | None = None
    status: InferenceServiceStatus | None = None


_TRAFFIC = ".status.components.predictor.traffic"
_COLUMNS = (
    *REACHED,
    Column("Prev", "integer", f"{_TRAFFIC}[?(@.tag=='prev')].percent"),
    Column("Latest", "integer", f"{_TRAFFIC}[?(@.latestRevision==true)].percent"),
    Column("PrevRolledoutRevision", "string", f"{_TRAFFIC}[?(@.tag=='prev')].revisionName"),
    Column("LatestReadyRevision", "string", f"{_TRAFFIC}[?(@.latestRevision==true)].revisionName"),
    AGE,
)


def isvc_definition() -> Manifest:
    """Return the CustomResourceDefinition of InferenceService."""
    return definition(
        Names("InferenceService", "inferenceservices", GROUP, short=("isvc",), objects=NAME),
        [Version("v1beta1", InferenceService, storage=True, columns=_COLUMNS)],
    )
