"""Pod groups of TrainJobs: all their pods start at once, or none of them.

kubeflow/trainer v2.1.0, pkg/runtime/framework/plugins/{coscheduling,volcano}. What may surprise there, and so
here: a group asks for what the runtime's pods ask for, whatever the TrainJob says of `resourcesPerNode`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rehearsal.players import answers, kinds, quantities
from rehearsal.players.kinds import Kind, Object

_POD_LABEL, _POD_ANNOTATION = "scheduling.x-k8s.io/pod-group", "scheduling.k8s.io/group-name"
_QUEUE = "scheduling.volcano.sh/queue-name"
_HIGHEST = ("system-cluster-critical", "system-node-critical")


def kind(runtime: Object) -> Kind | None:
    """Return the kind of the groups that a runtime asks for, if it does."""
    policy = _policy(runtime)
    if policy.get("coscheduling") is not None:
        return kinds.COSCHEDULING_POD_GROUP
    return kinds.VOLCANO_POD_GROUP if policy.get("volcano") is not None else None


def mark(runtime: Object, job: str, pods: list[Object]) -> None:
    """Make templates of pods those of a TrainJob's group."""
    which = kind(runtime)
    if which is None:
        return
    coscheduled = which is kinds.COSCHEDULING_POD_GROUP
    field, name = ("labels", _POD_LABEL) if coscheduled else ("annotations", _POD_ANNOTATION)
    for pod in pods:
        metadata = pod["metadata"] = pod.get("metadata") or {}
        metadata[field] = {**(metadata.get(field) or {}), name: job}


def group(runtime: Object, counts: Mapping[str, int], annotations: Mapping[str, str]) -> Object:
    """Return the spec of the group of a TrainJob.

    Args:
        runtime: what the TrainJob refers to.
        counts: how many pods each replicated job has.
        annotations: of the JobSet.
    """
    policy, pods = _policy(runtime), _pods(runtime)
    asked = [_asked(pod) for name, pod in pods.items() for _ in range(counts[name])]
    spec: Object = {"minMember": sum(counts.values()), "minResources": quantities.total(asked)}
    if policy.get("coscheduling") is not None:
        timeout = policy["coscheduling"].get("scheduleTimeoutSeconds")
        return {**spec, "scheduleTimeoutSeconds": 60 if timeout is None else timeout}
    if _QUEUE in annotations:
        spec["queue"] = annotations[_QUEUE]
    for pod in pods.values():
        if pod.get("priorityClassName"):
            spec["priorityClassName"] = pod["priorityClassName"]
    if topology := policy["volcano"].get("networkTopology"):
        spec["networkTopology"] = topology
    return spec


def priorities(runtime: Object) -> Iterator[str]:
    """Yield the priorities that must exist for Volcano; one that is built in ends the search."""
    if _policy(runtime).get("volcano") is None:
        return
    for pod in _pods(runtime).values():
        if pod.get("priorityClassName") in _HIGHEST:
            return
        if pod.get("priorityClassName"):
            yield pod["priorityClassName"]


def problems(job: Object, runtime: Object) -> Iterator[str]:
    """Yield what is wrong with the queue of a TrainJob for Volcano."""
    template = (runtime["spec"]["template"].get("metadata") or {}).get("annotations") or {}
    annotations = {**template, **(job["spec"].get("annotations") or {})}
    if _policy(runtime).get("volcano") is not None and annotations.get(_QUEUE) == "":
        yield answers.invalid(f"spec.annotations[{_QUEUE}]", "", "Volcano queue name must not be empty")


def _policy(runtime: Object) -> Object:
    return runtime["spec"].get("podGroupPolicy") or {}


def _pods(runtime: Object) -> dict[str, Object]:
    jobs = runtime["spec"]["template"]["spec"].get("replicatedJobs") or []
    return {each["name"]: each["template"]["spec"]["template"]["spec"] for each in jobs}


def _asked(pod: Object) -> dict[str, str]:
    return quantities.total(
        (each.get("resources") or {}).get("requests") or {} for each in pod.get("containers") or ()
    )
