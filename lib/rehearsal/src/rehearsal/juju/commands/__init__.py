"""The commands people type: one module for each family."""

from __future__ import annotations

import argparse
from typing import NoReturn

from rehearsal.juju.commands import (  # noqa: F401 (each registers its commands)
    actions,
    applications,
    configuration,
    deployment,
    models,
    refreshing,
    relations,
    secrets,
    showing,
    waiting,
)
from rehearsal.juju.commands.call import REGISTRY, Call, Command
from rehearsal.juju.commands.execution import juju_exec
from rehearsal.juju.errors import JujuError


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise JujuError(message, 2)

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        raise JujuError(message or "", status)


def run(call: Call, program: str, argv: list[str]) -> int:
    """Run a command line and return its exit status.

    Raises:
        JujuError: for whatever Juju would refuse.
    """
    if program == "juju-exec":
        return juju_exec(call, argv)
    if not argv or argv[0] in ("help", "--help", "-h"):
        call.out(_help(argv[1] if len(argv) > 1 else ""))
        return 0
    name, *rest = argv
    if name == "--version":
        name = "version"
    found = REGISTRY.get(name)
    if found is None:
        raise JujuError(f'juju: "{name}" is not a juju command. See "juju --help".', 2)
    if {"-h", "--help"} & set(rest[: rest.index("--") if "--" in rest else None]):
        call.out(_help(name))
        return 0
    call.arguments = _parser(found).parse_args(rest)
    if not found.locked:
        return found.function(call) or 0
    with call.engine.lock:
        return found.function(call) or 0


def _parser(found: Command) -> _Parser:
    parser = _Parser(prog=f"juju {found.names[0]}", add_help=False, allow_abbrev=False)
    parser.add_argument("-m", "--model")
    for ignored in ("--debug", "--verbose", "--quiet", "-q", "--no-color", "--color", "-B"):
        parser.add_argument(ignored, action="store_true", help=argparse.SUPPRESS)
    for names, details in found.arguments:
        parser.add_argument(*names, **details)
    return parser


def _help(name: str) -> str:
    if name in REGISTRY:
        found = REGISTRY[name]
        usage = _parser(found).format_usage().removeprefix("usage: ")
        return f"Usage: {usage}\nSummary:\n{found.summary}\n"
    lines = sorted({(entry.names[0], entry.summary) for entry in REGISTRY.values()})
    width = max(len(name) for name, _ in lines)
    listed = "\n".join(f"    {name:{width}}  {summary}" for name, summary in lines)
    return f"The juju command of a rehearsal.\n\nCommands:\n{listed}\n"
