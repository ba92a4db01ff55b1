"""Argo's workflow controller: a Workflow's steps become pods, one after the other, and it tells how it ends.

argo-workflows v3.7.14: cmd/workflow-controller/main.go and workflow/controller/controller.go; what a run does
is in `rehearsal.players.argo.running`. CronWorkflows, garbage collection and Events are not played. What the
programs in the pods would say is known of KFP's drivers only (`rehearsal.players.argo.driving`).
"""

from __future__ import annotations

import re

import httpx2
import yaml
from lightkube.core.exceptions import ApiError

from rehearsal.players import flags, kinds
from rehearsal.players.argo.nodes import COMPLETED
from rehearsal.players.argo.pods import INSTANCE, PREFIX, Argo
from rehearsal.players.argo.running import Run, StepError, TryAgainError
from rehearsal.players.controller import Controller
from rehearsal.players.kinds import Key, Object
from rehearsal.players.program import Program
from rehearsal.players.refusals import Unstartable
from rehearsal.players.transience import is_transient

_FLAGS = {
    "configmap": "workflow-controller-configmap",
    "executor-image": "",
    "executor-image-pull-policy": "",
    "loglevel": "info",
    "gloglevel": "0",
    "log-format": "text",
    "workflow-workers": "32",
    "workflow-ttl-workers": "4",
    "pod-cleanup-workers": "4",
    "cron-workflow-workers": "8",
    "workflow-archive-workers": "8",
    "burst": "30",
    "qps": "20",
    "managed-namespace": "",
}
_SWITCHES = ("namespaced", "executor-plugins")
_WORKFLOW, _DONE = f"{PREFIX}workflow", f"{PREFIX}completed"
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def controllers(program: Program) -> list[Controller]:
    """Return what the program runs."""
    return [_Workflows(program).controller]


class _Workflows:
    def __init__(self, program: Program):
        values = flags.parse(program.settings.words, _FLAGS, _SWITCHES)
        self._image = values["executor-image"]
        self._pattern = program.settings.variable("TRANSIENT_ERROR_PATTERN")
        self._pause = _seconds(program.settings.variable("DEFAULT_REQUEUE_TIME", "10s"))
        self._api = program.api
        self._refusals = program.refusals
        self._world = program.world
        self._config_at = (program.settings.namespace, values["configmap"])
        self._config = self._api.follower(
            kinds.CONFIG_MAP,
            namespace=program.settings.namespace,
            fields={"metadata.name": values["configmap"]},
        )
        self._pods = self._api.follower(kinds.POD, labels={_WORKFLOW: None})
        self.controller = program.controller(kinds.WORKFLOW, self._reconcile)
        self.controller.hears(self._pods, _workflow_of_pod)
        workflows = self._api.follower(kinds.WORKFLOW)
        self.controller.hears(self._config, lambda _: [kinds.key(each) for each in workflows.items()])

    def _reconcile(self, key: Key) -> float | None:
        workflow = self._api.get(kinds.WORKFLOW, key)
        argo = self._argo()
        if workflow is None or argo is None or "deletionTimestamp" in workflow["metadata"]:
            return None
        labels = workflow["metadata"].get("labels") or {}
        if labels.get(INSTANCE, "") != argo.instance or workflow.get("spec", {}).get("suspend"):
            return None
        mine = [each for each in self._pods.items() if key in _workflow_of_pod(each)]
        if (workflow.get("status") or {}).get("phase") not in COMPLETED:
            run = Run(argo, workflow, mine, self._make, self._world.timestamp)
            after = run.advance()
            self._api.replace(kinds.WORKFLOW, after, workflow)
            if run.waits:
                return self._pause
        self._label(mine)
        return None

    def _argo(self) -> Argo | None:
        """Return how the controller is set up; None while it cannot be read."""
        found = self._config.get(self._config_at)
        try:
            return None if found is None else Argo.configured(found.get("data") or {}, self._image)
        except yaml.YAMLError:
            return None

    def _make(self, pod: Object) -> Object:
        """Make a pod, or return the one that is there."""
        try:
            return self._api.create(kinds.POD, pod)
        except (httpx2.HTTPStatusError, httpx2.TransportError) as error:
            message = (error.status.message or "") if isinstance(error, ApiError) else str(error)
            if isinstance(error, ApiError) and error.status.reason == "AlreadyExists":
                found = self._api.read(kinds.POD, kinds.key(pod))
                if found is not None:
                    return found
            if "cannot create resource" in message:
                self._refusals.hear("workflow-controller", error)
            if is_transient(error, self._pattern):
                raise TryAgainError(message) from error
            raise StepError(message) from error

    def _label(self, pods: list[Object]) -> None:
        """Mark the pods that are over, so that nobody looks at them again."""
        for pod in pods:
            over = (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")
            if over and pod["metadata"]["labels"].get(_DONE) != "true":
                self._api.patch(kinds.POD, kinds.key(pod), {"metadata": {"labels": {_DONE: "true"}}})


def _workflow_of_pod(pod: Object) -> list[Key]:
    name = pod["metadata"].get("labels", {}).get(_WORKFLOW)
    return [] if name is None else [(kinds.key(pod)[0], name)]


def _seconds(text: str) -> float:
    """Return the seconds of a duration of Go."""
    parts = _DURATION.findall(text)
    if "".join(number + unit for number, unit in parts) != text:
        raise Unstartable(f'invalid duration "{text}"')
    return sum(float(number) * _UNITS[unit] for number, unit in parts)
