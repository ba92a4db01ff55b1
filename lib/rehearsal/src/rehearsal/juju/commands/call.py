"""One run of a command: its input, its output, and the objects that the typed names refer to."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from rehearsal.juju.controller.engine import Engine
from rehearsal.juju.model import assumes, charms
from rehearsal.juju.model.errors import JujuError
from rehearsal.juju.model.state import Application, Life, Model, Unit

_NO_MODEL = """No model in focus.

Please use "juju models" to see models available to you.
You can set current model by running "juju switch"
or specify any other model on the command line using the "-m" option."""


class Gone(Exception):
    """Nobody waits for the command any more, after Ctrl-C for instance."""


class Client(Protocol):
    """The terminal at the other end."""

    gone: bool

    def send(self, kind: str, content: bytes) -> None:
        """Send a frame (`server.py`)."""
        ...

    def typed(self, *, whole: bool) -> str:
        """Return standard input, or one line of it."""
        ...


@dataclass
class Call:
    """A command under way.

    Attributes:
        engine: holds and changes the models.
        cwd: the working folder of the command.
        environment: the user's environment variables that Juju reads.
        client: the user's terminal.
        terminal: whether standard output is a terminal.
        finder: finds charms.
        arguments: the parsed command line.
    """

    engine: Engine
    cwd: Path
    environment: Mapping[str, str]
    client: Client
    terminal: bool
    finder: charms.Finder
    arguments: argparse.Namespace = field(default_factory=argparse.Namespace)
    _held: list[tuple[str, str]] = field(default_factory=list)
    _depth: int = 0
    _written: bool = False

    # The answer

    def out(self, text: str) -> None:
        """Print a text to standard output, unchanged, or into the file of `-o`."""
        if name := getattr(self.arguments, "output", ""):
            self._write(name, text)
            return
        self._held.append(("o", text))
        self._flush()

    def _write(self, name: str, text: str) -> None:
        try:
            with self.path(name).open("a" if self._written else "w", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            raise JujuError(f"open {name}: {(error.strerror or '').lower()}") from None
        self._written = True

    def info(self, line: str) -> None:
        """Print a line to standard error, as Juju does with its messages."""
        self._held.append(("e", f"{line}\n"))
        self._flush()

    def ask(self, question: str) -> str:
        """Print a question to standard error; return the line that the user types."""
        self._held.append(("e", question))
        self._flush()
        return self.client.typed(whole=False).strip()

    @property
    def skips_confirmation(self) -> bool:
        """Whether the user's environment turns off questions."""
        return self.environment.get("JUJU_SKIP_CONFIRMATION", "").lower() in ("1", "t", "true")

    @property
    def prompts(self) -> bool:
        """Whether removals ask first: the model's mode requires it, and the user has not turned it off."""
        mode = str(self.model.config.get("mode", "requires-prompts"))
        return "requires-prompts" in mode and not self.skips_confirmation

    def confirmed(self, question: str) -> bool:
        """Ask a question; return whether the answer is yes."""
        return self.ask(question).lower() in ("y", "yes")

    def read_input(self) -> str:
        """Return all of standard input."""
        return self.client.typed(whole=True)

    def _flush(self) -> None:
        while self._held and not self._depth:
            kind, text = self._held.pop(0)
            self.client.send(kind, text.encode(errors="backslashreplace"))

    # The engine

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the engine's lock, so that nothing changes.

        Send output only afterwards, so that a terminal that does not read blocks nobody else.
        """
        try:
            with self.engine.lock:
                self._depth += 1
                try:
                    yield
                finally:
                    self._depth -= 1
        finally:
            self._flush()

    def wait(self, condition: Callable[[], bool], seconds: float | None) -> bool:
        """Wait until a condition holds, for `seconds` at most; return whether it holds then.

        Raises:
            Gone: if nobody waits for the command any more.
            JujuError: if the rehearsal ends.
        """
        engine = self.engine
        with engine.changed:
            engine.changed.wait_for(
                lambda: self.client.gone or engine.stopping or condition(), timeout=seconds
            )
            if self.client.gone:
                raise Gone
            if engine.stopping:
                raise JujuError("the rehearsal has ended")
            return condition()

    # Names

    @property
    def model(self) -> Model:
        """The command's model: from `-m`, JUJU_MODEL, or `juju switch`."""
        given = getattr(self.arguments, "model", None) or self.environment.get("JUJU_MODEL")
        name = given or self.engine.current
        if not name:
            raise JujuError(_NO_MODEL)
        return self.model_named(name)

    def model_named(self, reference: str) -> Model:
        """Return the model with the name `[controller:][user/]name`, or with a UUID."""
        controller, _, name = reference.rpartition(":")
        if controller not in ("", "rehearsal"):
            raise JujuError(f"controller {controller} not found")
        user, _, name = name.rpartition("/")
        for model in self.engine.models.values():
            if user in ("", "admin") and name in (model.name, model.uuid):
                return model
        raise JujuError(f"model rehearsal:{user or 'admin'}/{name} not found")

    def application(self, name: str) -> Application:
        """Return an application of the model."""
        if name not in self.model.applications:
            raise JujuError(f'application "{name}" not found')
        return self.model.applications[name]

    def model_alive(self) -> None:
        """Raise JujuError if the model is being removed."""
        if self.model.life is not Life.ALIVE:
            raise JujuError(f'model "{self.model.name}" is no longer alive')

    def alive(self, application: Application) -> None:
        """Raise JujuError if the application is being removed."""
        if application.life is not Life.ALIVE:
            raise JujuError(f'application "{application.name}" is not alive')

    def unit(self, name: str) -> Unit:
        """Return a unit of the model; `application/leader` names the leader."""
        application, _, number = name.partition("/")
        if number == "leader":
            leader = self.application(application).leader
            if leader is None:
                raise JujuError(f'could not determine leader for "{application}"')
            return self.model.unit(leader)
        if not re.fullmatch(r"[a-z][a-z0-9-]*/\d+", name):
            raise JujuError(f'invalid unit name "{name}"')
        try:
            return self.model.unit(name)
        except KeyError:
            raise JujuError(f'unit "{name}" not found') from None

    def charm(self, reference: str, base: Path | None = None) -> tuple[charms.Charm, str]:
        """Return the charm that a reference names, and its origin.

        Raises:
            JujuError: if there is none, or if it assumes what the model does not have, unless forced.
        """
        charm, origin = self.finder.find(reference, base or self.cwd)
        if not getattr(self.arguments, "force", False):
            assumes.check(charm.metadata, self.engine.features)
        return charm, origin

    # Files

    def path(self, name: str) -> Path:
        """Return the path of a file from the command line."""
        return self.cwd / Path(name).expanduser()

    def read(self, name: str) -> str:
        """Return the text of a file; `-` is standard input."""
        if name == "-":
            return self.read_input()
        try:
            return self.path(name).read_text()
        except OSError as error:
            raise JujuError(f"open {name}: {(error.strerror or '').lower()}") from None
        except UnicodeDecodeError:
            raise JujuError(f"{name} contains non-UTF-8 sequences") from None
