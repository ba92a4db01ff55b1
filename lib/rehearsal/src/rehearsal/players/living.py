"""Conditions as Knative's library keeps them: one of them sums up some of the others.

knative.dev/pkg (release 1.16), apis/condition_set.go; KServe uses it, too. What may surprise there, and so
here: of several that are false, the one that changed last gives its reason to the sum; what is not part of
the sum has the severity `Info`; a condition that becomes true loses its reason.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from rehearsal.players.conditions import find, is_true
from rehearsal.players.kinds import Object

__all__ = ["LivingSet", "find", "is_true"]


@dataclass(frozen=True)
class LivingSet:
    """The conditions of a kind.

    Attributes:
        parts: the types that are summed up.
        sum: the type that sums them up.
    """

    parts: tuple[str, ...]
    sum: str = "Ready"

    def begin(self, status: Object, now: str) -> None:
        """Have what is summed up, and the sum, be unknown unless it is something."""
        if find(status, self.sum) is None:
            self._set(status, {"type": self.sum, "status": "Unknown"}, now)
        for part in self.parts:
            if find(status, part) is None:
                state = "True" if is_true(status, self.sum) else "Unknown"
                self._set(status, {"type": part, "status": state}, now)

    def put(
        self, status: Object, kind: str, state: str, now: str, reason: str = "", message: str = ""
    ) -> None:
        """Set a condition to `True`, `False` or `Unknown`, and the sum accordingly."""
        if state == "True":
            self._set(status, {"type": kind, "status": state}, now)
            self._sum_up(status, kind, now)
            return
        said = {"status": state, "reason": reason, "message": message}
        self._set(status, {"type": kind, **said}, now)
        if state == "False":
            if kind in self.parts:  # the last one that is false gives its reason
                self._set(status, {"type": self.sum, **said}, now)
        elif any((find(status, part) or {}).get("status") == "False" for part in self.parts):
            if (find(status, self.sum) or {}).get("status") != "False":
                self.put(status, self.sum, "False", now, reason, message)
        elif kind in self.parts:
            self._set(status, {"type": self.sum, **said}, now)
        else:
            self._sum_up(status, kind, now)

    def copy(self, status: Object, kind: str, source: Object | None, now: str) -> None:
        """Set a condition as another object has one; do nothing if that has none."""
        if source is not None:
            reason, message = source.get("reason", ""), source.get("message", "")
            self.put(status, kind, source["status"], now, reason, message)

    def _sum_up(self, status: Object, kind: str, now: str) -> None:
        bad = self._unhappy(status)
        if bad is not None:
            said = {name: bad.get(name, "") for name in ("status", "reason", "message")}
            self._set(status, {"type": self.sum, **said}, now)
        elif kind != self.sum:
            self._set(status, {"type": self.sum, "status": "True"}, now)

    def _unhappy(self, status: Object) -> Object | None:
        of_sum = [
            each
            for each in status.get("conditions") or ()
            if each["type"] != self.sum and not each.get("severity")
        ]
        of_sum.sort(key=lambda each: each.get("lastTransitionTime", ""), reverse=True)
        for state in ("False", "Unknown"):
            for each in of_sum:
                if each["status"] == state:
                    return each
        return {"status": "Unknown"} if len(self.parts) > len(of_sum) else None

    def _set(self, status: Object, condition: Object, now: str) -> None:
        condition = {name: value for name, value in condition.items() if value}
        if condition["type"] not in (self.sum, *self.parts):
            condition["severity"] = "Info"
        before = find(status, condition["type"])
        if before is not None:
            condition["lastTransitionTime"] = before.get("lastTransitionTime", now)
            if condition == before:
                return
        condition["lastTransitionTime"] = now
        rest = [each for each in status.get("conditions") or () if each["type"] != condition["type"]]
        status["conditions"] = sorted([*rest, condition], key=lambda each: each["type"])


def state(status: Object, kind: str) -> str:
    """Return the state of a condition; one that is not there is unknown."""
    return (find(status, kind) or {"status": "Unknown"})["status"]


def clear(status: Object, kinds: Collection[str]) -> None:
    """Take conditions away."""
    status["conditions"] = [each for each in status.get("conditions") or () if each["type"] not in kinds]
