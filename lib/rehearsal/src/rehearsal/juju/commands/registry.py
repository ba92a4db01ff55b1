"""How a command says what it is called, what it takes and what it does."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rehearsal.juju import durations
from rehearsal.juju.commands.call import Call
from rehearsal.juju.errors import JujuError

Function = Callable[[Call], int | None]
"""Does what a command does; returns the exit status, None for 0."""


@dataclass(frozen=True)
class Word:
    """A word of the command line that is no option.

    Attributes:
        name: of the attribute that it becomes.
        missing: what is said if it is not there; empty if it may be missing.
        many: whether it is all words that are left.
    """

    name: str
    missing: str = ""
    many: bool = False


@dataclass(frozen=True)
class Option:
    """An option.

    Attributes:
        names: such as `-m` and `--model`.
        help: what it is for.
        details: what argparse is to know.
    """

    names: tuple[str, ...]
    help: str
    details: dict[str, Any]

    @property
    def dest(self) -> str:
        """The attribute that it becomes."""
        longest = max(self.names, key=len)
        return self.details.get("dest") or longest.lstrip("-").replace("-", "_")

    @property
    def is_flag(self) -> bool:
        """Whether it takes no value."""
        return self.details.get("action") == "store_true"


@dataclass(frozen=True)
class Command:
    """A command of Juju's.

    Attributes:
        names: the name, and its aliases.
        usage: what follows the name in its help.
        words: what it takes besides options.
        options: those of its own.
        function: what it does; its docstring is the command's summary, in Juju's words.
        locked: whether the engine stands still meanwhile.
    """

    names: tuple[str, ...]
    usage: str
    words: tuple[Word, ...]
    options: tuple[Option, ...]
    function: Function
    locked: bool

    @property
    def summary(self) -> str:
        """One line on what it does."""
        return (self.function.__doc__ or "").strip().splitlines()[0]


REGISTRY: dict[str, Command] = {}
"""Every command by each of its names."""


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
        usage: what follows the name in its help.
        words: what it takes besides options.
        options: its options besides `-m`.
        locked: whether the engine stands still meanwhile; not for a command that waits or asks.
    """

    def register(function: Function) -> Function:
        entry = Command(names, usage, words, options, function, locked)
        REGISTRY.update(dict.fromkeys(names, entry))
        return function

    return register


def option(*names: str, help: str = "", **details: Any) -> Option:
    """Describe an option with a value, as argparse takes it."""
    return Option(names, help, {"default": "", **details})


def options(*names: str, help: str = "", **details: Any) -> Option:
    """Describe an option that may be given several times."""
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
    """Read a whole number."""
    try:
        return int(text)
    except ValueError:
        why = f'strconv.ParseInt: parsing "{text}": invalid syntax'
        raise argparse.ArgumentTypeError(f'invalid value "{text}" for option {{}}: {why}') from None


def duration(text: str) -> float:
    """Read a duration such as `5m30s`, as seconds."""
    try:
        return durations.seconds(text)
    except JujuError as error:
        raise argparse.ArgumentTypeError(f'invalid value "{text}" for option {{}}: {error}') from None
