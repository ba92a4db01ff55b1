"""Decide which hook is due: compare the present state with the state that a unit has seen.

The order is that of Juju's uniter: juju/juju, internal/worker/uniter/resolver.go (NextOp and nextOp), with
relation/resolver.go, secrets/resolver.go and operation/runhook.go beside it. These are pure functions of the
state; `commit.py` notes what a unit has seen.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from itertools import chain

from rehearsal.juju.controller.ordering import InTurn, Order
from rehearsal.juju.model import attaching
from rehearsal.juju.model.crossing import secrets_abroad
from rehearsal.juju.model.state import Application, Hook, Life, Model, Relation, Secret, SeenRelation, Unit

_IN_TURN = InTurn()


def next_hook(
    model: Model, unit: Unit, now: float, today: datetime.datetime, order: Order = _IN_TURN
) -> Hook | None:
    """Return the hook that a unit should run, or None if nothing is due.

    Args:
        model: the unit's model.
        unit: the unit.
        now: monotonic seconds, for retries and update-status.
        today: the date and time, for rotation and expiry of secrets.
        order: of the unit's relations.
    """
    if not unit.address or unit.life is Life.DEAD:
        return None
    if unit.failed is not None:
        # "We can still run actions if the unit is in a hook error state" (actions/resolver.go).
        retry = unit.retry_at is not None and now >= unit.retry_at
        return next(_tasks(unit), unit.failed if retry else None)
    return next(_due(model, model.applications[unit.application], unit, now, today, order), None)


def leaving(application: Application, unit: Unit) -> bool:
    """Return whether the unit is being removed, alone or with its application."""
    return unit.life is not Life.ALIVE or application.life is not Life.ALIVE


def _due(
    model: Model, application: Application, unit: Unit, now: float, today: datetime.datetime, order: Order
) -> Iterator[Hook]:
    """Yield the hooks that are due, in their order."""
    seen, dying = unit.seen, leaving(application, unit)
    if not seen.installed:
        # A unit that dies before its installation has nothing to undo.
        if not dying:
            yield _lifecycle("install")
        return
    # config-changed follows upgrade-charm at once, and the first start follows config-changed at once, even
    # if the unit has begun to die (runhook.go, Commit).
    if seen.queued:
        yield _lifecycle(seen.queued)
    if not dying:
        if unit.code == application.charm_version:
            yield from _created(model, unit, order)
        if application.leader == unit.name and not seen.leader:
            yield _lifecycle("leader-elected")
        # "leader-settings-changed" is deprecated, and yet each standby unit runs it before config-changed.
        if application.leader not in (None, unit.name) and not (seen.leader or seen.leader_settings):
            yield _lifecycle("leader-settings-changed")
        yield from _pebble_ready(application, unit)
        yield from _secret_hooks(model, application, unit, today)
    yield from _tasks(unit)
    yield from _storage_hooks(model, unit, dying=dying)
    if dying:
        yield from _ending(model, application, unit, order)
        return
    if unit.code != application.charm_version:
        # Juju's reference of hooks, upgrade-charm: "stop (old charm) -> upgrade-charm (new charm) ->
        # config-changed -> start": on Kubernetes the pod is replaced.
        if seen.started and not seen.stopped:
            yield _lifecycle("stop")
        return
    if seen.charm_version != application.charm_version:
        yield _lifecycle("upgrade-charm")
    if seen.config_version != application.config_version:
        yield _lifecycle("config-changed")
    yield from _all_relations(model, application, unit, order)
    # "UpdateStatus hook runs if nothing else needs to."
    if seen.started and now >= seen.update_status_due:
        yield _lifecycle("update-status")


def _ending(model: Model, application: Application, unit: Unit, order: Order) -> Iterator[Hook]:
    """Yield the last hooks: relations break first; only a started unit gets stop."""
    yield from _all_relations(model, application, unit, order)
    if unit.seen.started and not unit.seen.stopped:
        yield _lifecycle("stop")
    if not unit.seen.removed:
        yield _lifecycle("remove")


def _lifecycle(name: str) -> Hook:
    return Hook(name, "lifecycle")


def _created(model: Model, unit: Unit, order: Order) -> Iterator[Hook]:
    """Yield relation-created, which precedes all other hooks of a relation and the first config-changed."""
    for relation in order.arranged(model.relations_of(unit.application)):
        known = unit.seen.relations.get(relation.id)
        if relation.life is Life.ALIVE and not relation.suspended and not (known and known.created):
            yield _relation_hook(relation, unit, "created")


def _pebble_ready(application: Application, unit: Unit) -> Iterator[Hook]:
    """Yield pebble-ready for each container, after start or install; Juju promises no order."""
    for container in application.charm.containers:
        begun = unit.seen.started or application.workload(container).ready == "install"
        if begun and container not in unit.seen.pebble_ready:
            yield Hook(f"{container}-pebble-ready", "workload", container=container)


def _tasks(unit: Unit) -> Iterator[Hook]:
    if unit.seen.installed:
        for task in unit.tasks:
            yield Hook(task.name, "task", task=task.id)


def _storage_hooks(model: Model, unit: Unit, *, dying: bool) -> Iterator[Hook]:
    """Yield storage-attached after start, and storage-detaching before all else when the unit goes.

    Storage that was never attached is not detached (storage/resolver.go).
    """
    for each in attaching.of_unit(model, unit.name):
        if dying and each.id in unit.seen.storage:
            yield Hook(f"{each.spec.name}-storage-detaching", "storage", storage=each.id)
        elif not dying and unit.seen.started and each.id not in unit.seen.storage:
            yield Hook(f"{each.spec.name}-storage-attached", "storage", storage=each.id)


def _all_relations(model: Model, application: Application, unit: Unit, order: Order) -> Iterator[Hook]:
    relations = order.arranged(model.relations_of(unit.application))
    return chain.from_iterable(_relation_hooks(each, application, unit) for each in relations)


def _relation_hooks(relation: Relation, application: Application, unit: Unit) -> Iterator[Hook]:
    """Yield the hooks of one relation that are due (relation/resolver.go, nextHookForRelation)."""
    if unit.name not in relation.unit_data:
        return
    known = unit.seen.relations.get(relation.id) or SeenRelation()
    dying = leaving(application, unit)
    over = dying or relation.life is not Life.ALIVE or relation.suspended
    remote = relation.remote(unit.application)
    present = set() if over else {name for name in relation.in_scope(remote) if name != unit.name}
    # changed follows joined before any other hook of the relation, even if the unit has left meanwhile.
    for name in sorted(name for name, version in known.members.items() if version is None):
        settings = relation.unit_data.get(name) or relation.left_data.get(name)
        version = settings.version if settings else 0
        yield _relation_hook(relation, unit, "changed", name, version=version)
    for name in sorted(known.members.keys() - present):
        # This unit departs if it or its application is being removed, else the remote unit does.
        yield _relation_hook(relation, unit, "departed", name, departing=unit.name if dying else name)
    if over:
        # "For a peer relation, relation-broken will never fire" (Juju's reference of hooks).
        if not relation.is_peer:
            yield _relation_hook(relation, unit, "broken")
        return
    yield from _data_hooks(relation, unit, known, sorted(present))


def _data_hooks(relation: Relation, unit: Unit, known: SeenRelation, present: list[str]) -> Iterator[Hook]:
    """Yield changed for the remote application, then joined for new units, then changed for each unit."""
    settings = relation.application_data.get(relation.remote(unit.application))
    version = settings.version if settings else 0
    # "The application leader will not receive a relation-changed event for the changes that it writes to the
    # peer relation's application data bag" (Juju's reference of hooks).
    if version != known.application_version and not (relation.is_peer and unit.seen.leader):
        yield _relation_hook(relation, unit, "changed", version=version)
    for name in present:
        if name not in known.members:
            yield _relation_hook(relation, unit, "joined", name)
    for name in present:
        version = relation.unit_data[name].version
        if known.members.get(name, version) != version:
            yield _relation_hook(relation, unit, "changed", name, version=version)


def _relation_hook(
    relation: Relation, unit: Unit, step: str, remote: str = "", *, departing: str = "", version: int = 0
) -> Hook:
    endpoint = relation.end(unit.application)
    name = f"{endpoint.name if endpoint else ''}-relation-{step}"
    return Hook(name, "relation", relation.id, step, remote, version, departing)


def _secret_hooks(
    model: Model, application: Application, unit: Unit, today: datetime.datetime
) -> Iterator[Hook]:
    """Yield expired and rotate for owners, changed for consumers, remove for owners, in this order."""
    mine = [
        secret
        for secret in model.secrets.values()
        if secret.owner == unit.name
        # The leader owns its application's secrets.
        or (secret.owner == application.name and application.leader == unit.name)
    ]
    for secret in mine:
        for revision, moment in sorted(secret.expirations.items()):
            if today >= moment:
                yield Hook("secret-expired", "secret", secret=secret.id, revision=revision)
    for secret in mine:
        if secret.rotates is not None and today >= secret.rotates:
            yield Hook("secret-rotate", "secret", secret=secret.id, version=secret.latest)
    at_home = ((secret, unit.name) for secret in model.secrets.values() if secret not in mine)
    abroad = ((secret, reader) for secret, reader, _ in secrets_abroad(model, unit))
    for secret, reader in chain(at_home, abroad):
        tracked = secret.consumers.get(reader)
        told = unit.seen.secrets.get(secret.id, 0)
        if tracked is not None and max(tracked, told) < secret.latest:
            yield Hook("secret-changed", "secret", secret=secret.id, version=secret.latest)
    for secret in mine:
        told = unit.seen.secret_removals.get(secret.id, set())
        for revision in obsolete(secret):
            if revision not in told:
                yield Hook("secret-remove", "secret", secret=secret.id, revision=revision)


def obsolete(secret: Secret) -> list[int]:
    """Return the revisions that no consumer will read again: not the latest, and not tracked."""
    in_use = {secret.latest, *secret.consumers.values()}
    return [revision for revision in sorted(secret.revisions) if revision not in in_use]
