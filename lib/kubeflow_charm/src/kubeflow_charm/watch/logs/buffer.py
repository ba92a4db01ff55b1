"""The lines that wait for a Loki."""

from __future__ import annotations

import collections
import threading
import time

from kubeflow_charm.watch.logs.loki import Entry

LIMIT = 1 << 20
"""Bytes that wait for one Loki at most, the batch that is being sent included."""
BATCH = 256 * 1024
"""Bytes after which a batch is sent. Loki takes far more at once; a batch is in memory in several forms."""
LINGER = 1.0
"""Seconds after which lines are sent, however few they are."""
_OVERHEAD = 300
"""What a line costs besides its bytes: the objects around it."""


def size(entry: Entry) -> int:
    """Return what a line takes in memory."""
    return len(entry.text) + _OVERHEAD


class Buffer:
    """A queue from many readers to one sender, with a limit in bytes."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._entries: collections.deque[Entry] = collections.deque()
        self._queued = 0
        self._taken = 0
        self._oldest = 0.0
        self._closed = False

    def put(self, entry: Entry) -> bool:
        """Add a line; wait while the buffer is full. Return False if it is closed."""
        with self._condition:
            while not self._closed and self._held and self._held + size(entry) > LIMIT:
                self._condition.wait()
            if self._closed:
                return False
            if not self._entries:
                self._oldest = time.monotonic()
            self._entries.append(entry)
            before, self._queued = self._queued, self._queued + size(entry)
            if not before or self._queued >= BATCH:
                self._condition.notify_all()
            return True

    def take(self) -> list[Entry]:
        """Return the next lines, when they are many or have waited long enough; none if it is closed.

        What was taken stays in the account until the next call.
        """
        with self._condition:
            self._taken = 0
            self._condition.notify_all()
            while not self._closed and not self._is_due():
                left = self._oldest + LINGER - time.monotonic() if self._entries else None
                self._condition.wait(left)
            return [] if self._closed else self._batch()

    def close(self) -> None:
        """Let nobody wait any more."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()

    @property
    def _held(self) -> int:
        return self._queued + self._taken

    def _is_due(self) -> bool:
        waited = bool(self._entries) and time.monotonic() - self._oldest >= LINGER
        return waited or self._queued >= BATCH

    def _batch(self) -> list[Entry]:
        batch: list[Entry] = []
        while self._entries and (not batch or self._taken + size(self._entries[0]) <= BATCH):
            batch.append(self._entries.popleft())
            self._taken += size(batch[-1])
        self._queued -= self._taken
        return batch
