"""Juju secrets: revisions, grants, and which unit tracks which revision.

The rules come from Juju's reference "Secret" and "Hook", and from core/secrets and
apiserver/facades/agent/secretsmanager in juju/juju: a consumer needs a grant to read, it reads the
revision it tracks until it refreshes, and each side has its own labels.
"""

from __future__ import annotations

import calendar
import datetime
import secrets as randomness
import string
from typing import Any

from rehearsal.juju.model.crossing import secrets_abroad
from rehearsal.juju.model.errors import JujuError
from rehearsal.juju.model.state import Model, Secret, Unit, now

_ALPHABET = string.digits + string.ascii_lowercase[:22]
"""The alphabet of Juju's identifiers (rs/xid)."""

LARGEST = 1_000_000
"""Maximum bytes of a secret in Base64 (core/secrets/createsecret.go; before Juju 3.6.9, 8 KiB a value)."""

AGAIN = datetime.timedelta(minutes=5)
"""Delay before Juju reminds an idle owner (core/secrets, RotateRetryDelay and ExpireRetryDelay)."""


def new_id() -> str:
    """Return a unique identifier of twenty characters."""
    return "".join(randomness.choice(_ALPHABET) for _ in range(20))


def check_size(content: dict[str, str]) -> None:
    """Raise JujuError if a secret is too large."""
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
    """Return whether a unit may read a secret: as its owner, or by a grant."""
    return secret.owned_by(unit) or bool({unit.name, unit.application} & set(secret.grants))


def revise(secret: Secret, content: dict[str, str]) -> bool:
    """Add a revision if the content is new; return whether it is."""
    if content == secret.revisions[secret.latest]:
        return False
    secret.revisions[secret.latest + 1] = dict(content)
    secret.updated = now()
    return True


def next_rotation(policy: str, after: datetime.datetime) -> datetime.datetime | None:
    """Return the time of the next rotation under a policy (core/secrets/rotate.go)."""
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
    """Apply a hook's changes of secrets to the model.

    Args:
        model: the unit's model.
        unit: the unit that ran the hook.
        written: the worker's report (`translation.py`): secrets `added`, `changed`, `removed`, `read`
            (with the revision that the unit tracks now), and `removed_revisions`.
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
    abroad = {secret.id: (secret, reader) for secret, reader, _ in secrets_abroad(model, unit)}
    for id, (revision, label) in written["read"].items():
        secret, reader = (model.secrets[id], unit.name) if id in model.secrets else abroad.get(id, (None, ""))
        if secret is not None:
            secret.consumers[reader] = min(revision, secret.latest)
            if label and not (reader == unit.name and secret.owned_by(unit)):
                secret.consumer_labels[reader] = label


def _describe(secret: Secret, said: dict[str, Any]) -> None:
    secret.label, secret.description = said["label"] or "", said["description"] or ""
    secret.grants = {grantee: relation for relation, names in said["grants"].items() for grantee in names}
    if said["expire"] is not None:
        secret.expirations[secret.latest] = said["expire"]
    if said["rotate"] != secret.rotate:
        secret.rotate, secret.rotates = said["rotate"], next_rotation(said["rotate"], now())


def postpone_rotation(secret: Secret, *, rotated: bool) -> None:
    """Note that the owner got secret-rotate; it gets the next one soon if it did not rotate."""
    secret.rotates = next_rotation(secret.rotate, now()) if rotated else now() + AGAIN


def postpone_expiry(secret: Secret, revision: int) -> None:
    """Note that the owner got secret-expired; it gets more of them until it removes the revision."""
    if revision in secret.expirations:
        secret.expirations[revision] = now() + AGAIN


def forget(model: Model, entity: str) -> None:
    """Delete secrets, grants and reads of an application or unit that is gone."""
    for secret in list(model.secrets.values()):
        if secret.owner == entity:
            del model.secrets[secret.id]
        secret.consumers.pop(entity, None)
        secret.consumer_labels.pop(entity, None)
        secret.grants.pop(entity, None)


def revoke_relation(model: Model, relation: int) -> None:
    """Revoke the grants whose scope is a relation."""
    for secret in model.secrets.values():
        secret.grants = {who: scope for who, scope in secret.grants.items() if scope != relation}
