"""How long to wait for an expected event; a long limit costs nothing when the event comes at once."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE = 120.0
"""Seconds. A loaded machine takes a minute for work that takes a second on an idle one."""


def until(
    look: Callable[[], T | None],
    what: str | Callable[[], object] = "",
    within: float = PATIENCE,
    every: float = 0.05,
) -> T:
    """Call `look` until it returns something true, and return that.

    Args:
        look: returns the result, or something false.
        what: what the caller waits for, for the error message; or what tells how far things are.
        within: seconds.
        every: seconds between two calls.

    Raises:
        AssertionError: when time is up; it names `what`, or the last result.
    """
    deadline = time.monotonic() + within
    while not (found := look()):
        if time.monotonic() > deadline:
            said = what() if callable(what) else what
            raise AssertionError(f"not within {within:.0f} s: {said or repr(found)}")
        time.sleep(every)
    return found
