"""Translate live objects into problems: which workload is not ready, with the pod's own reason.

A pod's reason is the text of a program, which may print secrets (`redaction.py`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from kubeflow_charm.cluster.resources import Manifest
from kubeflow_charm.problems import Problem, blocked, waiting
from kubeflow_charm.redaction import redacted

PodReader = Callable[[], list[Manifest]]
"""Returns the application's pods; called only if a workload is not ready."""

_STARTING = {"ContainerCreating", "PodInitializing", ""}


def problems(live: Iterable[Manifest], pods: PodReader) -> list[Problem]:
    """Return one problem for each object that is not ready, in the order of the objects.

    Args:
        live: the objects as the API server has them, with their status.
        pods: reads the application's pods.
    """
    found: list[Problem] = []
    seen: list[Manifest] | None = None
    for item in live:
        kind = item["kind"]
        if kind in ("Deployment", "StatefulSet"):
            shortfall = _shortfall(item)
            if shortfall:
                seen = pods() if seen is None else seen
                found.append(waiting(shortfall, _workload_reason(item, seen)))
        elif kind == "CustomResourceDefinition":
            found += _definition_problems(item)
    return found


def _shortfall(workload: Manifest) -> str:
    """Return `centraldashboard 0/1`, or an empty text if the rollout is complete (kubectl rollout status)."""
    metadata, status = workload["metadata"], workload.get("status") or {}
    wanted = workload.get("spec", {}).get("replicas", 1)
    observed = status.get("observedGeneration", 0) >= metadata.get("generation", 1)
    updated = status.get("updatedReplicas", 0) >= wanted
    alone = status.get("replicas", 0) <= max(wanted, status.get("updatedReplicas", 0))
    counter = "availableReplicas" if workload["kind"] == "Deployment" else "readyReplicas"
    ready = status.get(counter, 0)
    if observed and updated and alone and ready >= wanted:
        return ""
    # During a rollout, old pods may still serve. Count only the new ones.
    shown = min(ready, status.get("updatedReplicas", 0)) if observed else 0
    return f"{metadata['name']} {shown}/{wanted}"


def _workload_reason(workload: Manifest, pods: list[Manifest]) -> str:
    """Return the reason of a pod, otherwise of the controller, otherwise that pods are starting."""
    selector = workload["spec"].get("selector", {}).get("matchLabels", {})
    own = [pod for pod in pods if selector.items() <= pod["metadata"].get("labels", {}).items()]
    # The newest pods belong to the present template.
    own.sort(key=lambda pod: pod["metadata"].get("creationTimestamp", ""), reverse=True)
    for pod in own:
        if reason := pod_reason(pod):
            return reason
    for condition in (workload.get("status") or {}).get("conditions") or []:
        if condition["type"] == "ReplicaFailure" and condition["status"] == "True":
            return condition.get("message", condition.get("reason", "no pod can be made"))
    return "starting" if own else "no pods yet"


def pod_reason(pod: Manifest) -> str:
    """Return Kubernetes' own reason why a pod is not ready, or an empty text if the pod only needs time."""
    status = pod.get("status") or {}
    for condition in status.get("conditions") or []:
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return f"pod {condition.get('reason', 'Unschedulable').lower()}: " + condition.get("message", "")
    for container in status.get("initContainerStatuses", []) + status.get("containerStatuses", []):
        if reason := _container_reason(container):
            return redacted(reason)
    if status.get("phase") == "Failed":
        return redacted(f"pod failed: {status.get('reason', '')} {status.get('message', '')}".strip())
    return ""


def _container_reason(container: dict[str, Any]) -> str:
    state = container.get("state") or {}
    waits = state.get("waiting") or {}
    if waits.get("reason", "") not in _STARTING:
        last = (container.get("lastState") or {}).get("terminated") or {}
        why = waits.get("message")
        if waits["reason"] == "CrashLoopBackOff":
            why = last_words(last.get("message", "")) or last.get("reason")
        return f"{waits['reason']}: {why}" if why and why != "Error" else waits["reason"]
    ended = state.get("terminated") or {}
    if ended and ended.get("exitCode", 0) != 0:
        return f"{ended.get('reason', 'Error')} (exit code {ended['exitCode']})"
    return ""


_SEVERE = re.compile(r"^[EF]\d{4} [\d:.]+\s+\d+ [^\]]*\] (.*)")
"""An error line of klog or glog: severity and day, time, thread, place, and the message."""

_GAVE_UP = re.compile(r"\btime(?:d )?out\b", re.IGNORECASE)
"""A program that gave up waiting, which is no cause."""


def last_words(message: str) -> str:
    """Return why a container ended, from the end of its log (`terminationMessagePolicy` copies it).

    This is the last error in the format of Kubernetes' own programs, even if a stack follows; otherwise it
    is the last line. If the last error is only that the program gave up waiting, it is the error before.
    """
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    severe = [found[1] for line in lines if (found := _SEVERE.match(line))]
    if len(severe) > 1 and _GAVE_UP.search(severe[-1]):
        return severe[-2]
    return (severe or lines or [""])[-1]


def _definition_problems(crd: Manifest) -> list[Problem]:
    name = crd["metadata"]["name"]
    conditions = {c["type"]: c for c in (crd.get("status") or {}).get("conditions") or []}
    accepted = conditions.get("NamesAccepted", {})
    if accepted.get("status") == "False":
        return [blocked(f"CRD {name}", accepted.get("message", "its names are taken"), in_cluster=True)]
    if conditions.get("Established", {}).get("status") != "True":
        return [waiting(f"CRD {name}", "not established yet")]
    return []
