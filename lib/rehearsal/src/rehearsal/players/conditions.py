"""Conditions in an object's status as Kubeflow's controllers keep them.

kubeflow/training-operator v1.9.2, pkg/util/status.go; kubeflow/katib v0.19.0,
pkg/apis/controller/{experiments,suggestions,trials}/v1beta1/util.go. What may surprise there, and so here: a
message alone changes nothing, and a condition that changes goes to the end of the list.
"""

from __future__ import annotations

from collections.abc import Collection

from rehearsal.players.kinds import Object


def is_true(status: Object, kind: str) -> bool:
    """Tell whether a status has a condition of this type that is true."""
    found = find(status, kind)
    return found is not None and found["status"] == "True"


def find(status: Object, kind: str) -> Object | None:
    """Return the condition of a type."""
    return next((each for each in status.get("conditions") or () if each["type"] == kind), None)


def put(
    status: Object,
    kind: str,
    reason: str,
    message: str,
    now: str,
    *,
    state: str = "True",
    without: Collection[str] = (),
) -> None:
    """Set a condition, unless there is one with the same state and reason.

    Args:
        status: changed.
        kind: the condition's type.
        reason: why, as one word.
        message: why.
        now: the time.
        state: `True` or `False`.
        without: types of conditions that go when this one comes.
    """
    before = find(status, kind)
    if before is not None and (before["status"], before.get("reason")) == (state, reason):
        return
    same = before is not None and before["status"] == state
    since = before.get("lastTransitionTime", now) if before is not None and same else now
    rest = [each for each in status.get("conditions") or () if each["type"] not in (kind, *without)]
    condition = {"type": kind, "status": state, "reason": reason, "message": message}
    status["conditions"] = [*rest, {**condition, "lastUpdateTime": now, "lastTransitionTime": since}]


def deny(status: Object, kind: str, now: str) -> None:
    """Set a condition that is there to false; its reason and message stay."""
    found = find(status, kind)
    if found is not None:
        put(status, kind, found.get("reason", ""), found.get("message", ""), now, state="False")


def drop(status: Object, *types: str) -> None:
    """Take conditions away."""
    status["conditions"] = [each for each in status.get("conditions") or () if each["type"] not in types]
