"""The engine's side of the zygote, the process that forks all workers (`worker.py`)."""

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
from rehearsal.juju.charm_process.channel import send
from rehearsal.patience import PATIENCE

START_WITHIN = PATIENCE
"""Seconds within which a process must start to listen, or must end."""

_numbers = itertools.count(1)


class Branch:
    """A process that lives as long as the connection that made it, and accepts further connections.

    Args:
        path: the path of the socket on which it listens once it is ready.
        lifeline: the connection that made it.
        asked: the first message to it.

    Raises:
        OSError: if the other side of the lifeline is gone.
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
        """Whether the process is gone: only its end makes the lifeline readable."""
        if self._lifeline.fileno() < 0:
            return True
        waiting = select.poll()  # select() takes no descriptor above 1023, and several models need more
        waiting.register(self._lifeline, select.POLLIN)
        return bool(waiting.poll(0))

    def connect(self) -> socket.socket:
        """Return a connection to it as soon as it listens; raises OSError if it ends before."""
        return _connect(self._path, lambda: self.ended)

    def end(self) -> None:
        """End it and all its descendants; return when it is gone."""
        with contextlib.suppress(OSError):
            self._lifeline.shutdown(socket.SHUT_WR)
            self._lifeline.settimeout(START_WITHIN)
            while self._lifeline.recv(1 << 16):
                pass
        self._lifeline.close()
        self._path.unlink(missing_ok=True)


class Zygote:
    """The process that forks workers; it starts with the first worker, and several engines can share it.

    Args:
        folder: holds the sockets and the log; its path must be short, as paths of sockets must be.
        guardian: starts the process.
    """

    def __init__(self, folder: Path, guardian: Guardian):
        self._folder = folder
        self._guardian = guardian
        self._process: Process | None = None
        self._path = folder
        self._lock = threading.Lock()

    def new_path(self) -> Path:
        """Return a new path for a socket."""
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
        """End the process and its remaining descendants."""
        with self._lock:
            if self._process is not None:
                self._process.stop()
                self._process = None

    def _start(self) -> Process:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._path = self.new_path()
        # -P keeps modules of the working folder out of charms' imports.
        command = [sys.executable, "-P", "-m", "rehearsal.juju.charm_process.worker", str(self._path)]
        return self._guardian.spawn(command, log=self._folder / "zygote.log", name="charms")


def _connect(path: Path, ended: Any) -> socket.socket:
    """Return a connection to a process, which may still be starting."""
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
