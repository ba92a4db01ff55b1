"""Tables as Juju prints them."""

from __future__ import annotations

from collections.abc import Sequence

from rehearsal.juju.state import Model, now
from rehearsal.juju.status import application_status
from rehearsal.juju.worker import JUJU_VERSION


def table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table: columns two blanks apart, the last one as long as it is."""
    lines = [list(heading), *[list(map(str, row)) for row in rows]]
    widths = [max(len(line[number]) for line in lines) for number in range(len(heading))]
    text = ""
    for line in lines:
        text += "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() + "\n"
    return text


def render_status(model: Model, names: set[str] | None = None, *, show_relations: bool = False) -> str:
    """Return what `juju status` prints of a model, or of some of its applications."""
    applications = [
        each for name, each in sorted(model.applications.items()) if names is None or name in names
    ]
    heading = ["Model", "Controller", "Cloud/Region", "Version", "SLA", "Timestamp"]
    row = [model.name, "rehearsal", "rehearsal/localhost", JUJU_VERSION, "unsupported"]
    parts = [table(heading, [[*row, now().strftime("%H:%M:%SZ")]])]
    if not applications:
        return parts[0] + f'\nModel "admin/{model.name}" is empty.\n'
    rows, units = [], []
    for each in applications:
        status = application_status(each)
        alive = sum(unit.agent.current in ("idle", "executing") for unit in each.units.values())
        scale = str(alive) if alive == each.scale else f"{alive}/{each.scale}"
        rows.append(
            [
                each.name,
                each.workload_version,
                status.current,
                scale,
                each.charm.name,
                each.channel,
                str(each.revision),
                each.address,
                "yes" if each.exposed else "no",
                status.message,
            ]
        )
        for unit in each.units.values():
            star = "*" if each.leader == unit.name else ""
            message = unit.workload.message or (unit.agent.message if unit.agent.current != "idle" else "")
            units.append(
                [
                    unit.name + star,
                    unit.workload.current,
                    unit.agent.current,
                    unit.address,
                    ",".join(unit.ports),
                    message,
                ]
            )
    columns = [
        "App",
        "Version",
        "Status",
        "Scale",
        "Charm",
        "Channel",
        "Rev",
        "Address",
        "Exposed",
        "Message",
    ]
    parts.append(table(columns, rows))
    if units:
        parts.append(table(["Unit", "Workload", "Agent", "Address", "Ports", "Message"], units))
    if show_relations:
        parts.append(_integrations(model, {each.name for each in applications}))
    return "\n".join(parts)


def _integrations(model: Model, names: set[str]) -> str:
    rows = []
    for relation in model.relations.values():
        ends = {end.role: end for end in relation.endpoints}
        if not names & {end.application for end in relation.endpoints}:
            continue
        provider = ends.get("provides") or relation.endpoints[0]
        requirer = ends.get("requires") or relation.endpoints[0]
        kind = "peer" if relation.is_peer else "regular"
        message = "" if relation.life == "alive" else "removing"
        rows.append([str(provider), str(requirer), relation.interface, kind, message])
    return table(["Integration provider", "Requirer", "Interface", "Type", "Message"], sorted(rows))
