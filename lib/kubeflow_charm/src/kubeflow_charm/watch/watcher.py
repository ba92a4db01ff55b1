"""The small process beside the charm that tells it when its workloads change.

Juju sends no event when a Deployment becomes ready. So the leader keeps one detached process
(`process.py`) that follows the application's workloads and pods and asks Juju for a hook, with `juju-exec`,
when something changes that a status speaks of. The way is that of postgresql-k8s and its Patroni observer.

A file in the temporary folder says what the process follows, and which process it is: its number and when it
started, since numbers come again. The process ends when the file says something else, or nothing.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ops

from kubeflow_charm.watch import process

logger = logging.getLogger(__name__)

EVENT = "kubernetes_changed"
"""The event that the process dispatches."""

_LOG_LIMIT = 1 << 20
"""Bytes of log that a new process goes on after."""
_START_WITHIN = 30.0


@dataclasses.dataclass(frozen=True)
class Followed:
    """A kind of object to follow, and which of its objects.

    Args:
        api_version: `v1`, `apps/v1`.
        kind: `Node`.
        plural: `nodes`.
        labels: the labels that select them; a value of None asks for the label only.
        fields: the fields that select them.
        namespaced: whether they are looked for in the namespace.
        matters: which changes do, by a name in `process.DIGESTS`.
    """

    api_version: str
    kind: str
    plural: str
    labels: Mapping[str, str | None] = dataclasses.field(default_factory=dict)
    fields: Mapping[str, str] = dataclasses.field(default_factory=dict)
    namespaced: bool = False
    matters: str = "spec"


NODES = Followed("v1", "Node", "nodes", matters="placement")
"""For a charm that reads the cluster's GPUs."""


@dataclasses.dataclass(frozen=True)
class WatchSpec:
    """What to follow: the application's Deployments, StatefulSets and pods, and more if it is said.

    Args:
        namespace: the namespace of workloads and pods.
        labels: the labels that select them.
        further: what else to follow, such as nodes or namespaces.
        retry_after: seconds after which to ask for a hook although nothing changed, and again, less and
            less often; for causes that cannot be watched, such as an API server that is away. None for never.
    """

    namespace: str
    labels: Mapping[str, str]
    further: tuple[Followed, ...] = ()
    retry_after: float | None = None

    def followed(self) -> list[dict[str, Any]]:
        """Return every kind to follow, as plain data."""
        own = [
            Followed("apps/v1", "Deployment", "deployments", self.labels, namespaced=True, matters="status"),
            Followed(
                "apps/v1", "StatefulSet", "statefulsets", self.labels, namespaced=True, matters="status"
            ),
            Followed("v1", "Pod", "pods", self.labels, namespaced=True, matters="status"),
        ]
        return [dataclasses.asdict(each) for each in (*own, *self.further)]


class Watcher:
    """The watching process of this unit."""

    def __init__(self, charm: ops.CharmBase):
        self._unit = charm.unit.name
        self._charm_dir = str(charm.charm_dir)
        # Two models on one machine, as in a rehearsal, have units of the same name.
        name = f"{self._unit.replace('/', '-')}-{charm.model.uuid[:8]}-watcher"
        self._path = Path(tempfile.gettempdir()) / f"{name}.json"

    def ensure(self, spec: WatchSpec) -> None:
        """Have the process follow `spec`: started if it does not live, replaced if it follows something else.

        The same specification and a living process cost two small files read. Without a process the charm
        still works, an update-status late; so that there can be none is told in the log only.
        """
        wanted = json.loads(json.dumps(self._watched(spec)))
        state = process.read(self._path)
        try:
            if process.lives(state) and state.get("watched") == wanted:
                if state["retry_after"] != spec.retry_after:
                    process.write(self._path, state | {"retry_after": spec.retry_after})
            else:
                self.stop()
                self._start({"watched": wanted, "retry_after": spec.retry_after})
        except (OSError, subprocess.SubprocessError) as error:
            logger.warning("no process follows the workloads: %s", error)

    def stop(self) -> None:
        """End the process, if there is one, and the `juju-exec` that it may be waiting for."""
        state = process.read(self._path)
        self._path.unlink(missing_ok=True)
        if process.lives(state):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(os.getpgid(state["pid"]), signal.SIGTERM)

    def _watched(self, spec: WatchSpec) -> dict[str, Any]:
        """Return what a process cannot change while it runs; that is its program, too, after an upgrade."""
        program = Path(process.__file__).stat()
        return {
            "unit": self._unit,
            "event": EVENT,
            "charm_dir": self._charm_dir,
            "namespace": spec.namespace,
            "followed": spec.followed(),
            "program": [program.st_mtime_ns, program.st_size],
        }

    def _start(self, state: dict[str, Any]) -> None:
        process.write(self._path, state)
        path = self._path.with_suffix(".log")
        long = path.exists() and path.stat().st_size > _LOG_LIMIT
        # juju-exec would take itself for a part of this hook.
        environment = {key: value for key, value in os.environ.items() if key != "JUJU_CONTEXT_ID"}
        with path.open("w" if long else "a") as log:
            subprocess.run(
                # -P keeps the names of this package's modules out of the process's imports.
                [sys.executable, "-P", process.__file__, str(self._path)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=environment,
                timeout=_START_WITHIN,
                check=True,
            )
