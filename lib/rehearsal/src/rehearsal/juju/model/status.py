"""The document that `juju status` of Juju 3.6 prints for a Kubernetes model.

Facts: juju/juju 3.6, cmd/juju/status/formatted.go and formatter.go (the document), cmd/juju/common/format.go
(times), state/application.go (the severities), state/status_model.go (caasApplicationDisplayStatus) and
internal/worker/caasapplicationprovisioner/ops.go (when units have not settled down).
"""

from __future__ import annotations

import datetime
import fnmatch
import uuid
from collections.abc import Sequence
from typing import Any

from rehearsal.juju.model import charms
from rehearsal.juju.model.names import natural
from rehearsal.juju.model.state import (
    Application,
    Life,
    Model,
    Offer,
    Relation,
    RemoteApplication,
    Status,
    Unit,
    now,
)
from rehearsal.juju.model.storage import StorageInstance
from rehearsal.juju.model.version import JUJU_VERSION

CONTROLLER = "rehearsal"
CONTROLLER_UUID = str(uuid.uuid5(uuid.NAMESPACE_DNS, CONTROLLER))
CLOUD, REGION = "rehearsal", "localhost"

ROLES = {"provides": "provider", "requires": "requirer"}
"""Juju's words for the sides of a relation."""

_LEFT_OUT_IF_EMPTY = {"charm-channel", "address", "life", "relations", "units", "version"}
_WORST_FIRST = ("error", "blocked", "waiting", "maintenance", "terminated", "active", "unknown")


def moment(at: datetime.datetime, *, utc: bool = False) -> str:
    """Return a time in the document's format: `23 Nov 2026 19:10:12Z`, or `2026-11-23 19:10:12Z` for UTC."""
    if utc:
        return at.astimezone(datetime.UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    return at.astimezone().strftime("%d %b %Y %H:%M:%S") + _zone(at)


def timestamp(*, utc: bool = False) -> str:
    """Return the present time of day in the format of document and table: `19:10:12Z`."""
    at = now() if utc else now().astimezone()
    return at.strftime("%H:%M:%S") + ("Z" if utc else _zone(at))


def _zone(at: datetime.datetime) -> str:
    offset = at.astimezone().strftime("%z")
    return "Z" if offset == "+0000" else f"{offset[:3]}:{offset[3:]}"


def application_status(application: Application) -> Status:
    """Return the status that `juju status` shows for an application.

    While units wait for their pods, it is `waiting`. Otherwise it is the status that the leader set, or else
    the worst status of the units.
    """
    units = application.units.values()
    if application.life is Life.ALIVE and any(unit.agent.current == "allocating" for unit in units):
        first = all(unit.workload.message == "installing agent" for unit in units)
        message = "installing agent" if first else "waiting for units to settle down"
        return Status("waiting", message, max(unit.agent.since for unit in units))
    if application.status.current != "unknown":
        return application.status
    if not units:
        return application.status
    rank = {name: number for number, name in enumerate(_WORST_FIRST)}
    return min((unit.workload for unit in units), key=lambda status: rank.get(status.current, len(rank)))


def selected(model: Model, patterns: Sequence[str]) -> list[str]:
    """Return the applications that `juju status` shows for these patterns, in the order of its table.

    A pattern matches an application, a unit (`app/0`, `app/leader`) or a state (juju/juju,
    apiserver/facades/client/client/status.go and filtering.go).
    """
    names = sorted(model.applications, key=natural)
    return [name for name in names if _is_shown(model.applications[name], patterns)]


def remote_selected(model: Model, patterns: Sequence[str]) -> list[str]:
    """Return the consumed offers that `juju status` shows for these patterns, in the order of its table."""
    names = sorted(model.remote_applications, key=natural)
    return [name for name in names if not patterns or _matches([name], patterns)]


def units_shown(application: Application, patterns: Sequence[str]) -> list[Unit]:
    """Return the units that `juju status` shows for these patterns, in the order of their numbers."""
    units = sorted(application.units.values(), key=lambda unit: unit.number)
    return [unit for unit in units if not patterns or _matches(_names(application, unit), patterns)]


def _is_shown(application: Application, patterns: Sequence[str]) -> bool:
    own = [application.name, application_status(application).current]
    return not patterns or _matches(own, patterns) or bool(units_shown(application, patterns))


def _names(application: Application, unit: Unit) -> list[str]:
    leader = [f"{application.name}/leader"] if application.leader == unit.name else []
    return [application.name, unit.name, unit.workload.current, unit.agent.current, *leader]


def _matches(names: Sequence[str], patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for name in names for pattern in patterns)


def document(model: Model, patterns: Sequence[str] = (), *, utc: bool = False) -> dict[str, Any]:
    """Return the status document of the whole model, or of the selected applications (`selected`)."""
    shown = [model.remote_applications[name] for name in remote_selected(model, patterns)]
    offered = (
        {name: _offer(model, each) for name, each in sorted(model.offers.items())} if not patterns else {}
    )
    return {
        "model": _model(model, utc=utc),
        "machines": {},
        "applications": {
            name: _application(model, model.applications[name], patterns, utc=utc)
            for name in selected(model, patterns)
        },
        **(
            {"application-endpoints": {each.name: _remote(model, each, utc=utc) for each in shown}}
            if shown
            else {}
        ),
        **({"offers": offered} if offered else {}),
        "storage": storage(model, utc=utc),
        "controller": {"timestamp": timestamp(utc=utc)},
    }


def storage_state(instance: StorageInstance) -> tuple[str, str]:
    """Return word and message of an instance's status."""
    if not instance.unit:
        return "detached", ""
    return "attached", f"Successfully provisioned volume {instance.claim}"


def storage(model: Model, *, utc: bool) -> dict[str, Any]:
    """Return the storage of a model; empty if it has none (cmd/juju/storage/list.go, CombinedStorage)."""
    if not model.storage:
        return {}
    found: dict[str, Any] = {"storage": {}, "filesystems": {}, "volumes": {}}
    for each in sorted(model.storage.values(), key=lambda each: each.index):
        state, message = storage_state(each)
        said = _status(Status(state, message, model.created), utc=utc)
        units = {each.unit: {"life": "alive"}} if each.unit else {}
        mount = {"mount-point": each.spec.mount_point, "read-only": each.spec.read_only, "life": "alive"}
        mounted = {each.unit: mount} if each.unit else {}
        shared = {"storage": each.id, "pool": each.directive.pool, "size": each.directive.size}
        found["storage"][each.id] = {
            "kind": each.spec.type,
            "life": "alive",
            "status": said,
            "persistent": False,
            **({"attachments": {"units": units}} if units else {}),
        }
        found["filesystems"][str(each.index)] = {
            "provider-id": each.claim,
            "volume": str(each.index),
            **shared,
            "attachments": {"containers": mounted, "units": units},
            "life": "alive",
            "status": said,
        }
        found["volumes"][str(each.index)] = {
            "provider-id": each.claim,
            **shared,
            "persistent": False,
            "life": "alive",
            "status": said,
        }
    return found


def _model(model: Model, *, utc: bool) -> dict[str, Any]:
    current = "available" if model.life is Life.ALIVE else "destroying"
    return {
        "name": model.name,
        "type": "caas",
        "controller": CONTROLLER,
        "cloud": CLOUD,
        "region": REGION,
        "version": JUJU_VERSION,
        "model-status": _status(Status(current, "", model.created), utc=utc),
        "sla": "unsupported",
    }


def _status(status: Status, *, utc: bool) -> dict[str, Any]:
    message = {"message": status.message} if status.message else {}
    return {"current": status.current, **message, "since": moment(status.since, utc=utc)}


def charm_url(application: Application) -> str:
    """Return Juju's name for the charm of an application: `local:web-3`, `ch:amd64/istio-pilot-0`."""
    name = f"{application.charm.name}-{application.revision}"
    return f"local:{name}" if application.origin == "local" else f"ch:amd64/{name}"


def base(application: Application) -> dict[str, str]:
    """Return the base of an application's charm."""
    return charms.base(application.charm.metadata)


def _application(
    model: Model, application: Application, patterns: Sequence[str], *, utc: bool
) -> dict[str, Any]:
    units = units_shown(application, patterns)
    said: dict[str, Any] = {
        "charm": charm_url(application) if application.origin == "local" else application.charm.name,
        "base": base(application),
        "charm-origin": application.origin,
        "charm-name": application.charm.name,
        "charm-rev": application.revision,
        "charm-channel": application.channel,
        "scale": application.scale,
        "provider-id": str(uuid.uuid5(uuid.UUID(model.uuid), application.name)),
        "address": application.address,
        "exposed": application.exposed,
        "life": "" if application.life is Life.ALIVE else str(application.life),
        "application-status": _status(application_status(application), utc=utc),
        "relations": relations(model, application),
        "units": {unit.name: _unit(application, unit, utc=utc) for unit in units},
        "version": application.workload_version,
        "endpoint-bindings": bindings(application),
    }
    return {key: value for key, value in said.items() if value or key not in _LEFT_OUT_IF_EMPTY}


def bindings(application: Application) -> dict[str, str]:
    """Return the space of each endpoint; Kubernetes has only one."""
    return dict.fromkeys(["", *sorted(application.charm.endpoints)], "alpha")


def relations(model: Model, application: Application) -> dict[str, list[dict[str, str]]]:
    """Return the related applications of each endpoint of an application, peers included.

    Relations through the model's own offers are not among them (juju/juju,
    apiserver/facades/client/client/status.go, fetchRelations).
    """
    found: dict[str, list[dict[str, str]]] = {}
    for relation in model.relations_of(application.name):
        if relation.offer:
            continue
        for endpoint in relation.endpoints:
            if endpoint.application == application.name:
                found.setdefault(endpoint.name, []).append(
                    {
                        "related-application": relation.remote(application.name),
                        "interface": relation.interface,
                        "scope": "global",
                    }
                )
    return dict(sorted(found.items()))


def relation_status(relation: Relation) -> str:
    """Return a relation's state: `joining` until a unit has entered it, then `joined` (statetracker.go)."""
    if relation.suspended:
        return "suspending" if relation.unit_data else "suspended"
    return "joined" if relation.unit_data else "joining"


def remote_status(remote: RemoteApplication) -> Status:
    """Return the status of a consumed offer: that of its application, or `terminated` without the offer."""
    application = remote.source.applications.get(remote.offer.application)
    if application is None or remote.source.offers.get(remote.offer.name) is not remote.offer:
        return Status("terminated", "offer has been removed")
    return application_status(application)


def connected(model: Model, offer: Offer) -> tuple[int, int]:
    """Return how many relations of an offer are joined, and how many there are."""
    using = [relation for relation in model.relations.values() if relation.offer == offer.name]
    return sum(relation_status(relation) == "joined" for relation in using), len(using)


def offered_endpoints(model: Model, offer: Offer) -> dict[str, dict[str, str]]:
    """Return interface and role of each endpoint of an offer, by name."""
    there = model.applications[offer.application].charm.endpoints
    return {
        name: {"interface": there[name].interface, "role": ROLES[there[name].role]}
        for name in sorted(offer.endpoints)
        if name in there
    }


def _offer(model: Model, offer: Offer) -> dict[str, Any]:
    active, total = connected(model, offer)
    counts = {"total-connected-count": total, "active-connected-count": active}
    return {
        "application": offer.application,
        "charm": charm_url(model.applications[offer.application]),
        **{name: count for name, count in counts.items() if count},
        "endpoints": offered_endpoints(model, offer),
    }


def _remote(model: Model, remote: RemoteApplication, *, utc: bool) -> dict[str, Any]:
    related: dict[str, list[str]] = {}
    for relation in model.relations_of(remote.name):
        if end := relation.end(remote.name):
            related.setdefault(end.name, []).append(relation.remote(remote.name))
    ends = {
        each.name: {"interface": each.interface, "role": ROLES[each.role]}
        for each in sorted(remote.endpoints.values(), key=lambda each: each.name)
    }
    life = {} if remote.life is Life.ALIVE else {"life": str(remote.life)}
    return {
        "url": f"{CONTROLLER}:{remote.url}",
        "endpoints": ends,
        **life,
        "application-status": _status(remote_status(remote), utc=utc),
        **({"relations": dict(sorted(related.items()))} if related else {}),
    }


def _unit(application: Application, unit: Unit, *, utc: bool) -> dict[str, Any]:
    said: dict[str, Any] = {
        "workload-status": _status(unit.workload, utc=utc),
        "juju-status": _status(unit.agent, utc=utc) | {"version": JUJU_VERSION},
    }
    if unit.life is not Life.ALIVE:
        said["juju-status"]["life"] = str(unit.life)
    if application.leader == unit.name:
        said["leader"] = True
    if unit.ports:
        said["open-ports"] = list(unit.ports)
    if unit.address:
        said["address"] = unit.address
    return said | {"provider-id": unit.pod}
