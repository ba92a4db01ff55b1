"""How long anybody waits for what has to come: where it comes at once, a long limit costs nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE = 120.0
"""Seconds. A loaded machine takes a minute for what takes a second on an idle one."""


def until(look: Callable[[], T | None], what: str = "", within: float = PATIENCE, every: float = 0.05) -> T:
    """Return what a look returns, as soon as it is something.

    Args:
        look: returns something, or what counts as nothing.
        what: is waited for; for the error.
        within: seconds.
        every: seconds between two looks.

    Raises:
        AssertionError: if it does not come in time, with what the last look returned.
    """
    deadline = time.monotonic() + within
    while not (found := look()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within:.0f} s: {what or repr(found)}")
        time.sleep(every)
    return found
