"""The processes that run charms' code.

One process imports ops. It forks a worker for each application, which imports the charm and its libraries.
The worker forks a pod for each unit, and the pod forks a child for each hook. So every hook starts as a fresh
copy of the worker: only Juju's own state passes from one hook to the next, and nothing is imported twice.
A process that a hook leaves running, such as a watcher, becomes a child of the unit's pod (prctl(2),
PR_SET_CHILD_SUBREAPER) and ends with it.

Run as `python -m rehearsal.juju.charm_process.worker SOCKET`. A connection to SOCKET makes a worker, a
connection to a worker makes a pod, and a connection to a pod makes a hook. Workers and pods live as long as
the connection that made them.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import select
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rehearsal.guardian import end_descendants
from rehearsal.juju.charm_process.channel import receive, send
from rehearsal.network import names

if TYPE_CHECKING:
    from rehearsal.juju.charm_process.hooks import Hooks

STDOUT, STDERR = "stdout", "stderr"
"""Names of the files with a hook's output, beside its log."""

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36


def listen(path: Path) -> socket.socket:
    """Return a socket that listens at a path; the path appears only when the socket listens."""
    listener = socket.socket(socket.AF_UNIX)
    making = path.with_suffix(".new")
    listener.bind(str(making))
    listener.listen(16)
    making.rename(path)
    return listener


class Parent:
    """Forks a child for every connection; when the child ends, sends its exit code to the other side.

    Args:
        listener: the socket that accepts connections.
        child: the function that a child calls with its connection.
        lifeline: a connection whose end also ends the parent.
    """

    def __init__(
        self,
        listener: socket.socket,
        child: Callable[[socket.socket], None],
        lifeline: socket.socket | None = None,
    ):
        self._listener = listener
        self._child = child
        self._lifeline = lifeline
        self._channels: dict[int, socket.socket] = {}
        # Wakes select(2), which would otherwise miss a signal that arrives just before it.
        self._woken, self._waker = socket.socketpair()
        self._woken.setblocking(False)
        self._waker.setblocking(False)

    def serve(self) -> None:
        """Serve until SIGTERM or the end of the lifeline; then end all descendants."""
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)
        signal.set_wakeup_fd(self._waker.fileno())
        signal.signal(signal.SIGTERM, lambda *_: self._end())
        signal.signal(signal.SIGCHLD, lambda *_: None)
        watched = [each for each in (self._listener, self._woken, self._lifeline) if each is not None]
        while True:
            ready, _, _ = select.select(watched, [], [])
            if self._lifeline in ready:
                self._end()
            if self._woken in ready:
                self._woken.recv(1 << 12)
                self._reap()
            if self._listener in ready:
                self._fork(self._listener.accept()[0])

    def _fork(self, channel: socket.socket) -> None:
        pid = os.fork()
        if pid:
            self._channels[pid] = channel
            return
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        # The parent's sockets stay open as long as any process holds them.
        mine = (self._listener, self._lifeline, self._woken, self._waker, *self._channels.values())
        for inherited in mine:
            if inherited is not None:
                inherited.close()
        code = 1
        try:
            self._child(channel)
            code = 0
        except BaseException:  # a fault of the rehearsal's own must reach its log
            traceback.print_exc()
        finally:
            os._exit(code)

    def _reap(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if not pid:
                    return
                channel = self._channels.pop(pid, None)
                if channel is not None:
                    with contextlib.suppress(OSError):
                        send(channel, ("ended", os.waitstatus_to_exitcode(status)))
                    channel.close()

    def _end(self) -> None:
        end_descendants(os.getpid())
        os._exit(0)


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _redirect(output: Path, error: Path) -> None:
    for descriptor, path in ((1, output), (2, error)):
        opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(opened, descriptor)
        os.close(opened)


def _worker(channel: socket.socket) -> None:
    """Run as the worker of one application, for one version of its charm."""
    from rehearsal.juju.charm_process import hooks, importing

    asked = receive(channel)
    os.environ.clear()
    os.environ.update(asked["environment"])
    _redirect(Path(asked["log"]), Path(asked["log"]))
    os.chdir(asked["charm"])
    if asked["dispatched"]:
        ready: Hooks = hooks.DispatchedHooks(asked["metadata"])
        if asked["metadata"].get("containers"):
            from rehearsal.juju.charm_process import pebble_server  # noqa: F401 (for the children)
    else:
        ready = importing.ImportedHooks(Path(asked["charm"]), asked["metadata"])
    gc.collect()
    gc.freeze()  # keeps the memory shared with the children
    Parent(listen(Path(asked["socket"])), lambda each: _pod(ready, each), lifeline=channel).serve()


def _pod(hooks: Hooks, channel: socket.socket) -> None:
    """Run as the pod of one unit."""
    listener = listen(Path(receive(channel)))
    Parent(listener, lambda each: _hook(hooks, each), lifeline=channel).serve()


def _hook(hooks: Hooks, channel: socket.socket) -> None:
    """Run one hook: read the request, run it, send the result, end."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # the hook ends with a killed pod
    request: dict[str, Any] = receive(channel)
    send(channel, ("hook", os.getpid()))
    os.environ.clear()
    os.environ.update(request["environment"])
    if port := os.environ.get(names.VARIABLE):
        socket.getaddrinfo = names.leading_to(int(port))
    os.chdir(request["charm_root"])
    output = Path(request["output"])
    _redirect(output / STDOUT, output / STDERR)
    result = hooks.run(request, output, lambda *said: send(channel, ("said", said)))
    sys.stdout.flush()
    sys.stderr.flush()
    send(channel, ("result", result))


def main(path: Path) -> None:
    """Run as the process that forks the workers, with ops and its testing framework imported."""
    from rehearsal.juju.charm_process import importing  # noqa: F401 (imported for the children)

    gc.collect()
    gc.freeze()
    Parent(listen(path), _worker).serve()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
