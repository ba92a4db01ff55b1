"""The second way to run a hook: the charm's own `dispatch`, as a process of its own.

The process has Juju's environment, and on its PATH the hook tools as programs (`hook_tool/main.go`). They ask
here, and get the answers that ops gets in the fast way. So a charm of any language runs, with its own Python
and its own packages. Facts: juju/juju 3.6, internal/worker/uniter/runner/runner.go (dispatch, or else
`hooks/<name>`) and context/env.go.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rehearsal.juju.charm_process.backend import Backend
from rehearsal.juju.charm_process.tools import Tools


def carry_out(backend: Backend, request: Mapping[str, Any]) -> int:
    """Run a hook with the charm's own dispatch; return its exit status, below zero if a signal ended it.

    Args:
        backend: answers the hook tools.
        request: the hook's request (`request.py`); `charm_root` is the charm's folder, `tools` comes first on
            PATH and has the hook tools, `socket` is a path for their questions.
    """
    root = Path(request["charm_root"])
    environment = dict(os.environ) | {
        "PATH": f"{request['tools']}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "JUJU_AGENT_SOCKET_ADDRESS": request["socket"],
        "JUJU_AGENT_SOCKET_NETWORK": "unix",
    }
    program = _program(root, os.environ["JUJU_DISPATCH_PATH"])
    if program is None:
        return 0  # "hook not implemented"
    clients = {
        Path(f"{request['socket']}.{name}"): backend.get_pebble(f"/charm/containers/{name}/pebble.socket")
        for name, said in request["containers"].items()
        if said["ready"]
    }
    environment["REHEARSAL_PEBBLE"] = request["socket"]
    with _answering(Tools(backend, request, environment), Path(request["socket"])), _pebble(clients):
        try:
            ran = subprocess.run([program], cwd=root, env=environment, stdin=subprocess.DEVNULL, check=False)
        except OSError as error:
            backend.juju_log("ERROR", f"cannot run {program.relative_to(root)}: {error.strerror}")
            return 1
    return ran.returncode


def _program(root: Path, path: str) -> Path | None:
    """Return what runs a hook: `dispatch`, or the hook's own program; None if the charm has neither."""
    return next((each for each in (root / "dispatch", root / path) if each.exists()), None)


@contextlib.contextmanager
def _pebble(clients: Mapping[Path, Any]) -> Iterator[None]:
    """Serve Pebble of the containers in which it answers."""
    if not clients:
        yield
        return
    from rehearsal.juju.charm_process import pebble_server  # only charms with containers need its library

    with pebble_server.serving(clients):
        yield


@contextlib.contextmanager
def _answering(tools: Tools, path: Path) -> Iterator[None]:
    """Answer the hook tools' questions, one after the other."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(64)
        thread = threading.Thread(target=_serve, args=(tools, listener), daemon=True)
        thread.start()
        try:
            yield
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            path.unlink(missing_ok=True)


def _serve(tools: Tools, listener: socket.socket) -> None:
    while True:
        try:
            channel, _ = listener.accept()
        except OSError:  # the hook has ended
            return
        with channel, contextlib.suppress(OSError), channel.makefile("rw") as file:
            asked = json.loads(file.readline() or "null")
            if asked is None:  # who asked has gone
                continue
            found = tools.answer(asked["tool"], asked["words"] or [], Path(asked["folder"]), asked["input"])
            file.write(json.dumps(dict(zip(("code", "output", "errors"), found, strict=True))) + "\n")
            file.flush()
