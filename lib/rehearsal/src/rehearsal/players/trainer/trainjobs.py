"""Trainer's controllers: a TrainJob is a JobSet and tells how that is; a runtime in use stays.

kubeflow/trainer v2.1.0, pkg/controller and pkg/runtime. A JobSet that runs is not changed any more. Runtimes
that are looked for in vain are told in an event only, since a webhook refuses them before. What may surprise
there, and so here: `managedBy` keeps nobody away from a TrainJob.
"""

from __future__ import annotations

import base64
import copy
import hashlib

from lightkube.core.exceptions import ApiError

from rehearsal.players import conditions, flags, kinds
from rehearsal.players.controller import Controller
from rehearsal.players.kinds import Key, Kind, Object
from rehearsal.players.program import Program
from rehearsal.players.recording import Recorder
from rehearsal.players.trainer import gangs
from rehearsal.players.trainer.building import Build

IMAGE = "trainer-controller-manager"
GROUP = "trainer.kubeflow.org"
FINALIZER = f"{GROUP}/resource-in-use"
RUNTIMES: dict[str, Kind] = {
    "ClusterTrainingRuntime": kinds.CLUSTER_TRAINING_RUNTIME,
    "TrainingRuntime": kinds.TRAINING_RUNTIME,
}


def controllers(program: Program) -> list[Controller]:
    """Return what the program runs."""
    flags.parse(program.settings.words, {"config": "", "feature-gates": ""}, ())
    found = [_TrainJobs(program).controller]
    return [*found, *(_Runtimes(program, kind, name).controller for name, kind in RUNTIMES.items())]


class _TrainJobs:
    def __init__(self, program: Program):
        self._api = program.api
        self._world = program.world
        self._recorder = Recorder(program, "trainer-trainjob-controller")
        self.controller = program.controller(kinds.TRAIN_JOB, self._reconcile, "trainjob_controller")
        for kind in (kinds.JOB_SET, kinds.CONFIG_MAP, kinds.SECRET):
            self.controller.owns(kind)

    def _reconcile(self, key: Key) -> None:
        live = self._api.get(kinds.TRAIN_JOB, key)
        if live is None or "deletionTimestamp" in live["metadata"]:
            return
        status = copy.deepcopy(live.get("status") or {})
        failed = conditions.find(status, "Failed")
        if failed is not None:
            conditions.drop(status, "Failed")
        group, kind = reference(live)
        if not (supported := group == GROUP and kind in RUNTIMES):
            message = f"unsupported runtime: {kind}.{group}"
            self._set(status, failed, "Failed", "TrainingRuntimeNotSupported", message)
        refusal = None
        if supported:
            try:
                self._build(live, kind)
            except ApiError as error:
                refusal = error  # the status tells what it can all the same
        if live["spec"].get("suspend"):
            self._set(status, None, "Suspended", "Suspended", "TrainJob is suspended")
        elif conditions.is_true(status, "Suspended"):
            self._set(status, None, "Suspended", "Resumed", "TrainJob is resumed", state="False")
        self._take_over(live, status, failed)
        if status != (live.get("status") or {}):
            self._api.replace_status(kinds.TRAIN_JOB, live, status)
        if refusal is not None:
            raise refusal

    def _build(self, job: Object, kind: str) -> None:
        """Make what a TrainJob needs, or have what is suspended be as it says now."""
        namespace, name = kinds.key(job)
        where = "" if kind == "ClusterTrainingRuntime" else namespace
        runtime = self._api.get(RUNTIMES[kind], (where, job["spec"]["runtimeRef"]["name"]))
        if runtime is None:
            problem = f'not found: {kind}.{GROUP} "{job["spec"]["runtimeRef"]["name"]}" not found'
            self._tell(job, problem)
            return
        before = self._api.get(kinds.JOB_SET, (namespace, name))
        build = Build(job, runtime)
        wanted = build.jobset()
        try:
            if build.uses_mpi:
                self._introduce(build, name)
            if (group := gangs.kind(runtime)) is not None:
                known = self._api.read(group, (namespace, name)) is not None
                if not known or job["spec"].get("suspend"):
                    self._api.apply(group, build.group(wanted), "trainer")
            if before is None or job["spec"].get("suspend") or before["spec"].get("suspend"):
                self._api.apply(kinds.JOB_SET, wanted, "trainer")
        except ApiError as error:
            self._tell(job, error.status.message or str(error))
            raise

    def _introduce(self, build: Build, name: str) -> None:
        """Make the key by which the nodes of MPI trust each other, and the list of them."""
        metadata = build.owned("-mpi-ssh-auth")
        if self._api.get(kinds.SECRET, (metadata["namespace"], metadata["name"])) is None:
            # Nobody will use it; it only must not be the same for two.
            word = hashlib.sha256(f"{metadata['ownerReferences'][0]['uid']} {name}".encode()).digest()
            text = base64.b64encode(base64.b64encode(word)).decode()
            data = {"ssh-privatekey": text, "ssh-publickey": text}
            secret = {"metadata": metadata, "type": "kubernetes.io/ssh-auth", "immutable": True, "data": data}
            self._api.apply(kinds.SECRET, secret, "trainer")
        hosts = build.hosts()
        before = self._api.get(kinds.CONFIG_MAP, kinds.key(hosts))
        if before is None or before.get("data") != hosts["data"]:
            self._api.apply(kinds.CONFIG_MAP, hosts, "trainer")

    def _take_over(self, job: Object, status: Object, failed: Object | None) -> None:
        """Tell of the TrainJob what its JobSet tells of itself."""
        jobset = self._api.get(kinds.JOB_SET, kinds.key(job))
        if jobset is None:
            return
        said = jobset.get("status") or {}
        for theirs, ours in (("Completed", "Complete"), ("Failed", "Failed")):
            found = conditions.find(said, theirs)
            if found is not None and found["status"] == "True":
                self._set(
                    status, failed if ours == "Failed" else None, ours, found["reason"], found["message"]
                )
        if said.get("replicatedJobsStatus"):
            status["jobsStatus"] = said["replicatedJobsStatus"]

    def _set(
        self,
        status: Object,
        before: Object | None,
        kind: str,
        reason: str,
        message: str,
        *,
        state: str = "True",
    ) -> None:
        """Set a condition; the time is that of its last change."""
        found = conditions.find(status, kind) or before
        now = self._world.timestamp()
        since = found["lastTransitionTime"] if found is not None and found["status"] == state else now
        new = {
            "type": kind,
            "status": state,
            "reason": reason,
            "message": message,
            "lastTransitionTime": since,
        }
        rest = [each for each in status.get("conditions") or () if each["type"] != kind]
        status["conditions"] = [*rest, new]

    def _tell(self, job: Object, problem: str) -> None:
        message = f"TrainJob resources reconciliation failed: {problem[:950]}"
        reason = "TrainJobResourcesCreationFailed"
        self._recorder.say(kinds.TRAIN_JOB, job, reason, message, warning=True)


class _Runtimes:
    """Keeps runtimes from going while TrainJobs refer to them."""

    def __init__(self, program: Program, kind: Kind, name: str):
        self._api = program.api
        self._kind = kind
        self._name = name
        self.controller = program.controller(kind, self._reconcile, f"{name.lower()}_controller")
        self.controller.watches(kinds.TRAIN_JOB, self._runtime_of)

    def _reconcile(self, key: Key) -> None:
        live = self._api.get(self._kind, key)
        if live is None:
            return
        jobs = self._api.follower(kinds.TRAIN_JOB).items()
        used = any(key in self._runtime_of(each) for each in jobs)
        finalizers = live["metadata"].get("finalizers") or []
        if used and FINALIZER not in finalizers and "deletionTimestamp" not in live["metadata"]:
            finalizers = [*finalizers, FINALIZER]
        elif not used and FINALIZER in finalizers and "deletionTimestamp" in live["metadata"]:
            finalizers = [each for each in finalizers if each != FINALIZER]
        else:
            return
        item = {**live, "metadata": {**live["metadata"], "finalizers": finalizers}}
        self._api.replace(self._kind, item, live)

    def _runtime_of(self, job: Object) -> list[Key]:
        if reference(job) != (GROUP, self._name):
            return []
        where = kinds.key(job)[0] if kinds.namespaced(self._kind) else ""
        return [(where, job["spec"]["runtimeRef"]["name"])]


def reference(job: Object) -> tuple[str, str]:
    """Return group and kind of a TrainJob's runtime."""
    said = job["spec"].get("runtimeRef") or {}
    return said.get("apiGroup") or GROUP, said.get("kind") or "ClusterTrainingRuntime"
