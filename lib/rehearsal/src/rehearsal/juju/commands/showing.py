"""`juju status`, `juju debug-log` and what shows one thing in full."""

from __future__ import annotations

import fnmatch
import json
import time
from typing import Any

import yaml

from rehearsal.juju import status
from rehearsal.juju.commands.call import FORMAT, FORMAT_YAML, Call, argument, command
from rehearsal.juju.commands.models import duration
from rehearsal.juju.errors import JujuError
from rehearsal.juju.state import LogLine, Relation, Unit
from rehearsal.juju.tabular import render_status

_LEVELS = ("TRACE", "DEBUG", "INFO", "WARNING", "ERROR")


@command(
    "status",
    locked=False,
    arguments=(
        argument("patterns", nargs="*"),
        FORMAT,
        argument("--relations", "--integrations", action="store_true"),
        argument("--watch", default=""),
        argument("--storage", action="store_true"),
        argument("--utc", action="store_true"),
    ),
)
def show_status(call: Call) -> None:
    """Report the status of the model, its machines, applications and units."""
    call.out(_status(call))
    while call.arguments.watch:
        time.sleep(duration(call.arguments.watch))
        # Clear the screen, as Juju does.
        call.out("\033[2J\033[H" + _status(call))


def _status(call: Call) -> str:
    with call.engine.lock:
        said = status.document(call.model, call.arguments.patterns)
        names = set(said["applications"])
        form = call.arguments.format
        if form in ("", "tabular", "summary"):
            if call.arguments.patterns and not names:
                return "Nothing matched specified filter.\n"
            return render_status(call.model, names, show_relations=call.arguments.relations)
        if form == "json":
            return json.dumps(said) + "\n"
        if form == "yaml":
            return yaml.safe_dump(said, sort_keys=False)
        if form in ("short", "line", "oneline"):
            return "\n".join(
                f"- {unit.name}: {unit.address} (agent:{unit.agent.current}, "
                f"workload:{unit.workload.current})"
                for unit in call.model.units()
                if unit.application in names
            )
    raise JujuError(f'invalid value "{form}" for option --format: unknown format "{form}"', 2)


@command(
    "debug-log",
    locked=False,
    arguments=(
        argument("--tail", "-t", action="store_true"),
        argument("--no-tail", "-T", action="store_true"),
        argument("--replay", action="store_true"),
        argument("--limit", type=int, default=0),
        argument("-n", "--lines", type=int, default=10),
        argument("--include", "-i", action="append", default=[]),
        argument("--exclude", "-x", action="append", default=[]),
        argument("--level", "-l", default="TRACE"),
        argument("--date", action="store_true"),
        argument("--ms", action="store_true"),
    ),
)
def debug_log(call: Call) -> None:
    """Displays log messages for a model."""
    level = call.arguments.level.upper()
    if level not in _LEVELS:
        raise JujuError(f"level value {call.arguments.level!r} is not one of {', '.join(_LEVELS)}", 2)
    with call.engine.lock:
        log, shown = call.model.log, 0
        lines = list(log)
    chosen = [line for line in lines if _wanted(call, line)]
    if call.arguments.limit:
        chosen = chosen[-call.arguments.limit :]
    elif call.arguments.tail and not call.arguments.replay:
        chosen = chosen[-call.arguments.lines :]
    call.out("".join(map(_line, chosen)))
    shown = len(lines)
    while call.arguments.tail:
        with call.engine.changed:
            call.engine.changed.wait_for(lambda seen=shown: len(log) > seen or call.engine.stopping, 1.0)
            fresh = list(log)[shown:]
            shown = len(log)
        call.out("".join(_line(line) for line in fresh if _wanted(call, line)))
        if call.engine.stopping:
            return


def _wanted(call: Call, line: LogLine) -> bool:
    def named(patterns: list[str]) -> bool:
        tags = [f"unit-{p.replace('/', '-')}*" if not p.startswith("unit-") else f"{p}*" for p in patterns]
        return any(fnmatch.fnmatch(line.entity, tag) for tag in [*tags, *patterns])

    level = _LEVELS.index(call.arguments.level.upper())
    if line.level in _LEVELS and _LEVELS.index(line.level) < level:
        return False
    if call.arguments.include and not named(call.arguments.include):
        return False
    return not (call.arguments.exclude and named(call.arguments.exclude))


def _line(line: LogLine) -> str:
    return f"{line.entity}: {line.time:%H:%M:%S} {line.level} {line.module} {line.message}\n"


@command("show-unit", arguments=(argument("names", nargs="+"), FORMAT_YAML))
def show_unit(call: Call) -> None:
    """Displays information about a unit."""
    said = {}
    for name in call.arguments.names:
        unit = call.unit(name)
        application = call.application(unit.application)
        said[unit.name] = {
            "workload-version": unit.workload_version,
            "opened-ports": list(unit.ports),
            "charm": f"local:{application.charm.name}-{application.revision}",
            "leader": application.leader == unit.name,
            "life": str(unit.life),
            "relation-info": [_relation(call, r, unit) for r in call.model.relations_of(unit.application)],
            "provider-id": unit.pod,
            "address": unit.address,
        }
    call.out(_dumped(call, said))


def _relation(call: Call, relation: Relation, unit: Unit) -> dict[str, Any]:
    """Return what a unit's relation holds: the remote application's data, and that of units."""
    own = relation.end(unit.application)
    remote = relation.remote(unit.application)
    other = relation.end(remote)

    def data(name: str) -> dict[str, Any]:
        there = relation.unit_data.get(name)
        return {"in-scope": there is not None, "data": dict(there.data) if there else {}}

    bag = relation.application_data.get(remote)
    return {
        "relation-id": relation.id,
        "endpoint": own.name if own else "",
        "related-endpoint": other.name if other else "",
        "application-data": dict(bag.data) if bag else {},
        "local-unit": data(unit.name),
        "related-units": {n: data(n) for n in relation.in_scope(remote) if n != unit.name},
    }


@command("show-application", arguments=(argument("names", nargs="+"), FORMAT_YAML))
def show_application(call: Call) -> None:
    """Displays information about an application."""
    said = {}
    for name in call.arguments.names:
        application = call.application(name)
        said[name] = {
            "charm": application.charm.name,
            "base": "ubuntu@24.04",
            "channel": application.channel,
            "principal": True,
            "exposed": application.exposed,
            "remote": False,
            "life": str(application.life),
            "endpoint-bindings": {"": "alpha"} | dict.fromkeys(application.charm.endpoints, "alpha"),
        }
    call.out(_dumped(call, said))


def _dumped(call: Call, said: Any) -> str:
    if call.arguments.format == "json":
        return json.dumps(said) + "\n"
    return yaml.safe_dump(said, sort_keys=False)
