"""Katib's experiment controller: as many trials at a time as are wanted, until there are enough.

kubeflow/katib v0.19.0, pkg/controller.v1beta1/experiment. What may surprise there, and so here: an
experiment has a finalizer, so it does not go while no controller runs; trials that are too many are the
youngest ones, and their suggestions go with them.
"""

from __future__ import annotations

import copy
from typing import Any

import httpx2

from rehearsal.players import conditions, kinds
from rehearsal.players.katib import summary, templates
from rehearsal.players.kinds import Key, Object
from rehearsal.players.program import Program
from rehearsal.players.recording import Recorder

EXPERIMENT_LABEL = "katib.kubeflow.org/experiment"
FINALIZER = "update-prometheus-metrics"


class Experiments:
    """The controller of experiments."""

    def __init__(self, program: Program):
        self._program = program
        self._api = program.api
        self._recorder = Recorder(program, "experiment-controller")
        self.controller = program.controller(kinds.EXPERIMENT, self._reconcile, "experiment-controller")
        self.controller.owns(kinds.TRIAL)
        self.controller.owns(kinds.SUGGESTION)

    def _reconcile(self, key: Key) -> None:
        live = self._api.get(kinds.EXPERIMENT, key)
        if live is None or keep_finalizer(self._program, kinds.EXPERIMENT, live, FINALIZER):
            return
        if "deletionTimestamp" in live["metadata"]:
            return
        status = copy.deepcopy(live.get("status") or {})
        if summary.completed(status) and not self._ended(live, status):
            return
        now = self._now()
        if not conditions.is_true(status, "Created"):
            status.setdefault("startTime", now)
            conditions.put(status, "Created", "ExperimentCreated", "Experiment is created", now)
        else:
            try:
                self._advance(live, status)
            except (httpx2.HTTPStatusError, templates.Untenable) as error:
                message = f"Failed to reconcile: {error}"
                self._recorder.say(kinds.EXPERIMENT, live, "ReconcileError", message, warning=True)
                if isinstance(error, templates.Untenable):
                    return  # upstream tries again, more and more seldom
                raise
        if status != live.get("status"):
            self._api.replace_status(kinds.EXPERIMENT, live, status)

    def _ended(self, experiment: Object, status: Object) -> bool:
        """Look after an experiment that is over; return whether there is more to do."""
        spec = experiment["spec"]
        if spec.get("resumePolicy") in ("Never", "FromVolume"):
            self._release(experiment)
        limit, trials = spec.get("maxTrialCount"), status.get("trials", 0)
        more = summary.restartable(experiment) and limit is not None and limit > trials
        if not more and not (limit is None and trials):
            return bool(status.get("trialsRunning"))
        conditions.drop(status, "Succeeded", "Failed")
        now = self._now()
        conditions.put(status, "Restarting", "ExperimentRestarting", "Experiment is restarted", now)
        if spec.get("resumePolicy") == "FromVolume":
            self._revive(experiment)
        return True

    def _release(self, experiment: Object) -> None:
        """Have the suggestion of an experiment that is over end."""
        live = self._api.get(kinds.SUGGESTION, kinds.key(experiment))
        if live is None or summary.completed(live.get("status") or {}) or _restarting(live):
            return
        status, now = copy.deepcopy(live.get("status") or {}), self._now()
        ended = "Suggestion is succeeded"
        for kind, message in (
            ("Running", "Suggestion is not running"),
            ("DeploymentReady", "Deployment is not ready"),
        ):
            if conditions.find(status, kind) is not None:
                conditions.put(status, kind, ended, message, now, state="False")
        message = f"{ended}, can't be restarted"
        if experiment["spec"]["resumePolicy"] == "FromVolume":
            message = f"{ended}, suggestion volume is not deleted, can be restarted"
        conditions.put(status, "Succeeded", "Experiment is succeeded", message, now)
        self._api.replace_status(kinds.SUGGESTION, live, status)

    def _revive(self, experiment: Object) -> None:
        """Have the suggestion of an experiment begin again."""
        live = self._api.get(kinds.SUGGESTION, kinds.key(experiment))
        if live is None or _restarting(live):
            return
        status = copy.deepcopy(live.get("status") or {})
        conditions.drop(status, "Succeeded")
        reason, message = "Experiment is restarting", "Suggestion is not running"
        conditions.put(status, "Running", reason, message, self._now(), state="False")
        self._api.replace_status(kinds.SUGGESTION, live, status)

    def _advance(self, experiment: Object, status: Object) -> None:
        namespace, name = kinds.key(experiment)
        trials = [
            each
            for each in self._api.items(kinds.TRIAL, namespace)
            if (each["metadata"].get("labels") or {}).get(EXPERIMENT_LABEL) == name
        ]
        if trials:
            reached = summary.summarize(experiment, status, trials)
            if not summary.completed(status):
                summary.judge(experiment, status, reached, self._now())
        if summary.completed(status):
            return
        spec = experiment["spec"]
        wanted, limit = spec.get("parallelTrialCount", 3), spec.get("maxTrialCount")
        active = status.get("trialsPending", 0) + status.get("trialsRunning", 0)
        ends = ("trialsSucceeded", "trialsFailed", "trialsKilled", "trialsEarlyStopped")
        done = sum(status.get(each, 0) for each in ends)
        if active > wanted:
            self._delete(experiment, trials, active - wanted)
        elif active < wanted:
            missing = (wanted if limit is None else min(wanted, limit - done)) - active
            if missing > 0:
                self._add(experiment, status, trials, missing)

    def _add(self, experiment: Object, status: Object, trials: list[Object], count: int) -> None:
        """Ask for so many more suggestions, and make trials of those that are there."""
        there = {each["metadata"]["name"] for each in trials}
        unfinished = sum(
            conditions.is_true(each.get("status") or {}, "EarlyStopped") and not summary.observed(each)
            for each in trials
        )
        requests = len(trials) + count - unfinished
        live = self._api.get(kinds.SUGGESTION, kinds.key(experiment))
        if live is None:
            self._api.ensure(kinds.SUGGESTION, _suggestion(experiment, requests))
            return
        if conditions.is_true(live.get("status") or {}, "Failed"):
            conditions.deny(status, "Running", self._now())
            conditions.put(status, "Failed", "ExperimentFailed", "Suggestion has failed", self._now())
            return
        for each in (live.get("status") or {}).get("suggestions") or ():
            if each["name"] not in there:
                self._api.ensure(kinds.TRIAL, self._trial(experiment, each))
        if live["spec"].get("requests", 0) != requests:
            self._api.replace(
                kinds.SUGGESTION, {**live, "spec": {**live["spec"], "requests": requests}}, live
            )

    def _trial(self, experiment: Object, assignment: Object) -> Object:
        namespace, name = kinds.key(experiment)
        spec, template = experiment["spec"], experiment["spec"]["trialTemplate"]
        values = assignment.get("parameterAssignments") or []

        def look(key: Key) -> Object | None:
            return self._api.get(kinds.CONFIG_MAP, key)

        labels = {**(experiment["metadata"].get("labels") or {}), EXPERIMENT_LABEL: name}
        made: dict[str, Any] = {
            "objective": spec["objective"],
            "parameterAssignments": values,
            "runSpec": templates.run(experiment, assignment["name"], values, look),
            "metricsCollector": spec.get("metricsCollectorSpec") or {},
        }
        if spec.get("earlyStopping") is not None and assignment.get("earlyStoppingRules"):
            made["earlyStoppingRules"] = assignment["earlyStoppingRules"]
        if template.get("retain"):
            made["retainRun"] = True
        for field in ("primaryPodLabels", "primaryContainerName"):
            if template.get(field):
                made[field] = template[field]
        if template.get("successCondition") and template.get("failureCondition"):
            made |= {each: template[each] for each in ("successCondition", "failureCondition")}
        return {
            "metadata": {
                "name": assignment["name"],
                "namespace": namespace,
                "labels": {**labels, **(assignment.get("labels") or {})},
                "ownerReferences": [kinds.reference(kinds.EXPERIMENT, experiment)],
            },
            "spec": made,
        }

    def _delete(self, experiment: Object, trials: list[Object], count: int) -> None:
        """Delete the youngest trials, and what was suggested for them."""
        youngest = sorted(trials, key=lambda each: each["metadata"]["creationTimestamp"], reverse=True)
        names = {each["metadata"]["name"] for each in youngest[:count]}
        for each in youngest[:count]:
            self._api.delete(kinds.TRIAL, kinds.key(each))
        live = self._api.get(kinds.SUGGESTION, kinds.key(experiment))
        if live is None:
            return
        status = copy.deepcopy(live.get("status") or {})
        left = [each for each in status.get("suggestions") or () if each["name"] not in names]
        spec = {**live["spec"], "requests": len(left)}
        after = self._api.replace(kinds.SUGGESTION, {**live, "spec": spec}, live)
        status |= {"suggestions": left, "suggestionCount": len(left)}
        self._api.replace_status(kinds.SUGGESTION, after, status)

    def _now(self) -> str:
        return self._program.world.timestamp()


def keep_finalizer(program: Program, kind: kinds.Kind, live: Object, name: str) -> bool:
    """Give an object its finalizer, or take it away from one that is deleted; return whether it changed."""
    finalizers = live["metadata"].get("finalizers") or []
    gone = "deletionTimestamp" in live["metadata"]
    if gone != (name in finalizers):
        return False
    left = [each for each in finalizers if each != name] if gone else [*finalizers, name]
    item = {**live, "metadata": {**live["metadata"], "finalizers": left}}
    program.api.replace(kind, item, live)
    return True


def _restarting(suggestion: Object) -> bool:
    found = conditions.find(suggestion.get("status") or {}, "Running")
    said = found is not None and (found["status"], found.get("reason"))
    return said == ("False", "Experiment is restarting")


def _suggestion(experiment: Object, requests: int) -> Object:
    namespace, name = kinds.key(experiment)
    said, spec = experiment["metadata"], experiment["spec"]
    metadata = {each: said[each] for each in ("labels", "annotations") if said.get(each)}
    found: dict[str, Any] = {"algorithm": spec["algorithm"], "requests": requests}
    for field in ("resumePolicy", "earlyStopping"):
        if spec.get(field):
            found[field] = spec[field]
    owner = kinds.reference(kinds.EXPERIMENT, experiment)
    return {
        "metadata": {**metadata, "name": name, "namespace": namespace, "ownerReferences": [owner]},
        "spec": found,
    }
