"""`juju debug-log`."""

from __future__ import annotations

import datetime
import fnmatch
import itertools
from collections.abc import Iterable

from rehearsal.juju.commands.call import Call
from rehearsal.juju.commands.parsing import USAGE
from rehearsal.juju.commands.registry import command, flag, number, option, options
from rehearsal.juju.model.errors import JujuError
from rehearsal.juju.model.state import LogLine, Model

_LEVELS = ("TRACE", "DEBUG", "INFO", "WARNING", "ERROR")
_SHOWN = 10
"""Number of lines that Juju shows by default."""

_EXCLUSIVE = (
    ("tail", "no_tail"),
    ("no_tail", "retry"),
    ("no_tail", "lines"),
    ("tail", "limit"),
    ("limit", "lines"),
    ("replay", "lines"),
)


@command(
    "debug-log",
    options=(
        options("-i", "--include", help="Only show log messages for these entities"),
        options("-x", "--exclude", help="Do not show log messages for these entities"),
        options("--include-module", help="Only show log messages for these logging modules"),
        options("--exclude-module", help="Do not show log messages for these logging modules"),
        options("--include-label", help="No effect here"),
        options("--exclude-label", help="No effect here"),
        option("-l", "--level", help="Log level to show, one of [TRACE, DEBUG, INFO, WARNING, ERROR]"),
        option("-n", "--lines", type=number, default=None, help="Show this many recent lines and continue"),
        option(
            "--limit", type=number, default=None, help="Show this many of the most recent logs and then exit"
        ),
        flag("--replay", help="Show the entire log and continue to append new ones"),
        flag("--tail", help="Show existing log messages and continue to append new ones"),
        flag("-T", "--no-tail", dest="no_tail", help="Show existing log messages and then exit"),
        flag("--utc", help="Show times in UTC"),
        flag("--date", help="Show dates as well as times"),
        flag("--ms", help="Show times to millisecond precision"),
        flag("--location", help="No effect here"),
        flag("--retry", help="No effect here"),
        option("--retry-delay", help="No effect here"),
    ),
    locked=False,
)
def debug_log(call: Call) -> None:
    """Displays log messages for a model."""
    arguments = call.arguments
    _check(call)
    with call.locked():
        model = call.model
        lines = list(model.log)
    wanted = _Wanted(call)
    call.out(wanted.text(_chosen(call, [line for line in lines if wanted(line)])))
    ends = arguments.no_tail or arguments.limit is not None
    follows = arguments.tail or arguments.lines is not None or (not ends and call.terminal)
    if not follows:
        return
    last = lines[-1] if lines else None
    while True:
        call.wait(lambda last=last: bool(model.log) and model.log[-1] is not last, None)
        with call.locked():
            new = _after(model, last)
        call.out(wanted.text(line for line in new if wanted(line)))
        last = new[-1]


def _check(call: Call) -> None:
    arguments = call.arguments
    if arguments.level and arguments.level.upper() not in _LEVELS:
        known = ", ".join(f'"{level}"' for level in _LEVELS)
        raise JujuError(f'level value "{arguments.level}" is not one of {known}', USAGE)
    for one, other in _EXCLUSIVE:
        if all(getattr(arguments, name) not in (None, False) for name in (one, other)):
            shown = " and ".join(f"--{name.replace('_', '-')}" for name in (one, other))
            raise JujuError(f"setting {shown} not valid", USAGE)


def _chosen(call: Call, lines: list[LogLine]) -> list[LogLine]:
    """Return the lines to show first: the last ones, or the first ones with --replay; 0 means all."""
    arguments = call.arguments
    if arguments.replay:
        return lines[: arguments.limit] if arguments.limit else lines
    count = next((said for said in (arguments.limit, arguments.lines) if said is not None), _SHOWN)
    return lines[-count:] if count else lines


def _after(model: Model, last: LogLine | None) -> list[LogLine]:
    """Return the lines after a line."""
    return list(itertools.takewhile(lambda line: line is not last, reversed(model.log)))[::-1]


class _Wanted:
    """Selects lines by the options, and formats them."""

    def __init__(self, call: Call):
        said = call.arguments
        self._level = _LEVELS.index(said.level.upper()) if said.level else 0
        self._include, self._exclude = [list(map(_entity, names)) for names in (said.include, said.exclude)]
        self._modules, self._no_modules = tuple(said.include_module), tuple(said.exclude_module)
        self._zone = datetime.UTC if said.utc else None
        self._form = ("%Y-%m-%d " if said.date else "") + "%H:%M:%S"
        self._ms = said.ms

    def __call__(self, line: LogLine) -> bool:
        if line.level in _LEVELS and _LEVELS.index(line.level) < self._level:
            return False
        if self._include and not _any(line.entity, self._include):
            return False
        if self._modules and not line.module.startswith(self._modules):
            return False
        return not _any(line.entity, self._exclude) and not (
            self._no_modules and line.module.startswith(self._no_modules)
        )

    def text(self, lines: Iterable[LogLine]) -> str:
        return "".join(
            f"{line.entity}: {self._time(line)} {line.level} {line.module} {line.message}\n" for line in lines
        )

    def _time(self, line: LogLine) -> str:
        at = line.time.astimezone(self._zone)
        return at.strftime(self._form) + (f".{at.microsecond // 1000:03}" if self._ms else "")


def _any(entity: str, patterns: list[str]) -> bool:
    return any(fnmatch.fnmatchcase(entity, pattern) for pattern in patterns)


def _entity(said: str) -> str:
    """Return the pattern for a user's name of entities: `web` means every unit, `web/0` one unit."""
    if "*" in said or said.startswith(("unit-", "controller-", "application-")):
        return said
    application, sign, unit = said.partition("/")
    return f"unit-{application}-{unit}" if sign else f"unit-{application}-*"
