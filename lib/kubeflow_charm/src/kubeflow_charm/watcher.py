"""The small process beside the charm that tells it when its workloads change.

Juju sends no event when a Deployment becomes ready. So the leader keeps one detached process
(`watching.py`) that follows the application's workloads and pods and asks Juju for a hook, with `juju-exec`,
when something changes that a status speaks of. The way is that of postgresql-k8s and its Patroni observer.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import ops

EVENT = "kubernetes_changed"
"""The event that the process dispatches."""

_PROGRAM = Path(__file__).with_name("watching.py")


@dataclasses.dataclass(frozen=True)
class WatchSpec:
    """What to follow.

    Args:
        namespace: the namespace of workloads and pods.
        labels: the labels that select them.
        retry_after: seconds after which to ask for a hook although nothing changed; for causes that
            cannot be watched, such as an API server that is away. None for never.
    """

    namespace: str
    labels: dict[str, str]
    retry_after: float | None = None


class Watcher:
    """The watching process of this unit."""

    def __init__(self, charm: ops.CharmBase):
        name = charm.unit.name.replace("/", "-")
        folder = Path(tempfile.gettempdir())
        self._unit = charm.unit.name
        self._charm_dir = Path(charm.charm_dir)
        self._spec = folder / f"{name}-watcher.json"
        self._pid = folder / f"{name}-watcher.pid"
        self._log = folder / f"{name}-watcher.log"

    def ensure(self, spec: WatchSpec) -> None:
        """Have the process follow `spec`: started if it does not live, told if the spec is another."""
        text = json.dumps(
            dataclasses.asdict(spec) | {"unit": self._unit, "event": EVENT, "charm_dir": str(self._charm_dir)}
        )
        if not self._spec.exists() or self._spec.read_text() != text:
            scratch = self._spec.with_suffix(".new")
            scratch.write_text(text)
            scratch.replace(self._spec)
        if not self._alive():
            self._start()

    def stop(self) -> None:
        """End the process, if there is one."""
        self._spec.unlink(missing_ok=True)
        if self._alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(self._pid.read_text().split()[0]), signal.SIGTERM)
        self._pid.unlink(missing_ok=True)

    def _start(self) -> None:
        # juju-exec would take itself for a part of this hook.
        environment = {k: v for k, v in os.environ.items() if k != "JUJU_CONTEXT_ID"}
        with self._log.open("a") as log:
            process = subprocess.Popen(
                # -P keeps this package's module names out of the process's imports.
                [sys.executable, "-P", str(_PROGRAM), str(self._spec)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=environment,
            )
        self._pid.write_text(f"{process.pid} {_started(process.pid)}")
        process.returncode = 0  # it outlives the hook on purpose: nobody here waits for it

    def _alive(self) -> bool:
        """Whether the process of the pid file lives, and is not another one with its number."""
        try:
            pid, started = self._pid.read_text().split()
            return _started(int(pid)) == started
        except (OSError, ValueError):
            return False


def _started(pid: int) -> str:
    """Return when a process started, in clock ticks since boot; empty for a zombie (proc(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return "" if fields[0] == "Z" else fields[19]
