"""Schedulers of gangs: the pods of a pod group are bound together, or none of them is.

The images are `vc-scheduler` of Volcano and `kube-scheduler` of scheduler-plugins; their kinds are those that
kubeflow/training-operator v1.9.2 uses (volcano.sh/apis v1.9, sigs.k8s.io/scheduler-plugins v0.28). Only what
jobs depend on is played: a group is let in when what it asks for is free, and placed when all of it has a
place, by resources, node selectors and taints. Queues, priorities and preemption are not.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from rehearsal.players import kinds, quantities
from rehearsal.players.controller import Controller
from rehearsal.players.kinds import Key, Kind, Object
from rehearsal.players.program import Program
from rehearsal.players.recording import Recorder

VOLCANO, COSCHEDULING = "vc-scheduler", "kube-scheduler"
_PAUSE = 1.0
"""Seconds until a group that has no place is looked at again."""
_LABEL, _ANNOTATION = "scheduling.x-k8s.io/pod-group", "scheduling.k8s.io/group-name"
_DEFAULT = "default-scheduler"

Amounts = dict[str, Decimal]


def controllers(program: Program) -> list[Controller]:
    """Return what the program runs."""
    kind = kinds.VOLCANO_POD_GROUP if program.name == VOLCANO else kinds.COSCHEDULING_POD_GROUP
    return [_Gangs(program, kind).controller]


class _Gangs:
    def __init__(self, program: Program, kind: Kind):
        self._api = program.api
        self._kind = kind
        self._volcano = program.name == VOLCANO
        self._recorder = Recorder(program, program.name)
        self._nodes = self._api.follower(kinds.NODE)
        self._pods = self._api.follower(kinds.POD)
        self.controller = program.controller(kind, self._reconcile)
        self.controller.watches(kinds.POD, self._group_of)
        self.controller.hears(self._nodes, lambda _: ())

    def _reconcile(self, key: Key) -> float | None:
        group = self._api.get(self._kind, key)
        if group is None or "deletionTimestamp" in group["metadata"]:
            return None
        every = self._pods.items()
        pods = [each for each in every if key in self._group_of(each) and not _over(each)]
        waiting = [each for each in pods if not each["spec"].get("nodeName")]
        free = self._free(every)
        phase = (group.get("status") or {}).get("phase")
        if self._volcano and phase in (None, "", "Pending"):
            asked = {
                name: quantities.amount(text)
                for name, text in (group["spec"].get("minResources") or {}).items()
            }
            there = all(
                sum(node.get(name, Decimal(0)) for node in free.values()) >= asked[name] for name in asked
            )
            return self._say_phase(group, "Inqueue" if there else "Pending")
        if not waiting:
            # All were bound at an earlier look, whose word of it may have been refused as out of date.
            return self._say_placed(group) if pods else None
        places = _places(waiting, free, {kinds.key(each)[1]: each for each in self._nodes.items()})
        if len(pods) < group["spec"].get("minMember", 1) or places is None:
            message = f"{len(waiting)} of {group['spec'].get('minMember', 1)} tasks in gang unschedulable"
            self._recorder.say(self._kind, group, "Unschedulable", message, warning=True)
            return _PAUSE
        for pod, node in zip(waiting, places, strict=True):
            self._api.bind(kinds.key(pod), node)
        return self._say_placed(group)

    def _say_placed(self, group: Object) -> float | None:
        return self._say_phase(group, "Running" if self._volcano else "Scheduled")

    def _say_phase(self, group: Object, phase: str) -> float | None:
        if (group.get("status") or {}).get("phase") != phase:
            self._api.replace_status(self._kind, group, {**(group.get("status") or {}), "phase": phase})
        return _PAUSE if phase == "Pending" else None

    def _group_of(self, pod: Object) -> list[Key]:
        if pod["spec"].get("schedulerName", _DEFAULT) == _DEFAULT:
            return []
        where, mark = ("annotations", _ANNOTATION) if self._volcano else ("labels", _LABEL)
        name = (pod["metadata"].get(where) or {}).get(mark)
        return [] if name is None else [(kinds.key(pod)[0], name)]

    def _free(self, pods: list[Object]) -> dict[str, Amounts]:
        """Return what the nodes have left."""
        free = {
            kinds.key(node)[1]: {
                name: quantities.amount(text)
                for name, text in (node["status"].get("allocatable") or {}).items()
            }
            for node in self._nodes.items()
        }
        for pod in pods:
            node = pod["spec"].get("nodeName")
            if node in free and not _over(pod):
                _take(free[node], _asked(pod))
        return free


def _places(pods: list[Object], free: Mapping[str, Amounts], nodes: Mapping[str, Object]) -> list[str] | None:
    """Return a node for each pod; None unless there is one for all."""
    left = {name: dict(amounts) for name, amounts in free.items()}
    found = []
    for pod in pods:
        asked = _asked(pod)
        for name, amounts in left.items():
            room = all(amounts.get(each, Decimal(0)) >= value for each, value in asked.items())
            if room and _takes(nodes[name], pod["spec"]):
                _take(amounts, asked)
                found.append(name)
                break
        else:
            return None
    return found


def _takes(node: Object, pod: Object) -> bool:
    """Tell whether a node takes a pod, by labels and taints."""
    labels = node["metadata"].get("labels") or {}
    if not (pod.get("nodeSelector") or {}).items() <= labels.items():
        return False
    hard = [each for each in node["spec"].get("taints") or () if each["effect"] != "PreferNoSchedule"]
    return all(any(_tolerates(each, taint) for each in pod.get("tolerations") or ()) for taint in hard)


def _tolerates(toleration: Object, taint: Object) -> bool:
    if toleration.get("effect") not in (None, "", taint["effect"]):
        return False
    if toleration.get("key") not in (None, "", taint["key"]):
        return False
    exists = toleration.get("operator") == "Exists"
    return exists or toleration.get("value", "") == taint.get("value", "")


def _asked(pod: Object) -> Amounts:
    """Return what a pod asks for."""
    parts = [each.get("resources") or {} for each in pod["spec"]["containers"]]
    total = quantities.total({**(each.get("limits") or {}), **(each.get("requests") or {})} for each in parts)
    return {**{name: quantities.amount(text) for name, text in total.items()}, "pods": Decimal(1)}


def _take(amounts: Amounts, asked: Amounts) -> None:
    for name, value in asked.items():
        amounts[name] = amounts.get(name, Decimal(0)) - value


def _over(pod: Object) -> bool:
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")
