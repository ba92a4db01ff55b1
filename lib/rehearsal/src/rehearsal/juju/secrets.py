"""Juju secrets: revisions, grants and who tracks what.

The rules are those of Juju's reference "Secret" and "Hook", and of core/secrets and
apiserver/facades/agent/secretsmanager in juju/juju: a consumer reads by grant, goes on reading the
revision it tracks until it refreshes, and labels are each side's own.
"""

from __future__ import annotations

import calendar
import datetime
import secrets as randomness
import string
from typing import Any

from rehearsal.juju.errors import JujuError
from rehearsal.juju.state import Model, Secret, Unit, now

_ALPHABET = string.digits + string.ascii_lowercase[:22]
"""That of Juju's identifiers (rs/xid)."""

LARGEST = 1_000_000
"""Bytes of a secret, encoded as Base64 (core/secrets/createsecret.go; before Juju 3.6.9, 8 KiB a value)."""

AGAIN = datetime.timedelta(minutes=5)
"""Until an owner that did nothing is told again (core/secrets, RotateRetryDelay and ExpireRetryDelay)."""


def new_id() -> str:
    """Return twenty characters that no other secret has."""
    return "".join(randomness.choice(_ALPHABET) for _ in range(20))


def check_size(content: dict[str, str]) -> None:
    """Raise JujuError if a secret may not be so large."""
    sizes = {key: (len(value.encode()) + 2) // 3 * 4 for key, value in content.items()}
    for key, size in sizes.items():
        if size > LARGEST:
            raise JujuError(f'base64 encoded secret content for key "{key}" too large: {size} bytes')
    if sum(sizes.values()) > LARGEST:
        raise JujuError(f"base64 encoded secret content too large: {sum(sizes.values())} bytes")


def find(model: Model, reference: str) -> Secret:
    """Return a user's secret by name or URI; raises JujuError."""
    for secret in model.secrets.values():
        if reference in (secret.uri, secret.id, secret.name):
            return secret
    raise JujuError(f'secret "{reference}" not found')


def add_user_secret(model: Model, name: str, content: dict[str, str], description: str = "") -> Secret:
    """Add a secret of the model's user; raises JujuError if the name is taken."""
    if any(name == secret.name for secret in model.secrets.values() if name):
        raise JujuError(f'secret with name "{name}" already exists')
    secret = Secret(new_id(), "", name=name, description=description, revisions={1: dict(content)})
    model.secrets[secret.id] = secret
    return secret


def readable(secret: Secret, unit: Unit) -> bool:
    """Whether a unit may read a secret: as its owner, or by a grant."""
    return secret.owned_by(unit) or bool({unit.name, unit.application} & set(secret.grants))


def revise(secret: Secret, content: dict[str, str]) -> bool:
    """Add a revision, if it says anything new; return whether it did."""
    if content == secret.revisions[secret.latest]:
        return False
    secret.revisions[secret.latest + 1] = dict(content)
    secret.updated = now()
    return True


def next_rotation(policy: str, after: datetime.datetime) -> datetime.datetime | None:
    """Return when a secret of this policy is to be rotated next (core/secrets/rotate.go)."""
    match policy:
        case "hourly":
            return after + datetime.timedelta(hours=1)
        case "daily":
            return after + datetime.timedelta(days=1)
        case "weekly":
            return after + datetime.timedelta(weeks=1)
        case "monthly" | "quarterly" | "yearly":
            return _months_later(after, {"monthly": 1, "quarterly": 3, "yearly": 12}[policy])
        case _:
            return None


def _months_later(after: datetime.datetime, months: int) -> datetime.datetime:
    year, month = divmod(after.year * 12 + after.month - 1 + months, 12)
    day = min(after.day, calendar.monthrange(year, month + 1)[1])
    return after.replace(year=year, month=month + 1, day=day)


def commit_secrets(model: Model, unit: Unit, written: dict[str, Any]) -> None:
    """Put in what a hook did to secrets.

    Args:
        model: the unit's model.
        unit: whose hook it was.
        written: the worker's report (`translation.py`): secrets `added`, `changed`, `removed`, `read`
            (with the revision that is tracked now), and `removed_revisions`.
    """
    for said in written["added"]:
        owner = unit.application if said["owner"] == "app" else unit.name
        secret = Secret(said["id"], owner, revisions={1: dict(said["content"])})
        model.secrets[secret.id] = secret
        _describe(secret, said)
    for said in written["changed"]:
        if secret := model.secrets.get(said["id"]):
            revise(secret, said["content"])
            _describe(secret, said)
    for id, revision in written["removed_revisions"]:
        if secret := model.secrets.get(id):
            secret.revisions.pop(revision, None)
            secret.expirations.pop(revision, None)
    for id in written["removed"]:
        model.secrets.pop(id, None)
    for id, (revision, label) in written["read"].items():
        if secret := model.secrets.get(id):
            secret.consumers[unit.name] = min(revision, secret.latest)
            if label and not secret.owned_by(unit):
                secret.consumer_labels[unit.name] = label


def _describe(secret: Secret, said: dict[str, Any]) -> None:
    secret.label, secret.description = said["label"] or "", said["description"] or ""
    secret.grants = {grantee: relation for relation, names in said["grants"].items() for grantee in names}
    if said["expire"] is not None:
        secret.expirations[secret.latest] = said["expire"]
    if said["rotate"] != secret.rotate:
        secret.rotate, secret.rotates = said["rotate"], next_rotation(said["rotate"], now())


def postpone_rotation(secret: Secret, *, rotated: bool) -> None:
    """Note that the owner was told to rotate a secret: it is told again soon if it did not."""
    secret.rotates = next_rotation(secret.rotate, now()) if rotated else now() + AGAIN


def postpone_expiry(secret: Secret, revision: int) -> None:
    """Note that the owner was told that a revision expired: it is told again until it removes it."""
    if revision in secret.expirations:
        secret.expirations[revision] = now() + AGAIN


def forget(model: Model, entity: str) -> None:
    """Take away what belonged to an application or a unit that is gone, and what it read."""
    for secret in list(model.secrets.values()):
        if secret.owner == entity:
            del model.secrets[secret.id]
        secret.consumers.pop(entity, None)
        secret.consumer_labels.pop(entity, None)
        secret.grants.pop(entity, None)


def revoke_relation(model: Model, relation: int) -> None:
    """End the grants that a relation scoped."""
    for secret in model.secrets.values():
        secret.grants = {who: scope for who, scope in secret.grants.items() if scope != relation}
