"""The metrics of trials: what collectors report of their pods, and the DB manager keeps.

kubeflow/katib v0.19.0, pkg/controller.v1beta1/trial/trial_controller_util.go and managerclient,
pkg/common/v1beta1/katib_manager_util.go, pkg/metricscollector. Nothing is measured here: a pod of a trial
says its metrics in the annotation `METRICS`, `accuracy=0.9,loss=0.1`, say; one that says none has numbers
between 0 and 1 that follow from its trial's parameters. They are reported when the pod has ended well, if a
collector was put into it, or if the trial pushes them itself.
"""

from __future__ import annotations

import hashlib
import json
import threading

from rehearsal.players import kinds
from rehearsal.players.katib.summary import UNAVAILABLE
from rehearsal.players.kinds import Object
from rehearsal.players.program import Program

METRICS = "rehearsal/metrics"
"""Annotation of a trial's pod."""
TRIAL_LABEL = "katib.kubeflow.org/trial"
COLLECTORS = ("metrics-logger-and-collector", "metrics-collector")
"""What the containers that collect metrics are called."""


class Unanswered(Exception):
    """The DB manager does not answer."""


class Database:
    """The metrics that were reported, as the controller finds them.

    Args:
        program: the controller.
        namespace: of the DB manager's Service.
        service: its name.
    """

    def __init__(self, program: Program, namespace: str, service: str):
        self._program = program
        self._at = (namespace, service)
        self._lock = threading.Lock()
        self._reported: dict[str, Object] = {}
        pods = program.kubelet.follower(kinds.POD, labels={TRIAL_LABEL: None})
        pods.tell(self._hear)

    def observation(self, trial: Object) -> Object | None:
        """Return the observation of a trial; None if nothing has been reported.

        Raises:
            Unanswered: if there is no DB manager.
        """
        self._ask()
        with self._lock:
            pod = self._reported.get(trial["metadata"]["name"])
        spec = trial["spec"]
        pushes = ((spec.get("metricsCollector") or {}).get("collector") or {}).get("kind") == "Push"
        if pod is None or not (pushes or _collected(pod, trial)):
            return None
        said = (pod["metadata"].get("annotations") or {}).get(METRICS)
        metrics = []
        for strategy in spec["objective"].get("metricStrategies") or ():
            value = _guessed(trial, strategy["name"]) if said is None else _told(said, strategy["name"])
            metrics.append({"name": strategy["name"], **dict.fromkeys(("min", "max", "latest"), value)})
        return {"metrics": metrics}

    def forget(self, trial: str) -> None:
        """Delete what was reported of a trial; raises `Unanswered`."""
        self._ask()
        with self._lock:
            self._reported.pop(trial, None)

    def _ask(self) -> None:
        """Raise `Unanswered` unless there is a pod behind the Service."""
        found = self._program.kubelet.read(kinds.ENDPOINTS, self._at)
        if not any(each.get("addresses") for each in (found or {}).get("subsets") or ()):
            address = f"{self._at[1]}.{self._at[0]}:6789"
            raise Unanswered(f"rpc error: code = Unavailable desc = connection error: {address}")

    def _hear(self, _: Object | None, pod: Object | None) -> None:
        """Take note of a pod that has ended well."""
        if pod is not None and (pod.get("status") or {}).get("phase") == "Succeeded":
            with self._lock:
                name = pod["metadata"]["labels"][TRIAL_LABEL]
                before = self._reported.get(name)
                if before is None or _collects(pod) or not _collects(before):
                    self._reported[name] = pod


def _collects(pod: Object) -> bool:
    return any(each["name"] in COLLECTORS for each in pod["spec"]["containers"])


def _collected(pod: Object, trial: Object) -> bool:
    """Tell whether a pod has a collector: Katib's own, or the trial's."""
    own = ((trial["spec"].get("metricsCollector") or {}).get("collector") or {}).get("customCollector") or {}
    return _collects(pod) or any(each["name"] == own.get("name") for each in pod["spec"]["containers"])


def _told(said: str, name: str) -> str:
    """Return the metric that an annotation names."""
    pairs = (each.partition("=") for each in said.split(","))
    values = {key.strip(): value.strip() for key, _, value in pairs}
    return values.get(name, UNAVAILABLE)


def _guessed(trial: Object, name: str) -> str:
    document = json.dumps([trial["spec"].get("parameterAssignments"), name], sort_keys=True)
    digest = hashlib.sha256(document.encode()).digest()
    return f"{int.from_bytes(digest[:4], 'big') / 2**32:.4f}"
