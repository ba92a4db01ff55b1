"""The custom resources of pipelines: Argo's, KFP's own two, and pipelines as Kubernetes objects.

Names, scopes, short names and columns are those of argo-workflows v3.7.14, manifests/base/crds/minimal, and
of kubeflow/pipelines 2.17.0, manifests/kustomize/base/crds and backend/src/crd, as in kubeflow/manifests
26.03. The definitions do not check a status, because only controllers write it.
"""

from __future__ import annotations

import datetime
from typing import Annotated, Any

import pydantic
from artifact_schemas import ArtifactLocation, Flag, Text
from lightkube.models import core_v1
from workflow_schemas import (
    Anything,
    Arguments,
    Outputs,
    Template,
    WorkflowSpec,
    WorkflowTemplateRef,
)
from workflow_schemas import Artifact as ArgoArtifact

from kubeflow_charm import Manifest
from kubeflow_charm.definitions import embedded
from kubeflow_charm.definitions.crds import Column, Embedded, Names, Version, definition
from kubeflow_charm.definitions.embedded import Int32, Int64
from kubeflow_charm.definitions.schemas import Schema

ARGO = "argoproj.io"
Moment = datetime.datetime | None


class Workflow(Schema):
    """A run of steps."""

    spec: WorkflowSpec
    status: Embedded | None = None


class WorkflowTemplate(Schema):
    """Templates for runs, in a namespace or in the cluster."""

    spec: WorkflowSpec


class StopStrategy(Schema):
    """The condition that ends the schedule."""

    expression: str


class CronWorkflowSpec(Schema):
    """The schedule, and the workflow to run."""

    workflow_spec: WorkflowSpec
    schedule: Text = None
    schedules: list[str] | None = None
    concurrency_policy: Text = None
    suspend: Flag = None
    starting_deadline_seconds: Int64 | None = None
    successful_jobs_history_limit: Int32 | None = None
    failed_jobs_history_limit: Int32 | None = None
    timezone: Text = None
    workflow_metadata: embedded.Metadata | None = None
    stop_strategy: StopStrategy | None = None
    when: Text = None


class CronWorkflow(Schema):
    """Runs on a schedule."""

    spec: CronWorkflowSpec
    status: Embedded | None = None


class WorkflowTaskSetSpec(Schema):
    """Tasks for an agent."""

    tasks: dict[str, Template] | None = None


class WorkflowTaskSet(Schema):
    """The tasks of a run's agent, and their results."""

    spec: WorkflowTaskSetSpec
    status: Embedded | None = None


class WorkflowTaskResult(Schema):
    """The result of a step, written by its executor."""

    phase: Text = None
    message: Text = None
    outputs: Outputs | None = None
    progress: Text = None


class ArtifactNode(Schema):
    """The artifacts of a step to delete."""

    archive_location: ArtifactLocation | None = None
    artifacts: dict[str, ArgoArtifact] | None = None


class ArtifactGcSpec(Schema):
    """The artifacts to delete."""

    artifacts_by_node: dict[str, ArtifactNode] | None = None


class WorkflowArtifactGcTask(Schema):
    """Artifacts of a run to delete, and the result."""

    spec: ArtifactGcSpec
    status: Embedded | None = None


class Event(Schema):
    """The selection of events."""

    selector: str


class Submit(Schema):
    """The template to run, and its arguments."""

    workflow_template_ref: WorkflowTemplateRef
    metadata: embedded.Metadata | None = None
    arguments: Arguments | None = None


class WorkflowEventBindingSpec(Schema):
    """The events, and the template to run."""

    event: Event
    submit: Submit | None = None


class WorkflowEventBinding(Schema):
    """A template that an event runs."""

    spec: WorkflowEventBindingSpec


class CronSchedule(Schema):
    """A schedule by cron."""

    start_time: Moment = None
    end_time: Moment = None
    cron: Text = None


class PeriodicSchedule(Schema):
    """A schedule by an interval in seconds."""

    start_time: Moment = None
    end_time: Moment = None
    interval_second: Int64 | None = None


class Trigger(Schema):
    """The schedule of a recurring run."""

    cron_schedule: CronSchedule | None = None
    periodic_schedule: PeriodicSchedule | None = None


class NamedValue(Schema):
    """A parameter of a recurring run; values of v2 are JSON."""

    name: Text = None
    value: Anything = None


class WorkflowResource(Schema):
    """The workflow of a recurring run: a Workflow's spec, or since v2 its text."""

    parameters: list[NamedValue] | None = None
    pipeline_root: Text = None
    spec: Anything = None


class ScheduledWorkflowSpec(Schema):
    """A recurring run."""

    enabled: Flag = None
    max_concurrency: Int64 | None = None
    no_catchup: Flag = None
    max_history: Int64 | None = None
    trigger: Trigger | None = None
    workflow: WorkflowResource | None = None
    experiment_id: Text = None
    pipeline_id: Text = None
    pipeline_version_id: Text = None
    pipeline_name: Text = None
    service_account: Text = None
    plugins_input: dict[str, Anything] | None = None


class ScheduledWorkflow(Schema):
    """A recurring run, and its state."""

    spec: ScheduledWorkflowSpec
    status: Embedded | None = None


_CONTAINERS = ("properties", "spec", "properties", "containers")
ViewerPod = Annotated[
    dict[str, Any],
    embedded.Kubernetes(
        core_v1.PodTemplateSpec,
        (
            (("properties", "spec", "required"), None),
            ((*_CONTAINERS, "items", "required"), None),
            ((*_CONTAINERS, "x-kubernetes-list-type"), None),
            ((*_CONTAINERS, "x-kubernetes-list-map-keys"), None),
        ),
    ),
]
"""A pod with no container, or one without a name: the web app writes `containers: [{}]` (kubeflow/pipelines
2.17.0, frontend/server/k8s-helper.ts), and the controller completes it."""


class TensorboardSpec(Schema):
    """The viewer, and its logs."""

    log_dir: str
    tensorflow_image: str


class ViewerSpec(Schema):
    """A viewer, which is a TensorBoard."""

    type: str
    tensorboard_spec: TensorboardSpec | None = None
    pod_template_spec: ViewerPod | None = None


class Viewer(Schema):
    """A TensorBoard on the artifacts of a run."""

    spec: ViewerSpec


class PipelineSpec(Schema):
    """The display name and description of a pipeline."""

    display_name: Text = None
    description: Text = None
    tags: dict[str, str] | None = None


class Pipeline(Schema):
    """A pipeline, which has versions."""

    spec: PipelineSpec | None = None


class PipelineVersionSpec(Schema):
    """A version of a pipeline: the SDK's output, as YAML or JSON."""

    description: Text = None
    code_source_url: Annotated[Text, pydantic.Field(alias="codeSourceURL")] = None
    pipeline_name: Text = None
    display_name: Text = None
    pipeline_spec: Anything
    platform_spec: Anything = None
    pipeline_spec_uri: Annotated[Text, pydantic.Field(alias="pipelineSpecURI")] = None
    tags: dict[str, str] | None = None
    version_name: Annotated[
        str | None, pydantic.Field(max_length=253, pattern=r"^[a-z0-9]([a-z0-9\.\-]*[a-z0-9])?$")
    ] = None


class PipelineVersion(Schema):
    """A version of a pipeline, and whether it can run."""

    spec: PipelineVersionSpec | None = None
    status: Embedded | None = None


def definitions(*, kubernetes_native: bool = False) -> list[Manifest]:
    """Return the CustomResourceDefinitions.

    Args:
        kubernetes_native: whether pipelines are Kubernetes objects; otherwise the result lacks these two
            kinds.
    """
    columns = (
        Column("Status", "string", ".status.phase", "Status of the run"),
        Column("Age", "date", ".status.startedAt", "When it began"),
        Column("Message", "string", ".status.message", "Why it is in that state"),
    )
    argo = [
        _argo("Workflow", "workflows", Workflow, "wf", columns=columns),
        _argo("WorkflowTemplate", "workflowtemplates", WorkflowTemplate, "wftmpl"),
        _argo(
            "ClusterWorkflowTemplate",
            "clusterworkflowtemplates",
            WorkflowTemplate,
            "clusterwftmpl",
            "cwft",
            namespaced=False,
        ),
        _argo("CronWorkflow", "cronworkflows", CronWorkflow, "cwf", "cronwf"),
        _argo("WorkflowTaskSet", "workflowtasksets", WorkflowTaskSet, "wfts", status=True),
        _argo("WorkflowTaskResult", "workflowtaskresults", WorkflowTaskResult),
        _argo("WorkflowEventBinding", "workfloweventbindings", WorkflowEventBinding, "wfeb"),
        _argo(
            "WorkflowArtifactGCTask", "workflowartifactgctasks", WorkflowArtifactGcTask, "wfat", status=True
        ),
    ]
    own = [
        definition(
            Names("ScheduledWorkflow", "scheduledworkflows", "kubeflow.org", ("swf",)),
            [Version("v1beta1", ScheduledWorkflow, storage=True, status=False)],
        ),
        definition(
            Names("Viewer", "viewers", "kubeflow.org", ("vi",)),
            [Version("v1beta1", Viewer, storage=True, status=False)],
        ),
    ]
    native = [
        definition(
            Names("Pipeline", "pipelines", "pipelines.kubeflow.org"),
            [Version("v2beta1", Pipeline, storage=True, status=False)],
        ),
        definition(
            Names("PipelineVersion", "pipelineversions", "pipelines.kubeflow.org"),
            [Version("v2beta1", PipelineVersion, storage=True)],
        ),
    ]
    return [*argo, *own, *(native if kubernetes_native else [])]


def _argo(
    kind: str, plural: str, model: type[Schema], *short: str, status: bool = False, **options: Any
) -> Manifest:
    """Return the definition of one of Argo's kinds; most have a status, few as a subresource."""
    namespaced = options.pop("namespaced", True)
    # The only kind that typed clients list, KFP's among them, and users write.
    pieces = kind == "Workflow"
    version = Version("v1alpha1", model, storage=True, status=status, pieces=pieces, **options)
    return definition(Names(kind, plural, ARGO, short), [version], namespaced=namespaced)
