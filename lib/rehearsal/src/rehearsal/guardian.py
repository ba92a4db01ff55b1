"""The process that owns every process of a rehearsal, so that none of them outlives it.

The rehearsal starts the guardian and asks it to start everything else. The guardian is their *subreaper*
(prctl(2)): a process that detaches itself, as a charm's watcher does, becomes the guardian's child again.
When the rehearsal ends for any reason, kill -9 included, the pipe between them breaks: the guardian ends all
its descendants, deletes the run folder and exits. If the guardian is killed instead, its children become the
rehearsal's, which ends them.

Without prctl (not Linux), nothing ends a process that detaches itself *and* loses its parent; everything
else still ends.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from rehearsal.patience import PATIENCE

_PR_SET_CHILD_SUBREAPER = 36
_GRACE = 4.0
"""Seconds between SIGTERM and SIGKILL."""
_MARK = "REHEARSAL_GUARDIAN"
"""An environment variable of all descendants of a guardian: the guardian's process ID."""


class Process:
    """A process that the guardian started."""

    def __init__(self, pid: int, name: str):
        self.pid = pid
        self.name = name
        self.returncode: int | None = None
        self.ended = threading.Event()

    def signal(self, number: int) -> None:
        """Send a signal, unless the process has ended."""
        if not self.ended.is_set():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def stop(self, grace: float = _GRACE) -> None:
        """Send SIGTERM, and SIGKILL after `grace` seconds; return when the process is gone."""
        self.signal(signal.SIGTERM)
        if not self.ended.wait(grace):
            self.signal(signal.SIGKILL)
            self.ended.wait(grace)


class Guardian:
    """The rehearsal's side: starts processes and tracks when they end.

    Args:
        folder: the run folder, which the guardian deletes at the end; None if there is none.
    """

    def __init__(self, folder: Path | None = None):
        _become_subreaper()
        ours, theirs = socket.socketpair()
        self._process = subprocess.Popen(
            [sys.executable, "-P", __file__, str(theirs.fileno()), str(folder or "")],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        theirs.close()
        self._socket = ours
        self._lines = ours.makefile("r")
        self._lock = threading.Lock()
        self._answers: dict[int, Process | str] = {}
        self._answered = threading.Condition()
        self._processes: dict[int, Process] = {}
        self._next = 0
        self._closing = False
        self._listener = threading.Thread(target=self._listen, name="guardian", daemon=True)
        self._listener.start()

    @property
    def pid(self) -> int:
        """The guardian's process ID."""
        return self._process.pid

    def spawn(
        self,
        argv: Sequence[str | os.PathLike[str]],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        name: str = "",
    ) -> Process:
        """Start a process and append its output to `log`.

        Raises:
            OSError: if it cannot be started.
        """
        argv = [os.fspath(part) for part in argv]
        with self._lock:
            self._next += 1
            request = {
                "id": self._next,
                "argv": argv,
                "env": {**(os.environ if env is None else env), _MARK: str(self.pid)},
                "cwd": str(cwd or "/"),
                "log": str(log),
                "name": name or Path(argv[0]).name,
            }
            self._socket.sendall(json.dumps(request).encode() + b"\n")
        with self._answered:
            done = self._answered.wait_for(lambda: request["id"] in self._answers, timeout=PATIENCE)
            answer = self._answers.pop(request["id"]) if done else "the guardian does not answer"
        if isinstance(answer, str):
            raise OSError(answer)
        return answer

    def keep_cgroups(self, folders: Sequence[Path]) -> None:
        """Have cgroups removed, with those below them, when no process is left."""
        with self._lock:
            self._socket.sendall(json.dumps({"cgroups": list(map(str, folders))}).encode() + b"\n")

    def close(self) -> None:
        """End every process, including detached ones, and the guardian."""
        self._closing = True
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_GRACE * 4)
        self._listener.join(_GRACE)
        self._lines.close()
        self._socket.close()
        self._end_orphans()

    def _end_orphans(self) -> None:
        """End the processes that become our children because the guardian died before them."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_GRACE)
        end_descendants(os.getpid(), mark=f"{_MARK}={self.pid}")

    def __enter__(self) -> Guardian:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _listen(self) -> None:
        for line in self._lines:
            said = json.loads(line)
            with self._answered:
                if "error" in said:
                    self._answers[said["id"]] = said["error"]
                elif "id" in said:
                    process = Process(said["pid"], said["name"])
                    self._processes[said["pid"]] = self._answers[said["id"]] = process
                elif process := self._processes.pop(said["ended"], None):
                    process.returncode = said["code"]
                    process.ended.set()
                self._answered.notify_all()
        if not self._closing:
            self._end_orphans()
        for process in self._processes.values():
            process.ended.set()


def end_descendants(root: int, *, mark: str = "") -> None:
    """Send SIGTERM to all descendants of a process, then SIGKILL until none is left.

    Args:
        root: the process; it must be the caller.
        mark: a line of the environment; children without it, and their descendants, are spared.
    """
    deadline = time.monotonic() + _GRACE
    number = signal.SIGTERM
    while found := _descendants(root, mark):
        for pid in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)
        while time.monotonic() < deadline and _descendants(root, mark):
            time.sleep(0.02)
        for pid in found:
            _reap(pid)
        number, deadline = signal.SIGKILL, time.monotonic() + 0.5


def kill_family(root: int) -> None:
    """Kill a process and all its descendants, at once; a process that is gone is no error."""
    # The root first would make orphans of the others, which nobody could find any more.
    for pid in [*reversed(_descendants(root, "")), root]:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)


def _descendants(root: int, mark: str) -> list[int]:
    children: dict[int, list[int]] = {}
    for pid, parent in _parents().items():
        children.setdefault(parent, []).append(pid)
    first = [pid for pid in children.get(root, []) if not mark or mark.encode() in _environment(pid)]
    found: list[int] = []
    while first:
        pid = first.pop()
        found.append(pid)
        first += children.get(pid, [])
    return found


def _parents() -> dict[int, int]:
    """Return the parent of every living process; zombies do not count as living."""
    found: dict[int, int] = {}
    if not Path("/proc/self/stat").exists():
        return _parents_by_ps()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                if fields[0] not in "ZX":
                    found[int(entry.name)] = int(fields[1])
    return found


def _environment(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []


def _parents_by_ps() -> dict[int, int]:
    """Return what `_parents` returns, on systems without /proc; leave out `ps` itself."""
    command = ["ps", "-A", "-o", "pid=,ppid=,stat="]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as ps:
        rows = [line.split() for line in ps.communicate()[0].splitlines()]
    return {int(pid): int(parent) for pid, parent, state in rows if state[0] != "Z" and int(pid) != ps.pid}


def _become_subreaper() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _reap(which: int = -1) -> list[tuple[int, int]]:
    """Reap ended children, all of them or one; return their process IDs and exit statuses."""
    ended = []
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(which, os.WNOHANG)
            if not pid:
                break
            ended.append((pid, os.waitstatus_to_exitcode(status)))
    return ended


def _guard(channel: socket.socket, folder: str) -> None:
    """Run the guardian: start what is requested, report what ended, end all when the channel breaks."""
    _become_subreaper()
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    woken = _wake_on_child()
    buffer = b""
    cgroups: list[str] = []
    while True:
        for pid, code in _reap():
            _tell(channel, {"ended": pid, "code": code})
        ready, _, _ = select.select([channel, woken], [], [])
        if woken in ready:
            woken.recv(1 << 10)
        if channel not in ready:
            continue
        try:
            received = channel.recv(1 << 20)
        except OSError:
            received = b""
        if not received:
            break
        *lines, buffer = (buffer + received).split(b"\n")
        for line in lines:
            request = json.loads(line)
            if "cgroups" in request:
                cgroups += request["cgroups"]
            else:
                _tell(channel, _started(request))
    end_descendants(os.getpid())
    for each in cgroups:
        _remove_cgroup(each)
    if folder:
        shutil.rmtree(folder, ignore_errors=True)


def _remove_cgroup(folder: str) -> None:
    """Remove a cgroup and those below it; the kernel needs a moment after the last process."""
    deadline = time.monotonic() + _GRACE
    while Path(folder).is_dir() and time.monotonic() < deadline:
        for path, _, _ in os.walk(folder, topdown=False):
            with contextlib.suppress(OSError):
                Path(path).rmdir()
        time.sleep(0.02)


def _wake_on_child() -> socket.socket:
    """Return a socket that becomes readable when a child ends."""
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    signal.set_wakeup_fd(writer.detach())
    signal.signal(signal.SIGCHLD, lambda *_: None)
    return reader


def _started(request: dict) -> dict:
    try:
        with Path(request["log"]).open("ab") as log:
            process = subprocess.Popen(
                request["argv"],
                cwd=request["cwd"],
                env=request["env"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                restore_signals=True,
                preexec_fn=_default_signals,
            )
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        return {"id": request["id"], "error": str(error)}
    process.returncode = 0  # _reap() reaps it by its process ID
    return {"id": request["id"], "pid": process.pid, "name": request["name"]}


def _default_signals() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    # Ctrl-C in the terminal must reach only the rehearsal, which then ends us in order.
    os.setpgid(0, 0)


def _tell(channel: socket.socket, message: dict) -> None:
    with contextlib.suppress(OSError):
        channel.sendall(json.dumps(message).encode() + b"\n")


if __name__ == "__main__":
    _guard(socket.socket(fileno=int(sys.argv[1])), sys.argv[2])
