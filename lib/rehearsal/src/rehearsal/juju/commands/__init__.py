"""The `juju` commands: one module for each family."""

from __future__ import annotations

import difflib

from rehearsal.juju.commands import (  # noqa: F401 (each registers its commands)
    absent,
    actions,
    applications,
    configuration,
    constraining,
    consuming,
    controllers,
    deployment,
    describing,
    diffing,
    execution,
    exporting,
    helping,
    history,
    logs,
    models,
    modelsettings,
    offers,
    operations,
    refreshing,
    relations,
    resourcing,
    secrets,
    statusing,
    storing,
    tasks,
    waiting,
)
from rehearsal.juju.commands.call import Call
from rehearsal.juju.commands.parsing import USAGE, parse
from rehearsal.juju.commands.registry import REGISTRY, Command
from rehearsal.juju.model.errors import JujuError


def run(call: Call, program: str, argv: list[str]) -> int:
    """Run a command line and return its exit status.

    Args:
        call: the run of the command.
        program: `juju` or `juju-exec`.
        argv: the words after the program.

    Raises:
        JujuError: if Juju would refuse the command.
        Gone: if the user did not wait for the end.
    """
    if program == "juju-exec":
        return execution.juju_exec(call, argv)
    argv = {"--version": ["version"], "--help": ["help"], "-h": ["help"]}.get(
        " ".join(argv[:1]), argv[:1]
    ) + argv[1:]
    if not argv or argv[0] == "help":
        return _help(call, argv[1:])
    name, *rest = argv
    command = _find(name)
    if {"-h", "--help"} & set(rest[: rest.index("--") if "--" in rest else None]):
        return _help(call, [name])
    call.arguments = parse(command, rest)
    if not command.locked:
        return command.function(call) or 0
    with call.locked():
        return command.function(call) or 0


def _find(name: str) -> Command:
    if name in REGISTRY:
        return REGISTRY[name]
    if name in absent.WHY:
        raise JujuError(f"juju {name} is not rehearsed: {absent.WHY[name]}")
    near = difflib.get_close_matches(name, REGISTRY, 1)
    hint = f"\n\nDid you mean:\n\t{near[0]}" if near else ""
    raise JujuError(f'juju: "{name}" is not a juju command. See "juju --help".{hint}', USAGE)


def _help(call: Call, topics: list[str]) -> int:
    if not topics:
        call.out(helping.everything())
    elif topics[0] == "commands":
        call.out(helping.commands())
    else:
        call.out(helping.of(_find(topics[0])))
    return 0
