"""The JobSet controller: makes the Jobs of a JobSet, and judges it by theirs.

kubernetes-sigs/jobset v0.10.1, pkg/controllers/{jobset_controller,failure_policy,success_policy,
startup_policy,depends_on,ttl_after_finished}.go. Pods that share no topology are not deleted here.
"""

from __future__ import annotations

import copy
import datetime
import re

from rehearsal.players import conditions, flags, kinds
from rehearsal.players.controller import Controller
from rehearsal.players.jobset import making
from rehearsal.players.kinds import Key, Object
from rehearsal.players.program import Program, timestamp
from rehearsal.players.recording import Recorder

IMAGE = "jobset"

_FLAGS = {
    "config": "",
    "metrics-bind-address": ":8443",
    "health-probe-bind-address": ":8081",
    "kube-api-qps": "500",
    "kube-api-burst": "500",
}
_SWITCHES = ("leader-elect",)
_CONTROLLER = "jobset.sigs.k8s.io/jobset-controller"
_MESSAGES = {
    "FailJobSet": "applying FailJobSet failure policy action",
    "RestartJobSet": "applying RestartJobSet failure policy action",
    "RestartJobSetAndIgnoreMaxRestarts": "applying RestartJobSetAndIgnoreMaxRestarts failure policy action",
}


def controllers(program: Program) -> list[Controller]:
    """Return what the program runs."""
    flags.parse(program.settings.words, _FLAGS, _SWITCHES)
    return [_JobSets(program).controller]


class _JobSets:
    def __init__(self, program: Program):
        self._api = program.api
        self._world = program.world
        self._recorder = Recorder(program, "jobset")
        self.controller = program.controller(kinds.JOB_SET, self._reconcile, "jobset")
        self.controller.owns(kinds.JOB)
        self.controller.owns(kinds.SERVICE)

    def _reconcile(self, key: Key) -> float | None:
        live = self._api.get(kinds.JOB_SET, key)
        if live is None or "deletionTimestamp" in live["metadata"]:
            return None
        if (live["spec"].get("managedBy") or _CONTROLLER) != _CONTROLLER:
            return None
        status = copy.deepcopy(live.get("status") or {})
        jobset = {**live, "status": status}
        jobs = [
            each
            for each in self._api.items(kinds.JOB, key[0])
            if any(
                owner["uid"] == live["metadata"]["uid"]
                for owner in each["metadata"].get("ownerReferences", ())
            )
        ]
        now = [each for each in jobs if _attempt(each) >= status.get("restarts", 0)]
        counts = {each["name"]: _counts(each, now) for each in jobset["spec"]["replicatedJobs"]}
        if counts:
            status["replicatedJobsStatus"] = [{"name": name, **counts[name]} for name in sorted(counts)]
        again = self._advance(jobset, status, now, [each for each in jobs if each not in now], counts)
        if status != (live.get("status") or {}):
            self._api.replace_status(kinds.JOB_SET, live, {"restarts": 0, **status})
        return again

    def _advance(
        self,
        jobset: Object,
        status: Object,
        jobs: list[Object],
        previous: list[Object],
        counts: dict[str, Object],
    ) -> float | None:
        if _over(status):
            self._delete([each for each in jobs if not _ended(each)])
            return self._expire(jobset, status)
        self._delete(previous)
        failed = [each for each in jobs if _ended(each) == "Failed"]
        if failed:
            self._fail(jobset, status, failed)
            return None
        policy = jobset["spec"].get("successPolicy") or {"operator": "All"}
        targets = policy.get("targetReplicatedJobs") or list(counts)
        done = sum(counts[each]["succeeded"] for each in targets)
        every = {each["name"]: making.replicas(each) for each in jobset["spec"]["replicatedJobs"]}
        wanted = 1 if policy.get("operator") == "Any" else sum(every[each] for each in targets)
        if done and done >= wanted:
            self._set(jobset, status, "Completed", "AllJobsCompleted", "jobset completed successfully")
            status["terminalState"] = "Completed"
            return None
        if making.subdomain(jobset):
            self._api.ensure(kinds.SERVICE, making.service(jobset))
        self._start(jobset, status, jobs, previous, counts)
        if jobset["spec"].get("suspend"):
            self._suspend(jobset, status, jobs)
        else:
            self._resume(jobset, status, jobs, counts)
        return None

    def _start(
        self,
        jobset: Object,
        status: Object,
        jobs: list[Object],
        previous: list[Object],
        counts: dict[str, Object],
    ) -> None:
        """Make the Jobs whose turn it is."""
        spec, there = jobset["spec"], {each["metadata"]["name"] for each in [*jobs, *previous]}
        in_order = _in_order(spec)
        blocking = (spec.get("failurePolicy") or {}).get("restartStrategy") == "BlockingRecreate"
        every = {each["name"]: making.replicas(each) for each in spec["replicatedJobs"]}
        suspended = bool(spec.get("suspend"))
        for replicated in spec["replicatedJobs"]:
            if not all(_reached(each, counts, every) for each in replicated.get("dependsOn") or ()):
                continue
            if (
                in_order
                and not suspended
                and _started(counts[replicated["name"]]) == every[replicated["name"]]
            ):
                continue
            for index in range(making.replicas(replicated)):
                name = making.job_name(jobset, replicated, index)
                if name not in there and not (blocking and previous):
                    self._api.ensure(kinds.JOB, making.job(jobset, replicated, index))
            if in_order and not suspended:
                reason, message = "InOrderStartupPolicyInProgress", "in order startup policy is in progress"
                self._set(jobset, status, "StartupPolicyInProgress", reason, message)
                return
        if in_order and not suspended:
            reason, message = "InOrderStartupPolicyCompleted", "in order startup policy has completed"
            found = conditions.find(status, "StartupPolicyInProgress")
            if found is not None:
                found["status"] = "False"
            self._set(jobset, status, "StartupPolicyCompleted", reason, message)

    def _suspend(self, jobset: Object, status: Object, jobs: list[Object]) -> None:
        """Suspend the Jobs that have not ended."""
        for each in jobs:
            if not _ended(each) and not each["spec"].get("suspend"):
                self._api.replace(kinds.JOB, {**each, "spec": {**each["spec"], "suspend": True}}, each)
        self._set(jobset, status, "Suspended", "SuspendedJobs", "jobset is suspended")

    def _resume(self, jobset: Object, status: Object, jobs: list[Object], counts: dict[str, Object]) -> None:
        """Let suspended Jobs go on, with what has been said of their pods meanwhile."""
        in_order = _in_order(jobset["spec"])
        every = {each["name"]: making.replicas(each) for each in jobset["spec"]["replicatedJobs"]}
        for replicated in jobset["spec"]["replicatedJobs"]:
            name = replicated["name"]
            if not all(_reached(each, counts, every) for each in replicated.get("dependsOn") or ()):
                continue
            if in_order and _started(counts[name]) == every[name]:
                continue
            for each in jobs:
                mine = each["metadata"]["labels"][making.REPLICATED] == name
                if mine and not _ended(each) and each["spec"].get("suspend"):
                    self._go_on(each, replicated["template"]["spec"]["template"])
            if in_order:
                return
        if conditions.is_true(status, "Suspended"):
            self._set(jobset, status, "Suspended", "ResumeJobs", "jobset is resumed", state="False")

    def _go_on(self, job: Object, template: Object) -> None:
        """Let a Job go on; Kubernetes lets nobody change one that says when it started."""
        said = dict(job.get("status") or {})
        if said.pop("startTime", None) is not None:
            job = self._api.replace_status(kinds.JOB, job, said)
        self._api.replace(kinds.JOB, making.resumed(job, template), job)

    def _fail(self, jobset: Object, status: Object, failed: list[Object]) -> None:
        """Do what the failure policy says of the Job that failed first."""
        failed = sorted(failed, key=lambda each: _failure(each)["lastTransitionTime"])
        policy = jobset["spec"].get("failurePolicy")
        if policy is None:
            message = "jobset failed due to one or more job failures"
            self._end(jobset, status, "FailedJobs", message, failed[0])
            return
        action, first = "RestartJobSet", failed[0]
        for rule in policy.get("rules") or ():
            if matching := [each for each in failed if _applies(rule, each)]:
                action, first = rule["action"], matching[0]
                break
        counted = status.get("restartsCountTowardsMax", 0)
        if action == "FailJobSet":
            self._end(jobset, status, f"{action}FailurePolicyAction", _MESSAGES[action], first)
            return
        if action == "RestartJobSet" and counted >= policy.get("maxRestarts", 0):
            message = "jobset failed due to reaching max number of restarts"
            self._end(jobset, status, "ReachedMaxRestarts", message, first)
            return
        status["restarts"] = status.get("restarts", 0) + 1
        if action == "RestartJobSet":
            status["restartsCountTowardsMax"] = counted + 1
        message = f"{_MESSAGES[action]} (first failed job: {first['metadata']['name']})"
        self._recorder.say(kinds.JOB_SET, jobset, f"{action}FailurePolicyAction", message, warning=True)

    def _end(self, jobset: Object, status: Object, reason: str, message: str, job: Object) -> None:
        message = f"{message} (first failed job: {job['metadata']['name']})"
        self._set(jobset, status, "Failed", reason, message, warning=True)
        status["terminalState"] = "Failed"

    def _expire(self, jobset: Object, status: Object) -> float | None:
        ttl = jobset["spec"].get("ttlSecondsAfterFinished")
        if ttl is None:
            return None
        ended = next(
            each["lastTransitionTime"]
            for each in status["conditions"]
            if each["type"] in ("Completed", "Failed")
        )
        now = datetime.datetime.fromisoformat(timestamp(self._world.clock()))
        left = ttl - (now - datetime.datetime.fromisoformat(ended)).total_seconds()
        if left > 0:
            return left
        self._api.delete(kinds.JOB_SET, kinds.key(jobset), foreground=True)
        return None

    def _delete(self, jobs: list[Object]) -> None:
        for each in jobs:
            if "deletionTimestamp" not in each["metadata"]:
                self._api.delete(kinds.JOB, kinds.key(each), foreground=True)

    def _set(
        self,
        jobset: Object,
        status: Object,
        kind: str,
        reason: str,
        message: str,
        *,
        state: str = "True",
        warning: bool = False,
    ) -> None:
        """Set a condition in its place, unless it is in that state."""
        found = conditions.find(status, kind)
        if found is not None and found["status"] == state:
            return
        new = {"type": kind, "status": state, "reason": reason, "message": message}
        new["lastTransitionTime"] = self._world.timestamp()
        if found is None:
            status["conditions"] = [*(status.get("conditions") or ()), new]
        else:
            status["conditions"] = [new if each is found else each for each in status["conditions"]]
        self._recorder.say(kinds.JOB_SET, jobset, reason, message, warning=warning)


def _in_order(spec: Object) -> bool:
    return (spec.get("startupPolicy") or {}).get("startupPolicyOrder") == "InOrder"


def _attempt(job: Object) -> int:
    return int(job["metadata"]["labels"][making.RESTARTS])


def _over(status: Object) -> bool:
    return conditions.is_true(status, "Completed") or conditions.is_true(status, "Failed")


def _ended(job: Object) -> str:
    """Return how a Job has ended; empty if it has not."""
    status = job.get("status") or {}
    return next((each for each in ("Complete", "Failed") if conditions.is_true(status, each)), "")


def _failure(job: Object) -> Object:
    return conditions.find(job["status"], "Failed") or {}


def _counts(replicated: Object, jobs: list[Object]) -> dict[str, int]:
    """Return how many Jobs of a replicated job are in which state."""
    found: dict[str, int] = dict.fromkeys(("ready", "succeeded", "failed", "active", "suspended"), 0)
    for each in jobs:
        if each["metadata"]["labels"][making.REPLICATED] != replicated["name"]:
            continue
        if ended := _ended(each):
            found["succeeded" if ended == "Complete" else "failed"] += 1
            continue
        status, spec = each.get("status") or {}, each["spec"]
        wanted = min(spec.get("parallelism", 1), spec.get("completions") or spec.get("parallelism", 1))
        found["ready"] += status.get("succeeded", 0) + status.get("ready", 0) >= wanted
        found["active"] += status.get("active", 0) > 0
        found["suspended"] += bool(spec.get("suspend"))
    return found


def _started(counts: Object) -> int:
    return counts["failed"] + counts["ready"] + counts["succeeded"]


def _reached(dependency: Object, counts: dict[str, Object], every: dict[str, int]) -> bool:
    """Tell whether what a replicated job depends on is so far."""
    name = dependency["name"]
    if dependency["status"] == "Complete":
        return counts[name]["succeeded"] == every[name]
    return _started(counts[name]) == every[name]


def _applies(rule: Object, job: Object) -> bool:
    """Tell whether a rule is about a Job that failed."""
    said, targets = _failure(job), rule.get("targetReplicatedJobs")
    reasons, patterns = rule.get("onJobFailureReasons"), rule.get("onJobFailureMessagePatterns")
    return (
        (not reasons or said.get("reason") in reasons)
        and (not patterns or any(re.search(each, said.get("message", "")) for each in patterns))
        and (not targets or job["metadata"]["labels"][making.REPLICATED] in targets)
    )
