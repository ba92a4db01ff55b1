"""What Argo's custom resources say: WorkflowSpec, Template, and what they are made of.

Every field of argo-workflows v3.7.14, pkg/apis/workflow/v1alpha1/workflow_types.go, is here by its name.
Upstream's small definitions keep whatever is written, so that a misspelled field is found when nothing
happens; with these, `kubectl` and the API server say so. What belongs to another API (volumes, containers,
affinities) is kept whole, and checked when the pod is made; so is what has a form for each kind of store. A
template within a template has no end, so an `inline` one is kept whole as well.
"""

from __future__ import annotations

from typing import Annotated, Any

import pydantic

from kubeflow_charm.definitions.crds import Embedded, IntOrString, Schema

Text = str | None
Flag = bool | None
Number = int | None
Embeddeds = list[Embedded] | None
Labels = dict[str, str] | None
Anything = Annotated[Any, pydantic.WithJsonSchema({"x-kubernetes-preserve-unknown-fields": True})]
"""A scalar of any type: Argo takes `1` and `true` for their text."""

_ATOMIC = pydantic.ConfigDict(json_schema_extra={"x-kubernetes-map-type": "atomic"})


class ValueFrom(Schema):
    """Where a parameter's value comes from."""

    path: Text = None
    json_path: Text = None
    jq_filter: Text = None
    event: Text = None
    parameter: Text = None
    supplied: Embedded | None = None
    config_map_key_ref: Embedded | None = None
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


class ArtifactGc(Schema):
    """When an artifact goes, and by whose hand."""

    strategy: Text = None
    pod_metadata: Embedded | None = None
    service_account_name: Text = None


class ArtifactLocation(Schema):
    """Where an artifact is: one of these stores."""

    archive_logs: Flag = None
    s3: Embedded | None = None
    git: Embedded | None = None
    http: Embedded | None = None
    artifactory: Embedded | None = None
    hdfs: Embedded | None = None
    raw: Embedded | None = None
    oss: Embedded | None = None
    gcs: Embedded | None = None
    azure: Embedded | None = None
    plugin: Embedded | None = None


class Artifact(ArtifactLocation):
    """A named file or folder."""

    name: str
    path: Text = None
    mode: Number = None
    from_: Annotated[Text, pydantic.Field(alias="from")] = None
    global_name: Text = None
    archive: Embedded | None = None
    optional: Flag = None
    sub_path: Text = None
    recurse_mode: Flag = None
    from_expression: Text = None
    artifact_gc: Annotated[ArtifactGc | None, pydantic.Field(alias="artifactGC")] = None
    deleted: Flag = None


class Arguments(Schema):
    """What is given to a template."""

    parameters: list[Parameter] | None = None
    artifacts: list[Artifact] | None = None


class Outputs(Arguments):
    """What comes of a template."""

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
    """What does not stop a workflow."""

    error: Flag = None
    failed: Flag = None


class Called(Schema):
    """A template that is called, once or for each of several items."""

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


class Metadata(Schema):
    """Labels and annotations of pods."""

    annotations: Labels = None
    labels: Labels = None


class Executor(Schema):
    """Who the executor is."""

    service_account_name: Text = None


class Backoff(Schema):
    """How long to wait between two tries."""

    duration: Text = None
    factor: IntOrString | None = None
    max_duration: Text = None
    cap: Text = None


class RetryStrategy(Schema):
    """How often and when a template is tried again."""

    limit: IntOrString | None = None
    retry_policy: Text = None
    backoff: Backoff | None = None
    affinity: Embedded | None = None
    expression: Text = None


class ResourceTemplate(Schema):
    """A Kubernetes object that a template makes or waits for."""

    action: str
    merge_strategy: Text = None
    manifest: Text = None
    manifest_from: Embedded | None = None
    set_owner_reference: Flag = None
    success_condition: Text = None
    failure_condition: Text = None
    flags: list[str] | None = None


class Suspend(Schema):
    """A wait."""

    duration: Text = None


class Synchronization(Schema):
    """What only so many may do at once."""

    semaphore: Embedded | None = None
    mutex: Embedded | None = None
    semaphores: Embeddeds = None
    mutexes: Embeddeds = None


class Placed(Schema):
    """What a workflow and a template both say of their pods."""

    service_account_name: Text = None
    automount_service_account_token: Flag = None
    executor: Executor | None = None
    volumes: Embeddeds = None
    parallelism: Number = None
    node_selector: Labels = None
    affinity: Embedded | None = None
    tolerations: Embeddeds = None
    scheduler_name: Text = None
    host_aliases: Embeddeds = None
    security_context: Embedded | None = None
    pod_spec_patch: Text = None
    metrics: Embedded | None = None
    synchronization: Synchronization | None = None
    retry_strategy: RetryStrategy | None = None


class Template(Placed):
    """Something that can run: one of container, steps, dag, and so on."""

    name: Text = None
    inputs: Arguments | None = None
    outputs: Outputs | None = None
    metadata: Metadata | None = None
    daemon: Flag = None
    steps: list[list[WorkflowStep]] | None = None
    container: Embedded | None = None
    container_set: Embedded | None = None
    script: Embedded | None = None
    resource: ResourceTemplate | None = None
    dag: Dag | None = None
    suspend: Suspend | None = None
    data: Embedded | None = None
    http: Embedded | None = None
    plugin: Embedded | None = None
    init_containers: Embeddeds = None
    sidecars: Embeddeds = None
    archive_location: ArtifactLocation | None = None
    active_deadline_seconds: IntOrString | None = None
    fail_fast: Flag = None
    priority_class_name: Text = None
    memoize: Embedded | None = None
    timeout: Text = None
    annotations: Labels = None


class TtlStrategy(Schema):
    """How long an ended workflow stays."""

    seconds_after_completion: Number = None
    seconds_after_success: Number = None
    seconds_after_failure: Number = None


class PodGc(Schema):
    """When pods go."""

    strategy: Text = None
    label_selector: Embedded | None = None
    delete_delay_duration: Text = None


class VolumeClaimGc(Schema):
    """When claims go."""

    strategy: Text = None


class WorkflowArtifactGc(ArtifactGc):
    """When artifacts of a workflow go."""

    force_finalizer_removal: Flag = None
    pod_spec_patch: Text = None


class WorkflowTemplateRef(Schema):
    """A WorkflowTemplate, or one of the cluster."""

    name: Text = None
    cluster_scope: Flag = None


class WorkflowMetadata(Metadata):
    """Labels and annotations of workflows."""

    labels_from: dict[str, Embedded] | None = None


class WorkflowSpec(Placed):
    """What a workflow is to do."""

    model_config = _ATOMIC

    templates: list[Template] | None = None
    entrypoint: Text = None
    arguments: Arguments | None = None
    volume_claim_templates: Embeddeds = None
    artifact_repository_ref: Embedded | None = None
    suspend: Flag = None
    image_pull_secrets: Embeddeds = None
    host_network: Flag = None
    dns_policy: Text = None
    dns_config: Embedded | None = None
    on_exit: Text = None
    ttl_strategy: TtlStrategy | None = None
    active_deadline_seconds: Number = None
    priority: Number = None
    pod_gc: Annotated[PodGc | None, pydantic.Field(alias="podGC")] = None
    pod_priority_class_name: Text = None
    pod_disruption_budget: Embedded | None = None
    shutdown: Text = None
    workflow_template_ref: WorkflowTemplateRef | None = None
    volume_claim_gc: Annotated[VolumeClaimGc | None, pydantic.Field(alias="volumeClaimGC")] = None
    pod_metadata: Metadata | None = None
    template_defaults: Template | None = None
    archive_logs: Flag = None
    hooks: dict[str, LifecycleHook] | None = None
    workflow_metadata: WorkflowMetadata | None = None
    artifact_gc: Annotated[WorkflowArtifactGc | None, pydantic.Field(alias="artifactGC")] = None
