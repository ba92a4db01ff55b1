"""Tables in Juju's format.

Facts: juju/juju 3.6, cmd/juju/status/output_tabular.go and output_oneline.go, cmd/output/output.go.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from rehearsal.juju.model import status
from rehearsal.juju.model.names import natural
from rehearsal.juju.model.state import Application, Model, Unit
from rehearsal.juju.model.version import JUJU_VERSION

LONGEST_MESSAGE = 120
"""Maximum length of a message on a terminal, in characters."""

_LONGEST_VERSION = 30
_APPLICATIONS = (
    *("App", "Version", "Status", "Scale", "Charm"),
    *("Channel", "Rev", "Address", "Exposed", "Message"),
)
_UNITS = ("Unit", "Workload", "Agent", "Address", "Ports", "Message")
_REMOTE = ("SAAS", "Status", "Store", "URL")
_OFFERS = ("Offer", "Application", "Charm", "Rev", "Connected", "Endpoint", "Interface", "Role")
_STORAGE = ("Storage Unit", "Storage ID", "Type", "Pool", "Mountpoint", "Size", "Status", "Message")
_RELATIONS = ("Integration provider", "Requirer", "Interface", "Type", "Message")


def table(heading: Sequence[str], rows: Sequence[Sequence[object]], right: Collection[int] = ()) -> str:
    """Return a table with two blanks between columns; the last column is not padded.

    Args:
        heading: the first line.
        rows: the further lines.
        right: the numbers of the columns that are aligned to the right.
    """
    lines = [list(heading), *[[str(cell) for cell in row] for row in rows]]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    widths[-1] = 0
    text = ""
    for line in lines:
        cells = [
            cell.rjust(width) if number in right else cell.ljust(width)
            for number, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        text += "  ".join(cells).rstrip() + "\n"
    return text


def render_status(
    model: Model,
    patterns: Sequence[str] = (),
    *,
    show_relations: bool = False,
    show_storage: bool = False,
    terminal: bool = False,
    utc: bool = False,
) -> str:
    """Return the output of `juju status` for a model.

    Args:
        model: the model.
        patterns: select what is shown (`status.selected`); without patterns, everything is.
        show_relations: whether to show the integrations.
        show_storage: whether to show the storage.
        terminal: whether the output is a terminal, where Juju cuts long messages.
        utc: whether times are in UTC.
    """
    chosen = [model.applications[name] for name in status.selected(model, patterns)]
    heading = ["Model", "Controller", "Cloud/Region", "Version", "SLA", "Timestamp"]
    where = f"{status.CLOUD}/{status.REGION}"
    row = [model.name, status.CONTROLLER, where, JUJU_VERSION, "unsupported", status.timestamp(utc=utc)]
    parts = [table(heading, [row])]
    if remote := _remote(model, patterns):
        parts.append(table(_REMOTE, remote))
    if chosen:
        parts.append(table(_APPLICATIONS, [_application(each, terminal) for each in chosen], right={3, 6}))
    units = [_unit(each, unit, terminal) for each in chosen for unit in status.units_shown(each, patterns)]
    if units:
        parts.append(table(_UNITS, units))
    if not patterns and (offered := _offers(model)):
        parts.append(table(_OFFERS, offered))
    if show_relations and (rows := _relations(model, {each.name for each in chosen})):
        parts.append(table(_RELATIONS, rows))
    if show_storage and model.storage:
        parts.append(storage_table(model, _STORAGE))
    return "\n".join(parts)


def storage_table(model: Model, heading: Sequence[str]) -> str:
    """Return a table of the model's storage with these columns, detached storage first."""
    rows = []
    for each in sorted(model.storage.values(), key=lambda each: (natural(each.unit), natural(each.id))):
        state, message = status.storage_state(each)
        cells = {
            "Storage ID": each.id,
            "Type": each.spec.type,
            "Pool": each.directive.pool,
            "Mountpoint": each.spec.mount_point if each.unit else "",
            "Size": _size(each.directive.size),
            "Status": state,
            "Message": message,
        }
        rows.append([each.unit, *(cells[name] for name in heading[1:])])
    return table(heading, rows)


def _size(mebibytes: int) -> str:
    """Return a size as Juju shows it: `1.0 GiB`, `512 MiB` (go-humanize, IBytes)."""
    size, unit = float(mebibytes), "MiB"
    for larger in ("GiB", "TiB", "PiB"):
        if size < 1024:
            break
        size, unit = size / 1024, larger
    return f"{size:.1f} {unit}" if size < 10 else f"{size:.0f} {unit}"


def render_lines(model: Model, patterns: Sequence[str] = ()) -> str:
    """Return the output of `juju status --format line`: a line for each unit."""
    text = ""
    for name in status.selected(model, patterns):
        for unit in status.units_shown(model.applications[name], patterns):
            ports = f" {ports_shown(unit.ports)}" if unit.ports else ""
            states = f"agent:{unit.agent.current}, workload:{unit.workload.current}"
            text += f"- {unit.name}: {unit.address} ({states}){ports}\n"
    return text


def _remote(model: Model, patterns: Sequence[str]) -> list[list[str]]:
    names = status.remote_selected(model, patterns)
    there = [model.remote_applications[name] for name in names]
    return [[each.name, status.remote_status(each).current, status.CONTROLLER, each.url] for each in there]


def _offers(model: Model) -> list[list[str]]:
    rows = []
    for offer in sorted(model.offers.values(), key=lambda each: natural(each.name)):
        application = model.applications[offer.application]
        active, total = status.connected(model, offer)
        first = [offer.name, offer.application, application.charm.name, str(application.revision)]
        first.append(f"{active}/{total}")
        for name, said in status.offered_endpoints(model, offer).items():
            rows.append([*first, name, said["interface"], said["role"]])
            first = [""] * 5
    return rows


def _application(application: Application, terminal: bool) -> list[str]:
    shown = status.application_status(application)
    return [
        application.name,
        _version(application.workload_version),
        shown.current,
        _scale(application),
        application.charm.name,
        application.channel,
        str(application.revision),
        application.address,
        "yes" if application.exposed else "no",
        _message(shown.message, terminal),
    ]


def _version(version: str) -> str:
    first = version.partition("\n")[0]
    return first if len(first) <= _LONGEST_VERSION else first[: _LONGEST_VERSION - 3] + "..."


def _scale(application: Application) -> str:
    """Return the number of units that have started, and `/` the wanted number if that differs."""
    there = sum(unit.agent.current in ("idle", "executing") for unit in application.units.values())
    return str(there) if there == application.scale else f"{there}/{application.scale}"


def _unit(application: Application, unit: Unit, terminal: bool) -> list[str]:
    message = unit.workload.message
    if unit.agent.current == "allocating" and not message:
        message = unit.agent.message
    if doing := _doing(unit):
        message = f"({doing}) {message}"
    return [
        unit.name + ("*" if application.leader == unit.name else ""),
        unit.workload.current,
        unit.agent.current,
        unit.address,
        ports_shown(unit.ports),
        _message(message, terminal),
    ]


def _doing(unit: Unit) -> str:
    """Return the hook or action that a unit's agent runs."""
    if unit.agent.current != "executing":
        return ""
    found = re.match(r"running (?:action (\S+)|(\S+) hook)", unit.agent.message)
    return next(filter(None, found.groups()), "") if found else ""


def _message(message: str, terminal: bool) -> str:
    if not terminal or len(message) <= LONGEST_MESSAGE:
        return message
    return message[: LONGEST_MESSAGE - 3] + "..."


def ports_shown(ports: Sequence[str]) -> str:
    """Return opened ports by protocol, adjacent ports as a range: `80,8080-8082/tcp 53/udp`."""
    by_protocol: dict[str, list[int]] = {}
    for port in ports:
        number, _, protocol = port.partition("/")
        by_protocol.setdefault(protocol, []).append(int(number))
    shown = []
    for protocol, numbers in sorted(by_protocol.items()):
        runs: list[list[int]] = []
        for number in sorted(numbers):
            if runs and number == runs[-1][-1] + 1:
                runs[-1].append(number)
            else:
                runs.append([number])
        texts = [str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs]
        shown.append(f"{','.join(texts)}/{protocol}")
    return " ".join(shown)


def _relations(model: Model, names: Collection[str]) -> list[list[str]]:
    rows = []
    for relation in model.relations.values():
        if relation.offer or not any(end.application in names for end in relation.endpoints):
            continue
        ends = {end.role: str(end) for end in relation.endpoints}
        only = str(relation.endpoints[0])
        kind = "peer" if relation.is_peer else "regular"
        state = status.relation_status(relation)
        message = "" if state == "joined" else state
        rows.append(
            [ends.get("provides", only), ends.get("requires", only), relation.interface, kind, message]
        )
    return sorted(rows, key=lambda row: [natural(row[0]), natural(row[1])])
