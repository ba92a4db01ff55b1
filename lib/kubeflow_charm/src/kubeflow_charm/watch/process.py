"""The process that `watcher.py` starts: it follows objects, and asks Juju for a hook when one changes.

It also sends the logs of the application's pods to related Lokis (`logs`). It takes 20 MiB while the charm
lives, so it imports little (`apiserver.py`).
"""

from __future__ import annotations

import faulthandler
import logging
import os
import shlex
import signal
import subprocess
import sys
import threading
import traceback
from pathlib import Path
from typing import Any

from kubeflow_charm.watch import state
from kubeflow_charm.watch.apiserver import Access, ApiServer
from kubeflow_charm.watch.digests import Item
from kubeflow_charm.watch.following import Changes, Follower
from kubeflow_charm.watch.logs.forwarding import Forwarding
from kubeflow_charm.watch.state import State

logger = logging.getLogger("watcher")

_TICK = 1.0
"""Seconds between two reads of the state."""


class Watch:
    """Everything that the process follows.

    Args:
        watched: the part `watched` of the state.
        api: the API server.
        changes: receives news.
    """

    def __init__(self, watched: dict[str, Any], api: ApiServer, changes: Changes):
        self._watched, self._api, self._changes = watched, api, changes
        self._started: set[str] = set()
        self._lock = threading.Lock()

    def start(self) -> None:
        """Follow the fixed kinds; the application's own kinds follow with its record."""
        for kind in self._watched["followed"]:
            self._follow(kind)

    def _look(self, item: Item) -> None:
        """Follow the kinds that the ApplySet's parent records."""
        record = self._watched["record"]
        metadata = item["metadata"]
        if (metadata.get("namespace"), metadata["name"]) != (self._watched["namespace"], record["parent"]):
            return
        recorded = (metadata.get("annotations") or {}).get(record["annotation"], "")
        for name in recorded.split(","):
            if name in record["kinds"]:
                self._follow(record["kinds"][name])

    def _follow(self, kind: dict[str, Any]) -> None:
        name = f"{kind['api_version']}/{kind['plural']} {kind['matters']}"
        with self._lock:
            if name in self._started:
                return
            self._started.add(name)
        look = self._look if kind["kind"] == "ConfigMap" else lambda _: None
        namespace, manager = self._watched["namespace"], self._watched["manager"]
        Follower(kind, self._api, namespace, manager, self._changes, look).start()


def ask_for_hook(watched: dict[str, Any]) -> bool:
    """Ask Juju to run the event; return whether it did."""
    program = shlex.quote(f"{watched['charm_dir']}/dispatch")
    command = f"JUJU_DISPATCH_PATH=hooks/{watched['event']} {program}"
    try:
        run = subprocess.run(
            ["juju-exec", watched["unit"], command], check=False, capture_output=True, text=True
        )
    except OSError as error:
        logger.warning("juju-exec: %s", error)
        return False
    if run.returncode:
        logger.warning("juju-exec: exit status %s: %s", run.returncode, run.stderr.strip()[:1000])
    return run.returncode == 0


def current(path: Path) -> State | None:
    """Return the state, or an empty one if it names another process or the charm is gone."""
    found = state.read(path)
    ours = found.get("pid") == os.getpid() and "watched" in found
    return found if ours and Path(found["watched"]["charm_dir"]).is_dir() else None


def main(path: Path) -> None:
    """Follow the objects and logs of the state at `path` until it no longer names this process."""

    def access() -> Access:
        return state.read(path).get("api") or {}

    changes, watch, api = Changes(), None, ApiServer(access)
    logs = Forwarding(state.positions(path), api)
    try:
        while (found := current(path)) is not None:
            if watch is None:
                watch = Watch(found["watched"], api, changes)
                watch.start()
            logs.follow(found.get("logs"))
            if changes.wait(_TICK, found["retry_after"]):
                changes.asked(done=ask_for_hook(found["watched"]))
    finally:
        logs.close()


def launch(path: Path) -> None:
    """Start a detached process that runs `main`, and record it in the state; its parent is init."""
    logging.basicConfig(format="%(asctime)s %(name)s %(message)s", level=logging.INFO)
    faulthandler.enable()  # the log names the place of a crash
    threading.excepthook = _end
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(writing)
        os.read(reading, 1)  # until the other process has ended
        signal.signal(signal.SIGTERM, _leave)
        main(path)
    else:
        state.write(path, state.read(path) | {"pid": pid, "started": state.started(pid)})


def _leave(*_: object) -> None:
    """End the main thread, which lets the last lines of logs arrive."""
    sys.exit(128 + signal.SIGTERM)


def _end(failure: threading.ExceptHookArgs) -> None:
    """End the process after a bug in a thread; the next hook starts a new one."""
    traceback.print_exception(failure.exc_type, failure.exc_value, failure.exc_traceback)
    sys.stderr.flush()
    os._exit(70)
