"""The register of commands: their names, words, options and functions."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rehearsal.juju.commands.call import Call
from rehearsal.juju.model import durations
from rehearsal.juju.model.errors import JujuError

Function = Callable[[Call], int | None]
"""Runs a command; returns the exit status, or None for 0."""


@dataclass(frozen=True)
class Word:
    """A word of the command line that is not an option.

    Attributes:
        name: the attribute for it in the parsed command line.
        missing: the error message if it is missing; empty if it is optional.
        many: whether it takes all remaining words.
    """

    name: str
    missing: str = ""
    many: bool = False


@dataclass(frozen=True)
class Option:
    """An option.

    Attributes:
        names: such as `-m` and `--model`.
        help: its description.
        details: arguments of argparse's `add_argument`.
    """

    names: tuple[str, ...]
    help: str
    details: dict[str, Any]

    @property
    def dest(self) -> str:
        """The attribute for it in the parsed command line."""
        longest = max(self.names, key=len)
        return self.details.get("dest") or longest.lstrip("-").replace("-", "_")

    @property
    def is_flag(self) -> bool:
        """Whether it takes no value."""
        return self.details.get("action") == "store_true"


@dataclass(frozen=True)
class Command:
    """A Juju command.

    Attributes:
        names: the name, and its aliases.
        usage: the usage line of its help, after the name.
        words: its words besides options.
        options: its own options.
        function: runs it; the first line of its docstring is the command's summary, in Juju's words.
        locked: whether the command holds the engine's lock.
    """

    names: tuple[str, ...]
    usage: str
    words: tuple[Word, ...]
    options: tuple[Option, ...]
    function: Function
    locked: bool

    @property
    def all_options(self) -> tuple[Option, ...]:
        """Its own options, and `-o` if it has formats."""
        formatted = any("--format" in each.names for each in self.options)
        return (*self.options, OUTPUT) if formatted else self.options

    @property
    def summary(self) -> str:
        """A one-line description."""
        return (self.function.__doc__ or "").strip().splitlines()[0]


OUTPUT = Option(("-o", "--output"), "Specify an output file", {"default": ""})
"""An option of each command with formats (juju/cmd, output.go)."""

REGISTRY: dict[str, Command] = {}
"""All commands, by each of their names."""


def command(
    *names: str,
    usage: str = "",
    words: tuple[Word, ...] = (),
    options: tuple[Option, ...] = (),
    locked: bool = True,
) -> Callable[[Function], Function]:
    """Register a function as a command.

    Args:
        *names: the name, and its aliases.
        usage: the usage line of its help, after the name.
        words: its words besides options.
        options: its options besides `-m`.
        locked: whether the command holds the engine's lock; False for a command that waits or asks.
    """

    def register(function: Function) -> Function:
        entry = Command(names, usage, words, options, function, locked)
        REGISTRY.update(dict.fromkeys(names, entry))
        return function

    return register


def option(*names: str, help: str = "", **details: Any) -> Option:
    """Describe an option with a value; `details` are arguments of argparse's `add_argument`."""
    return Option(names, help, {"default": "", **details})


def options(*names: str, help: str = "", **details: Any) -> Option:
    """Describe an option that the user may give several times."""
    return Option(names, help, {"default": [], "action": "append", **details})


def flag(*names: str, help: str = "", **details: Any) -> Option:
    """Describe an option without a value; Juju also takes `--name=false`."""
    return Option(names, help, {"action": "store_true", **details})


def output(*formats: str) -> Option:
    """Describe `--format`; the first format is the default."""

    def known(text: str) -> str:
        if text not in formats:
            raise argparse.ArgumentTypeError(
                f'invalid value "{text}" for option {{}}: unknown format "{text}"'
            )
        return text

    help = f"Specify output format ({'|'.join(sorted(formats))})"
    return Option(("--format",), help, {"default": formats[0], "type": known})


def number(text: str) -> int:
    """Parse a whole number."""
    try:
        return int(text)
    except ValueError:
        why = f'strconv.ParseInt: parsing "{text}": invalid syntax'
        raise argparse.ArgumentTypeError(f'invalid value "{text}" for option {{}}: {why}') from None


def duration(text: str) -> float:
    """Parse a duration such as `5m30s`; return seconds."""
    try:
        return durations.seconds(text)
    except JujuError as error:
        raise argparse.ArgumentTypeError(f'invalid value "{text}" for option {{}}: {error}') from None
