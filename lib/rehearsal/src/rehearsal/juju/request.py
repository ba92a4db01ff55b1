"""What a hook is given: everything that its unit may read, and nothing else."""

from __future__ import annotations

from typing import Any

from rehearsal.juju.state import Application, Hook, Life, Model, Relation, Secret, Unit


def build(model: Model, unit: Unit, hook: Hook) -> dict[str, Any]:
    """Return the plain data that the worker makes a State of."""
    application = model.applications[unit.application]
    task = model.tasks.get(hook.task) if hook.task is not None else None
    return {
        "unit": unit.name,
        "application": application.name,
        "model": {"name": model.name, "uuid": model.uuid},
        "leader": application.leader == unit.name,
        "hook": hook,
        "task": {"kind": task.kind, "parameters": task.parameters, "id": str(task.id)} if task else None,
        "config": {k: v for k, v in application.config.items() if v is not None},
        "relations": [_relation(r, unit, hook) for r in _visible(model, unit)],
        "secrets": [_secret(s, unit) for s in model.secrets.values() if readable(s, unit)],
        "resources": dict(application.resources),
        "planned_units": planned_units(application),
        "containers": application.charm.containers,
        "unit_status": (unit.workload.current, unit.workload.message),
        "application_status": (application.status.current, application.status.message),
        "workload_version": unit.workload_version,
        "ports": list(unit.ports),
        "address": unit.address,
        "stored": unit.stored,
    }


def planned_units(application: Application) -> int:
    """Return how many units are to stay (goal-state of Juju)."""
    if application.life is not Life.ALIVE:
        return 0
    return sum(unit.life is Life.ALIVE for unit in application.units.values())


def readable(secret: Secret, unit: Unit) -> bool:
    """Whether a unit may read a secret: as its owner, or by a grant."""
    return bool({unit.name, unit.application} & ({secret.owner} | set(secret.grants)))


def _visible(model: Model, unit: Unit) -> list[Relation]:
    """The relations that the unit's agent knows; a broken one is gone for it."""
    known = unit.seen.relations
    return [
        r
        for r in model.relations_of(unit.application)
        if not (r.id in known and known[r.id].broken) and (r.life is Life.ALIVE or r.id in known)
    ]


def _relation(relation: Relation, unit: Unit, hook: Hook) -> dict[str, Any]:
    remote = relation.remote(unit.application)
    seen = unit.seen.relations.get(relation.id)
    members = set(seen.members) if seen else set()
    if hook.relation == relation.id:
        members |= {hook.remote_unit} if hook.step == "joined" else set()
        members -= {hook.remote_unit} if hook.step == "departed" else set()
    endpoint = relation.end(unit.application)

    def settings(of: dict[str, Any], name: str) -> dict[str, str]:
        return dict(of[name].data) if name in of else {}

    return {
        "id": relation.id,
        "endpoint": endpoint.name if endpoint else "",
        "interface": relation.interface,
        "peer": relation.is_peer,
        "remote_application": remote,
        "local_application_data": settings(relation.application_data, unit.application),
        "remote_application_data": settings(relation.application_data, remote),
        "local_unit_data": settings(relation.unit_data, unit.name),
        "remote_unit_data": {
            int(name.split("/")[1]): settings(relation.unit_data, name) for name in sorted(members)
        },
    }


def _secret(secret: Secret, unit: Unit) -> dict[str, Any]:
    owner = {unit.name: "unit", unit.application: "app"}.get(secret.owner)
    tracked = secret.latest if owner else secret.consumers.get(unit.name, secret.latest)
    grants: dict[int, list[str]] = {}
    for grantee, relation in secret.grants.items():
        if relation is not None:
            grants.setdefault(relation, []).append(grantee)
    return {
        "id": secret.uri,
        "owner": owner,
        "label": secret.label if owner else secret.consumer_labels.get(unit.name),
        "description": secret.description or None,
        "tracked": dict(secret.revisions[tracked]),
        "latest": dict(secret.revisions[secret.latest]),
        "grants": grants,
        "tracks": unit.name in secret.consumers,
    }
