"""Relations between two models: each model holds a half, and both halves show the same data.

In each half a proxy stands for the application of the other model. In the model that consumes, it has the
name that the user gave the offer; in the model that offers, it has a name such as `remote-<id>` (juju/juju,
internal/worker/remoterelations, remoterelationsworker.go and apiserver/common/crossmodel/crossmodel.go).
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator

from rehearsal.juju.model import relations
from rehearsal.juju.model.state import Life, Model, Relation, Secret, Settings, Unit


def proxy_name(model: Model, application: str) -> str:
    """Return the name that an application of `model` has in models whose offers it uses."""
    return f"remote-{uuid.uuid5(uuid.UUID(model.uuid), application).hex}"


def mirror(model: Model) -> None:
    """Bring what the other models' applications have written into the halves of one model."""
    for relation in model.relations.values():
        if relation.proxy:
            _mirror(relation)


def _mirror(near: Relation) -> None:
    far = near.other
    if far is not None and near.other_model is not None and far.id not in near.other_model.relations:
        near.other = far = None
    if far is None or far.life is not Life.ALIVE:
        near.life = Life.DYING
    written = _written(near, far) if far is not None else {}
    for name, data in written.items():
        if name in near.unit_data:
            near.unit_data[name].replace(data)
        else:
            near.left_data.pop(name, None)
            near.unit_data[name] = Settings(dict(data), 1)
    for name in near.in_scope(near.proxy):
        if name not in written:
            relations.leave(near, name)


def _written(near: Relation, far: Relation) -> dict[str, dict[str, str]]:
    """Bring over an application's data; return its units' data by the names that the units have here."""
    theirs = far.remote(far.proxy)
    if settings := far.application_data.get(theirs):
        near.application_data.setdefault(near.proxy, Settings()).replace(settings.data)
    return {_renamed(name, near.proxy): far.unit_data[name].data for name in far.in_scope(theirs)}


def _renamed(unit: str, application: str) -> str:
    return f"{application}/{unit.partition('/')[2]}"


def secrets_abroad(model: Model, unit: Unit) -> Iterator[tuple[Secret, str, Model]]:
    """Yield other models' secrets that a unit may read, with its name there, and the model.

    Only the model that offers can grant them, to the whole application (juju/juju, state/secrets.go,
    GrantSecretAccess).
    """
    seen: set[str] = set()
    for near in model.relations_of(unit.application):
        far, source = near.other, near.other_model
        if far is None or source is None or near.suspended:
            continue
        reader = _renamed(unit.name, far.proxy)
        for secret in source.secrets.values():
            if secret.grants.get(far.proxy) == far.id and secret.id not in seen:
                seen.add(secret.id)
                yield secret, reader, source


def forget_proxy(model: Model, proxy: str) -> None:
    """Delete what a model's secrets remember of the units behind a proxy that no relation needs any more."""
    if any(relation.proxy == proxy for relation in model.relations.values()):
        return
    for secret in model.secrets.values():
        for remembered in (secret.consumers, secret.consumer_labels):
            for name in [each for each in remembered if each.startswith(f"{proxy}/")]:
                del remembered[name]
