"""The input of a hook: all data that its unit may read, and nothing else."""

from __future__ import annotations

from typing import Any

from rehearsal.juju.model import attaching
from rehearsal.juju.model.crossing import secrets_abroad
from rehearsal.juju.model.secrets import readable
from rehearsal.juju.model.state import Application, Hook, Life, Model, Relation, Secret, Unit


def build(model: Model, unit: Unit, hook: Hook) -> dict[str, Any]:
    """Return the plain data for a hook's process: a snapshot of the model as the unit may see it."""
    application = model.applications[unit.application]
    task = model.tasks.get(hook.task) if hook.task is not None else None
    leader = application.leader == unit.name
    return {
        "unit": unit.name,
        "application": application.name,
        "model": {"name": model.name, "uuid": model.uuid},
        "leader": leader,
        "hook": hook,
        "task": {"kind": task.kind, "parameters": task.parameters, "id": str(task.id)} if task else None,
        "config": {k: v for k, v in application.config.items() if v is not None},
        "relations": [_relation(r, unit, hook, leader=leader) for r in _visible(model, unit)],
        "secrets": [
            *(_secret(s, unit, unit.name, model) for s in model.secrets.values() if readable(s, unit)),
            *(_secret(s, unit, reader, source) for s, reader, source in secrets_abroad(model, unit)),
        ],
        "withheld": [s.id for s in model.secrets.values() if not s.owner and not readable(s, unit)],
        "resources": dict(application.resources),
        "planned_units": planned_units(application),
        "containers": {
            name: {
                # "Make no assumptions at all about the moment" (Juju's reference, pebble-ready).
                "ready": name in unit.seen.pebble_ready
                or hook.container == name
                or application.workload(name).ready == "install",
                "files": dict(application.workload(name).files),
                "exec": [answer.model_dump() for answer in application.workload(name).exec],
                "layers": {},
                "services": {},
                **unit.workloads.get(name, {}),
            }
            for name in application.charm.containers
        },
        "storage": [
            {"id": each.id, "name": each.spec.name, "index": each.index, "kind": each.spec.type}
            for each in attaching.of_unit(model, unit.name)
            # A hook finds what is attached, and what it is about.
            if each.id in unit.seen.storage or each.id == hook.storage
        ],
        "mounts": _mounts(model, application, unit),
        "endpoints": list(application.charm.endpoints),
        "unit_status": (unit.charm_status.current, unit.charm_status.message),
        "application_status": (application.status.current, application.status.message),
        "workload_version": unit.workload_version,
        "ports": list(unit.ports),
        "address": unit.address,
        "kept": dict(unit.kept),
    }


def _mounts(model: Model, application: Application, unit: Unit) -> dict[str, list[tuple[str, str]]]:
    """Return where each container has which storage; the pod has it from its start."""
    mine = {each.spec.name: each for each in attaching.of_unit(model, unit.name)}
    said = application.charm.metadata.get("containers") or {}
    return {
        name: [
            (mount.get("location") or mine[mount["storage"]].spec.mount_point, mine[mount["storage"]].id)
            for mount in (said[name] or {}).get("mounts") or ()
            if mount["storage"] in mine
        ]
        for name in application.charm.containers
    }


def planned_units(application: Application) -> int:
    """Return how many units will stay (Juju's goal-state, which counts no dying unit)."""
    if application.life is not Life.ALIVE:
        return 0
    return sum(unit.life is Life.ALIVE for unit in application.units.values())


def _visible(model: Model, unit: Unit) -> list[Relation]:
    """Return the relations whose scope contains the unit."""
    return [r for r in model.relations_of(unit.application) if unit.name in r.unit_data]


def _relation(relation: Relation, unit: Unit, hook: Hook, *, leader: bool) -> dict[str, Any]:
    remote, endpoint = relation.remote(unit.application), relation.end(unit.application)
    seen = unit.seen.relations.get(relation.id)
    listed = set(seen.members) if seen else set()
    readable = set(listed)
    if hook.relation == relation.id and hook.remote_unit:
        readable.add(hook.remote_unit)
        # relation-list omits the departing unit; its data stays readable.
        listed = listed - {hook.remote_unit} if hook.step == "departed" else listed | {hook.remote_unit}
    own = leader or relation.is_peer
    return {
        "id": relation.id,
        "endpoint": endpoint.name if endpoint else "",
        "interface": relation.interface,
        "peer": relation.is_peer,
        "remote_application": remote,
        "members": sorted(listed),
        # Only the leader reads its own application's data; in a peer relation every unit does.
        "local_application_data": _settings(relation, unit.application) if own else {},
        "remote_application_data": _settings(relation, remote),
        "local_unit_data": dict(relation.unit_data[unit.name].data),
        "remote_unit_data": {int(name.split("/")[1]): _written(relation, name) for name in sorted(readable)},
    }


def _settings(relation: Relation, application: str) -> dict[str, str]:
    settings = relation.application_data.get(application)
    return dict(settings.data) if settings else {}


def _written(relation: Relation, unit: str) -> dict[str, str]:
    settings = relation.unit_data.get(unit) or relation.left_data.get(unit)
    return dict(settings.data) if settings else {}


def _secret(secret: Secret, unit: Unit, reader: str, source: Model) -> dict[str, Any]:
    """Return a secret as a unit may read it, which has the name `reader` in the secret's model."""
    tracked = secret.consumers.get(reader, secret.latest)
    grants: dict[int, list[str]] = {}
    for grantee, relation in secret.grants.items():
        if relation is not None:
            grants.setdefault(relation, []).append(grantee)
    at_home = reader == unit.name
    owned = at_home and secret.owned_by(unit)
    return {
        "id": secret.id,
        # apiserver/facades/agent/secretsmanager/secrets.go, CreateSecretURIs
        "uri": f"secret://{source.uuid}/{secret.id}",
        "abroad": not at_home,
        "owner": {unit.name: "unit", unit.application: "app"}.get(secret.owner) if at_home else None,
        "label": (secret.label if owned else secret.consumer_labels.get(reader)) or None,
        "description": secret.description or None,
        "tracked": (tracked, dict(secret.revisions.get(tracked) or secret.revisions[secret.latest])),
        "latest": (secret.latest, dict(secret.revisions[secret.latest])),
        "expire": secret.expirations.get(secret.latest),
        "rotate": secret.rotate,
        "grants": grants if owned else {},
    }
