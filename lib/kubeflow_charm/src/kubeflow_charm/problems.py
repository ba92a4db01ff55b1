"""Problems: a charm raises them where it finds them, and shows them as the unit's status.

The reader that finds a condition raises a `Problem`. That stops the work, and the same object becomes the
status (`charm.py`). A text names the object and the cure, and fits one line of `juju status`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import ops

LIMIT = 120
"""Characters of a status message that `juju status` shows (Juju's charm-refresh documentation)."""


class Problem(Exception):
    """A condition that stops the work and that the operator should see.

    Args:
        status: the state and the text for `juju status`.
        missing: the endpoint, if the problem is a missing relation.
        heals: whether it may be gone without an event of Juju's, so that the charm has to look again. What is
            waited for always may.
    """

    def __init__(self, status: ops.StatusBase, *, missing: str = "", heals: bool = False):
        super().__init__(status.message)
        self.status = status
        self.missing = missing
        self.heals = heals or isinstance(status, ops.WaitingStatus)


def blocked(what: str, cure: str, *, in_cluster: bool = False) -> Problem:
    """Return a problem that a person must solve: `<what>: <cure>`.

    Args:
        what: the object.
        cure: the command or the deed.
        in_cluster: whether that is done in the cluster, of which Juju hears nothing.
    """
    return Problem(ops.BlockedStatus(shortened(f"{what}: {cure}")), heals=in_cluster)


def waiting(what: str, reason: str) -> Problem:
    """Return a problem that heals by itself: `<peer or object>: <reason>`."""
    return Problem(ops.WaitingStatus(shortened(f"{what}: {reason}")))


def missing_relation(application: str, endpoint: str, hint: str) -> Problem:
    """Return the problem that `endpoint` has no relation.

    Args:
        application: the name of this application.
        endpoint: its endpoint without a relation.
        hint: the application that usually provides it, as `juju integrate` takes it.
    """
    text = f"relation {endpoint} missing: juju integrate {application}:{endpoint} {hint}"
    return Problem(ops.BlockedStatus(shortened(text)), missing=endpoint)


def gather(*readers: Callable[[], Any]) -> tuple[Any, ...]:
    """Call every reader and return their results in order.

    Raises:
        ExceptionGroup: with the problems of all readers, so that the operator learns of all at once. If two
            readers raise the same problem, the group has it once.
    """
    values: list[Any] = []
    problems: list[Problem] = []
    for reader in readers:
        try:
            values.append(reader())
        except* Problem as group:
            problems += [problem for problem in flattened(group) if problem not in problems]
    if problems:
        raise ExceptionGroup("the charm cannot work yet", problems)
    return tuple(values)


def flattened(group: BaseExceptionGroup[Any]) -> list[Problem]:
    """Return the problems of a group, and of the groups within it, in order."""
    found: list[Problem] = []
    for error in group.exceptions:
        found += flattened(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found


def statuses(problems: Iterable[Problem]) -> list[ops.StatusBase]:
    """Return the statuses of `problems`: one line for all missing relations, one for each other problem."""
    problems = list(problems)
    missing = [p for p in problems if p.missing]
    others = [p.status for p in problems if not p.missing]
    if len(missing) < 2:
        return [p.status for p in missing] + others
    names = ", ".join(p.missing for p in missing)
    cure = missing[0].status.message.partition(": ")[2]
    return [ops.BlockedStatus(shortened(f"relations {names} missing: {cure}")), *others]


def shortened(text: str) -> str:
    """Return `text` on one line, cut at `LIMIT`."""
    line = " ".join(text.split())
    return line if len(line) <= LIMIT else line[: LIMIT - 1].rstrip() + "…"
