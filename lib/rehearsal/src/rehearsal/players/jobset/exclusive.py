"""Jobs that share no topology with others: what JobSet's webhooks do to their pods, and which they refuse.

kubernetes-sigs/jobset v0.10.1, pkg/webhooks/pod_{mutating,admission}_webhook.go. The first pod of a Job finds
itself a place where no other such Job is; the others are refused until it has one, and follow it there. That
pods which are elsewhere after all are deleted (pkg/controllers/pod_controller.go) is not played.
"""

from __future__ import annotations

from collections.abc import Callable

import httpx2
import lightkube

from rehearsal.players import answers, kinds
from rehearsal.players.kinds import Object

TOPOLOGY = "alpha.jobset.sigs.k8s.io/exclusive-topology"
SELECTED = "alpha.jobset.sigs.k8s.io/node-selector"
"""Annotation of JobSets whose nodes somebody has labelled beforehand: webhooks leave their pods alone."""
_LABELLED = "alpha.jobset.sigs.k8s.io/namespaced-job"
_TAINT = "alpha.jobset.sigs.k8s.io/no-schedule"
_KEY, _PRIORITY = "jobset.sigs.k8s.io/job-key", "jobset.sigs.k8s.io/priority"
_INDEX = "batch.kubernetes.io/job-completion-index"

Client = Callable[[], lightkube.Client]


def select(pod: Object, namespace: str, job: str) -> None:
    """Lead the pods of a Job to the nodes that are labelled for it."""
    spec = pod["spec"]
    spec["nodeSelector"] = {**(spec.get("nodeSelector") or {}), _LABELLED: f"{namespace}_{job}"}
    toleration = {"key": _TAINT, "operator": "Exists", "effect": "NoSchedule"}
    spec["tolerations"] = [*(spec.get("tolerations") or ()), toleration]


def place(client: Client, pod: Object) -> Object:
    """Say where a new pod may be, and return it.

    Raises:
        answers.Denied: if the nodes do not say where the first pod is.
    """
    topology = _topology(pod)
    if not topology:
        return pod
    labels = pod["metadata"].setdefault("labels", {})
    if (priority := pod["spec"].get("priority")) is not None:
        labels[_PRIORITY] = str(priority)
    if _leads(pod):
        _keep_to_itself(pod["spec"], labels, topology)
    elif where := _place_of_leader(client, pod, topology):
        pod["spec"].setdefault("nodeSelector", {})[topology] = where
    return pod


def problems(pod: Object, before: Object | None) -> list[str]:
    """Return why there must not be a pod yet."""
    topology = _topology(pod)
    if before is not None or not topology or _leads(pod):
        return []
    selector = pod["spec"].get("nodeSelector")
    if not selector:
        return ["follower pod node selector not set"]
    if topology not in selector:
        lacks = f"missing selector: {topology}"
        return [f"follower pod node selector for topology domain not found. {lacks}"]
    return []


def _topology(pod: Object) -> str:
    annotations = pod["metadata"].get("annotations") or {}
    return "" if SELECTED in annotations else annotations.get(TOPOLOGY, "")


def _leads(pod: Object) -> bool:
    return (pod["metadata"].get("annotations") or {}).get(_INDEX) == "0"


def _keep_to_itself(spec: Object, labels: dict[str, str], topology: str) -> None:
    mine = {"key": _KEY, "values": [labels.get(_KEY, "")]}
    others = [
        {"key": _KEY, "operator": "Exists"},
        {**mine, "operator": "NotIn"},  # codespell:ignore
        {"key": _PRIORITY, "operator": "In", "values": [labels.get(_PRIORITY, "")]},
    ]
    affinity = spec["affinity"] = spec.get("affinity") or {}
    for field, expressions in (
        ("podAffinity", [{**mine, "operator": "In"}]),
        ("podAntiAffinity", others),
    ):
        terms = affinity.setdefault(field, {}).setdefault(
            "requiredDuringSchedulingIgnoredDuringExecution", []
        )
        selector = {"matchExpressions": expressions}
        terms.append({"labelSelector": selector, "topologyKey": topology, "namespaceSelector": {}})


def _place_of_leader(client: Client, pod: Object, topology: str) -> str:
    """Return where the first pod of the same Job is; empty if it has no place yet."""
    metadata = pod["metadata"]
    try:
        pods = client().list(
            kinds.POD, namespace=metadata["namespace"], labels={_KEY: metadata["labels"][_KEY]}
        )
        leaders = [
            each
            for each in pods
            if _leads(each)
            and "deletionTimestamp" not in each["metadata"]
            and kinds.controller(kinds.JOB, each) == kinds.controller(kinds.JOB, pod)
        ]
        node = leaders[0]["spec"].get("nodeName", "") if len(leaders) == 1 else ""
        if not node:
            return ""
        labels = client().get(kinds.NODE, node)["metadata"].get("labels") or {}
    except (httpx2.HTTPError, OSError) as error:
        raise answers.Denied(str(error), 500) from None
    if topology not in labels:
        raise answers.Denied(f"node does not have topology label: {topology}", 500)
    return labels[topology]
