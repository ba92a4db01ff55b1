"""Pauses between attempts, which grow."""

from __future__ import annotations

_FIRST, _LONGEST = 0.5, 60.0


class Pauses:
    """How long to wait before the next attempt, in seconds: twice as long each time, and at most a minute."""

    def __init__(self) -> None:
        self._next = _FIRST

    def next(self) -> float:
        """Return the next pause."""
        pause, self._next = self._next, min(self._next * 2, _LONGEST)
        return pause

    def begin_anew(self) -> None:
        """Let the next pause be short, because an attempt went well."""
        self._next = _FIRST
