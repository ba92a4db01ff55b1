"""What Katib refuses of an experiment.

kubeflow/katib v0.19.0, pkg/webhook/v1beta1/experiment/validator/validator.go and
pkg/controller.v1beta1/experiment/util/status_util.go. That a template is a Job by every field is not checked.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from rehearsal.players.answers import forbidden, invalid, required
from rehearsal.players.katib import summary, templates
from rehearsal.players.katib.config import Config, Unreadable
from rehearsal.players.kinds import Object

_NAME = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_NAME_WORDS = (
    "name must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and "
    "end with an alphanumeric character (e.g. 'my-name', or 'abc-123', regex used for validation is "
    "'^[a-z]([-a-z0-9]*[a-z0-9])?)') and may not be longer than 40 characters. "
)
_EDITABLE = ("parallelTrialCount", "maxTrialCount", "maxFailedTrialCount")
_TYPES = ("int", "double", "categorical", "discrete", "unknown")
_DISTRIBUTIONS = ("", "uniform", "logUniform", "normal", "logNormal", "unknown")
_COLLECTORS = ("StdOut", "File", "TensorFlowEvent", "PrometheusMetric", "Custom", "Push")
_INJECTED = ("StdOut", "File", "TensorFlowEvent", "PrometheusMetric")
_LEFT = re.compile(r"\$\{trialParameters\..+?\}")


@dataclass(frozen=True)
class Validator:
    """Says what is wrong with experiments.

    Attributes:
        config: what the controller is told; or why it cannot be read.
        look: returns ConfigMaps.
    """

    config: Config | Unreadable
    look: templates.Look

    def problems(self, experiment: Object, before: Object | None) -> Iterator[str]:
        """Yield what is wrong with an experiment, given what it was before."""
        spec = experiment["spec"]
        name = experiment["metadata"].get("name", "")
        # Katib's expression has no end: a name that only begins well passes.
        if not _NAME.match(name) or len(name) > 40:
            yield invalid("metadata.name", name, _NAME_WORDS)
        yield from _counts(spec)
        if before is not None:
            yield from _changes(experiment, before)
        objective = [*_objective(spec.get("objective"))]
        yield from objective
        if objective:
            return
        yield from self._algorithm(spec.get("algorithm"))
        yield from self._stopping(spec.get("earlyStopping"))
        if spec.get("resumePolicy", "") not in ("", "Never", "LongRunning", "FromVolume"):
            yield invalid("spec.resumePolicy", spec["resumePolicy"], "invalid ResumePolicyType")
        yield from self._template(experiment)
        if not spec.get("parameters") and spec.get("nasConfig") is None:
            yield required("spec", "spec.parameters or spec.nasConfig must be specified")
        if spec.get("parameters") and spec.get("nasConfig") is not None:
            yield invalid("spec", {}, "only one of spec.parameters and spec.nasConfig can be specified")
        for at, parameter in enumerate(spec.get("parameters") or ()):
            yield from _parameter(f"spec.parameters[{at}]", parameter)
        yield from self._collector(spec.get("metricsCollectorSpec") or {})

    def _algorithm(self, algorithm: Object | None) -> Iterator[str]:
        path = "spec.algorithm.algorithmName"
        if algorithm is None:
            yield required("spec.algorithm", "must be specified")
            return
        name = algorithm.get("algorithmName") or ""
        if not name:
            yield required(path, "must be specified")
        try:
            self._read().suggestion(name)
        except Unreadable as error:
            problem = f"unable to get Suggestion config data for algorithm {name}: {error}"
            yield invalid(path, name, problem)

    def _stopping(self, stopping: Object | None) -> Iterator[str]:
        path = "spec.earlyStopping.algorithmName"
        if stopping is None:
            return
        name = stopping.get("algorithmName") or ""
        if not name:
            yield required(path, "must be specified")
        try:
            self._read().early_stopping(name)
        except Unreadable as error:
            problem = f"unable to get EarlyStopping config data for algorithm {name}: {error}"
            yield invalid(path, name, problem)

    def _collector(self, said: Object) -> Iterator[str]:
        path = "spec.metricsCollectorSpec.collector.kind"
        kind = (said.get("collector") or {}).get("kind") or ""
        if kind in _INJECTED:
            try:
                self._read().collector(kind)
            except Unreadable as error:
                yield invalid(path, kind, f"GetMetricsCollectorConfigData failed: {error}")
        if kind not in _COLLECTORS:
            yield invalid(path, kind, f"invalid metrics collector kind: {kind}")
        yield from _source(kind, said)

    def _template(self, experiment: Object) -> Iterator[str]:
        path, template = "spec.trialTemplate", experiment["spec"].get("trialTemplate")
        if template is None:
            yield required(path, "must be specified")
            return
        if not template.get("primaryContainerName"):
            yield required(f"{path}.primaryContainerName", "must be specified")
        if not template.get("successCondition") or not template.get("failureCondition"):
            yield required(path, "successCondition and failureCondition must be specified")
        if template.get("trialParameters") is None:
            yield required(f"{path}.trialParameters", "must be specified")
            return
        sources = [each for each in ("trialSpec", "configMap") if template.get(each) is not None]
        if not sources:
            both = "spec.trialTemplate.trialSpec or spec.trialTemplate.configMap must be specified"
            yield required(f"{path}.TrialSource", both)
        elif len(sources) == 2:
            one = "only one of spec.trialTemplate.trialSpec or spec.trialTemplate.configMap can be specified"
            yield required(path, one)
        elif "configMap" in sources and not all(
            template["configMap"].get(each)
            for each in ("configMapName", "configMapNamespace", "templatePath")
        ):
            yield required(
                f"{path}.configMap", "configMapName, configMapNamespace and templatePath must be specified"
            )
        else:
            yield from self._parameters(experiment, template)

    def _parameters(self, experiment: Object, template: Object) -> Iterator[str]:
        """Yield what does not fit between a template and its parameters."""
        path = "spec.trialTemplate"
        try:
            text = templates.text(experiment, self.look)
        except templates.Untenable as error:
            yield invalid(path, "", f"unable to parse spec.trialTemplate: {error}")
            return
        known = {each.get("name") for each in experiment["spec"].get("parameters") or ()}
        names: set[str] = set()
        references: set[str] = set()
        for at, each in enumerate(template["trialParameters"]):
            inside = f"{path}.trialParameters[{at}]"
            name, reference = each.get("name") or "", each.get("reference") or ""
            if not name or not reference or {"{", "}"} & set(name):
                problem = "name and reference must be specified and name must not contain '{' or '}'"
                yield invalid(inside, "", problem)
                continue
            if name in names or reference in references:
                which, value = ("name", name) if name in names else ("reference", reference)
                problem = (
                    f"parameter {which} {value} can't be duplicated in spec.trialTemplate.trialParameters"
                )
                yield invalid(f"{inside}.{which}", value, problem)
                continue
            names.add(name)
            references.add(reference)
            if known and not templates.is_meta(reference) and reference not in known:
                problem = f"parameter reference {reference} does not exist in spec.parameters"
                yield invalid(f"{inside}.reference", reference, problem)
            if templates.PLACE % name not in text:
                problem = f"parameter name: {name} in spec.trialParameters not found in spec.trialTemplate"
                yield invalid(f"{inside}.name", name, problem)
                return
            text = text.replace(templates.PLACE % name, "test-value")
        if left := _LEFT.findall(text):
            problem = (
                f"parameters: [{' '.join(left)}] in spec.trialTemplate not found in spec.trialParameters"
            )
            yield invalid(path, "", problem)
        yield from _job(path, text)

    def _read(self) -> Config:
        if isinstance(self.config, Unreadable):
            raise self.config
        return self.config


def _counts(spec: Object) -> Iterator[str]:
    failed, most, parallel = (
        spec.get(each) for each in ("maxFailedTrialCount", "maxTrialCount", "parallelTrialCount")
    )
    if failed is not None and failed < 0:
        yield invalid("spec.maxFailedTrialCount", failed, "should not be less than 0")
    if most is not None and most <= 0:
        yield invalid("spec.maxTrialCount", most, "must be greater than 0")
    if parallel is not None and parallel <= 0:
        yield invalid("spec.parallelTrialCount", parallel, "must be greater than 0")
    for field, value in (("maxFailedTrialCount", failed), ("parallelTrialCount", parallel)):
        if value is not None and most is not None and value > most:
            yield invalid(f"spec.{field}", value, "should be less than or equal to spec.maxTrialCount")


def _changes(experiment: Object, before: Object) -> Iterator[str]:
    spec, old = experiment["spec"], copy.deepcopy(before["spec"])
    if spec == old:
        return
    status = before.get("status") or {}
    if summary.completed(status) and not summary.restartable(before):
        yield invalid(
            "spec.resumePolicy",
            spec.get("resumePolicy", ""),
            "Experiment can be restarted if it is in succeeded state by reaching max trials and "
            "spec.resumePolicy = LongRunning or spec.resumePolicy = FromVolume, when experiment is completed",
        )
    most = spec.get("maxTrialCount")
    if most is not None and most <= status.get("trials", 0):
        yield invalid("spec.maxTrialCount", most, "must be greater than status.trials count")
    rest = [{name: value for name, value in each.items() if name not in _EDITABLE} for each in (spec, old)]
    if rest[0] != rest[1]:
        which = "spec.parallelTrialCount, spec.maxTrialCount and spec.maxFailedTrialCount"
        yield forbidden("spec", f"only {which} are editable")


def _objective(objective: Object | None) -> Iterator[str]:
    path = "spec.objective"
    if objective is None:
        yield required(path, "must be specified")
        return
    if objective.get("type") not in ("minimize", "maximize"):
        yield invalid(f"{path}.type", objective.get("type", ""), "must be minimize or maximize")
    name = objective.get("objectiveMetricName") or ""
    if not name:
        yield required(f"{path}.objectiveMetricName", "must be specified")
    more = objective.get("additionalMetricNames") or []
    if name in more:
        problem = "should not contain spec.objective.objectiveMetricName"
        yield invalid(f"{path}.additionalMetricNames", more, problem)


def _parameter(path: str, parameter: Object) -> Iterator[str]:
    kind, space = parameter.get("parameterType") or "", parameter.get("feasibleSpace") or {}
    if kind not in _TYPES:
        yield invalid(f"{path}.parameterType", kind, f"parameterType: {kind} is not supported")
    inside = f"{path}.feasibleSpace"
    if (how := space.get("distribution") or "") not in _DISTRIBUTIONS:
        yield invalid(f"{inside}.distribution", how, f"distribution: {how} is not supported")
    if not any(space.values()):
        yield required(inside, "feasibleSpace must be specified")
    elif kind in ("double", "int"):
        if space.get("list"):
            problem = f"feasibleSpace.list is not supported for parameterType: {kind}"
            yield invalid(f"{inside}.list", space["list"], problem)
        if not space.get("max") or not space.get("min"):
            problem = f"feasibleSpace.max or feasibleSpace.min must be specified for parameterType: {kind}"
            yield required(f"{inside}.max", problem)
    elif kind in ("categorical", "discrete") and any(space.get(each) for each in ("max", "min", "step")):
        problem = f"feasibleSpace .max, .min and .step is not supported for parameterType: {kind}"
        yield invalid(inside, space, problem)


def _job(path: str, text: str) -> Iterator[str]:
    try:
        job = templates.parse(text)
    except templates.Untenable:
        yield invalid(path, "", f"unable to convert spec.trialTemplate: {text} to unstructured")
        return
    metadata = job.get("metadata") or {}
    if metadata.get("name") or metadata.get("namespace"):
        problem = "metadata.name and metadata.namespace in spec.trialTemplate must be omitted"
        yield invalid(path, "", problem)
    if not job.get("apiVersion"):
        yield required(path, "APIVersion and Kind in spec.trialTemplate must be specified")


def _source(kind: str, said: Object) -> Iterator[str]:
    """Yield what is wrong with where metrics come from."""
    path, source = "spec.metricsCollectorSpec.source", said.get("source") or {}
    place = source.get("fileSystemPath") or {}
    absolute = PurePosixPath(place.get("path") or "").is_absolute()
    if kind == "File":
        if place.get("kind") != "File" or not absolute:
            yield required(f"{path}.fileSystemPath.path", "file path where metrics file exists is required")
        if place.get("format") not in ("TEXT", "JSON"):
            problem = "format of metrics file is required for metrics collector"
            yield required(f"{path}.fileSystemPath.format", problem)
    elif kind == "TensorFlowEvent":
        if place.get("kind") != "Directory" or not absolute:
            where = ".spec.metricsCollectorSpec.source.fileSystemPath.path"
            problem = f"directory path where tensorflow event files exist is required by {where}"
            yield required(path, problem)
        if place.get("format"):
            yield invalid(f"{path}.fileSystemPath.format", place["format"], "must be empty")
    elif kind == "PrometheusMetric":
        get = source.get("httpGet") or {}
        if not str(get.get("port", "")).isdigit() or int(get["port"]) <= 0:
            problem = f"must be a positive integer value for metrics collector kind: {kind}"
            yield invalid(f"{path}.httpGet.port", str(get.get("port", "")), problem)
        if not str(get.get("path", "")).startswith("/"):
            problem = f"path is invalid for metrics collector kind: {kind}"
            yield invalid(f"{path}.httpGet.path", get.get("path", ""), problem)
    elif kind == "Custom" and (said.get("collector") or {}).get("customCollector") is None:
        where = "spec.metricsCollectorSpec.collector.customCollector"
        yield required(where, f"metrics collector kind: {kind} is required")
