"""The server behind the `juju` command: one thread for each command that runs."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
import threading
import traceback
from collections.abc import Mapping
from pathlib import Path

from rehearsal.juju import commands
from rehearsal.juju.commands.call import Call, Gone
from rehearsal.juju.engine import Engine
from rehearsal.juju.errors import JujuError

logger = logging.getLogger(__name__)


class Server:
    """Answers `juju` and `juju-exec`.

    Args:
        engine: holds the models.
        path: of the socket.
        replacements: folders that run in the place of Charmhub charms.
    """

    def __init__(self, engine: Engine, path: Path, replacements: Mapping[str, Path] | None = None):
        self._engine = engine
        self._replacements = dict(replacements or {})
        self.path = path
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        os.chmod(path, 0o600)  # noqa: PTH101
        self._listener.listen(64)
        self._thread = threading.Thread(target=self._serve, name="juju", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop answering."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.path.unlink(missing_ok=True)

    def _serve(self) -> None:
        while True:
            try:
                channel, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(channel,), daemon=True).start()

    def _answer(self, channel: socket.socket) -> None:
        with channel, contextlib.suppress(OSError, Gone, ValueError):
            request = json.loads(channel.makefile().readline())

            def write(stream: str, text: str) -> None:
                try:
                    channel.sendall(json.dumps({"stream": stream, "text": text}).encode() + b"\n")
                except OSError:
                    raise Gone from None

            call = Call(
                engine=self._engine,
                cwd=Path(request["cwd"]),
                environment=request["environment"],
                stdin=request["stdin"],
                write=write,
                replacements=self._replacements,
            )
            status = self._run(call, request)
            channel.sendall(json.dumps({"exit": status}).encode() + b"\n")

    def _run(self, call: Call, request: dict) -> int:
        """Run a command; a refusal is one line, a bug of ours its traceback, and the server goes on."""
        try:
            return commands.run(call, request["program"], request["argv"])
        except JujuError as error:
            call.error(f"ERROR {error}\n")
            return error.code
        except Gone:
            raise
        except Exception:
            logger.exception("juju %s", " ".join(request["argv"]))
            call.error(traceback.format_exc())
            return 1
