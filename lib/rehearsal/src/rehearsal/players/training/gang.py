"""Pod groups: where a gang scheduler is configured, a job's pods start together or not at all.

kubeflow/training-operator v1.9.2, pkg/controller.v1/control/podgroup_control.go and
pkg/controller.v1/common/{scheduling,job,util}.go. Volcano must have let a group in before its pods are made;
scheduler-plugins lets the pods wait. Priorities of classes do not sort the replicas here.
"""

from __future__ import annotations

from typing import Any

from rehearsal.players import kinds, quantities
from rehearsal.players.api import Api
from rehearsal.players.kinds import Kind, Object
from rehearsal.players.training.frameworks import Framework

VOLCANO = "volcano"
_VOLCANO_GROUP, _VOLCANO_TASK = "scheduling.k8s.io/group-name", "volcano.sh/task-spec"
_COSCHEDULING = "scheduling.x-k8s.io/pod-group"


class Gang:
    """The pod groups of one operator.

    Args:
        api: where they are.
        scheduler: the value of `--gang-scheduler-name`, not empty.
    """

    def __init__(self, api: Api, scheduler: str):
        self._api = api
        self._volcano = scheduler.lower() == VOLCANO
        self.scheduler = VOLCANO if self._volcano else scheduler
        """The scheduler of pods that name none."""
        self.kind: Kind = kinds.VOLCANO_POD_GROUP if self._volcano else kinds.COSCHEDULING_POD_GROUP
        """Of the groups."""

    def admitted(self, framework: Framework, job: Object) -> bool:
        """Keep the group of a job as it should be; tell whether its pods may be made."""
        key = kinds.key(job)
        live = self._api.read(self.kind, key)
        spec = self._spec(framework, job, live)
        if live is None:
            metadata: dict[str, Any] = {
                "name": key[1],
                "namespace": key[0],
                "ownerReferences": [kinds.reference(framework.kind, job)],
            }
            if job["metadata"].get("annotations"):
                metadata["annotations"] = job["metadata"]["annotations"]
            live = self._api.create(self.kind, {"metadata": metadata, "spec": spec})
        elif live.get("spec") != spec:
            live = self._api.replace(self.kind, {**live, "spec": spec}, live)
        phase = (live.get("status") or {}).get("phase")
        return not self._volcano or phase not in (None, "", "Pending")

    def remove(self, job: Object) -> None:
        """Delete the group of a job."""
        key = kinds.key(job)
        if self._api.read(self.kind, key) is not None:
            self._api.delete(self.kind, key)

    def mark(self, job: Object, metadata: Object, pod: Object, kind: str) -> None:
        """Make a pod's template one of the group."""
        pod["schedulerName"] = pod.get("schedulerName") or self.scheduler
        name = job["metadata"]["name"]
        if self._volcano:
            metadata.setdefault("annotations", {}).update({_VOLCANO_GROUP: name, _VOLCANO_TASK: kind.lower()})
        else:
            metadata.setdefault("labels", {})[_COSCHEDULING] = name

    def _spec(self, framework: Framework, job: Object, live: Object | None) -> Object:
        said = framework.policy(job).get("schedulingPolicy") or {}
        replicas = framework.replicas(job)
        members = said.get("minAvailable") or sum(each["replicas"] for each in replicas.values())
        spec: Object = {"minMember": members}
        resources = said.get("minResources") or _resources(framework, job, members)
        if resources:
            spec["minResources"] = resources
        if self._volcano:
            before = ((live or {}).get("spec") or {}).get("queue")
            spec["queue"] = before or said.get("queue") or "default"
            if said.get("priorityClass"):
                spec["priorityClassName"] = said["priorityClass"]
        elif said.get("scheduleTimeoutSeconds") is not None:
            spec["scheduleTimeoutSeconds"] = said["scheduleTimeoutSeconds"]
        return spec


def _resources(framework: Framework, job: Object, members: int) -> dict[str, str]:
    """Return what the first pods of a job ask for together."""
    pods = [
        replica["template"]["spec"]
        for kind in framework.types
        for replica in [framework.replicas(job).get(kind)]
        if replica is not None
        for _ in range(replica["replicas"])
    ][:members]
    asked = (
        container.get("resources", {}).get("requests") or container.get("resources", {}).get("limits") or {}
        for pod in pods
        for container in pod["containers"]
    )
    return quantities.total(asked)
