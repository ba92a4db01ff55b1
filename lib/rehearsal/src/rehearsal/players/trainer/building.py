"""The JobSet of a TrainJob: its runtime's template with what the TrainJob says, and what its framework needs.

kubeflow/trainer v2.1.0, pkg/runtime/core/trainingruntime.go and pkg/runtime/framework/plugins/{jobset,torch,
mpi,plainml}. What may surprise there, and so here: the variables of torch are set only if the TrainJob has a
`trainer`; with MPI, the launcher is one of the nodes if the runtime says so, but there is never less than one
other.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from typing import Any

from rehearsal.players import kinds, quantities
from rehearsal.players.kinds import Object
from rehearsal.players.trainer import gangs, torchtune
from rehearsal.players.trainer.overriding import merged, upsert

ANCESTOR = "trainer.kubeflow.org/trainjob-ancestor-step"
NODE, LAUNCHER, TRAINER = "node", "launcher", "trainer"
PORT = 29500
_INITIALIZERS = {"dataset-initializer": "dataset", "model-initializer": "model"}


class Build:
    """The objects of one TrainJob.

    Args:
        job: the TrainJob.
        runtime: what it refers to.
    """

    def __init__(self, job: Object, runtime: Object):
        self._job = job
        self._runtime = runtime
        self._trainer: Object = job["spec"].get("trainer") or {}
        spec = runtime["spec"]
        self._template = copy.deepcopy(spec["template"])
        self._jobs: list[Object] = self._template["spec"]["replicatedJobs"]
        policy = spec.get("mlPolicy") or {}
        self._nodes = policy.get("numNodes")
        self._has_policy = spec.get("mlPolicy") is not None
        self._torch: Object | None = policy.get("torch")
        self._mpi: Object = policy.get("mpi") or {}
        self.uses_mpi = policy.get("mpi") is not None
        """Whether the nodes reach each other by MPI."""
        self._counts: dict[str, int] = {}

    def jobset(self) -> Object:
        """Return the JobSet."""
        self._override()
        self._count()
        kept = [word for each in self._containers_of_trainer() for word in each.get("command") or ()]
        for replicated in self._jobs:
            job = replicated["template"]["spec"]
            job["parallelism"] = job["completions"] = self._counts[replicated["name"]]
            self._initialize(replicated)
            self._train(replicated)
        if self._torch is not None:
            self._run_torch(torchtune.kept(kept))
        if self.uses_mpi:
            self._run_mpi()
        for replicated in self._jobs:
            self._say_variables(replicated)
        metadata = self._owned(self._job["metadata"]["name"])
        pods = [each["template"]["spec"]["template"] for each in self._jobs]
        gangs.mark(self._runtime, metadata["name"], pods)
        said = self._template.get("metadata") or {}
        for field in ("labels", "annotations"):
            found = {**(said.get(field) or {}), **(self._job["spec"].get(field) or {})}
            if found:
                metadata[field] = found
        spec = self._template["spec"]
        if self._job["spec"].get("suspend") is not None:
            spec["suspend"] = self._job["spec"]["suspend"]
        return {"metadata": metadata, "spec": spec}

    def hosts(self) -> Object:
        """Return the ConfigMap that names the nodes to MPI; the JobSet must have been built."""
        name = self._job["metadata"]["name"]
        nodes = [NODE, *([LAUNCHER] if self._mpi.get("runLauncherAsNode") else [])]
        domain = (self._template["spec"].get("network") or {}).get("subdomain") or name
        lines = [
            f"{name}-{each['name']}-0-{index}.{domain} slots={self._slots()}\n"
            for each in self._jobs
            if each["name"] in nodes
            for index in range(self._counts[each["name"]])
        ]
        return {"metadata": self._owned(f"{name}-mpi-hostfile"), "data": {"hostfile": "".join(lines)}}

    def group(self, jobset: Object) -> Object:
        """Return the pod group of a runtime that has a policy for it; the JobSet must have been built."""
        annotations = jobset["metadata"].get("annotations") or {}
        spec = gangs.group(self._runtime, self._counts, annotations)
        return {"metadata": self._owned(self._job["metadata"]["name"]), "spec": spec}

    def owned(self, suffix: str) -> Object:
        """Return the metadata of what belongs to the TrainJob."""
        return self._owned(self._job["metadata"]["name"] + suffix)

    def _owned(self, name: str) -> dict[str, Any]:
        owner = kinds.reference(kinds.TRAIN_JOB, self._job)
        return {"name": name, "namespace": self._job["metadata"]["namespace"], "ownerReferences": [owner]}

    def _override(self) -> None:
        """Merge into the pods what is said of them."""
        for override in self._job["spec"].get("podTemplateOverrides") or ():
            targets = {each["name"] for each in override.get("targetJobs") or ()}
            metadata = override.get("metadata") or {}
            patch: Object = {
                "metadata": {each: metadata[each] for each in ("labels", "annotations") if metadata.get(each)}
            }
            if override.get("spec") is not None:
                patch["spec"] = override["spec"]
            for replicated in self._jobs:
                if replicated["name"] in targets:
                    job = replicated["template"]["spec"]
                    job["template"] = merged(job["template"], patch)

    def _count(self) -> None:
        """Say how many pods each replicated job has."""
        asked = self._trainer.get("numNodes")
        for replicated in self._jobs:
            count = replicated["template"]["spec"].get("parallelism") or 1
            trains = _ancestor(replicated) == TRAINER
            if trains and self._has_policy:
                count = self._nodes or 1
            if asked is not None:
                if self.uses_mpi and replicated["name"] == NODE:
                    count = max(asked - 1, 1) if self._mpi.get("runLauncherAsNode") else asked
                elif not self.uses_mpi and trains:
                    count = asked
            self._counts[replicated["name"]] = max(count, 1)

    def _initialize(self, replicated: Object) -> None:
        which = _INITIALIZERS.get(_ancestor(replicated))
        if which is None:
            return
        replicated["replicas"] = 1
        said: Object = (self._job["spec"].get("initializer") or {}).get(which) or {}
        for container in _containers(replicated, _ancestor(replicated)) if said else ():
            new = [{"name": "STORAGE_URI", "value": said["storageUri"]}] if said.get("storageUri") else []
            container["env"] = upsert(container.get("env"), [*new, *(said.get("env") or ())])
            if said.get("secretRef"):
                source = {"secretRef": {"name": said["secretRef"]["name"]}}
                container["envFrom"] = [*(container.get("envFrom") or ()), source]

    def _train(self, replicated: Object) -> None:
        """Put into the containers that train what the TrainJob says of them."""
        trains = _ancestor(replicated) == TRAINER
        if trains:
            replicated["replicas"] = 1
        launched = bool(self._mpi.get("runLauncherAsNode")) and replicated["name"] == NODE
        for container in _containers(replicated, NODE) if trains or launched else ():
            for field in ("image", "command", "args") if trains else ():
                if self._trainer.get(field) is not None:
                    container[field] = self._trainer[field]
            asked = self._trainer.get("resourcesPerNode") or {}
            if asked.get("limits") or asked.get("requests"):
                container["resources"] = {
                    each: asked[each] for each in ("limits", "requests") if asked.get(each)
                }
        self._say_variables(replicated)

    def _say_variables(self, replicated: Object) -> None:
        """Put in the variables of the TrainJob; once more at last, so that they win over the framework's."""
        launched = bool(self._mpi.get("runLauncherAsNode")) and replicated["name"] == NODE
        if self._trainer.get("env") and (launched or _ancestor(replicated) == TRAINER):
            for container in _containers(replicated, NODE):
                container["env"] = upsert(container.get("env"), self._trainer["env"])

    def _containers_of_trainer(self) -> Iterator[Object]:
        for replicated in self._jobs:
            if _ancestor(replicated) == TRAINER:
                yield from _containers(replicated, NODE)

    def _run_torch(self, kept: list[str]) -> None:
        if "trainer" not in self._job["spec"]:
            return
        name = self._job["metadata"]["name"]
        for replicated in self._jobs:
            if _ancestor(replicated) != TRAINER:
                continue
            place = "metadata.annotations['batch.kubernetes.io/job-completion-index']"
            values: dict[str, object] = {
                "PET_NNODES": self._counts[replicated["name"]],
                "PET_NPROC_PER_NODE": self._processes(),
            }
            new: list[Object] = [{"name": key, "value": str(value)} for key, value in values.items()]
            new.append({"name": "PET_NODE_RANK", "valueFrom": {"fieldRef": {"fieldPath": place}}})
            host, tuned = f"{name}-{NODE}-0-0.{name}", self._trainer.get("command") == torchtune.ENTRYPOINT
            if not tuned:
                new.append({"name": "PET_MASTER_ADDR", "value": host})
                new.append({"name": "PET_MASTER_PORT", "value": str(PORT)})
            for container in _containers(replicated, NODE):
                if tuned:
                    count, address = self._counts[replicated["name"]], f"{host}:{PORT}"
                    words = torchtune.command(self._job, count, self._processes(), self.gpus(), address)
                    container["command"] = [*torchtune.ENTRYPOINT, *words, *kept]
                container["env"] = upsert(container.get("env"), new)
                port = {"containerPort": PORT}
                container["ports"] = upsert(container.get("ports"), [port], "containerPort")

    def _run_mpi(self) -> None:
        name = self._job["metadata"]["name"]
        keys = [
            {"key": "ssh-privatekey", "path": "id_rsa"},
            {"key": "ssh-publickey", "path": "id_rsa.pub"},
            {"key": "ssh-publickey", "path": "authorized_keys"},
        ]
        secret = {"name": "mpi-ssh-auth", "secret": {"secretName": f"{name}-mpi-ssh-auth", "items": keys}}
        items = [{"key": "hostfile", "path": "hostfile", "mode": 0o444}]
        hosts = {"name": "mpi-hostfile", "configMap": {"name": f"{name}-mpi-hostfile", "items": items}}
        for replicated in self._jobs:
            if replicated["name"] not in (NODE, LAUNCHER):
                continue
            launches = replicated["name"] == LAUNCHER
            pod = replicated["template"]["spec"]["template"]["spec"]
            pod["volumes"] = upsert(pod.get("volumes"), [secret, *([hosts] if launches else [])])
            for container in _containers(replicated, NODE):
                mounts = [
                    {"name": "mpi-ssh-auth", "mountPath": self._mpi.get("sshAuthMountPath", "/root/.ssh")}
                ]
                if launches:
                    mounts.append({"name": "mpi-hostfile", "mountPath": "/etc/mpi"})
                    values = {
                        "OMPI_MCA_orte_default_hostfile": "/etc/mpi/hostfile",
                        "OMPI_MCA_orte_keep_fqdn_hostnames": "true",
                        "OMPI_MCA_orte_set_default_slots": str(self._slots()),
                        "OMPI_MCA_plm_rsh_args": "-o ConnectionAttempts=10",
                    }
                    new = [{"name": key, "value": value} for key, value in values.items()]
                    container["env"] = upsert(container.get("env"), new)
                container["volumeMounts"] = upsert(container.get("volumeMounts"), mounts, "mountPath")

    def _processes(self) -> object:
        """Return how many processes of torch a node has."""
        said = self._trainer.get("numProcPerNode")
        if said is None:
            said = (self._torch or {}).get("numProcPerNode")
        said = "auto" if said is None else said
        if said == "cpu" or (said == "auto" and not self.gpus()):
            asked = self._resources()
            found = (asked.get("requests") or {}).get("cpu") or (asked.get("limits") or {}).get("cpu") or 0
            return max(1, math.ceil(quantities.amount(found)))
        return said

    def _slots(self) -> int:
        """Return how many processes of MPI a node has."""
        said = self._trainer.get("numProcPerNode")
        if said is not None:
            return int(said)
        found = self._mpi.get("numProcPerNode") or 1
        return max(found, self.gpus()) if found == 1 else found

    def gpus(self) -> int:
        """Return for how many GPUs a node asks."""
        asked = self._resources()
        for field in ("requests", "limits"):
            for name, value in (asked.get(field) or {}).items():
                if "gpu" in name.lower() and quantities.amount(value):
                    return int(quantities.amount(value))
        return 0

    def _resources(self) -> Object:
        """Return what a node asks for: by the TrainJob, or by the runtime."""
        if self._trainer.get("resourcesPerNode"):
            return self._trainer["resourcesPerNode"]
        for replicated in self._jobs:
            if replicated["name"] == NODE or _ancestor(replicated) == TRAINER:
                for container in _containers(replicated, NODE):
                    if container.get("resources"):
                        return container["resources"]
        return {}


def _ancestor(replicated: Object) -> str:
    return ((replicated["template"].get("metadata") or {}).get("labels") or {}).get(ANCESTOR, "")


def _containers(replicated: Object, name: str) -> Iterator[Object]:
    for container in replicated["template"]["spec"]["template"]["spec"]["containers"]:
        if container["name"] == name:
            yield container
