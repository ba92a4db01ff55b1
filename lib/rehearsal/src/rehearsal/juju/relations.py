"""The scope of a relation: which units take part in it, and with which address.

A unit's agent enters the scope of every relation that it learns of before it runs the first of their hooks,
and leaves it when `relation-broken` has run or the unit is gone (juju/juju,
internal/worker/uniter/relation/statetracker.go, SynchronizeScopes). Entering puts the unit's address into
its settings, so `relation-joined` on the other side can read it.
"""

from __future__ import annotations

from rehearsal.juju.state import Life, Model, Relation, Settings, Unit


def enter(model: Model, unit: Unit) -> None:
    """Have a unit enter the scope of every relation of its application that it is not in yet."""
    if unit.life is not Life.ALIVE or unit.code != model.applications[unit.application].charm_version:
        return  # an old charm does not know the endpoints of the new one
    for relation in model.relations_of(unit.application):
        known = unit.seen.relations.get(relation.id)
        gone = relation.life is not Life.ALIVE or (known is not None and known.broken)
        if not gone and unit.name not in relation.unit_data:
            relation.left_data.pop(unit.name, None)
            relation.unit_data[unit.name] = Settings(_network(unit), 1)


def leave(relation: Relation, unit: str) -> None:
    """Take a unit out of a relation's scope; what it has written stays readable."""
    settings = relation.unit_data.pop(unit, None)
    if settings is not None:
        relation.left_data[unit] = settings


def readdress(model: Model, unit: Unit) -> None:
    """Put a unit's new address into its settings, where the others see it change."""
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
