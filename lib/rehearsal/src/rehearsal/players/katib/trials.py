"""Katib's trial controller: runs a trial's job, and takes over its end and its metrics.

kubeflow/katib v0.19.0, pkg/controller.v1beta1/trial. What may surprise there, and so here: a trial has a
finalizer that only goes if the DB manager answers; a job whose kind is not among the `trialResources` is made
but not followed; a trial whose job succeeded waits for its metrics for ever if no collector reports any.
"""

from __future__ import annotations

import copy

import httpx2

from rehearsal.players import conditions, kinds
from rehearsal.players.katib import gjson, summary
from rehearsal.players.katib.experiments import keep_finalizer
from rehearsal.players.katib.observing import Database, Unanswered
from rehearsal.players.kinds import Key, Kind, Object
from rehearsal.players.program import Program
from rehearsal.players.recording import Recorder

FINALIZER = "clean-metrics-in-db"
_PAUSE = 1.0
"""Seconds until a trial's metrics are asked for again."""


class Trials:
    """The controller of trials.

    Args:
        program: whose it is.
        resources: apiVersions and kinds of the jobs that are followed.
        database: where the metrics are.
    """

    def __init__(self, program: Program, resources: list[tuple[str, str]], database: Database):
        self._program = program
        self._api = program.api
        self._database = database
        self._recorder = Recorder(program, "trial-controller")
        self.controller = program.controller(kinds.TRIAL, self._reconcile, "trial-controller")
        for version, name in resources:
            kind = program.discover(version, name)
            if kind is not None:  # what is not defined at the start is never followed
                self.controller.watches(kind, _trial_of)

    def _reconcile(self, key: Key) -> float | None:
        live = self._api.get(kinds.TRIAL, key)
        if live is None:
            return None
        try:
            if "deletionTimestamp" in live["metadata"]:
                if FINALIZER in live["metadata"].get("finalizers", ()):
                    self._database.forget(key[1])
                    keep_finalizer(self._program, kinds.TRIAL, live, FINALIZER)
                return None
            if keep_finalizer(self._program, kinds.TRIAL, live, FINALIZER):
                return None
            return self._advance(live)
        except (Unanswered, httpx2.HTTPStatusError) as error:
            if "deletionTimestamp" not in live["metadata"]:
                message = f"Failed to reconcile: {error}"
                self._recorder.say(kinds.TRIAL, live, "ReconcileError", message, warning=True)
            if isinstance(error, Unanswered):
                return _PAUSE
            raise

    def _advance(self, trial: Object) -> float | None:
        status, now = copy.deepcopy(trial.get("status") or {}), self._program.world.timestamp()
        again = None
        if not conditions.is_true(status, "Created"):
            status.setdefault("startTime", now)
            conditions.put(status, "Created", "TrialCreated", "Trial is created", now)
        else:
            again = self._run(trial, status, now)
        if status != trial.get("status"):
            self._api.replace_status(kinds.TRIAL, trial, status)
        return again

    def _run(self, trial: Object, status: Object, now: str) -> float | None:
        """Bring a trial to where its job is; return when to look again."""
        stopped = conditions.is_true(status, "EarlyStopped")
        job = self._job(trial, status)
        if job is None or (summary.trial_completed(status) and not stopped):
            return None
        state, said = _state(trial, status, job)
        if state == "Succeeded" or stopped:
            observation = self._database.observation(trial)
            if observation is not None:
                status["observation"] = observation
        pushed = ((trial["spec"].get("metricsCollector") or {}).get("collector") or {}).get("kind") == "Push"
        if state == "Succeeded" and "observation" not in status and not pushed:
            return _PAUSE
        self._conclude(trial, status, state, said, now)
        return None

    def _job(self, trial: Object, status: Object) -> Object | None:
        """Return the job of a trial; make it, or delete it when the trial is over."""
        wanted = copy.deepcopy(trial["spec"]["runSpec"])
        kind = self._program.discover(wanted.get("apiVersion", ""), wanted.get("kind", ""))
        if kind is None:
            problem = f'no matches for kind "{wanted.get("kind")}" in version "{wanted.get("apiVersion")}"'
            self._recorder.say(
                kinds.TRIAL, trial, "ReconcileError", f"Failed to reconcile: {problem}", warning=True
            )
            return None
        over, key = summary.trial_completed(status), kinds.key(wanted)
        live = self._api.read(kind, key)
        if live is None:
            return None if over else self._create(trial, kind, wanted)
        if over and not trial["spec"].get("retainRun"):
            if "deletionTimestamp" not in live["metadata"]:
                self._api.delete(kind, key, foreground=True)
                self._say(trial, "JobDeleted", f"Job {key[1]} has been deleted")
            return None
        return live

    def _create(self, trial: Object, kind: Kind, wanted: Object) -> Object:
        owner = kinds.reference(kinds.TRIAL, trial)
        wanted["metadata"] = {**(wanted.get("metadata") or {}), "ownerReferences": [owner]}
        made = self._api.create(kind, wanted)
        self._say(trial, "JobCreated", f"Job {wanted['metadata']['name']} has been created")
        return made

    def _conclude(self, trial: Object, status: Object, state: str, said: Object, now: str) -> None:
        """Set the condition that follows from how the job is."""
        name, stopped = trial["metadata"]["name"], conditions.is_true(status, "EarlyStopped")
        if state == "Succeeded":
            if summary.observed({**trial, "status": status}):
                if not stopped:
                    self._end(status, "Succeeded", "TrialSucceeded", "Trial has succeeded", said, now)
                    self._say(trial, "JobSucceeded", f"Job {name} has succeeded")
            else:
                message = "Metrics are not available"
                self._end(status, "MetricsUnavailable", "MetricsUnavailable", message, said, now)
                self._say(trial, "MetricsUnavailable", f"{message} for Job {name}", warning=True)
        elif state == "Failed" and not stopped:
            self._end(status, "Failed", "TrialFailed", "Trial has failed", said, now)
            self._say(trial, "JobFailed", f"Job {name} has failed. {said.get('message', '')}")
        elif state == "Running" and not stopped:
            conditions.put(status, "Running", "TrialRunning", "Trial is running", now)
            self._say(trial, "JobRunning", f"Job {name} is running")

    def _end(self, status: Object, kind: str, reason: str, message: str, said: Object, now: str) -> None:
        if said.get("message"):
            message = f"{message}. Job message: {said['message']}"
        if said.get("reason"):
            reason = f"{reason}. Job reason: {said['reason']}"
        conditions.deny(status, "Running", now)
        conditions.put(status, kind, reason, message, now)
        status["completionTime"] = now

    def _say(self, trial: Object, reason: str, message: str, *, warning: bool = False) -> None:
        self._recorder.say(kinds.TRIAL, trial, reason, message, warning=warning)


def _trial_of(item: Object) -> list[Key]:
    name = kinds.controller(kinds.TRIAL, item)
    return [] if name is None else [(kinds.key(item)[0], name)]


def _state(trial: Object, status: Object, job: Object) -> tuple[str, Object]:
    """Return how a job is, and the condition of it that says so."""
    for state, field in (("Failed", "failureCondition"), ("Succeeded", "successCondition")):
        found = gjson.get(job, trial["spec"].get(field, ""))
        if isinstance(found, list) and found:
            found = found[0]
        if isinstance(found, dict):
            return state, found
    return ("" if conditions.is_true(status, "Running") else "Running"), {}
