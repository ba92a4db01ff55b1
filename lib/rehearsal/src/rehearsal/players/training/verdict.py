"""What becomes of a job: its counts of replicas, and its conditions.

kubeflow/training-operator v1.9.2: UpdateJobStatus in pkg/controller.v1/*/*_controller.go, setCondition in
pkg/util/status.go. What may surprise there, and so here: a job that failed once gets no other condition; a
leader that ended well makes the job succeed whatever the others do; workers of a TFJob that fail do not end
it while it is being restarted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rehearsal.players import conditions
from rehearsal.players.kinds import Object
from rehearsal.players.training.frameworks import REPLICA_TYPE, Framework

Say = Callable[[str, str, bool], None]
"""Makes an event of a reason and a message, and whether it is a warning."""

_SELECTED = ("PyTorchJob", "PaddleJob", "JAXJob")
"""The kinds whose status tells by which labels the replicas are found."""


def finished(status: Object) -> bool:
    """Tell whether a job is over."""
    return conditions.is_true(status, "Succeeded") or conditions.is_true(status, "Failed")


def mark(status: Object, kind: str, reason: str, message: str, now: str, *, state: str = "True") -> None:
    """Set a condition of a job, and those that it contradicts."""
    if conditions.is_true(status, "Failed"):
        return
    before = status.get("conditions")
    without = {"Restarting": ("Running",), "Running": ("Restarting",)}.get(kind, ())
    conditions.put(status, kind, reason, message, now, state=state, without=without)
    if kind in ("Failed", "Succeeded") and status["conditions"] is not before:
        status["conditions"] = [
            {**each, "status": "False"} if each["type"] == "Running" else each
            for each in status["conditions"]
        ]


def count(status: Object, kind: str, pods: list[Object]) -> None:
    """Write how many pods of a replica type run, and how many have ended in which way."""
    found: dict[str, int] = {}
    for pod in pods:
        phase = (pod.get("status") or {}).get("phase")
        going = "deletionTimestamp" in pod["metadata"]
        state = {"Running": "failed" if going else "active", "Succeeded": "succeeded", "Failed": "failed"}
        if phase in state:
            found[state[phase]] = found.get(state[phase], 0) + 1
    status.setdefault("replicaStatuses", {})[kind] = found


@dataclass(frozen=True)
class Judge:
    """Judges a job by the counts in its status, which it changes.

    Attributes:
        framework: of the job.
        job: with its defaults.
        status: of the job.
        say: makes events.
        now: the time.
    """

    framework: Framework
    job: Object
    status: Object
    say: Say
    now: str

    def judge(self, pods: Mapping[str, list[Object]]) -> None:
        """Set the conditions; the pods are known by their replica type."""
        framework, status = self.framework, self.status
        status.setdefault("startTime", self.now)
        replicas = framework.replicas(self.job)
        restarting = conditions.find(status, "Restarting")
        led = [each for each in framework.leaders if each in replicas]
        deciding = led or ["Worker"]
        for kind in framework.types:
            if kind not in replicas:
                continue
            counts = status["replicaStatuses"].setdefault(kind, {})
            if framework.name in _SELECTED:
                labels = {**framework.labels(self.job), REPLICA_TYPE: kind.lower()}
                counts["selector"] = ",".join(f"{key}={labels[key]}" for key in sorted(labels))
            if kind in deciding and self._lead(kind, counts, bool(led), pods.get(kind, [])):
                return
            if counts.get("failed"):
                self._fail(kind, counts, restarting)

    def _lead(self, kind: str, counts: Object, led: bool, pods: list[Object]) -> bool:
        """Judge by the replicas that decide; return whether nothing else is looked at."""
        framework, replica = self.framework, self.framework.replicas(self.job)[kind]
        done, active = counts.get("succeeded", 0), counts.get("active", 0)
        over = replica["replicas"] - done == 0
        if not led:
            over = over or self._enough(pods, done)
        # Where a leader decides, its running is said even if it is over.
        if active and (led or not over):
            self._mark("Running", f"{self._title(led)} is running.")
        if not over:
            return False
        if framework.name == "XGBoostJob":
            self._mark("Running", f"{self._title(led)} is running.")
        words = "successfully" if self._full(led) else "is successfully"
        self.status.setdefault("completionTime", self.now)
        self._mark("Succeeded", f"{self._title(led)} {words} completed.")
        return led and framework.name != "TFJob"

    def _enough(self, pods: list[Object], done: int) -> bool:
        """Tell whether some workers are enough."""
        spec = self.job["spec"]
        if self.framework.name == "PyTorchJob":
            return spec.get("elasticPolicy") is not None and done > 0
        if self.framework.name != "TFJob" or spec.get("successPolicy") == "AllWorkers":
            return False
        first = [pod for pod in pods if pod["metadata"]["name"].endswith("-worker-0")]
        return any((pod.get("status") or {}).get("phase") == "Succeeded" for pod in first)

    def _fail(self, kind: str, counts: Object, restarting: Object | None) -> None:
        """Judge by the replicas of a type that failed."""
        framework, replica = self.framework, self.framework.replicas(self.job)[kind]
        failed, policy = counts["failed"], replica["restartPolicy"]
        title, word = self._title(True), "is"
        if framework.name == "TFJob":
            if restarting is not None:
                mark(self.status, "Restarting", restarting["reason"], restarting["message"], self.now)
                return
            if kind == "Worker" and self.job["spec"].get("enableDynamicWorker"):
                return
            word = "has"
        if framework.name in _SELECTED:
            if replica["replicas"] <= counts.get("succeeded", 0) + counts.get("active", 0):
                return
            again = policy != "Never"
        else:
            again = policy == "ExitCode" and framework.name != "TFJob"
        if framework.name == "XGBoostJob":
            self._mark("Running", f"{title} is running.")
        if again:
            self._mark(
                "Restarting",
                f"{title} is restarting because {failed} {kind} replica(s) failed.",
                warning=True,
            )
            return
        self.status.setdefault("completionTime", self.now)
        message = f"{title} {word} failed because {failed} {kind} replica(s) failed."
        self.say(f"{framework.name}Failed", message, False)
        # An MPIJob's reason has its kind twice.
        prefix = framework.name * (2 if framework.name == "MPIJob" else 1)
        mark(self.status, "Failed", f"{prefix}Failed", message, self.now)

    def _mark(self, kind: str, message: str, *, warning: bool = False) -> None:
        reason = f"{self.framework.name}{kind}"
        if kind != "Running":
            self.say(reason, message, warning)
        mark(self.status, kind, reason, message, self.now)

    def _full(self, led: bool) -> bool:
        return self.framework.name == "TFJob" or not led

    def _title(self, led: bool) -> str:
        """Return how a message calls the job: by kind and name, where nobody leads with the namespace."""
        metadata = self.job["metadata"]
        name = f"{metadata['namespace']}/{metadata['name']}" if self._full(led) else metadata["name"]
        return f"{self.framework.name} {name}"
