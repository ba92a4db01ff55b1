"""When the next hook is due. Pure: the caller has the clock."""

from __future__ import annotations

QUIET = 0.3
"""Seconds without a further change after which a hook is due."""
SPACING = 2.0
"""Seconds between two hooks, and the longest that a change waits, while changes keep coming."""
SLOWEST = 60.0
"""Seconds between tries of what keeps failing."""
BURST = 10
"""Hooks in a row that are `SPACING` apart. Then the pauses grow: another writer may undo what hooks do."""
WIDEST = 30.0
"""Seconds between two hooks at most, while changes keep coming."""
_CALM = 60.0
"""Seconds without a hook after which the next one is the first of a row."""
_DOUBLINGS = 10
"""More than `SLOWEST` needs, and few enough for a float."""


class Pacing:
    """When the next hook is due. Times are seconds of any clock that does not go back."""

    def __init__(self) -> None:
        self._first: float | None = None
        """When the oldest change came that no hook has seen."""
        self._last = 0.0
        self._not_before = 0.0
        self._hooked: float | None = None
        """When the last hook ended."""
        self._row = 0
        self._failures = 0
        self._retry_after: float | None = None
        self._retry_at: float | None = None
        self._pause = 0.0

    def changed(self, now: float) -> None:
        """Note a change."""
        self._first = now if self._first is None else self._first
        self._last = now

    def retry(self, after: float | None, now: float) -> None:
        """Make a hook due `after` seconds without a change, and again, less and less often; None: no more."""
        if after != self._retry_after:
            self._retry_after = after
            self._pause = after or 0.0
            self._retry_at = None if after is None else now + after

    def due(self) -> float | None:
        """Return when a hook is due, if at all."""
        times = [] if self._retry_at is None else [self._retry_at]
        if self._first is not None:
            times.append(min(self._last + QUIET, self._first + SPACING))
        return max(min(times), self._not_before) if times else None

    def asking(self) -> None:
        """Note that a hook is asked for: it will see all changes until now."""
        self._first = None

    def asked(self, now: float, *, done: bool) -> None:
        """Note that the request for a hook has ended, and whether the hook ran."""
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
