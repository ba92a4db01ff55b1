"""Secrets of the model's user, and a look at all others."""

from __future__ import annotations

import json
from typing import Any

import yaml

from rehearsal.juju import secrets
from rehearsal.juju.commands.call import FORMAT, FORMAT_YAML, Call, argument, command, pairs
from rehearsal.juju.errors import JujuError
from rehearsal.juju.state import Secret
from rehearsal.juju.status import moment
from rehearsal.juju.tabular import table

_CONTENT = (
    argument("words", nargs="*"),
    argument("--file"),
    argument("--info", default=""),
)


@command("add-secret", arguments=(argument("name"), *_CONTENT))
def add_secret(call: Call) -> None:
    """Add a new secret."""
    secret = secrets.add_user_secret(call.model, call.arguments.name, _content(call), call.arguments.info)
    call.out(f"{secret.uri}\n")


@command(
    "update-secret",
    arguments=(
        argument("name"),
        *_CONTENT,
        argument("--name", dest="new_name"),
        argument("--auto-prune", action="store_true"),
    ),
)
def update_secret(call: Call) -> None:
    """Update an existing secret."""
    secret = secrets.find(call.model, call.arguments.name)
    secret.name = call.arguments.new_name or secret.name
    secret.description = call.arguments.info or secret.description
    if call.arguments.words or call.arguments.file:
        secrets.revise(secret, _content(call))
    call.engine.poke()


@command("grant-secret", arguments=(argument("name"), argument("applications")))
def grant_secret(call: Call) -> None:
    """Grant access to a secret."""
    secret = secrets.find(call.model, call.arguments.name)
    for name in call.arguments.applications.split(","):
        secret.grants[call.application(name).name] = None


@command("revoke-secret", arguments=(argument("name"), argument("applications")))
def revoke_secret(call: Call) -> None:
    """Revoke access to a secret."""
    secret = secrets.find(call.model, call.arguments.name)
    for name in call.arguments.applications.split(","):
        secret.grants.pop(name, None)


@command("remove-secret", arguments=(argument("name"), argument("--revision", type=int)))
def remove_secret(call: Call) -> None:
    """Remove a existing secret."""
    secret = secrets.find(call.model, call.arguments.name)
    if call.arguments.revision is None:
        del call.model.secrets[secret.id]
    elif secret.revisions.pop(call.arguments.revision, None) is None:
        raise JujuError(f'secret "{secret.name}" revision {call.arguments.revision} not found')


@command("secrets", "list-secrets", arguments=(argument("--owner"), FORMAT))
def list_secrets(call: Call) -> None:
    """Lists secrets available in the model."""
    found = [s for s in call.model.secrets.values() if call.arguments.owner in (None, s.owner)]
    if call.arguments.format in ("json", "yaml"):
        said = {secret.id: _document(secret) for secret in found}
        call.out(json.dumps(said) + "\n" if call.arguments.format == "json" else yaml.safe_dump(said))
        return
    rows = [
        [s.id, s.name or s.label or "-", s.owner or "<model>", "never", str(s.latest), moment(s.updated)]
        for s in found
    ]
    call.out(table(["ID", "Name", "Owner", "Rotation", "Revision", "Last updated"], rows))


@command(
    "show-secret",
    arguments=(
        argument("name"),
        argument("--reveal", action="store_true"),
        argument("--revision", "-r", type=int),
        argument("--revisions", action="store_true"),
        FORMAT_YAML,
    ),
)
def show_secret(call: Call) -> None:
    """Shows details for a specific secret."""
    secret = secrets.find(call.model, call.arguments.name)
    said = _document(secret)
    if call.arguments.reveal:
        said["content"] = {"Data": dict(secret.revisions[call.arguments.revision or secret.latest])}
    if call.arguments.revisions:
        times = {"created": moment(secret.created), "updated": moment(secret.updated)}
        said["revisions"] = [{"revision": number, **times} for number in sorted(secret.revisions)]
    document = {secret.id: said}
    form = call.arguments.format
    call.out(json.dumps(document) + "\n" if form == "json" else yaml.safe_dump(document, sort_keys=False))


def _document(secret: Secret) -> dict[str, Any]:
    said: dict[str, Any] = {
        "uri": secret.id,
        "revision": secret.latest,
        "owner": secret.owner or "<model>",
        "created": moment(secret.created),
        "updated": moment(secret.updated),
    }
    for key in ("name", "label", "description"):
        if value := getattr(secret, key):
            said[key] = value
    return said


def _content(call: Call) -> dict[str, str]:
    """Return the content: `key=value` words, `key#file=path` ones, or a YAML file."""
    content: dict[str, str] = {}
    if call.arguments.file:
        content |= yaml.safe_load(call.file(call.arguments.file).read_text()) or {}
    for key, value in pairs(call.arguments.words).items():
        name, _, file = key.partition("#")
        content[name] = call.file(value).read_text() if file == "file" else value
    if not content:
        raise JujuError("missing secret value or filename")
    return {key: str(value) for key, value in content.items()}
