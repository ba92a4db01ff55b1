"""The server behind the `juju` command: one thread for each command that runs.

Client and server exchange frames over a Unix socket. The client sends a length (4 bytes, most significant
first) and as many bytes: first the request, a Python literal; later, on demand, its standard input.
The server sends a kind (1 byte), a length and as many bytes: `o` for standard output, `e` for standard error,
`?` to request standard input (`all`, or a `line`), and at last `x` with the exit status.
"""

from __future__ import annotations

import ast
import contextlib
import logging
import os
import queue
import shlex
import socket
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rehearsal.juju import client, commands
from rehearsal.juju.commands.call import Call, Gone
from rehearsal.juju.controller.engine import Engine
from rehearsal.juju.model.charms import Finder
from rehearsal.juju.model.errors import JujuError

logger = logging.getLogger(__name__)


def install(folder: Path, path: Path) -> None:
    """Write the programs `juju` and `juju-exec` into a folder.

    Args:
        folder: a folder for the user's PATH.
        path: the path of the server's socket, which REHEARSAL_SOCKET overrides.
    """
    # -S and -E skip start-up steps that the client does not need.
    python = shlex.join([sys.executable, "-SE", client.__file__])
    for name in ("juju", "juju-exec"):
        program = folder / name
        default = f'REHEARSAL_SOCKET="${{REHEARSAL_SOCKET:-{path}}}"'
        program.write_text(f'#!/bin/sh\n{default} exec {python} {name} "$@"\n')
        program.chmod(0o755)


class Server:
    """Answers `juju` and `juju-exec`.

    Args:
        engine: holds the models.
        path: the path of the socket.
        finder: finds charms; by default those of this folder, and stand-ins for those of Charmhub.

    Raises:
        OSError: if it cannot make the socket.
    """

    def __init__(self, engine: Engine, path: Path, finder: Finder | None = None):
        self._engine = engine
        self._finder = finder or Finder()
        self._clients: set[Client] = set()
        self._lock = threading.Lock()
        self.path = path
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        os.chmod(path, 0o600)  # noqa: PTH101
        self._listener.listen(64)
        threading.Thread(target=self._serve, name="juju", daemon=True).start()

    def close(self) -> None:
        """Stop answering; end commands that wait for something."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.path.unlink(missing_ok=True)
        with self._lock:
            clients = list(self._clients)
        for each in clients:
            each.close()

    def _serve(self) -> None:
        while True:
            try:
                channel, _ = self._listener.accept()
            except OSError:
                return
            caller = Client(channel, self._engine.poke)
            with self._lock:
                self._clients.add(caller)
            threading.Thread(target=self._answer, args=(caller,), daemon=True).start()

    def _answer(self, caller: Client) -> None:
        try:
            request = caller.request()
            call = Call(
                engine=self._engine,
                cwd=Path(request["cwd"]),
                environment=request["environment"],
                client=caller,
                terminal=request["terminal"],
                finder=self._finder,
            )
            caller.send("x", bytes([self._run(call, request)]))
        except Gone:
            pass
        except (ValueError, SyntaxError):
            logger.warning("what came over the socket was no request")
        finally:
            caller.close()
            with self._lock:
                self._clients.discard(caller)

    def _run(self, call: Call, request: dict[str, Any]) -> int:
        """Run a command; print a refusal as one message, a bug of ours as a traceback; the server goes on."""
        try:
            return commands.run(call, request["program"], request["argv"])
        except JujuError as error:
            call.info(f"ERROR {error}")
            return error.code
        except Gone:
            raise
        except Exception:  # no exception may end the server
            logger.exception("%s %s", request["program"], " ".join(request["argv"]))
            call.info(traceback.format_exc())
            return 1


class Client:
    """One run of the `juju` program, at the other end of a socket.

    Args:
        channel: the socket.
        on_end: called when the other side is gone, after Ctrl-C for instance.
    """

    def __init__(self, channel: socket.socket, on_end: Callable[[], None]):
        self.gone = False
        """Whether the other side is gone."""
        self._channel = channel
        self._on_end = on_end
        self._received: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()

    def request(self) -> dict[str, Any]:
        """Return the client's request; raises Gone if none comes."""
        threading.Thread(target=self._listen, daemon=True).start()
        return ast.literal_eval(self._next().decode())

    def send(self, kind: str, content: bytes) -> None:
        """Send a frame; if the other side is gone, drop it."""
        try:
            self._channel.sendall(kind.encode() + len(content).to_bytes(4, "big") + content)
        except OSError:
            self.gone = True

    def typed(self, *, whole: bool) -> str:
        """Return standard input, all of it or one line; raises Gone if the other side is gone."""
        self.send("?", b"all" if whole else b"line")
        return self._next().decode(errors="replace")

    def close(self) -> None:
        """Close the connection."""
        with contextlib.suppress(OSError):
            self._channel.shutdown(socket.SHUT_RDWR)
        self._channel.close()

    def _next(self) -> bytes:
        content = self._received.get()
        if content is None:
            raise Gone
        return content

    def _listen(self) -> None:
        """Receive until the other side hangs up."""
        with contextlib.suppress(OSError, ValueError), self._channel.makefile("rb") as stream:
            while len(header := stream.read(4)) == 4:
                self._received.put(stream.read(int.from_bytes(header, "big")))
        self.gone = True
        self._received.put(None)
        self._on_end()
