"""The document that `juju status` prints, as Juju 3.6 has it for a Kubernetes model."""

from __future__ import annotations

import datetime
import fnmatch
from typing import Any

from rehearsal.juju.state import Application, Life, Model, Status, Unit, now
from rehearsal.juju.worker import JUJU_VERSION

_WORST_FIRST = ("error", "blocked", "waiting", "maintenance", "terminated", "active", "unknown")
"""How a state of units becomes the application's (juju/juju, core/status, DeriveStatus)."""


def moment(at: datetime.datetime) -> str:
    """Return a time as Juju's documents have it: `2026-11-23T19:10:12Z`."""
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def application_status(application: Application) -> Status:
    """Return the application's status: what its leader set, else that of its worst unit."""
    if application.status.current != "unknown":
        return application.status
    if not application.units:
        return Status("waiting", "waiting for units", application.status.since)
    units = [unit.workload for unit in application.units.values()]
    rank = {name: number for number, name in enumerate(_WORST_FIRST)}
    return min(units, key=lambda status: rank.get(status.current, len(rank)))


def document(model: Model, patterns: list[str] | None = None) -> dict[str, Any]:
    """Return the status document; `patterns` keep applications and units that match one."""
    chosen = {
        name: application
        for name, application in model.applications.items()
        if not patterns or any(_matches(application, pattern) for pattern in patterns)
    }
    return {
        "model": {
            "name": model.name,
            "type": "caas",
            "controller": "rehearsal",
            "cloud": "rehearsal",
            "region": "localhost",
            "version": JUJU_VERSION,
            "model-status": _status(
                Status("available" if model.life is Life.ALIVE else "destroying", "", model.created)
            ),
            "sla": "unsupported",
        },
        "machines": {},
        "applications": {name: _application(model, each) for name, each in sorted(chosen.items())},
        "storage": {},
        "controller": {"timestamp": now().strftime("%H:%M:%SZ")},
    }


def _matches(application: Application, pattern: str) -> bool:
    names = [application.name, *(unit.name for unit in application.units.values())]
    names += [application_status(application).current]
    return any(fnmatch.fnmatch(name, pattern) for name in names)


def _status(status: Status) -> dict[str, Any]:
    said: dict[str, Any] = {"current": status.current}
    if status.message:
        said["message"] = status.message
    return said | {"since": moment(status.since)}


def _application(model: Model, application: Application) -> dict[str, Any]:
    charm = application.charm
    local = application.origin == "local"
    said: dict[str, Any] = {
        "charm": f"local:{charm.name}-{application.revision}" if local else charm.name,
        "base": {"name": "ubuntu", "channel": "24.04"},
        "charm-origin": application.origin,
        "charm-name": charm.name,
        "charm-rev": application.revision,
    }
    if application.channel:
        said["charm-channel"] = application.channel
    said |= {"scale": application.scale, "provider-id": model.uuid}
    if application.address:
        said["address"] = application.address
    said |= {"exposed": application.exposed, "application-status": _status(application_status(application))}
    if application.life is not Life.ALIVE:
        said["life"] = str(application.life)
    if application.workload_version:
        said["version"] = application.workload_version
    said["relations"] = relations(model, application)
    said["units"] = {unit.name: _unit(application, unit) for unit in application.units.values()}
    said["endpoint-bindings"] = {"": "alpha"} | dict.fromkeys(charm.endpoints, "alpha")
    return said


def relations(model: Model, application: Application) -> dict[str, list[dict[str, str]]]:
    """Return what is related to each endpoint of an application."""
    found: dict[str, list[dict[str, str]]] = {}
    for relation in model.relations_of(application.name):
        endpoint = relation.end(application.name)
        entry = {
            "related-application": relation.remote(application.name),
            "interface": relation.interface,
            "scope": "global",
        }
        if endpoint is not None:
            found.setdefault(endpoint.name, []).append(entry)
    return found


def _unit(application: Application, unit: Unit) -> dict[str, Any]:
    said: dict[str, Any] = {
        "workload-status": _status(unit.workload),
        "juju-status": _status(unit.agent) | {"version": JUJU_VERSION},
    }
    if application.leader == unit.name:
        said["leader"] = True
    if unit.ports:
        said["open-ports"] = list(unit.ports)
    if unit.address:
        said["address"] = unit.address
    said["provider-id"] = unit.pod
    return said
