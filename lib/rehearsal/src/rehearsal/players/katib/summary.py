"""What an experiment tells of its trials: their lists and counts, the best of them, and whether it is over.

kubeflow/katib v0.19.0, pkg/controller.v1beta1/experiment/util/status_util.go and
pkg/apis/controller/{experiments,trials}/v1beta1/util.go.
"""

from __future__ import annotations

from collections.abc import Sequence

from rehearsal.players import conditions
from rehearsal.players.kinds import Object

UNAVAILABLE = "unavailable"
MAX_TRIALS = "ExperimentMaxTrialsReached"
RESUMABLE = ("LongRunning", "FromVolume")

_STATES = (
    # condition of a trial, list of the experiment, count of the experiment
    ("Killed", "killedTrialList", "trialsKilled"),
    ("Failed", "failedTrialList", "trialsFailed"),
    ("Succeeded", "succeededTrialList", "trialsSucceeded"),
    ("EarlyStopped", "earlyStoppedTrialList", "trialsEarlyStopped"),
    ("Running", "runningTrialList", "trialsRunning"),
    ("MetricsUnavailable", "metricsUnavailableTrialList", "trialMetricsUnavailable"),
    ("Pending", "pendingTrialList", "trialsPending"),
)
_OVER = ("Succeeded", "Failed", "Killed", "EarlyStopped", "MetricsUnavailable")


def completed(status: Object) -> bool:
    """Tell whether an experiment is over."""
    return conditions.is_true(status, "Succeeded") or conditions.is_true(status, "Failed")


def trial_completed(status: Object) -> bool:
    """Tell whether a trial is over."""
    return any(conditions.is_true(status, each) for each in _OVER)


def restartable(experiment: Object) -> bool:
    """Tell whether an experiment that is over may be given more trials."""
    found = conditions.find(experiment.get("status") or {}, "Succeeded")
    ended = found is not None and found["status"] == "True" and found.get("reason") == MAX_TRIALS
    return ended and experiment["spec"].get("resumePolicy") in RESUMABLE


def observed(trial: Object) -> bool:
    """Tell whether the metric that counts is known of a trial."""
    metrics = ((trial.get("status") or {}).get("observation") or {}).get("metrics") or ()
    name = (trial["spec"].get("objective") or {}).get("objectiveMetricName")
    return any(each["name"] == name and each.get("latest") != UNAVAILABLE for each in metrics)


def summarize(experiment: Object, status: Object, trials: Sequence[Object]) -> bool:
    """Write lists, counts and the optimum into an experiment's status; return whether its goal is reached."""
    for _, listed, counted in _STATES:
        status.pop(listed, None)
        status.pop(counted, None)
    status["trials"] = len(trials)
    for trial in trials:
        said = trial.get("status") or {}
        state = next((row for row in _STATES if conditions.is_true(said, row[0])), _STATES[-1])
        status.setdefault(state[1], []).append(trial["metadata"]["name"])
        status[state[2]] = status.get(state[2], 0) + 1
    best, reached = _best(experiment, trials)
    if best is not None:
        status["currentOptimalTrial"] = {
            "bestTrialName": best["metadata"]["name"],
            "parameterAssignments": list(best["spec"].get("parameterAssignments") or ()),
            "observation": {"metrics": list(best["status"]["observation"]["metrics"])},
        }
    return reached


def judge(experiment: Object, status: Object, reached: bool, now: str) -> None:
    """Set the condition that follows from the counts."""
    spec, limit = experiment["spec"], experiment["spec"].get("maxTrialCount")
    failed = status.get("trialsFailed", 0) + status.get("trialMetricsUnavailable", 0)
    ends = ("trialsSucceeded", "trialsKilled", "trialsEarlyStopped")
    done = failed + sum(status.get(each, 0) for each in ends)
    allowed = spec.get("maxFailedTrialCount")
    if reached:
        reason, message = "ExperimentGoalReached", "succeeded because Objective goal has reached"
        end(status, "Succeeded", reason, f"Experiment has {message}", now)
    elif allowed is not None and failed and failed >= allowed:
        message = "Experiment has failed because max failed count has reached"
        end(status, "Failed", "ExperimentFailed", message, now)
    elif limit is not None and done >= limit:
        message = "Experiment has succeeded because max trial count has reached"
        end(status, "Succeeded", MAX_TRIALS, message, now)
    else:
        conditions.put(status, "Running", "ExperimentRunning", "Experiment is running", now)


def end(status: Object, kind: str, reason: str, message: str, now: str) -> None:
    """Set the condition with which an experiment is over, and the time."""
    conditions.deny(status, "Running", now)
    conditions.put(status, kind, reason, message, now)
    status["completionTime"] = now


def _best(experiment: Object, trials: Sequence[Object]) -> tuple[Object | None, bool]:
    """Return the best trial, and whether the goal is reached; of texts, the last one is the best."""
    objective = experiment["spec"]["objective"]
    goal, least = objective.get("goal"), objective.get("type") == "minimize"
    best, value, reached = None, 0.0, False
    for trial in trials:
        text = _value(trial)
        if text == UNAVAILABLE:
            continue
        try:
            number = float(text)
        except ValueError:
            best = trial
            continue
        if best is None or (number < value if least else number > value):
            best, value = trial, number
        if goal is not None and (value <= goal if least else value >= goal):
            reached = True
    return best, reached


def _value(trial: Object) -> str:
    """Return the metric that counts, extracted as the objective says."""
    objective = trial["spec"].get("objective") or {}
    name = objective.get("objectiveMetricName")
    strategies = {each["name"]: each.get("value", "") for each in objective.get("metricStrategies") or ()}
    metrics = ((trial.get("status") or {}).get("observation") or {}).get("metrics") or ()
    for metric in metrics:
        if metric["name"] == name and strategies.get(name) in ("min", "max", "latest"):
            extracted = metric.get(strategies[name], UNAVAILABLE)
            return metric.get("latest", UNAVAILABLE) if extracted == UNAVAILABLE else extracted
    return UNAVAILABLE
