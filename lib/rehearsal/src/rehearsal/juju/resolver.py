"""Which hook is due: the difference between what is and what a unit has seen of it.

The order is that of Juju's uniter (juju/juju, internal/worker/uniter/resolver.go and relation/resolver.go).
A pure function of the state; it changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from rehearsal.juju.state import Application, Hook, Life, Model, Relation, SeenRelation, Unit


def next_hook(model: Model, unit: Unit, now: float) -> Hook | None:
    """Return the hook that `unit` should run at monotonic time `now`, or None if nothing is due."""
    application = model.applications[unit.application]
    if unit.failed is not None:
        due = unit.retry_at is not None and now >= unit.retry_at
        return unit.failed if due else None
    if not unit.address or unit.life is Life.DEAD:
        return None
    return next(_due(model, application, unit, now), None)


def _due(model: Model, application: Application, unit: Unit, now: float) -> Iterator[Hook]:
    """Yield what is due, the first thing first."""
    seen = unit.seen
    if not seen.installed:
        yield Hook("install", "lifecycle")
    elif seen.charm_version != application.charm_version:
        # What follows is a config-changed, since the commit forgets the configuration's version.
        yield Hook("upgrade-charm", "lifecycle")
    dying = Life.DYING in (unit.life, application.life)
    if not dying:
        yield from _beginning(model, application, unit)
    yield from _tasks(unit)
    relations = model.relations_of(application.name)
    yield from chain.from_iterable(_relation_hooks(model, r, application, unit, dying) for r in relations)
    if dying:
        if not seen.stopped:
            yield Hook("stop", "lifecycle")
        if not seen.removed:
            yield Hook("remove", "lifecycle")
        return
    yield from _secret_hooks(model, application, unit)
    if now >= seen.update_status_due:
        yield Hook("update-status", "lifecycle")


def _beginning(model: Model, application: Application, unit: Unit) -> Iterator[Hook]:
    """What comes before any other relation hook: created, leader-elected, config-changed, start."""
    seen = unit.seen
    for relation in model.relations_of(application.name):
        known = seen.relations.get(relation.id)
        if relation.life is Life.ALIVE and not (known and known.created):
            yield _relation_hook(relation, application.name, "created")
    if application.leader == unit.name and not seen.leader:
        yield Hook("leader-elected", "lifecycle")
    if seen.config_version != application.config_version:
        yield Hook("config-changed", "lifecycle")
    if not seen.started:
        yield Hook("start", "lifecycle")
    for container in application.charm.containers:
        if container not in seen.pebble_ready:
            yield Hook(f"{container}-pebble-ready", "workload", container=container)


def _tasks(unit: Unit) -> Iterator[Hook]:
    for task in unit.tasks:
        yield Hook(task.name, "task", task=task.id)


def _relation_hooks(
    model: Model, relation: Relation, application: Application, unit: Unit, dying: bool
) -> Iterator[Hook]:
    known = unit.seen.relations.get(relation.id)
    if known is None or not known.created or known.broken:
        return
    if dying or relation.life is not Life.ALIVE:
        # A unit that leaves departs from all that stay; the one that departs is then itself.
        departing = unit.name if unit.life is not Life.ALIVE else ""
        for name in sorted(known.members):
            yield _relation_hook(relation, application.name, "departed", name, departing or name)
        yield _relation_hook(relation, application.name, "broken")
        return
    yield from _membership_hooks(relation, application.name, known, unit)


def _membership_hooks(
    relation: Relation, application: str, known: SeenRelation, unit: Unit
) -> Iterator[Hook]:
    """Departed for who left, changed right after joined, changed on every real change."""
    remote = relation.remote(application)
    present = {name for name in relation.in_scope(remote) if name != unit.name}
    for name in sorted(known.members.keys() - present):
        yield _relation_hook(relation, application, "departed", name, name)
    for name in sorted(present):
        version = relation.unit_data[name].version
        if name not in known.members:
            yield _relation_hook(relation, application, "joined", name)
        elif known.members[name] != version:
            yield _relation_hook(relation, application, "changed", name, version=version)
    settings = relation.application_data.get(remote)
    version = settings.version if settings else 0
    own_leader = relation.is_peer and unit.seen.leader
    if version != known.application_version and not own_leader:
        yield _relation_hook(relation, application, "changed", version=version)


def _relation_hook(
    relation: Relation,
    application: str,
    step: str,
    unit: str = "",
    departing: str = "",
    version: int = 0,
) -> Hook:
    endpoint = relation.end(application)
    name = f"{endpoint.name if endpoint else ''}-relation-{step}"
    return Hook(name, "relation", relation.id, step, unit, version, departing)


def _secret_hooks(model: Model, application: Application, unit: Unit) -> Iterator[Hook]:
    """Tell consumers of a new revision, and the owner of one that nobody tracks any more."""
    for secret in model.secrets.values():
        tracked = secret.consumers.get(unit.name)
        if tracked is not None and max(tracked, unit.seen.secrets.get(secret.id, 0)) < secret.latest:
            yield Hook("secret-changed", "secret", secret=secret.id)
        owner = secret.owner == unit.name or (
            secret.owner == application.name and application.leader == unit.name
        )
        if owner:
            told = unit.seen.secret_removals.get(secret.id, 0)
            in_use = {secret.latest, *secret.consumers.values()}
            for revision in sorted(secret.revisions):
                if revision > told and revision not in in_use:
                    yield Hook("secret-remove", "secret", secret=secret.id, revision=revision)
