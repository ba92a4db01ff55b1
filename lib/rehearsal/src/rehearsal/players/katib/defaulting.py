"""What Katib fills into an experiment.

kubeflow/katib v0.19.0, pkg/apis/controller/experiments/v1beta1/{experiment_defaults,constants}.go. What may
surprise there, and so here: a template from a ConfigMap gets no conditions, and PaddleJobs and JAXJobs are
unknown; so these must say how they succeed and fail.
"""

from __future__ import annotations

from rehearsal.players.kinds import Object

_TRAINING = ("TFJob", "PyTorchJob", "XGBoostJob", "MPIJob")
_LOG = "/var/log/katib/metrics.log"
_TF_EVENTS = "/var/log/katib/tfevent/"


def default(experiment: Object) -> Object:
    """Fill an experiment in, and return it."""
    spec = experiment.setdefault("spec", {})
    if spec.get("parallelTrialCount") is None:
        spec["parallelTrialCount"] = 3
    spec["resumePolicy"] = spec.get("resumePolicy") or "Never"
    if spec.get("objective"):
        _objective(spec["objective"])
    template = spec.get("trialTemplate") or {}
    if template.get("trialSpec"):
        _template(template, template["trialSpec"].get("kind"))
    _collector(spec)
    for parameter in spec.get("parameters") or ():
        space = parameter.setdefault("feasibleSpace", {})
        space["distribution"] = space.get("distribution") or "uniform"
    return experiment


def _objective(objective: Object) -> None:
    """Say of each metric how its values become one."""
    value = {"minimize": "min", "maximize": "max"}.get(objective.get("type", ""), "latest")
    strategies = objective["metricStrategies"] = objective.get("metricStrategies") or []
    known = {each["name"] for each in strategies}
    names = [objective.get("objectiveMetricName", ""), *(objective.get("additionalMetricNames") or ())]
    strategies += [{"name": name, "value": value} for name in names if name not in known]


def _template(template: Object, kind: str | None) -> None:
    if kind not in ("Job", "TrainJob", *_TRAINING):
        return
    success = "Succeeded" if kind in _TRAINING else "Complete"
    for field, condition in (("successCondition", success), ("failureCondition", "Failed")):
        expression = f'status.conditions.#(type=="{condition}")#|#(status=="True")#'
        template[field] = template.get(field) or expression
    if kind == "TrainJob":
        labels = {
            "jobset.sigs.k8s.io/replicatedjob-name": "node",
            "batch.kubernetes.io/job-completion-index": "0",
        }
        template["primaryPodLabels"] = template.get("primaryPodLabels") or labels
    elif kind in _TRAINING:
        role = {"training.kubeflow.org/job-role": "master"}
        template["primaryPodLabels"] = template.get("primaryPodLabels") or role


def _collector(spec: Object) -> None:
    said = spec["metricsCollectorSpec"] = spec.get("metricsCollectorSpec") or {}
    kind = said.setdefault("collector", {"kind": "StdOut"}).get("kind")
    if kind == "PrometheusMetric":
        get = _inside(said, "source", "httpGet")
        get["path"] = get.get("path") or "/metrics"
        get["port"] = get.get("port") or 8080
    elif kind == "File":
        place = _inside(said, "source", "fileSystemPath")
        place["kind"], place["path"] = place.get("kind") or "File", place.get("path") or _LOG
        place["format"] = place.get("format") or "TEXT"
    elif kind == "TensorFlowEvent":
        place = _inside(said, "source", "fileSystemPath")
        place["kind"], place["path"] = place.get("kind") or "Directory", place.get("path") or _TF_EVENTS


def _inside(holder: Object, *names: str) -> Object:
    for name in names:
        holder[name] = holder.get(name) or {}
        holder = holder[name]
    return holder
