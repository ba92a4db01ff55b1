"""The only exception that stops a stand-in; it becomes the unit's status."""

from __future__ import annotations

import ops

_MOST = 120
"""Maximum characters of a status message: more do not fit into a line of `juju status`."""


class Stop(Exception):
    """Stops a stand-in with a status."""

    def __init__(self, status: ops.StatusBase):
        super().__init__(status.message)
        self.status = status


def blocked(message: str) -> Stop:
    """Return a stop that only the operator can fix. The message may quote others' data."""
    return Stop(ops.BlockedStatus(_shown(message)))


def waiting(message: str) -> Stop:
    """Return a stop that ends when others have done their part."""
    return Stop(ops.WaitingStatus(_shown(message)))


def starting(message: str) -> Stop:
    """Return a stop that ends when the unit has started."""
    return Stop(ops.MaintenanceStatus(_shown(message)))


def _shown(message: str) -> str:
    line = " ".join("".join(c if c.isprintable() else " " for c in message[: 10 * _MOST]).split())
    return line if len(line) <= _MOST else line[: _MOST - 1] + "…"
