"""Juju secrets: revisions, grants and who tracks what.

The rules are those of Juju's documentation "Secret": a consumer reads by grant, goes on reading the
revision it tracks until it refreshes, and labels are each side's own.
"""

from __future__ import annotations

import secrets as randomness
import string
from typing import Any

from rehearsal.juju.errors import JujuError
from rehearsal.juju.state import Model, Secret, Unit, now

_ALPHABET = string.digits + string.ascii_lowercase[:22]
"""That of Juju's identifiers (rs/xid)."""


def new_id() -> str:
    """Return twenty characters that no other secret has."""
    return "".join(randomness.choice(_ALPHABET) for _ in range(20))


def find(model: Model, reference: str) -> Secret:
    """Return a user's secret by name or URI; raises JujuError."""
    for secret in model.secrets.values():
        if reference in (secret.uri, secret.id, secret.name):
            return secret
    raise JujuError(f'secret "{reference}" not found')


def add_user_secret(model: Model, name: str, content: dict[str, str], description: str = "") -> Secret:
    """Add a secret of the model's user."""
    if any(name == secret.name for secret in model.secrets.values() if name):
        raise JujuError(f'secret with name "{name}" already exists')
    secret = Secret(new_id(), "", name=name, description=description, revisions={1: content})
    model.secrets[secret.id] = secret
    return secret


def revise(secret: Secret, content: dict[str, str]) -> None:
    """Add a revision, if it says anything new."""
    if content != secret.revisions[secret.latest]:
        secret.revisions[secret.latest + 1] = dict(content)
        secret.updated = now()


def commit_secrets(model: Model, unit: Unit, written: dict[str, Any]) -> None:
    """Put in what a hook did to secrets: the worker's report of made, changed, read and removed ones."""
    for said in written["owned"]:
        number = said["id"].removeprefix("secret:")
        owner = unit.application if said["owner"] == "app" else unit.name
        secret = model.secrets.get(number)
        if secret is None:
            secret = model.secrets[number] = Secret(number, owner, revisions={1: said["content"]})
        revise(secret, said["content"])
        secret.label, secret.description = said["label"] or "", said["description"] or ""
        secret.grants = {grantee: relation for relation, names in said["grants"].items() for grantee in names}
    for number in written["removed"]:
        model.secrets.pop(number.removeprefix("secret:"), None)
    for said in written["read"]:
        if secret := model.secrets.get(said["id"].removeprefix("secret:")):
            revisions = [r for r, content in secret.revisions.items() if content == said["tracked"]]
            secret.consumers[unit.name] = max(revisions, default=secret.latest)
            if said["label"]:
                secret.consumer_labels[unit.name] = said["label"]


def forget(model: Model, entity: str) -> None:
    """Take away what belonged to an application or a unit that is gone, and what it read."""
    for secret in list(model.secrets.values()):
        if secret.owner == entity:
            del model.secrets[secret.id]
        secret.consumers.pop(entity, None)
        secret.grants.pop(entity, None)


def revoke_relation(model: Model, relation: int) -> None:
    """End the grants that a relation scoped."""
    for secret in model.secrets.values():
        secret.grants = {who: scope for who, scope in secret.grants.items() if scope != relation}
