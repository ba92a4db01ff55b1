"""`juju show-unit` and `juju show-application`: all details of one unit or application."""

from __future__ import annotations

from typing import Any

from rehearsal.juju.commands.call import Call
from rehearsal.juju.commands.formats import document
from rehearsal.juju.commands.registry import Word, command, flag, option, output
from rehearsal.juju.model.names import natural
from rehearsal.juju.model.state import Application, Relation, Unit
from rehearsal.juju.model.status import base, bindings, charm_url


@command(
    "show-unit",
    usage="<unit name>",
    words=(Word("names", "a unit name must be supplied", many=True),),
    options=(
        option("--endpoint", help="Only show relation data for the specified endpoint"),
        option("--related-unit", help="Only show relation data for the specified unit"),
        flag("--app", help="Only show application relation data"),
        output("yaml", "json", "smart"),
    ),
)
def show_unit(call: Call) -> None:
    """Displays information about a unit."""
    units = [call.unit(name) for name in call.arguments.names]
    said = {unit.name: _unit(call, call.application(unit.application), unit) for unit in units}
    call.out(document(said, call.arguments.format))


def _unit(call: Call, application: Application, unit: Unit) -> dict[str, Any]:
    relations = [
        _relation(call, relation, unit)
        for relation in call.model.relations_of(application.name)
        if call.arguments.endpoint in ("", getattr(relation.end(application.name), "name", ""))
    ]
    said = {
        "workload-version": unit.workload_version,
        "opened-ports": list(unit.ports),
        "charm": charm_url(application),
        "leader": application.leader == unit.name,
        "life": str(unit.life),
        "relation-info": relations,
        "provider-id": unit.pod,
        "address": unit.address,
    }
    needed = ("opened-ports", "leader")
    return {key: value for key, value in said.items() if value or key in needed}


def _relation(call: Call, relation: Relation, unit: Unit) -> dict[str, Any]:
    """Return a unit's relation with its data: the remote application's, and the units'."""
    own, remote = relation.end(unit.application), relation.remote(unit.application)
    other = relation.end(remote)
    bag = relation.application_data.get(remote)
    said: dict[str, Any] = {
        "relation-id": relation.id,
        "endpoint": own.name if own else "",
        "related-endpoint": other.name if other else "",
        **({"cross-model": True} if relation.proxy else {}),
        "application-data": dict(bag.data) if bag else {},
    }
    if call.arguments.app:
        return said
    only = call.arguments.related_unit
    related = sorted((name for name in relation.in_scope(remote) if name != unit.name), key=natural)
    said["local-unit"] = _data(relation, unit.name)
    said["related-units"] = {name: _data(relation, name) for name in related if only in ("", name)}
    return said


def _data(relation: Relation, unit: str) -> dict[str, Any]:
    there = relation.unit_data.get(unit)
    return {"in-scope": there is not None, "data": dict(sorted(there.data.items())) if there else {}}


@command(
    "show-application",
    usage="<application name or alias>",
    words=(Word("names", "an application name must be supplied", many=True),),
    options=(output("yaml", "json", "smart"),),
)
def show_application(call: Call) -> None:
    """Displays information about an application."""
    said = {name: _application(call.application(name)) for name in call.arguments.names}
    call.out(document(said, call.arguments.format))


def _application(application: Application) -> dict[str, Any]:
    channel = {"channel": application.channel} if application.channel else {}
    on = base(application)
    return {
        "charm": application.charm.name,
        "base": f"{on['name']}@{on['channel']}",
        **channel,
        "constraints": {"arch": "amd64"},
        "principal": True,
        "exposed": application.exposed,
        "remote": False,
        "life": str(application.life),
        "endpoint-bindings": bindings(application),
    }
