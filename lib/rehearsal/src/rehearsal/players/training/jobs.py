"""A job of the training operator from its beginning to its end.

kubeflow/training-operator v1.9.2, pkg/controller.v1/common/job.go and pkg/core/job.go. What may surprise
there, and so here: a deadline is looked at only when something of the job changes; the back-off limit counts
the restarts of containers in pods that run, and of pods only whether there is a failed one at a limit of 0.
"""

from __future__ import annotations

import copy
import datetime

from rehearsal.players import conditions, kinds
from rehearsal.players.kinds import Key, Object
from rehearsal.players.program import Program, timestamp
from rehearsal.players.recording import Recorder
from rehearsal.players.training import scaling, verdict
from rehearsal.players.training.frameworks import Framework
from rehearsal.players.training.gang import Gang
from rehearsal.players.training.replicas import Replicas

CONTROLLER = "kubeflow.org/training-operator"


class Jobs:
    """The controller of one kind of jobs.

    Args:
        program: whose it is.
        framework: the kind.
        replicas: makes their pods.
        gang: keeps their pod groups, if there are any.
    """

    def __init__(self, program: Program, framework: Framework, replicas: Replicas, gang: Gang | None):
        self._framework = framework
        self._replicas = replicas
        self._gang = gang
        self._api = program.api
        self._world = program.world
        self._recorder: Recorder = replicas.recorder
        self.controller = program.controller(framework.kind, self._reconcile, framework.controller)
        self.controller.owns(kinds.POD)
        self.controller.owns(kinds.SERVICE)
        if gang is not None:
            self.controller.owns(gang.kind)

    def _reconcile(self, key: Key) -> float | None:
        live = self._api.get(self._framework.kind, key)
        if live is None or "deletionTimestamp" in live["metadata"]:
            return None
        if (self._framework.policy(live).get("managedBy") or CONTROLLER) != CONTROLLER:
            return None
        if problem := self._invalid(live):
            self._say(live, f"{self._framework.name}FailedValidation", problem, True)
            return None
        job = self._framework.defaulted(live)
        status = copy.deepcopy(live.get("status") or {})
        name = self._framework.name
        if conditions.find(status, "Created") is None:
            message = f"{name} {key[1]} is created."
            verdict.mark(status, "Created", f"{name}Created", message, self._world.timestamp())
        again = self._advance(job, status)
        if status != live.get("status"):
            self._api.replace_status(self._framework.kind, live, status)
        scaling.keep(self._api, self._framework, job)
        return again

    def _advance(self, job: Object, status: Object) -> float | None:
        pods = self._replicas.pods(job)
        if verdict.finished(status):
            return self._end(job, status, [each for some in pods.values() for each in some])
        if self._framework.policy(job).get("suspend"):
            self._suspend(job, status, [each for some in pods.values() for each in some])
            return None
        now = self._world.timestamp()
        if conditions.is_true(status, "Suspended"):
            message = f"{self._title(job)} is resumed."
            self._set(job, status, "Suspended", "Resumed", message, state="False")
            status["startTime"] = now
        if reason := self._exceeds(job, status, pods):
            status.setdefault("completionTime", now)
            for pod in [each for some in pods.values() for each in some]:
                self._replicas.clear(job, pod)
            if self._gang is not None:
                self._gang.remove(job)
            self._set(
                job, status, "Failed", "Failed", f"Job {job['metadata']['name']} has failed because {reason}"
            )
            return None
        if self._gang is not None and not self._gang.admitted(self._framework, job):
            status["lastReconcileTime"] = now
            return None
        self._replicas.keep(job, status, pods, now)

        def say(reason: str, message: str, warning: bool) -> None:
            self._say(job, reason, message, warning)

        verdict.Judge(self._framework, job, status, say, now).judge(pods)
        return None

    def _end(self, job: Object, status: Object, pods: list[Object]) -> float | None:
        """Take away what is not kept of a job that is over; return when to delete it."""
        self._clean(job, pods, self._framework.policy(job)["cleanPodPolicy"])
        if self._gang is not None:
            self._gang.remove(job)
        if conditions.is_true(status, "Succeeded"):
            for counts in status.get("replicaStatuses", {}).values():
                if active := counts.pop("active", 0):
                    counts["succeeded"] = counts.get("succeeded", 0) + active
        return self._expire(job, status)

    def _clean(self, job: Object, pods: list[Object], policy: str) -> None:
        for pod in pods:
            phase = (pod.get("status") or {}).get("phase")
            if policy == "All" or (policy == "Running" and phase in ("Running", "Pending")):
                self._replicas.clear(job, pod)

    def _expire(self, job: Object, status: Object) -> float | None:
        ttl = self._framework.policy(job).get("ttlSecondsAfterFinished")
        if ttl is None or "completionTime" not in status:
            return None
        left = ttl - self._since(status["completionTime"])
        if left > 0:
            return left
        self._api.delete(self._framework.kind, kinds.key(job))
        what = "Job" if self._framework.name in ("TFJob", "XGBoostJob") else "Pod"
        self._say(job, f"SuccessfulDelete{what}", f"Deleted job: {job['metadata']['name']}", False)
        return None

    def _suspend(self, job: Object, status: Object, pods: list[Object]) -> None:
        for pod in pods:
            self._replicas.clear(job, pod)
        if self._gang is not None:
            self._gang.remove(job)
        for counts in status.get("replicaStatuses", {}).values():
            counts.pop("active", None)
        message = f"{self._title(job)} is suspended."
        if conditions.is_true(status, "Running"):
            self._set(job, status, "Running", "Suspended", message, state="False")
        if not conditions.is_true(status, "Suspended"):
            self._set(job, status, "Suspended", "Suspended", message)

    def _exceeds(self, job: Object, status: Object, pods: dict[str, list[Object]]) -> str:
        """Return which limit a job has exceeded."""
        policy = self._framework.policy(job)
        limit, deadline = policy.get("backoffLimit"), policy.get("activeDeadlineSeconds")
        if limit is not None:
            restarts = self._restarts(job, pods)
            if self._fails(job, status, pods, limit) or (restarts > 0 if limit == 0 else restarts >= limit):
                return "it has reached the specified backoff limit"
        if deadline is not None and "startTime" in status and self._since(status["startTime"]) >= deadline:
            return "it was active longer than specified deadline"
        return ""

    def _fails(self, job: Object, status: Object, pods: dict[str, list[Object]], limit: int) -> bool:
        """Tell whether a pod has failed that the status does not know of, and no failure is allowed."""
        phases = [(each.get("status") or {}).get("phase") for some in pods.values() for each in some]
        known = sum(each.get("failed", 0) for each in status.get("replicaStatuses", {}).values())
        active = sum(phase not in ("Succeeded", "Failed") for phase in phases)
        total = sum(each["replicas"] for each in self._framework.replicas(job).values())
        return limit < 1 and phases.count("Failed") > known and active != total

    def _restarts(self, job: Object, pods: dict[str, list[Object]]) -> int:
        """Return how often containers have been restarted in pods that run."""
        count = 0
        for kind, replica in self._framework.replicas(job).items():
            for pod in pods[kind] if replica["restartPolicy"] != "Never" else ():
                said = pod.get("status") or {}
                if said.get("phase") == "Running":
                    each = [
                        *(said.get("initContainerStatuses") or ()),
                        *(said.get("containerStatuses") or ()),
                    ]
                    count += sum(container.get("restartCount", 0) for container in each)
        return count

    def _invalid(self, job: Object) -> str:
        """Return what is wrong with a job that no webhook has checked."""
        if self._framework.name != "MPIJob":
            return ""
        replicas = job["spec"].get("mpiReplicaSpecs") or {}
        for kind, replica in replicas.items():
            containers = ((replica or {}).get("template") or {}).get("spec", {}).get("containers")
            if not containers:
                problem = f"MPIReplicaSpecs is not valid: containers definition expected in {kind}"
            elif kind not in self._framework.types:
                problem = f"MPIReplicaType is {kind} but must be one of [Launcher Worker]"
            elif not all(each.get("image") for each in containers):
                problem = f"MPIReplicaSpec is not valid: Image is undefined in the container of {kind}"
            elif kind == "Launcher" and replica.get("replicas") not in (None, 1):
                problem = "MPIReplicaSpec is not valid: There must be only 1 launcher replica"
            else:
                continue
            return f"MPIJob failed validation because {problem}"
        if "Launcher" in replicas:
            return ""
        return (
            "MPIJob failed validation because MPIReplicaSpec is not valid: Master ReplicaSpec must be present"
        )

    def _set(
        self, job: Object, status: Object, kind: str, reason: str, message: str, *, state: str = "True"
    ) -> None:
        reason = f"{self._framework.name}{reason}"
        self._say(job, reason, message, False)
        verdict.mark(status, kind, reason, message, self._world.timestamp(), state=state)

    def _say(self, job: Object, reason: str, message: str, warning: bool) -> None:
        self._recorder.say(self._framework.kind, job, reason, message, warning=warning)

    def _title(self, job: Object) -> str:
        return f"{self._framework.name} {job['metadata']['name']}"

    def _since(self, when: str) -> float:
        """Return the seconds that have passed."""
        now = datetime.datetime.fromisoformat(timestamp(self._world.clock()))
        return (now - datetime.datetime.fromisoformat(when)).total_seconds()
