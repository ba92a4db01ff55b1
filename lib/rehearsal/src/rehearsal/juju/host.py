"""The engine's side of an application's worker process."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from rehearsal.guardian import Guardian, Process
from rehearsal.juju.charms import Charm
from rehearsal.juju.worker import receive, send

START_WITHIN = 30.0
HOOK_WITHIN = 600.0
"""Seconds after which a hook that does not end is killed."""


class Host:
    """Where the hooks of one application run.

    Args:
        folder: of the application, for sockets, scratch and logs.
        charm: what runs.
        guardian: starts the process.
        environment: what every hook has besides what Juju sets: KUBECONFIG, PATH.
    """

    def __init__(self, folder: Path, charm: Charm, guardian: Guardian, environment: Mapping[str, str]):
        self._folder = folder
        self._charm = charm
        self._guardian = guardian
        self._environment = dict(environment)
        self._process: Process | None = None
        self._socket = folder / "worker.sock"
        self.on_pid: Callable[[int], None] = lambda _: None
        """Told the process of a hook when it begins: the seam for killing it on purpose."""

    def start(self) -> None:
        """Start the process; the charm is imported while Juju makes the pod."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._socket.unlink(missing_ok=True)
        command = [sys.executable, "-m", "rehearsal.juju.worker", self._socket, self._charm.path]
        self._process = self._guardian.spawn(
            [str(part) for part in command],
            log=self._folder / "worker.log",
            env=dict(os.environ) | self._environment,
            name=f"worker-{self._charm.name}",
        )

    def stop(self) -> None:
        """End the process and what its hooks have left running."""
        if self._process is not None:
            self._process.stop()
            self._process = None

    def run(self, request: dict[str, Any]) -> dict[str, Any]:
        """Run one hook; a process that breaks off or never ends is a failed hook."""
        scratch = self._folder / request["unit"].replace("/", "-")
        output = scratch / "output"
        request |= {
            "charm_root": str(self._charm_root(scratch)),
            "environment": self._hook_environment(scratch, request),
            "output": str(output),
        }
        try:
            result = self._ask(request)
        except (EOFError, OSError) as error:
            said = f"the hook's process ended before its time: {error or 'killed'}"
            result = {"ok": False, "log": [], "traceback": said}
        printed = output.read_text(errors="replace") if output.exists() else ""
        result["output"] = printed.splitlines()
        return result

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        with self._connect() as channel:
            send(channel, request)
            pid = receive(channel)
            self.on_pid(pid)
            channel.settimeout(HOOK_WITHIN)
            try:
                return receive(channel)
            except TimeoutError:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                raise

    def _connect(self) -> socket.socket:
        if self._process is None or self._process.ended.is_set():
            self.start()
        deadline = time.monotonic() + START_WITHIN
        channel = socket.socket(socket.AF_UNIX)
        channel.settimeout(START_WITHIN)
        while True:
            try:
                channel.connect(str(self._socket))
                return channel
            except OSError:
                ended = self._process is None or self._process.ended.is_set()
                if ended or time.monotonic() > deadline:
                    raise OSError(f"the worker does not answer: see {self._folder}") from None
                time.sleep(0.02)

    def _charm_root(self, scratch: Path) -> Path:
        """Return the charm's folder as a unit has it: links to the source, and metadata of its own.

        ops-scenario writes metadata into the folder while a hook runs, so no two units may share one.
        """
        root = scratch / "charm"
        if root.exists():
            return root
        root.mkdir(parents=True)
        (scratch / "tmp").mkdir(exist_ok=True)
        generated = {"metadata.yaml", "config.yaml", "actions.yaml", "charmcraft.yaml"}
        for entry in self._charm.path.iterdir():
            if entry.name not in generated and not entry.name.startswith("."):
                (root / entry.name).symlink_to(entry)
        metadata = {k: v for k, v in self._charm.metadata.items() if k not in ("config", "actions")}
        (root / "metadata.yaml").write_text(yaml.safe_dump(metadata))
        (root / "dispatch").write_text("#!/bin/sh\n# juju-exec knows what to do with this path.\n")
        return root

    def _hook_environment(self, scratch: Path, request: dict[str, Any]) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("JUJU_")}
        return (
            kept
            | self._environment
            | {
                "TMPDIR": str(scratch / "tmp"),
                "CHARM_DIR": str(scratch / "charm"),
                "REHEARSAL_MODEL": request["model"]["name"],
            }
        )

    def forget(self, unit: str) -> None:
        """Delete what a unit had on disk."""
        shutil.rmtree(self._folder / unit.replace("/", "-"), ignore_errors=True)
