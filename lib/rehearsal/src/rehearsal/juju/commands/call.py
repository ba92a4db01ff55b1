"""One run of a command: what was typed, and where its answer goes."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rehearsal.juju import charms
from rehearsal.juju.engine import Engine
from rehearsal.juju.errors import JujuError
from rehearsal.juju.state import Application, Model, Unit


class Gone(Exception):
    """The terminal that asked is gone."""


@dataclass
class Call:
    """A command under way."""

    engine: Engine
    cwd: Path
    environment: Mapping[str, str]
    stdin: str
    write: Callable[[str, str], None]
    replacements: Mapping[str, Path]
    arguments: argparse.Namespace = field(default_factory=argparse.Namespace)

    def out(self, text: str) -> None:
        """Print to standard output."""
        self.write("out", text)

    def error(self, text: str) -> None:
        """Print to standard error, where Juju tells what it does."""
        self.write("err", text)

    @property
    def model(self) -> Model:
        """The model meant: `-m`, JUJU_MODEL, or the one switched to."""
        given = getattr(self.arguments, "model", None) or self.environment.get("JUJU_MODEL")
        name = (given or self.engine.current or "").rpartition(":")[2].rpartition("/")[2]
        if not name:
            raise JujuError("No selected model: add one with `juju add-model`")
        if name not in self.engine.models:
            raise JujuError(f"model rehearsal:admin/{name} not found")
        return self.engine.models[name]

    def application(self, name: str) -> Application:
        """Return an application of the model; raises in Juju's words."""
        if name not in self.model.applications:
            raise JujuError(f'application "{name}" not found')
        return self.model.applications[name]

    def unit(self, name: str) -> Unit:
        """Return a unit, also by `application/leader`; raises in Juju's words."""
        application, _, number = name.partition("/")
        if number == "leader":
            leader = self.application(application).leader
            if leader is None:
                raise JujuError(f'could not determine leader for "{application}"')
            return self.model.unit(leader)
        try:
            return self.model.unit(name)
        except (KeyError, ValueError):
            raise JujuError(f'unit "{name}" not found') from None

    def charm(self, reference: str, base: Path | None = None) -> tuple[charms.Charm, str]:
        """Return the charm that a reference means, and its origin."""
        return charms.find(reference, base or self.cwd, self.replacements)

    def file(self, name: str) -> Path:
        """Return the path of a file named on the command line."""
        return self.cwd / Path(name).expanduser()

    def text(self, value: str) -> str:
        """Return a value, or for `@file` what the file says."""
        if not value.startswith("@"):
            return value
        try:
            return self.file(value[1:]).read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise JujuError(f"cannot read option from file {value[1:]!r}: {error}") from None


def pairs(words: list[str], what: str = "key=value") -> dict[str, str]:
    """Return `key=value` words as a mapping."""
    found = {}
    for word in words:
        key, sign, value = word.partition("=")
        if not sign or not key:
            raise JujuError(f'expected "{what}", got "{word}"', 2)
        found[key] = value
    return found


Function = Callable[[Call], "int | None"]


@dataclass(frozen=True)
class Command:
    """A command: its names, its arguments, and what it does."""

    names: tuple[str, ...]
    summary: str
    arguments: tuple[tuple[tuple[str, ...], dict[str, Any]], ...]
    function: Function
    locked: bool


REGISTRY: dict[str, Command] = {}


def argument(*names: str, **details: Any) -> tuple[tuple[str, ...], dict[str, Any]]:
    """Describe an argument, as argparse takes it."""
    return names, details


FORMAT = argument("--format", default="")
FORMAT_YAML = argument("--format", choices=("yaml", "json"), default="yaml")


def command(
    *names: str, arguments: tuple[Any, ...] = (), locked: bool = True
) -> Callable[[Function], Function]:
    """Register a function as a command; its docstring is the help.

    Args:
        *names: the name, and its aliases.
        arguments: what it takes besides `-m`.
        locked: whether the engine stands still meanwhile; not for what waits.
    """

    def register(function: Function) -> Function:
        summary = (function.__doc__ or "").strip().splitlines()[0]
        entry = Command(names, summary, arguments, function, locked)
        REGISTRY.update(dict.fromkeys(names, entry))
        return function

    return register
