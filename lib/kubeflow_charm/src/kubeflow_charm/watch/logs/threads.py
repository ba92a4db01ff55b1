"""Threads whose failure ends nothing but themselves."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

logger = logging.getLogger("watcher")

_AGAIN_AFTER = 60.0
"""Seconds after which a thread that met a bug begins anew."""


def start(name: str, run: Callable[[], None]) -> threading.Thread:
    """Start a thread. A bug in it is logged, and must not end the process: that has objects to watch."""

    def guarded() -> None:
        while True:
            try:
                run()
                return
            except Exception:
                logger.exception("%s: begins anew in %s seconds", name, _AGAIN_AFTER)
                time.sleep(_AGAIN_AFTER)

    thread = threading.Thread(target=guarded, name=name, daemon=True)
    thread.start()
    return thread
