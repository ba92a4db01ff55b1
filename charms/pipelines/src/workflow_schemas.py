"""Argo's custom resources: WorkflowSpec, Template, and their parts.

Names and types of all fields are those of argo-workflows v3.7.14, manifests/base/crds/full and
pkg/apis/workflow/v1alpha1/workflow_types.go. Upstream installs small definitions instead, which check
nothing: nobody notices a misspelled field, and one Workflow that Go cannot decode stops the typed list of
KFP's persistence agent for all profiles. Our definition checks Workflows completely. In templates it does not
check pods and stores: Argo lists templates with clients that tolerate any object, and the API server needs
seconds to load each such definition. As in upstream's full definitions, three fields may hold anything: a
`plugin`, the items of `withItems`, and an `inline` template, because templates within templates have no end.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pydantic
from artifact_schemas import ArtifactLocation, Flag, Labels, Text
from lightkube.models import core_v1, policy_v1

from kubeflow_charm.definitions.crds import Embedded
from kubeflow_charm.definitions.embedded import (
    Affinity,
    ConfigMapKey,
    HostAlias,
    Int32,
    Int64,
    IntOrString,
    Kubernetes,
    LabelSelector,
    ObjectName,
    PodDnsConfig,
    PodSecurityContext,
    SecretKey,
    Toleration,
    Volume,
    VolumeClaim,
    VolumeMount,
)
from kubeflow_charm.definitions.schemas import Schema

Anything = Annotated[Any, pydantic.WithJsonSchema({"x-kubernetes-preserve-unknown-fields": True})]
"""A scalar of any type: Argo converts `1` and `true` to text."""

NamelessContainer = Annotated[dict[str, Any], Kubernetes(core_v1.Container, ((("required",), None),))]
"""The container of a template; Argo sets its name."""
Script = Annotated[
    dict[str, Any],
    Kubernetes(core_v1.Container, ((("required",), None), (("properties", "source"), {"type": "string"}))),
]
UserContainer = Annotated[
    dict[str, Any],
    Kubernetes(core_v1.Container, ((("properties", "mirrorVolumeMounts"), {"type": "boolean"}),)),
]
"""An init container or a sidecar."""
ContainerNode = Annotated[
    dict[str, Any],
    Kubernetes(
        core_v1.Container,
        ((("properties", "dependencies"), {"type": "array", "items": {"type": "string"}}),),
    ),
]
"""A container of a container set."""
DisruptionBudget = Annotated[dict[str, Any], Kubernetes(policy_v1.PodDisruptionBudgetSpec)]


class ValueFrom(Schema):
    """The source of a parameter's value."""

    path: Text = None
    json_path: Text = None
    jq_filter: Text = None
    event: Text = None
    parameter: Text = None
    supplied: Embedded | None = None
    config_map_key_ref: ConfigMapKey | None = None
    default: Anything = None
    expression: Text = None


class Parameter(Schema):
    """A named value."""

    name: str
    default: Anything = None
    value: Anything = None
    value_from: ValueFrom | None = None
    global_name: Text = None
    enum: list[Anything] | None = None
    description: Anything = None


class Metadata(Schema):
    """Labels and annotations of pods."""

    annotations: Labels = None
    labels: Labels = None


class ArtifactGc(Schema):
    """When to delete an artifact, and with which account."""

    strategy: Literal["", "OnWorkflowCompletion", "OnWorkflowDeletion", "Never"] | None = None
    pod_metadata: Metadata | None = None
    service_account_name: Text = None


class NoArchive(Schema):
    """An empty object: an artifact that is stored unchanged, or zipped."""


class Tar(Schema):
    """A tar file, compressed by gzip."""

    compression_level: Int32 | None = None


class Archive(Schema):
    """The packing of an artifact: one of three."""

    none: NoArchive | None = None
    tar: Tar | None = None
    zip: NoArchive | None = None


class Artifact(ArtifactLocation):
    """A named file or folder."""

    name: str
    path: Text = None
    mode: Int32 | None = None
    from_: Annotated[Text, pydantic.Field(alias="from")] = None
    global_name: Text = None
    archive: Archive | None = None
    optional: Flag = None
    sub_path: Text = None
    recurse_mode: Flag = None
    from_expression: Text = None
    artifact_gc: Annotated[ArtifactGc | None, pydantic.Field(alias="artifactGC")] = None
    deleted: Flag = None


class Arguments(Schema):
    """The inputs of a template."""

    parameters: list[Parameter] | None = None
    artifacts: list[Artifact] | None = None


class Outputs(Arguments):
    """The outputs of a template."""

    result: Text = None
    exit_code: Text = None


class TemplateRef(Schema):
    """A template of another resource."""

    name: Text = None
    template: Text = None
    cluster_scope: Flag = None


class LifecycleHook(Schema):
    """A template that runs beside or after another."""

    template: Text = None
    arguments: Arguments | None = None
    template_ref: TemplateRef | None = None
    expression: Text = None


class Sequence(Schema):
    """A count from one number to another."""

    count: IntOrString | None = None
    start: IntOrString | None = None
    end: IntOrString | None = None
    format: Text = None


class ContinueOn(Schema):
    """The failures that do not stop a workflow."""

    error: Flag = None
    failed: Flag = None


class Called(Schema):
    """A call of a template, once or for each of several items."""

    template: Text = None
    inline: Embedded | None = None
    arguments: Arguments | None = None
    template_ref: TemplateRef | None = None
    with_items: list[Anything] | None = None
    with_param: Text = None
    with_sequence: Sequence | None = None
    when: Text = None
    continue_on: ContinueOn | None = None
    on_exit: Text = None
    hooks: dict[str, LifecycleHook] | None = None


class WorkflowStep(Called):
    """A step of a list of steps."""

    name: Text = None


class DagTask(Called):
    """A task of a graph."""

    name: str
    dependencies: list[str] | None = None
    depends: Text = None


class Dag(Schema):
    """A graph of tasks."""

    target: Text = None
    tasks: list[DagTask]
    fail_fast: Flag = None


class Executor(Schema):
    """The account of the executor."""

    service_account_name: Text = None


class Backoff(Schema):
    """The pause between two attempts."""

    duration: Text = None
    factor: IntOrString | None = None
    max_duration: Text = None
    cap: Text = None


class NodeAntiAffinity(Schema):
    """An empty object, whose presence means yes."""


class RetryAffinity(Schema):
    """Whether a retry avoids the node that failed."""

    node_anti_affinity: NodeAntiAffinity | None = None


class RetryStrategy(Schema):
    """How often and when to retry a template."""

    limit: IntOrString | None = None
    retry_policy: Text = None
    backoff: Backoff | None = None
    affinity: RetryAffinity | None = None
    expression: Text = None


class ManifestFrom(Schema):
    """An artifact that holds a manifest."""

    artifact: Artifact


class ResourceTemplate(Schema):
    """A Kubernetes object that a template creates or waits for."""

    action: str
    merge_strategy: Text = None
    manifest: Text = None
    manifest_from: ManifestFrom | None = None
    set_owner_reference: Flag = None
    success_condition: Text = None
    failure_condition: Text = None
    flags: list[str] | None = None


class Suspend(Schema):
    """A pause."""

    duration: Text = None


class SemaphoreDatabase(Schema):
    """A limit in the database."""

    key: str


class Semaphore(Schema):
    """A limit for several at once."""

    config_map_key_ref: ConfigMapKey | None = None
    namespace: Text = None
    database: SemaphoreDatabase | None = None


class Mutex(Schema):
    """A lock for one at a time."""

    name: Text = None
    namespace: Text = None
    database: Flag = None


class Synchronization(Schema, piece=True):
    """The limits of parallel runs."""

    semaphore: Semaphore | None = None
    mutex: Mutex | None = None
    semaphores: list[Semaphore] | None = None
    mutexes: list[Mutex] | None = None


class MetricLabel(Schema):
    """A label of a metric."""

    key: str
    value: str


class Gauge(Schema):
    """A metric that goes up and down."""

    value: str
    realtime: bool
    operation: Text = None


class Histogram(Schema):
    """A metric of a distribution."""

    value: str
    buckets: list[float]


class Counter(Schema):
    """A metric that goes up."""

    value: str


class Metric(Schema):
    """A metric that a workflow or a template adds to the controller's."""

    name: str
    help: str
    labels: list[MetricLabel] | None = None
    when: Text = None
    gauge: Gauge | None = None
    histogram: Histogram | None = None
    counter: Counter | None = None


class Metrics(Schema, piece=True):
    """The metrics for Prometheus."""

    prometheus: list[Metric]


KeylessConfigMap = Annotated[
    dict[str, Any], Kubernetes(core_v1.ConfigMapKeySelector, ((("required",), None),))
]
"""Upstream's full definition requires a key, but upstream's example memoize-simple.yaml has none."""


class CacheMap(Schema):
    """The ConfigMap with remembered outputs."""

    config_map: KeylessConfigMap


class Memoize(Schema, piece=True):
    """Whether to remember outputs, and the key for it."""

    key: str
    cache: CacheMap
    max_age: str


class ContainerSetRetry(Schema):
    """How often to retry a container of a set."""

    duration: Text = None
    retries: IntOrString


class ContainerSet(Schema, piece=True):
    """Several containers in one pod, in order."""

    containers: list[ContainerNode]
    volume_mounts: list[VolumeMount] | None = None
    retry_strategy: ContainerSetRetry | None = None


class ArtifactPaths(Artifact):
    """The files of an artifact."""


class DataSource(Schema):
    """The source of a data template's list."""

    artifact_paths: ArtifactPaths | None = None


class Transformation(Schema):
    """One expression on a list."""

    expression: str


class Data(Schema, piece=True):
    """A list of files, transformed."""

    source: DataSource
    transformation: list[Transformation]


class HttpHeaderSource(Schema):
    """The source of a header's value."""

    secret_key_ref: SecretKey | None = None


class HttpHeader(Schema):
    """A header of a template's request."""

    name: str
    value: Text = None
    value_from: HttpHeaderSource | None = None


class HttpBody(Schema):
    """The body of a request, in base64."""

    bytes: Annotated[Text, pydantic.Field(json_schema_extra={"format": "byte"})] = None


class Http(Schema, piece=True):
    """A template's HTTP request."""

    method: Text = None
    url: str
    headers: list[HttpHeader] | None = None
    timeout_seconds: Int64 | None = None
    success_condition: Text = None
    body: Text = None
    body_from: HttpBody | None = None
    insecure_skip_verify: Annotated[Flag, pydantic.Field(alias="insecureSkipVerify")] = None


class Placed(Schema):
    """The settings for pods that workflows and templates share."""

    service_account_name: Text = None
    automount_service_account_token: Flag = None
    executor: Executor | None = None
    volumes: list[Volume] | None = None
    parallelism: Int64 | None = None
    node_selector: Labels = None
    affinity: Affinity | None = None
    tolerations: list[Toleration] | None = None
    scheduler_name: Text = None
    host_aliases: list[HostAlias] | None = None
    security_context: PodSecurityContext | None = None
    pod_spec_patch: Text = None
    metrics: Metrics | None = None
    synchronization: Synchronization | None = None
    retry_strategy: RetryStrategy | None = None


class Template(Placed):
    """A unit that can run: one of container, steps, dag, and so on."""

    name: Text = None
    inputs: Arguments | None = None
    outputs: Outputs | None = None
    metadata: Metadata | None = None
    daemon: Flag = None
    steps: list[list[WorkflowStep]] | None = None
    container: NamelessContainer | None = None
    container_set: ContainerSet | None = None
    script: Script | None = None
    resource: ResourceTemplate | None = None
    dag: Dag | None = None
    suspend: Suspend | None = None
    data: Data | None = None
    http: Http | None = None
    plugin: Embedded | None = None
    init_containers: list[UserContainer] | None = None
    sidecars: list[UserContainer] | None = None
    archive_location: ArtifactLocation | None = None
    active_deadline_seconds: IntOrString | None = None
    fail_fast: Flag = None
    priority_class_name: Text = None
    memoize: Memoize | None = None
    timeout: Text = None
    annotations: Labels = None


class TtlStrategy(Schema):
    """How long a finished workflow stays."""

    seconds_after_completion: Int32 | None = None
    seconds_after_success: Int32 | None = None
    seconds_after_failure: Int32 | None = None


class PodGc(Schema):
    """When to delete pods."""

    strategy: Text = None
    label_selector: LabelSelector | None = None
    delete_delay_duration: Text = None


class VolumeClaimGc(Schema):
    """When to delete volume claims."""

    strategy: Text = None


class WorkflowArtifactGc(ArtifactGc):
    """When to delete a workflow's artifacts."""

    force_finalizer_removal: Flag = None
    pod_spec_patch: Text = None


class WorkflowTemplateRef(Schema):
    """A reference to a WorkflowTemplate or a ClusterWorkflowTemplate."""

    name: Text = None
    cluster_scope: Flag = None


class LabelSource(Schema):
    """An expression whose value becomes a label."""

    expression: str


class WorkflowMetadata(Metadata):
    """Labels and annotations of workflows."""

    labels_from: dict[str, LabelSource] | None = None


class ArtifactRepositoryRef(Schema):
    """The ConfigMap and its key that describe the artifact repository."""

    config_map: Text = None
    key: Text = None


class WorkflowSpec(Placed, keywords={"x-kubernetes-map-type": "atomic"}):
    """The wanted workflow."""

    templates: list[Template] | None = None
    entrypoint: Text = None
    arguments: Arguments | None = None
    volume_claim_templates: list[VolumeClaim] | None = None
    artifact_repository_ref: ArtifactRepositoryRef | None = None
    suspend: Flag = None
    image_pull_secrets: list[ObjectName] | None = None
    host_network: Flag = None
    dns_policy: Text = None
    dns_config: PodDnsConfig | None = None
    on_exit: Text = None
    ttl_strategy: TtlStrategy | None = None
    active_deadline_seconds: Int64 | None = None
    priority: Int32 | None = None
    pod_gc: Annotated[PodGc | None, pydantic.Field(alias="podGC")] = None
    pod_priority_class_name: Text = None
    pod_disruption_budget: DisruptionBudget | None = None
    shutdown: Text = None
    workflow_template_ref: WorkflowTemplateRef | None = None
    volume_claim_gc: Annotated[VolumeClaimGc | None, pydantic.Field(alias="volumeClaimGC")] = None
    pod_metadata: Metadata | None = None
    template_defaults: Template | None = None
    archive_logs: Flag = None
    hooks: dict[str, LifecycleHook] | None = None
    workflow_metadata: WorkflowMetadata | None = None
    artifact_gc: Annotated[WorkflowArtifactGc | None, pydantic.Field(alias="artifactGC")] = None
