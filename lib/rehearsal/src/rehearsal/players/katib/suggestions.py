"""Katib's suggestion controller: runs an algorithm for an experiment, and asks it for further trials.

kubeflow/katib v0.19.0, pkg/controller.v1beta1/suggestion. What the algorithm answers is in `sampling`; its
service is asked only when its Deployment is available. Rules of early stopping are not suggested.
"""

from __future__ import annotations

import copy
import random
import string

import httpx2

from rehearsal.players import conditions, kinds
from rehearsal.players.katib import composing, config, sampling
from rehearsal.players.katib.composing import Composer
from rehearsal.players.kinds import Key, Object
from rehearsal.players.program import Program
from rehearsal.players.recording import Recorder

_LETTERS = "".join(each for each in string.ascii_lowercase + string.digits if each not in "aeiou013")


class Suggestions:
    """The controller of suggestions.

    Args:
        program: whose it is.
        core: the namespace of the configuration.
        init: what was configured at the start.
    """

    def __init__(self, program: Program, core: str, init: Object):
        self._program = program
        self._api = program.api
        self._at = (core, config.NAME)
        self._init = init
        self._recorder = Recorder(program, "suggestion-controller")
        self.controller = program.controller(kinds.SUGGESTION, self._reconcile, "suggestion-controller")
        for kind in (kinds.DEPLOYMENT, kinds.SERVICE, kinds.CLAIM):
            self.controller.owns(kind)

    def _reconcile(self, key: Key) -> None:
        live = self._api.get(kinds.SUGGESTION, key)
        if live is None or "deletionTimestamp" in live["metadata"]:
            return
        status = copy.deepcopy(live.get("status") or {})
        if conditions.is_true(status, "Succeeded"):
            self._stop(live)
            return
        now = self._program.world.timestamp()
        if not conditions.is_true(status, "Created"):
            status.setdefault("startTime", now)
            conditions.put(status, "Created", "SuggestionCreated", "Suggestion is created", now)
            self._api.replace_status(kinds.SUGGESTION, live, status)
            return
        try:
            self._advance(live, status, now)
        except (config.Unreadable, httpx2.HTTPStatusError) as error:
            self._recorder.say(kinds.SUGGESTION, live, "ReconcileError", str(error), warning=True)
            if isinstance(error, config.Unreadable):
                return  # upstream tries again, more and more seldom
            raise
        if status != live.get("status"):
            self._api.replace_status(kinds.SUGGESTION, live, status)

    def _advance(self, suggestion: Object, status: Object, now: str) -> None:
        said = config.of_map(self._api.get(kinds.CONFIG_MAP, self._at))
        composer = Composer(suggestion, config.Config(self._init, said.runtime))
        for kind, wanted in composer.volume():
            self._api.ensure(kind, wanted)
        self._api.ensure(kinds.SERVICE, composer.service())
        for kind, wanted in composer.rights():
            self._api.ensure(kind, wanted)
        if not _available(self._api.ensure(kinds.DEPLOYMENT, composer.deployment())):
            message = "Deployment is not ready"
            conditions.put(status, "DeploymentReady", "DeploymentNotReady", message, now, state="False")
            return
        conditions.put(status, "DeploymentReady", "DeploymentReady", "Deployment is ready", now)
        experiment = self._api.get(kinds.EXPERIMENT, kinds.key(suggestion))
        if experiment is None or conditions.is_true(status, "Failed"):
            return
        if not conditions.is_true(status, "Running"):
            if reason := sampling.refused(experiment):
                message = f"Validation failed: ValidateAlgorithmSettings Error: {reason}"
                conditions.put(status, "Failed", "SuggestionFailed", message, now)
                return
            conditions.drop(status, "Succeeded")
            conditions.put(status, "Running", "SuggestionRunning", "Suggestion is running", now)
        self._ask(suggestion, experiment, status)

    def _ask(self, suggestion: Object, experiment: Object, status: Object) -> None:
        """Add as many assignments as are asked for."""
        there = status.get("suggestions") or []
        missing = suggestion["spec"].get("requests", 0) - len(there)
        if missing <= 0:
            return
        name = suggestion["metadata"]["name"]
        try:
            drawn = sampling.assignments(experiment, len(there), missing)
        except ValueError as error:
            message = f"Exception calling application: {error}"
            self._recorder.say(kinds.SUGGESTION, suggestion, "ReconcileError", message, warning=True)
            return
        new = [{"name": f"{name}-{_suffix()}", "parameterAssignments": each} for each in drawn]
        if len(new) != missing:
            message = "The response contains unexpected trials"
            self._recorder.say(kinds.SUGGESTION, suggestion, "ReconcileError", message, warning=True)
            return
        status["suggestions"] = [*there, *new]
        status["suggestionCount"] = len(status["suggestions"])

    def _stop(self, suggestion: Object) -> None:
        """Delete what runs of a suggestion; the volume stays."""
        key = (suggestion["metadata"]["namespace"], composing.name(suggestion))
        for kind in (kinds.DEPLOYMENT, kinds.SERVICE):
            if self._api.get(kind, key) is not None:
                self._api.delete(kind, key)


def _available(deployment: Object) -> bool:
    said = conditions.find(deployment.get("status") or {}, "Available")
    return said is not None and said["status"] == "True"


def _suffix() -> str:
    """Return eight letters as Kubernetes makes names unique."""
    return "".join(random.choices(_LETTERS, k=8))  # noqa: S311 (a name, nothing secret)
