"""Decide when the next hook is due. The caller has the clock."""

from __future__ import annotations

QUIET = 0.3
"""Seconds without another change after which a hook is due."""
SPACING = 2.0
"""While changes keep coming: seconds between two hooks, and the longest wait of a change."""
SLOWEST = 60.0
"""The longest interval between attempts that keep failing, in seconds."""
BURST = 10
"""Hooks in a row with `SPACING` between them. Then the pauses grow: another writer may undo our writes."""
WIDEST = 30.0
"""The longest pause between two hooks while changes keep coming, in seconds."""
_CALM = 60.0
"""Seconds without a hook after which a new row begins."""
_DOUBLINGS = 10
"""Enough to reach `SLOWEST`, and few enough for a float."""


class Pacing:
    """The time of the next hook. Times are seconds of any clock that does not go back."""

    def __init__(self) -> None:
        self._first: float | None = None
        """The time of the oldest change that no hook has seen."""
        self._last = 0.0
        self._not_before = 0.0
        self._hooked: float | None = None
        """The end of the last hook."""
        self._row = 0
        self._failures = 0
        self._retry_after: float | None = None
        self._retry_at: float | None = None
        self._pause = 0.0

    def changed(self, now: float) -> None:
        """Record a change."""
        self._first = now if self._first is None else self._first
        self._last = now

    def retry(self, after: float | None, now: float) -> None:
        """Make a hook due after some seconds without changes, then ever more rarely; None stops this."""
        if after != self._retry_after:
            self._retry_after = after
            self._pause = after or 0.0
            self._retry_at = None if after is None else now + after

    def due(self) -> float | None:
        """Return the time of the next hook, or None."""
        times = [] if self._retry_at is None else [self._retry_at]
        if self._first is not None:
            times.append(min(self._last + QUIET, self._first + SPACING))
        return max(min(times), self._not_before) if times else None

    def asking(self) -> None:
        """Record a request for a hook, which will see all changes until now."""
        self._first = None

    def asked(self, now: float, *, done: bool) -> None:
        """Record that the request for a hook has ended, and whether the hook ran."""
        self._failures = 0 if done else self._failures + 1
        if not done:
            self.changed(now)
        self._row = self._row + 1 if self._hooked is not None and now - self._hooked < _CALM else 1
        self._hooked = now
        self._not_before = now + self._spacing()
        if self._retry_at is not None:
            if now >= self._retry_at:
                self._pause = max(min(self._pause * 1.5, SLOWEST), self._retry_after or 0.0)
            self._retry_at = now + self._pause

    def _spacing(self) -> float:
        if self._failures:
            return min(SPACING * 2 ** min(self._failures - 1, _DOUBLINGS), SLOWEST)
        return min(SPACING * 1.5 ** min(max(self._row - BURST, 0), _DOUBLINGS), WIDEST)
