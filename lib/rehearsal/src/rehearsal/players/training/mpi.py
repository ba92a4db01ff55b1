"""The pods of an MPIJob: workers that wait, and a launcher that reaches them by `kubectl exec`.

kubeflow/training-operator v1.9.2, pkg/controller.v1/mpi/{mpijob,mpijob_controller}.go. The launcher gets an
account of its own that may do that, so the operator must have these rights itself. What may surprise there,
and so here: nothing is made any more once the launcher has ended, and the workers run on until the
`cleanPodPolicy` takes them, while nobody counts them.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from rehearsal.players import kinds
from rehearsal.players.kinds import Kind, Object
from rehearsal.players.training import verdict
from rehearsal.players.training.frameworks import REPLICA_INDEX, REPLICA_TYPE, ROLE
from rehearsal.players.training.replicas import Replicas

_MOUNT, _TOOLS = "/etc/mpi", "/opt/kube"
_CONFIG, _KUBECTL = "mpi-job-config", "mpi-job-kubectl"
_SCRIPT, _HOSTS, _DISCOVER = "kubexec.sh", "hostfile", "discover_hosts.sh"
_RESOURCES = {"cpu": "100m", "memory": "512Mi", "ephemeral-storage": "5Gi"}


class MpiReplicas(Replicas):
    """Makes the pods of MPIJobs, and what their launchers need."""

    def pods(self, job: Object) -> dict[str, list[Object]]:
        """Return the pods that are there."""
        namespace, name = kinds.key(job)
        found: dict[str, list[Object]] = {}
        for kind, replica in self.framework.replicas(job).items():
            keys = [f"{name}-launcher"]
            if kind == "Worker":
                keys = [f"{name}-worker-{at}" for at in range(replica["replicas"])]
            pods = [self.api.get(kinds.POD, (namespace, each)) for each in keys]
            found[kind] = [pod for pod in pods if pod is not None]
        return found

    def keep(self, job: Object, status: Object, pods: Mapping[str, list[Object]], now: str) -> None:
        """Make what is missing of a job whose launcher has not ended; count the pods."""
        launcher = pods["Launcher"][0] if pods["Launcher"] else None
        phase = ((launcher or {}).get("status") or {}).get("phase")
        workers = pods.get("Worker", ()) if phase not in ("Succeeded", "Failed") else ()
        if phase not in ("Succeeded", "Failed"):
            self._prepare(job, pods)
            there = {each["metadata"]["name"] for each in pods.get("Worker", ())}
            for index in range(_workers(job)):
                if (name := f"{job['metadata']['name']}-worker-{index}") not in there:
                    self.create(job, self._worker(job, name, index))
            if launcher is None:
                self.create(job, self._launcher(job))
        verdict.count(status, "Launcher", pods["Launcher"])
        verdict.count(status, "Worker", [*workers])
        if phase is not None and phase != "Pending":
            self._tell(job, phase, [(each.get("status") or {}).get("phase") for each in workers])

    def created(self, job: Object, pod: Object) -> None:
        """Say that a pod has been made."""
        name = pod["metadata"]["name"]
        if pod["metadata"]["labels"][REPLICA_TYPE] == "launcher":
            self._say(job, "MPIJobRunning", f"launcher pod created success: {name}")
        else:
            self._say(job, "SuccessfulCreatePod", f"Created worker pod: {name}")

    def _tell(self, job: Object, phase: str, workers: list[str | None]) -> None:
        """Say how the launcher is, as this controller does besides what all of them say."""
        title = f"MPIJob {job['metadata']['namespace']}/{job['metadata']['name']}"
        if phase == "Succeeded":
            self._say(job, "mpijobsSucceeded", f"{title} successfully completed.")
        elif phase == "Failed":
            self._say(job, "MPIJobFailed", f"{title} has failed", warning=True)
        elif all(each == "Running" for each in workers):
            self._say(job, "MPIJobRunning", f"{title} is running")

    def _say(self, job: Object, reason: str, message: str, *, warning: bool = False) -> None:
        self.recorder.say(self.framework.kind, job, reason, message, warning=warning)

    def _prepare(self, job: Object, pods: Mapping[str, list[Object]]) -> None:
        """Make the account of the launcher, its rights, and the files that all mount."""
        name = job["metadata"]["name"]
        launcher = f"{name}-launcher"
        account = _pod(job, "Launcher").get("serviceAccountName") or launcher
        workers = [f"{name}-worker-{at}" for at in range(_workers(job))]
        exec_rule: dict[str, Any] = {"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["create"]}
        if workers:
            exec_rule["resourceNames"] = workers
        rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}, exec_rule]
        binding = {
            "subjects": [
                {"kind": "ServiceAccount", "name": account, "namespace": job["metadata"]["namespace"]}
            ],
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": launcher},
        }
        self.api.ensure(kinds.SERVICE_ACCOUNT, self._owned(job, account))
        self._agree(
            kinds.CONFIG_MAP, self._owned(job, f"{name}-config") | {"data": _files(job, pods)}, "data"
        )
        self._agree(kinds.ROLE, self._owned(job, launcher) | {"rules": rules}, "rules")
        self.api.ensure(kinds.ROLE_BINDING, self._owned(job, launcher) | binding)

    def _agree(self, kind: Kind, wanted: Object, field: str) -> None:
        """Keep one field of an object."""
        found = self.api.ensure(kind, wanted)
        if "resourceVersion" in found["metadata"] and found.get(field) != wanted[field]:
            self.api.replace(kind, {**found, field: wanted[field]}, found)

    def _owned(self, job: Object, name: str) -> Object:
        owner = kinds.reference(self.framework.kind, job)
        metadata = {"name": name, "namespace": job["metadata"]["namespace"], "ownerReferences": [owner]}
        return {"metadata": {**metadata, "labels": {"app": job["metadata"]["name"]}}}

    def _worker(self, job: Object, name: str, index: int) -> Object:
        pod = self._template(job, "Worker", name, {REPLICA_INDEX: str(index)})
        container = pod["spec"]["containers"][0]
        if not container.get("command"):
            container["command"], container["args"] = ["sleep"], ["365d"]
        _mount(container, (_CONFIG, _MOUNT))
        pod["spec"].setdefault("volumes", []).append(_config_volume(job, _SCRIPT))
        return pod

    def _launcher(self, job: Object) -> Object:
        name = f"{job['metadata']['name']}-launcher"
        pod = self._template(job, "Launcher", name, {ROLE: "master"})
        spec = pod["spec"]
        spec["serviceAccountName"] = spec.get("serviceAccountName") or name
        delivery: Object = {
            "name": "kubectl-delivery",
            "image": self.setting.delivery,
            "imagePullPolicy": "IfNotPresent",
            "env": [
                {"name": "TARGET_DIR", "value": _TOOLS},
                {"name": "NAMESPACE", "value": job["metadata"]["namespace"]},
            ],
            "resources": {"limits": _RESOURCES, "requests": _RESOURCES},
        }
        _mount(delivery, (_KUBECTL, _TOOLS), (_CONFIG, _MOUNT))
        spec["initContainers"] = [*(spec.get("initContainers") or []), delivery]
        container = spec["containers"][0]
        container["env"] = [*(container.get("env") or []), *_launching(job, container)]
        _mount(container, (_KUBECTL, _TOOLS), (_CONFIG, _MOUNT))
        spec.setdefault("volumes", []).extend(
            [{"name": _KUBECTL, "emptyDir": {}}, _config_volume(job, _SCRIPT, _HOSTS, _DISCOVER)]
        )
        return pod

    def _template(self, job: Object, kind: str, name: str, more: Mapping[str, str]) -> Object:
        """Return a pod of a replica type as the job says it, with its labels."""
        replica = self.framework.replicas(job)[kind]
        template = copy.deepcopy(replica["template"])
        said = template.get("metadata") or {}
        labels = {
            **(said.get("labels") or {}),
            **self.framework.labels(job),
            REPLICA_TYPE: kind.lower(),
            **more,
        }
        metadata = {"labels": labels, "annotations": dict(said.get("annotations") or {})}
        policy = replica["restartPolicy"]
        template["spec"]["restartPolicy"] = "Never" if policy == "ExitCode" else policy
        if self.gang is not None:
            self.gang.mark(job, metadata, template["spec"], kind)
        owner = kinds.reference(self.framework.kind, job)
        namespace = job["metadata"]["namespace"]
        metadata |= {"name": name, "namespace": namespace, "ownerReferences": [owner]}
        return {"metadata": metadata, "spec": template["spec"]}


def _pod(job: Object, kind: str) -> Object:
    return job["spec"]["mpiReplicaSpecs"][kind]["template"]["spec"]


def _workers(job: Object) -> int:
    return job["spec"]["mpiReplicaSpecs"].get("Worker", {}).get("replicas", 0)


def _asks_gpu(job: Object) -> bool:
    """Tell whether the launcher computes, too."""
    limits = (each.get("resources", {}).get("limits") or {} for each in _pod(job, "Launcher")["containers"])
    return any("gpu" in name for each in limits for name in each)


def _launching(job: Object, container: Object) -> list[Object]:
    """Return the variables by which MPI finds the workers, and by which a launcher sees no GPU."""
    values = {
        "OMPI_MCA_plm_rsh_agent": f"{_MOUNT}/{_SCRIPT}",
        "OMPI_MCA_orte_default_hostfile": f"{_MOUNT}/{_HOSTS}",
    }
    if not _asks_gpu(job):
        values |= {"NVIDIA_VISIBLE_DEVICES": "", "NVIDIA_DRIVER_CAPABILITIES": ""}
    given = {each["name"] for each in container.get("env") or ()}
    intel = {"I_MPI_HYDRA_BOOTSTRAP": "rsh", "I_MPI_HYDRA_BOOTSTRAP_EXEC": f"{_MOUNT}/{_SCRIPT}"}
    values |= {name: value for name, value in intel.items() if name not in given}
    return [{"name": name, "value": value} for name, value in values.items()]


def _files(job: Object, pods: Mapping[str, list[Object]]) -> dict[str, str]:
    """Return what the ConfigMap holds: the hosts, and how they are reached."""
    name, spec = job["metadata"]["name"], job["spec"]
    slots = spec.get("slotsPerWorker") or 1
    hosts = [f"{name}-launcher"] if _asks_gpu(job) else []
    running = sorted(
        each["metadata"]["name"]
        for each in pods.get("Worker", ())
        if (each.get("status") or {}).get("phase") == "Running"
    )
    workers = [f"{name}-worker-{at}" for at in range(_workers(job))]
    inside = f" --container {spec['mainContainer']}" if spec.get("mainContainer") else ""
    return {
        _HOSTS: "".join(f"{each} slots={slots}\n" for each in [*hosts, *workers]),
        _SCRIPT: f'#!/bin/sh\nPOD=$1\nshift\n{_TOOLS}/kubectl exec $POD{inside} -- /bin/sh -c "$*"',
        _DISCOVER: "\n".join(
            [
                "#!/bin/sh",
                *(f"echo {each}:{slots}\n" for each in hosts),
                *(f"echo {each}:{slots}" for each in running),
            ]
        ),
    }


def _mount(container: Object, *places: tuple[str, str]) -> None:
    mounts = [{"name": name, "mountPath": path} for name, path in places]
    container["volumeMounts"] = [*(container.get("volumeMounts") or []), *mounts]


def _config_volume(job: Object, *files: str) -> Object:
    items = [{"key": each, "path": each, "mode": 0o444 if each == _HOSTS else 0o555} for each in files]
    return {"name": _CONFIG, "configMap": {"name": f"{job['metadata']['name']}-config", "items": items}}
