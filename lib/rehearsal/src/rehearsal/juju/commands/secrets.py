"""Commands that change the user's secrets, and show all secrets.

Facts: juju/juju 3.6, cmd/juju/secrets (output) and core/secrets (keys and values).
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any

import yaml

from rehearsal.juju.commands.call import Call
from rehearsal.juju.commands.formats import ago, document, moment
from rehearsal.juju.commands.parsing import USAGE
from rehearsal.juju.commands.registry import Word, command, flag, number, option, output
from rehearsal.juju.commands.tabular import table
from rehearsal.juju.model import secrets
from rehearsal.juju.model.errors import JujuError
from rehearsal.juju.model.state import Model, Secret, now

_KEY = re.compile(r"[a-z](-?[a-z0-9]){2,}")
_CONTENT = (
    option("--file", help="A YAML file containing secret key values"),
    option("--info", help="The secret description"),
)
_ID = Word("secret", "missing secret URI or secret name")


@command(
    "add-secret",
    usage="<name> [key[#base64|#file]=value...]",
    words=(Word("name", "missing secret name"), Word("words", many=True)),
    options=_CONTENT,
)
def add_secret(call: Call) -> None:
    """Add a new secret."""
    content = _content(call)
    secrets.check_size(content)
    secret = secrets.add_user_secret(call.model, call.arguments.name, content, call.arguments.info)
    call.engine.poke()
    call.out(f"{secret.uri}\n")


@command(
    "update-secret",
    usage="<ID>|<name> [key[#base64|#file]=value...]",
    words=(_ID, Word("words", many=True)),
    options=(
        *_CONTENT,
        option("--name", help="The new secret name", dest="new_name"),
        flag("--auto-prune", help="Remove revisions that are no longer tracked by any observers"),
    ),
)
def update_secret(call: Call) -> None:
    """Update an existing secret."""
    arguments, secret = call.arguments, _own(call, call.arguments.secret)
    content = _content(call) if arguments.words or arguments.file else None
    name = arguments.new_name
    if name and any(each.name == name and each is not secret for each in call.model.secrets.values()):
        raise JujuError(f'secret with name "{name}" already exists')
    secret.name, secret.description = name or secret.name, arguments.info or secret.description
    if content is not None:
        secrets.check_size(content)
        secrets.revise(secret, content)
    if arguments.auto_prune:
        tracked = {*secret.consumers.values(), secret.latest}
        secret.revisions = {key: value for key, value in secret.revisions.items() if key in tracked}
    call.engine.poke()


@command(
    "grant-secret",
    usage="<ID>|<name> <application>[,<application>...]",
    words=(_ID, Word("applications", "missing secret URI or application name")),
)
def grant_secret(call: Call) -> None:
    """Grant access to a secret."""
    secret = _own(call, call.arguments.secret)
    names = call.arguments.applications.split(",")
    for name in names:
        call.application(name)
    secret.grants |= dict.fromkeys(names)
    call.engine.poke()


@command(
    "revoke-secret",
    usage="<ID>|<name> <application>[,<application>...]",
    words=(_ID, Word("applications", "missing secret URI or application name")),
)
def revoke_secret(call: Call) -> None:
    """Revoke access to a secret."""
    secret = _own(call, call.arguments.secret)
    for name in call.arguments.applications.split(","):
        secret.grants.pop(call.application(name).name, None)
    call.engine.poke()


@command(
    "remove-secret",
    usage="<ID>|<name>",
    words=(_ID,),
    options=(option("--revision", type=number, default=None, help="Remove the specified revision"),),
)
def remove_secret(call: Call) -> None:
    """Remove a existing secret."""
    secret, revision = _own(call, call.arguments.secret), call.arguments.revision
    if revision is not None and secret.revisions.pop(revision, None) is None:
        raise JujuError(f'secret revision "{secret.id}/{revision}" not found')
    if revision is None or not secret.revisions:
        del call.model.secrets[secret.id]
    call.engine.poke()


@command(
    "secrets",
    "list-secrets",
    options=(
        option("--owner", help="Include secrets for the specified owner"),
        output("tabular", "json", "yaml"),
    ),
)
def list_secrets(call: Call) -> None:
    """Lists secrets available in the model."""
    found = [each for each in call.model.secrets.values() if _owned_by(call, each, call.arguments.owner)]
    if call.arguments.format != "tabular":
        call.out(document({each.id: _document(each) for each in found}, call.arguments.format))
        return
    rows = [
        [
            each.id,
            each.name or "-",
            _owner(each),
            each.rotate or "never",
            each.latest,
            ago(each.updated, now()),
        ]
        for each in sorted(found, key=lambda each: (_owner(each), -each.latest))
    ]
    heading = ["ID", "Name", "Owner", "Rotation", "Revision", "Last updated"]
    call.out(table(heading, rows, right={4}))


@command(
    "show-secret",
    usage="<ID>|<name>",
    words=(Word("secret", "secret ID is required"),),
    options=(
        flag("--reveal", help="Reveal secret values, applicable to yaml or json formats only"),
        flag("--revisions", help="Show the secret revisions metadata"),
        option(
            "-r", "--revision", type=number, default=0, help="Show a specific revision (defaults to latest)"
        ),
        output("yaml", "json"),
    ),
)
def show_secret(call: Call) -> None:
    """Shows details for a specific secret."""
    arguments = call.arguments
    if arguments.revisions and arguments.reveal:
        raise JujuError("specify either --revisions or --reveal but not both", USAGE)
    if arguments.revisions and arguments.revision:
        raise JujuError("specify either --revisions or --revision but not both", USAGE)
    if arguments.revision < 0:
        raise JujuError("revision must be a positive integer", USAGE)
    secret = secrets.find(call.model, arguments.secret)
    said = _document(secret)
    if arguments.reveal:
        said["content"] = {"Data": _revision(secret, arguments.revision or secret.latest)}
    if arguments.revisions:
        times = {"created": moment(secret.created), "updated": moment(secret.updated)}
        said["revisions"] = [
            {"revision": revision, "backend": "internal", **times} for revision in sorted(secret.revisions)
        ]
    if secret.grants:
        said["access"] = _access(call.model, secret)
    call.out(document({secret.id: said}, arguments.format))


def _own(call: Call, reference: str) -> Secret:
    """Return a user's secret; refuse a charm's secret, which only the charm may change."""
    secret = secrets.find(call.model, reference)
    if secret.owner:
        raise JujuError("permission denied (unauthorized access)")
    return secret


def _revision(secret: Secret, revision: int) -> dict[str, str]:
    if revision not in secret.revisions:
        raise JujuError(f'secret revision "{secret.id}/{revision}" not found')
    return dict(secret.revisions[revision])


def _owner(secret: Secret) -> str:
    return secret.owner or "<model>"


def _owned_by(call: Call, secret: Secret, owner: str) -> bool:
    """Return whether the owner that `--owner` names by its tag, as Juju requires, owns a secret."""
    if not owner:
        return True
    kind, sign, name = owner.partition("-")
    if not sign or kind not in ("application", "unit", "model"):
        raise JujuError(f'invalid owner "{owner}"')
    if kind == "model":
        return not secret.owner and name == call.model.uuid
    if kind == "unit":
        name = "/".join(name.rsplit("-", 1))
    return secret.owner == name


def _document(secret: Secret) -> dict[str, Any]:
    optional = {
        "rotation": (secret.rotate or "never") if secret.owner else "",
        "rotates": moment(secret.rotates) if secret.rotates else "",
        "expires": moment(at) if (at := secret.expirations.get(secret.latest)) else "",
    }
    texts = {"description": secret.description, "name": secret.name, "label": secret.label}
    said = {
        "revision": secret.latest,
        **optional,
        "owner": _owner(secret),
        **texts,
        "created": moment(secret.created),
        "updated": moment(secret.updated),
    }
    return {key: value for key, value in said.items() if value}


def _access(model: Model, secret: Secret) -> list[dict[str, str]]:
    found = []
    for grantee, relation in sorted(secret.grants.items()):
        kind = "unit" if "/" in grantee else "application"
        scope = f"model-{model.uuid}"
        if relation is not None and relation in model.relations:
            scope = "relation-" + model.relations[relation].key.replace(":", ".").replace(" ", "#")
        target = f"{kind}-{grantee.replace('/', '-')}"
        found.append({"target": target, "scope": scope, "role": "view"})
    return found


def _content(call: Call) -> dict[str, str]:
    """Return the content from `key=value`, `key#file=path` and `key#base64=...` words, and a YAML file."""
    content: dict[str, str] = {}
    for word in call.arguments.words:
        key, sign, value = word.partition("=")
        if not sign or not key:
            raise JujuError(f'key value "{word}" not valid', USAGE)
        _put(call, content, key, value)
    if call.arguments.file:
        for key, value in _of_file(call).items():
            _put(call, content, str(key), str(value))
    if not content:
        raise JujuError("missing secret value or filename", USAGE)
    return content


def _put(call: Call, content: dict[str, str], key: str, value: str) -> None:
    name, _, kind = key.partition("#")
    if not _KEY.fullmatch(name):
        raise JujuError(f'key "{name}" not valid', USAGE)
    match kind:
        case "":
            content[name] = value
        case "file":
            content[name] = call.read(value)
        case "base64":
            try:
                content[name] = base64.b64decode(value, validate=True).decode()
            except (binascii.Error, UnicodeDecodeError):
                raise JujuError(f'value for key "{name}" is no base64', USAGE) from None
        case _:
            raise JujuError(f'key "{key}" not valid', USAGE)


def _of_file(call: Call) -> dict[str, Any]:
    try:
        said = yaml.safe_load(call.read(call.arguments.file))
    except yaml.YAMLError as error:
        raise JujuError(f"yaml: {' '.join(str(error).split())}") from None
    if not isinstance(said, dict):
        raise JujuError(f"{call.arguments.file}: expected a mapping of keys to values")
    return said
