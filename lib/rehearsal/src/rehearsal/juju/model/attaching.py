"""Which unit has which storage. The counterpart in Kubernetes: the claims of a StatefulSet's pods."""

from __future__ import annotations

from rehearsal.juju.model.state import Application, Model, Unit
from rehearsal.juju.model.storage import StorageInstance


def claim_template(application: Application, name: str) -> str:
    """Return the name of the template of claims (application.go, configureStorage)."""
    return f"{application.name}-{name}-{application.storage_id}"


def provide(model: Model, application: Application, unit: Unit) -> None:
    """Give a new unit its storage: that of a former unit of its number, or else a new one.

    The pod finds its predecessor's claims, so Juju attaches the same storage (state/application.go,
    UpsertCAASUnit).
    """
    for name, directive in application.storage.items():
        claim = f"{claim_template(application, name)}-{unit.pod}"
        kept = next((each for each in model.storage.values() if each.claim == claim), None)
        if kept is None:
            number = model.next_storage
            model.next_storage += 1
            spec = application.charm.storage[name]
            kept = StorageInstance(f"{name}/{number}", spec, directive, application.name, claim)
            model.storage[kept.id] = kept
        kept.unit = unit.name


def of_unit(model: Model, unit: str) -> list[StorageInstance]:
    """Return a unit's storage in the order of numbers."""
    mine = [each for each in model.storage.values() if each.unit == unit]
    return sorted(mine, key=lambda each: each.index)


def of_application(model: Model, application: str) -> list[StorageInstance]:
    """Return the storage of an application's units, present and former."""
    return [each for each in model.storage.values() if each.application == application]
