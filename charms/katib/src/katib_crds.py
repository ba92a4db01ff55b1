"""The custom resources of Katib: Experiment, Suggestion and Trial.

Names and types of fields are those of kubeflow/katib v0.19.0, pkg/apis/controller; versions, columns and
categories those of manifests/v1beta1/components/crd. Upstream's definitions check nothing: one object that Go
cannot decode stops the typed list of Katib's controller for all profiles. Ours check every field, except the
two that hold any Kubernetes object: `trialSpec` and `runSpec`. Of these, Go only needs apiVersion and kind.

The rules are those of Katib's own webhook (pkg/webhook/v1beta1/experiment/validator), as far as no default
comes before them: what they refuse, the webhook would refuse. Older objects that break a rule stay usable. We
refuse a dot in an experiment's name as well: the name becomes part of a Service's.

Katib writes null for a time that has not come.
"""

from __future__ import annotations

import datetime
from typing import Annotated, Any, Literal

import pydantic
from lightkube.models import core_v1

from kubeflow_charm import Manifest
from kubeflow_charm.definitions.crds import Column, Names, Version, definition, keyed, object_rules, rules
from kubeflow_charm.definitions.embedded import Container, Int32, Kubernetes
from kubeflow_charm.definitions.schemas import Schema

Text = str | None
Texts = list[str] | None
Labels = dict[str, str] | None
Time = Annotated[datetime.datetime | None, pydantic.Field(json_schema_extra={"nullable": True})]
HttpGet = Annotated[dict[str, Any], Kubernetes(core_v1.HTTPGetAction, ((("required",), None),))]
"""Where metrics are; the webhook provides a default path and port."""
AnyObject = Annotated[
    dict[str, Any],
    pydantic.WithJsonSchema(
        {
            "type": "object",
            "properties": {
                "apiVersion": {"type": "string", "minLength": 1},
                "kind": {"type": "string", "minLength": 1},
            },
            "required": ["apiVersion", "kind"],
            "x-kubernetes-preserve-unknown-fields": True,
        }
    ),
]
"""Any object of Kubernetes; in a trial template, with placeholders in it."""


class Setting(Schema):
    """A setting of an algorithm."""

    name: str
    value: Text = None


class Algorithm(Schema):
    """An algorithm and its settings."""

    algorithm_name: Text = None
    algorithm_settings: Annotated[list[Setting] | None, keyed("name")] = None


class MetricStrategy(Schema):
    """Which of a metric's values counts."""

    name: Text = None
    value: Literal["min", "max", "latest"] | None = None


_OTHER_METRICS = (
    "!has(self.additionalMetricNames) || !has(self.objectiveMetricName)"
    " || !(self.objectiveMetricName in self.additionalMetricNames)",
    "additionalMetricNames has the objectiveMetricName, too",
)


class Objective(Schema, keywords=rules(_OTHER_METRICS)):
    """The metric to optimize."""

    type: Literal["minimize", "maximize"] | None = None
    goal: float | None = None
    objective_metric_name: Annotated[Text, pydantic.Field(max_length=1024)] = None
    additional_metric_names: Annotated[
        list[Annotated[str, pydantic.Field(max_length=1024)]] | None, pydantic.Field(max_length=1000)
    ] = None
    metric_strategies: list[MetricStrategy] | None = None


class FeasibleSpace(Schema):
    """The values that a parameter may have."""

    min: Text = None
    max: Text = None
    list: Texts = None
    step: Text = None
    distribution: Literal["uniform", "logUniform", "normal", "logNormal", "unknown"] | None = None


class Parameter(Schema):
    """A parameter to tune."""

    name: str
    parameter_type: Literal["unknown", "double", "int", "discrete", "categorical"] | None = None
    feasible_space: FeasibleSpace | None = None


Parameters = Annotated[list[Parameter] | None, keyed("name")]


class Graph(Schema):
    """The layers of a neural network to search for."""

    num_layers: Int32 | None = None
    input_sizes: list[Int32] | None = None
    output_sizes: list[Int32] | None = None


class Operation(Schema):
    """An operation in that network."""

    operation_type: str
    parameters: Parameters = None


class NasConfig(Schema):
    """The search for the architecture of a neural network."""

    graph_config: Graph | None = None
    operations: Annotated[list[Operation] | None, keyed("operationType")] = None


class ConfigMapSource(Schema):
    """The ConfigMap with the trial template."""

    config_map_name: Text = None
    config_map_namespace: Text = None
    template_path: Text = None


class TrialParameter(Schema):
    """A placeholder in the trial template."""

    name: str
    description: Text = None
    reference: Text = None


_ONE_SOURCE = ("has(self.trialSpec) != has(self.configMap)", "there must be either trialSpec or configMap")


class TrialTemplate(Schema, keywords=rules(_ONE_SOURCE)):
    """The object that a trial makes."""

    retain: bool | None = None
    trial_spec: AnyObject | None = None
    config_map: ConfigMapSource | None = None
    trial_parameters: Annotated[list[TrialParameter] | None, keyed("name")] = None
    primary_pod_labels: Labels = None
    primary_container_name: Text = None
    success_condition: Text = None
    failure_condition: Text = None


class FileSystemPath(Schema):
    """The file or folder with the metrics."""

    path: Text = None
    kind: Literal["Directory", "File", "Invalid"] | None = None
    format: Literal["TEXT", "JSON"] | None = None


class Filter(Schema):
    """Regular expressions for lines with metrics."""

    metrics_format: Texts = None


class Source(Schema):
    """Where a trial leaves its metrics."""

    http_get: HttpGet | None = None
    file_system_path: FileSystemPath | None = None
    filter: Filter | None = None


class Collector(Schema):
    """The container beside the training that collects metrics."""

    kind: Literal["StdOut", "File", "TensorFlowEvent", "PrometheusMetric", "Custom", "Push"] | None = None
    custom_collector: Container | None = None


class MetricsCollector(Schema):
    """How metrics are collected."""

    source: Source | None = None
    collector: Collector | None = None


def _at_most_all(field: str) -> tuple[str, str]:
    """Return the rule that a number of trials is not greater than that of all."""
    rule = f"!has(self.maxTrialCount) || !has(self.{field}) || self.{field} <= self.maxTrialCount"
    return rule, f"{field} must not be greater than maxTrialCount"


_SPEC_RULES = (
    _at_most_all("parallelTrialCount"),
    _at_most_all("maxFailedTrialCount"),
    ("!has(self.parameters) || !has(self.nasConfig)", "there must be either parameters or nasConfig"),
)
Policy = Literal["Never", "LongRunning", "FromVolume"]
Count = Annotated[int | None, pydantic.WithJsonSchema({"type": "integer", "format": "int32", "minimum": 1})]
CountOrNone = Annotated[
    int | None, pydantic.WithJsonSchema({"type": "integer", "format": "int32", "minimum": 0})
]


class ExperimentSpec(Schema, keywords=rules(*_SPEC_RULES)):
    """What to look for, and how."""

    parameters: Parameters = None
    objective: Objective | None = None
    algorithm: Algorithm | None = None
    early_stopping: Algorithm | None = None
    trial_template: TrialTemplate | None = None
    parallel_trial_count: Count = None
    max_trial_count: Count = None
    max_failed_trial_count: CountOrNone = None
    metrics_collector_spec: MetricsCollector | None = None
    nas_config: NasConfig | None = None
    resume_policy: Policy | None = None


class Condition(Schema):
    """A condition of an object."""

    type: str
    status: str
    reason: Text = None
    message: Text = None
    last_update_time: Time = None
    last_transition_time: Time = None


Conditions = Annotated[list[Condition] | None, keyed("type")]


class Assignment(Schema):
    """The value of a parameter."""

    name: Text = None
    value: Text = None


class Metric(Schema):
    """What was seen of a metric."""

    name: Text = None
    min: Text = None
    max: Text = None
    latest: Text = None


class Observation(Schema):
    """The metrics of a trial."""

    metrics: list[Metric] | None = None


class OptimalTrial(Schema):
    """The best trial so far."""

    best_trial_name: Text = None
    parameter_assignments: list[Assignment] | None = None
    observation: Observation | None = None


class Times(Schema):
    """When the controller saw an object first and last, and its conditions."""

    start_time: Time = None
    completion_time: Time = None
    last_reconcile_time: Time = None
    conditions: Conditions = None


class ExperimentStatus(Times):
    """How far the experiment is."""

    current_optimal_trial: OptimalTrial | None = None
    running_trial_list: Texts = None
    pending_trial_list: Texts = None
    failed_trial_list: Texts = None
    succeeded_trial_list: Texts = None
    killed_trial_list: Texts = None
    early_stopped_trial_list: Texts = None
    metrics_unavailable_trial_list: Texts = None
    trials: Int32 | None = None
    trials_succeeded: Int32 | None = None
    trials_failed: Int32 | None = None
    trials_killed: Int32 | None = None
    trials_pending: Int32 | None = None
    trials_running: Int32 | None = None
    trials_early_stopped: Int32 | None = None
    trial_metrics_unavailable: Int32 | None = None


_HAS_SPEC = (
    "has(self.spec) && has(self.spec.objective) && has(self.spec.algorithm) && has(self.spec.trialTemplate)",
    "spec must have objective, algorithm and trialTemplate",
)
_HAS_PARAMETERS = (
    "has(self.spec) && (has(self.spec.nasConfig)"
    " || has(self.spec.parameters) && size(self.spec.parameters) > 0)",
    "spec must have parameters or nasConfig",
)


class Experiment(Schema, keywords=object_rules(_HAS_SPEC, _HAS_PARAMETERS)):
    """A search for the best parameters of a training."""

    spec: ExperimentSpec | None = None
    status: ExperimentStatus | None = None


class EarlyStoppingRule(Schema):
    """When to stop a trial that promises nothing."""

    name: Text = None
    value: Text = None
    comparison: Literal["equal", "less", "greater"] | None = None
    start_step: int | None = None


class SuggestionSpec(Schema):
    """The algorithm, and how many suggestions it is asked for."""

    algorithm: Algorithm | None = None
    early_stopping: Algorithm | None = None
    requests: Int32 | None = None
    resume_policy: Policy | None = None


class TrialAssignment(Schema):
    """The suggestion for one trial."""

    name: Text = None
    parameter_assignments: list[Assignment] | None = None
    early_stopping_rules: list[EarlyStoppingRule] | None = None
    labels: Labels = None


class SuggestionStatus(Times):
    """What the algorithm has suggested."""

    algorithm_settings: Annotated[list[Setting] | None, keyed("name")] = None
    suggestion_count: Int32 | None = None
    suggestions: list[TrialAssignment] | None = None


class Suggestion(Schema):
    """The algorithm of an experiment at work."""

    spec: SuggestionSpec | None = None
    status: SuggestionStatus | None = None


class TrialSpec(Schema):
    """A training with certain parameters."""

    objective: Objective | None = None
    parameter_assignments: list[Assignment] | None = None
    early_stopping_rules: list[EarlyStoppingRule] | None = None
    run_spec: AnyObject | None = None
    retain_run: bool | None = None
    metrics_collector: MetricsCollector | None = None
    primary_pod_labels: Labels = None
    primary_container_name: Text = None
    success_condition: Text = None
    failure_condition: Text = None
    labels: Labels = None


class TrialStatus(Times):
    """How far the trial is, and its metrics."""

    observation: Observation | None = None


class Trial(Schema):
    """One training of an experiment."""

    spec: TrialSpec | None = None
    status: TrialStatus | None = None


_CATEGORIES = ("all", "kubeflow", "katib")
_FIRST = (
    Column("Type", "string", ".status.conditions[-1:].type"),
    Column("Status", "string", ".status.conditions[-1:].status"),
)
_COUNTS = (
    Column("Requested", "string", ".spec.requests"),
    Column("Assigned", "string", ".status.suggestionCount"),
)
_AGE = Column("Age", "date", ".metadata.creationTimestamp")
EXPERIMENT_NAMES = {"type": "string", "maxLength": 40, "pattern": "^[a-z][^.]*$"}


def definitions() -> list[Manifest]:
    """Return the CustomResourceDefinitions."""

    def of(model: type[Schema], *columns: Column, objects: dict[str, Any] | None = None) -> Manifest:
        kind = model.__name__
        names = Names(kind, f"{kind.lower()}s", "kubeflow.org", categories=_CATEGORIES, objects=objects)
        return definition(names, [Version("v1beta1", model, storage=True, columns=columns)])

    return [
        of(Experiment, *_FIRST, _AGE, objects=EXPERIMENT_NAMES),
        of(Suggestion, *_FIRST, *_COUNTS, _AGE),
        of(Trial, *_FIRST, _AGE),
    ]
