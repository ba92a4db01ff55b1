"""The pods and services of a job's replicas.

kubeflow/training-operator v1.9.2, pkg/controller.v1/common/{pod,service}.go, pkg/controller.v1/control/, and
pkg/controller.v1/pytorch/initcontainer.go for the container that waits for the master.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass

import httpx2
import yaml
from lightkube.core.exceptions import ApiError

from rehearsal.players import kinds
from rehearsal.players.api import Api
from rehearsal.players.kinds import Object
from rehearsal.players.recording import Recorder
from rehearsal.players.training import environment, verdict
from rehearsal.players.training.frameworks import REPLICA_INDEX, REPLICA_TYPE, ROLE, Framework
from rehearsal.players.training.gang import Gang

_WAITING = """
- name: init-pytorch
  image: {{.InitContainerImage}}
  imagePullPolicy: IfNotPresent
  resources:
    limits: {cpu: 100m, memory: 20Mi}
    requests: {cpu: 50m, memory: 10Mi}
  command:
  - sh
  - -c
  - for try in $(seq {{.MaxTries}}); do nslookup {{.MasterAddr}} && exit; sleep 2; done; exit 1
"""
"""The container that waits, unless a file says it otherwise; upstream's tells more while it waits."""


@dataclass(frozen=True)
class Setting:
    """How the operator is set up, as far as pods show it.

    Attributes:
        waiting: template of the containers that wait for the master; empty for the operator's own.
        image: of the container that waits for the master of a PyTorchJob.
        tries: how often that looks.
        domain: of the cluster, in the addresses of a TFJob's replicas.
        delivery: image of the container that brings kubectl to the launcher of an MPIJob.
    """

    waiting: str
    image: str
    tries: str
    domain: str
    delivery: str


@dataclass(frozen=True)
class Replicas:
    """Makes pods and services of jobs of one framework."""

    framework: Framework
    api: Api
    recorder: Recorder
    setting: Setting
    gang: Gang | None

    def pods(self, job: Object) -> dict[str, list[Object]]:
        """Return the pods that are there, by the type of their replica and in the order of their index."""
        return {kind: self._pods(job, kind, each) for kind, each in self.framework.replicas(job).items()}

    def _pods(self, job: Object, kind: str, replica: Object) -> list[Object]:
        found, index = [], 0
        while True:
            pod = self.api.get(kinds.POD, self._key(job, kind, index))
            if pod is not None and _controlled(pod, job):
                found.append(pod)
            elif index >= replica["replicas"]:
                return found
            index += 1

    def keep(self, job: Object, status: Object, pods: Mapping[str, list[Object]], now: str) -> None:
        """Make what is missing, take away what is too much, and what has to be restarted; count the rest."""
        for kind, replica in self.framework.replicas(job).items():
            there = {int(pod["metadata"]["labels"][REPLICA_INDEX]): pod for pod in pods[kind]}
            for index in range(replica["replicas"]):
                if index not in there:
                    self._make(job, kind, index, replica)
            for index, pod in there.items():
                self._tell_end(job, pod)
                if index >= replica["replicas"]:
                    self.delete(job, pod)
                self._restart(job, status, kind, pod, replica["restartPolicy"], now)
            verdict.count(status, kind, pods[kind])
            self._services(job, kind, replica)

    def delete(self, job: Object, pod: Object) -> None:
        """Delete a pod."""
        live = self.api.read(kinds.POD, kinds.key(pod))
        if live is None or "deletionTimestamp" in live["metadata"]:
            return
        self.api.delete(kinds.POD, kinds.key(pod))
        name = pod["metadata"]["name"]
        self.recorder.say(self.framework.kind, job, "SuccessfulDeletePod", f"Deleted pod: {name}")

    def clear(self, job: Object, pod: Object) -> None:
        """Delete a pod and the service of its name."""
        self.delete(job, pod)
        key = kinds.key(pod)
        if self.api.get(kinds.SERVICE, key) is not None:
            self._delete_service(job, key)

    def _delete_service(self, job: Object, key: kinds.Key) -> None:
        self.api.delete(kinds.SERVICE, key)
        self.recorder.say(self.framework.kind, job, "SuccessfulDeleteService", f"Deleted service: {key[1]}")

    def create(self, job: Object, pod: Object) -> None:
        """Create a pod, and say how that went.

        Raises:
            ApiError: if it is refused.
        """
        try:
            self.api.create(kinds.POD, pod)
        except ApiError as error:
            if error.status.reason == "AlreadyExists":
                return  # the copies are a moment behind
            message = f"Error creating: {error.status.message}"
            self.recorder.say(self.framework.kind, job, "FailedCreatePod", message, warning=True)
            raise
        except httpx2.TransportError:
            return
        self.created(job, pod)

    def created(self, job: Object, pod: Object) -> None:
        """Say that a pod has been made."""
        message = f"Created pod: {pod['metadata']['name']}"
        self.recorder.say(self.framework.kind, job, "SuccessfulCreatePod", message)

    def _tell_end(self, job: Object, pod: Object) -> None:
        """Say how the container that trains ended."""
        code = _exit_code(pod, self.framework.container)
        if (pod.get("status") or {}).get("phase") in ("Failed", "Succeeded") and code is not None:
            message = f"Pod: {'.'.join(kinds.key(pod))} exited with code {code}"
            self.recorder.say(self.framework.kind, job, "ExitedWithCode", message)

    def _restart(self, job: Object, status: Object, kind: str, pod: Object, policy: str, now: str) -> None:
        """Delete a pod that failed if there shall be another one."""
        if (pod.get("status") or {}).get("phase") != "Failed":
            return
        code, framework = _exit_code(pod, self.framework.container), self.framework
        again = code is None or code >= 128
        name = job["metadata"]["name"]
        if policy in ("OnFailure", "Always") or (policy == "ExitCode" and again):
            self.delete(job, pod)
            message = f"job {name} is restarting because {kind} replica(s) failed."
            self.recorder.say(framework.kind, job, f"{framework.name}Restarting", message, warning=True)
            verdict.mark(status, "Restarting", f"{framework.name}Restarting", message, now)
        elif policy == "ExitCode":
            message = f'job "{name}" is failing because "{kind}" replica(s) failed.'
            self.recorder.say(framework.kind, job, f"{framework.name}Failed", message, warning=True)
            verdict.mark(status, "Failed", f"{framework.name}Failed", message, now)

    def _make(self, job: Object, kind: str, index: int, replica: Object) -> None:
        template = copy.deepcopy(replica["template"])
        metadata, spec = template.get("metadata") or {}, template["spec"]
        labels = {**(metadata.get("labels") or {}), **self._labels(job, kind, index)}
        if self.framework.leads(job, kind, index):
            labels[ROLE] = "master"
        environment.put(self.framework, job, spec, kind, index, self.setting.domain)
        waits = self.framework.name == "PyTorchJob" and "Master" in self.framework.replicas(job)
        if waits and kind == "Worker":
            spec["initContainers"] = [*(spec.get("initContainers") or []), *self._waiting(job)]
        policy = replica["restartPolicy"]
        spec["restartPolicy"] = "Never" if policy == "ExitCode" else policy
        said = {"labels": labels, "annotations": dict(metadata.get("annotations") or {})}
        if self.gang is not None:
            self.gang.mark(job, said, spec, kind)
        namespace, name = self._key(job, kind, index)
        owner = kinds.reference(self.framework.kind, job)
        self.create(
            job,
            {
                "metadata": {**said, "name": name, "namespace": namespace, "ownerReferences": [owner]},
                "spec": spec,
            },
        )

    def _waiting(self, job: Object) -> list[Object]:
        text = self.setting.waiting or _WAITING
        for name, value in (
            ("InitContainerImage", self.setting.image),
            ("MaxTries", self.setting.tries),
            ("MasterAddr", environment.replica_name(job, "Master", 0)),
        ):
            text = text.replace("{{.%s}}" % name, value)  # noqa: UP031 (braces are the template's)
        return yaml.safe_load(text)

    def _services(self, job: Object, kind: str, replica: Object) -> None:
        """Give every replica a name that others find it by."""
        containers = replica["template"]["spec"]["containers"]
        ports = [
            {"name": port.get("name"), "port": port["containerPort"]}
            for container in [each for each in containers if each["name"] == self.framework.container][:1]
            for port in container.get("ports") or ()
        ]
        index = 0
        while True:
            key = self._key(job, kind, index)
            found = self.api.get(kinds.SERVICE, key)
            if index >= replica["replicas"]:
                if found is None or not _controlled(found, job):
                    return
                self._delete_service(job, key)
            elif found is None:
                labels = self._labels(job, kind, index)
                self.api.ensure(
                    kinds.SERVICE,
                    {
                        "metadata": {
                            "name": key[1],
                            "namespace": key[0],
                            "labels": labels,
                            "ownerReferences": [kinds.reference(self.framework.kind, job)],
                        },
                        "spec": {"clusterIP": "None", "selector": labels, "ports": ports},
                    },
                )
                message = f"Created service: {key[1]}"
                self.recorder.say(self.framework.kind, job, "SuccessfulCreateService", message)
            index += 1

    def _labels(self, job: Object, kind: str, index: int) -> dict[str, str]:
        return {**self.framework.labels(job), REPLICA_TYPE: kind.lower(), REPLICA_INDEX: str(index)}

    def _key(self, job: Object, kind: str, index: int) -> kinds.Key:
        return job["metadata"]["namespace"], environment.replica_name(job, kind, index)


def _controlled(item: Object, job: Object) -> bool:
    return any(each["uid"] == job["metadata"]["uid"] for each in item["metadata"].get("ownerReferences", ()))


def _exit_code(pod: Object, container: str) -> int | None:
    """Return how the training container ended, if that is known."""
    for each in pod["status"].get("containerStatuses") or ():
        if each["name"] == container and "terminated" in (each.get("state") or {}):
            return each["state"]["terminated"]["exitCode"]
    return None
