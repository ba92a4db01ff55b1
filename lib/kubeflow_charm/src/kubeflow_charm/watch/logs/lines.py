"""The lines of a container's log, and the places up to which we have read them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import NamedTuple

LIMIT = 256 * 1024
"""The bytes of a line that Loki accepts by default (its `max_line_size`)."""
CUT = " [cut]"
"""The end of a line that was longer."""
STAMP_LIMIT = 64
"""Bytes that are enough for the time before a line."""

_STAMP = re.compile(rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d) ")
"""RFC 3339, with the zone of the node (Kubernetes 1.36, k8s.io/cri-client/pkg/logs/logs.go)."""
_SECOND = 10**9


class Line(NamedTuple):
    """A line of a log.

    Args:
        time: when the container wrote it, in nanoseconds since 1970.
        text: the line.
    """

    time: int
    text: bytes


class Cursor(NamedTuple):
    """A place in the log of a container.

    Args:
        time: the time of the last line that was read, in nanoseconds since 1970.
        same: how many lines of exactly that time were read.
        restarts: how often the container had been restarted when it wrote that line.
    """

    time: int
    same: int = 0
    restarts: int = 0

    @property
    def since(self) -> str:
        """The time as the API server takes it: it cuts off fractions of a second."""
        return datetime.fromtimestamp(self.time // _SECOND, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def after(self, time: int, restarts: int) -> Cursor:
        """Return the place after a line of this time."""
        return Cursor(time, self.same + 1 if time == self.time else 1, restarts)


class Fresh:
    """Leaves out those lines at the begin of an answer that were read before.

    Args:
        cursor: the place up to which the log was read.
    """

    def __init__(self, cursor: Cursor):
        self._time, self._left = cursor.time, cursor.same
        self._passed = False

    def is_new(self, time: int) -> bool:
        """Whether a line of this time is new; called with each line of the answer, in order."""
        if self._passed or time > self._time:
            self._passed = True  # a clock that goes back later makes no line old
            return True
        if time < self._time:
            return False
        self._left -= 1
        return self._left < 0


def parse(raw: bytes) -> Line | None:
    """Return a line with its time; None if it has none, as what the kubelet itself says."""
    found = _STAMP.match(raw)
    if found is None:
        return None
    second, fraction, zone = found.groups()
    try:
        moment = datetime.fromisoformat((second + zone).decode())
    except ValueError:
        return None
    time = int(moment.timestamp()) * _SECOND + int((fraction or b"0").ljust(9, b"0"))
    return Line(time, raw[found.end() :].removesuffix(b"\n"))


def shown(text: bytes) -> str:
    """Return a line as Loki takes it: UTF-8, and not too long."""
    decoded = text.decode(errors="replace")
    if len(text) * 3 <= LIMIT or len(encoded := decoded.encode()) <= LIMIT:
        return decoded
    return encoded[: LIMIT - len(CUT)].decode(errors="ignore") + CUT
