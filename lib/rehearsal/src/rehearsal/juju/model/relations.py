"""Scopes of relations: which units take part, and with which address.

A unit's agent enters the scopes of all relations that it learns of, and then runs their hooks. It leaves a
scope when `relation-broken` has run or the unit is gone (juju/juju,
internal/worker/uniter/relation/statetracker.go, SynchronizeScopes). On entering, it puts the unit's address
into its settings, so `relation-joined` on the other side can read it.
"""

from __future__ import annotations

from rehearsal.juju.model.state import Life, Model, Relation, Settings, Unit


def enter(model: Model, unit: Unit) -> None:
    """Let a unit enter the scopes of its application's relations, unless it is in them already."""
    if unit.life is not Life.ALIVE or unit.code != model.applications[unit.application].charm_version:
        return  # an old charm does not know the endpoints of the new one
    for relation in model.relations_of(unit.application):
        known = unit.seen.relations.get(relation.id)
        over = relation.life is not Life.ALIVE or relation.suspended
        gone = over or (known is not None and known.broken)
        if not gone and unit.name not in relation.unit_data:
            relation.left_data.pop(unit.name, None)
            relation.unit_data[unit.name] = Settings(_network(unit), 1)


def leave(relation: Relation, unit: str) -> None:
    """Take a unit out of a relation's scope; its data stays readable."""
    settings = relation.unit_data.pop(unit, None)
    if settings is not None:
        relation.left_data[unit] = settings


def readdress(model: Model, unit: Unit) -> None:
    """Put a unit's new address into its settings; the other units see the change."""
    for relation in model.relations_of(unit.application):
        settings = relation.unit_data.get(unit.name)
        if settings is not None:
            settings.replace(settings.data | _network(unit))


def _network(unit: Unit) -> dict[str, str]:
    return {
        "egress-subnets": f"{unit.address}/32",
        "ingress-address": unit.address,
        "private-address": unit.address,
    }
