"""The engine's side of the process that all workers are forked from (`worker.py`)."""

from __future__ import annotations

import contextlib
import itertools
import select
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any

from rehearsal.guardian import Guardian, Process
from rehearsal.juju.channel import send
from rehearsal.patience import PATIENCE

START_WITHIN = PATIENCE
"""Seconds within which a process must listen, or be gone."""

_numbers = itertools.count(1)


class Branch:
    """A process that lives as long as the connection that made it, and takes others.

    Args:
        path: of the socket that it listens on, once it is ready.
        lifeline: the connection that made it.
        asked: what it is told.

    Raises:
        OSError: if there is nobody to tell.
    """

    def __init__(self, path: Path, lifeline: socket.socket, asked: Any):
        self._path = path
        self._lifeline = lifeline
        try:
            send(lifeline, asked)
        except OSError:
            lifeline.close()
            raise

    @property
    def ended(self) -> bool:
        """Whether the process is gone: nothing else ever comes over its lifeline."""
        return self._lifeline.fileno() < 0 or bool(select.select([self._lifeline], [], [], 0)[0])

    def connect(self) -> socket.socket:
        """Return a connection to it, as soon as it listens; raises OSError if it ends before that."""
        return _connect(self._path, lambda: self.ended)

    def end(self) -> None:
        """End it with everything below it; return when it is gone."""
        with contextlib.suppress(OSError):
            self._lifeline.shutdown(socket.SHUT_WR)
            self._lifeline.settimeout(START_WITHIN)
            while self._lifeline.recv(1 << 16):
                pass
        self._lifeline.close()
        self._path.unlink(missing_ok=True)


class Zygote:
    """Starts the process with the first worker; several engines can share one.

    Args:
        folder: for sockets and the log; its path must be short, since those of sockets must be.
        guardian: starts the process.
    """

    def __init__(self, folder: Path, guardian: Guardian):
        self._folder = folder
        self._guardian = guardian
        self._process: Process | None = None
        self._path = folder
        self._lock = threading.Lock()

    def new_path(self) -> Path:
        """Return a path for a socket."""
        return self._folder / str(next(_numbers))

    def worker(self, asked: dict[str, Any]) -> Branch:
        """Return a worker that is about to import its charm.

        Args:
            asked: the `charm` folder, the `environment` and the `log` file of the worker.
        """
        path = self.new_path()
        with self._lock:
            if self._process is None or self._process.ended.is_set():
                self._process = self._start()
            process = self._process
        lifeline = _connect(self._path, process.ended.is_set)
        return Branch(path, lifeline, asked | {"socket": str(path)})

    def stop(self) -> None:
        """End the process, and whatever it still has below it."""
        with self._lock:
            if self._process is not None:
                self._process.stop()
                self._process = None

    def _start(self) -> Process:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._path = self.new_path()
        # -P keeps the working folder's modules out of the charms' imports.
        command = [sys.executable, "-P", "-m", "rehearsal.juju.worker", str(self._path)]
        return self._guardian.spawn(command, log=self._folder / "zygote.log", name="charms")


def _connect(path: Path, ended: Any) -> socket.socket:
    """Return a connection to a process that may still be starting."""
    deadline = time.monotonic() + START_WITHIN
    while True:
        channel = socket.socket(socket.AF_UNIX)
        try:
            channel.connect(str(path))
            return channel
        except OSError as error:
            channel.close()
            if ended() or time.monotonic() > deadline:
                raise OSError(f"a process of the charm's is gone: {error}") from None
            time.sleep(0.005)
