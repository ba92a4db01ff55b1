"""`juju config`: options checked before anything changes."""

from __future__ import annotations

import json
from typing import Any

import yaml

from rehearsal.juju.charms import Charm
from rehearsal.juju.commands.call import FORMAT_YAML, Call, argument, command, pairs
from rehearsal.juju.errors import JujuError
from rehearsal.juju.state import Application


@command(
    "config",
    arguments=(
        argument("name"),
        argument("words", nargs="*"),
        argument("--file"),
        argument("--reset"),
        FORMAT_YAML,
    ),
)
def config(call: Call) -> None:
    """Get, set, or reset configuration for a deployed application."""
    application = call.application(call.arguments.name)
    words, changes = call.arguments.words, {}
    if call.arguments.file:
        changes |= from_file(call, application.charm, application.name, call.arguments.file)
    if words and any("=" in word for word in words):
        changes |= parsed(application.charm, {k: call.text(v) for k, v in pairs(words).items()})
    for key in (call.arguments.reset or "").split(","):
        if key:
            changes[_option(application.charm, key)] = None
    if changes:
        call.engine.set_config(call.model, application, changes)
    elif words:
        _show_one(call, application, words[0])
    else:
        said = _document(application)
        form = call.arguments.format
        call.out(json.dumps(said) + "\n" if form == "json" else yaml.safe_dump(said, sort_keys=False))


def parsed(charm: Charm, given: dict[str, str]) -> dict[str, Any]:
    """Return options given as text in their types; raises JujuError for one that is wrong."""
    return {key: charm.options[_option(charm, key)].parse(value) for key, value in given.items()}


def from_file(call: Call, charm: Charm, application: str, name: str) -> dict[str, Any]:
    """Return the options of a YAML file: those of the application, or the whole file."""
    try:
        text = call.stdin if name == "-" else call.file(name).read_text()
        said = yaml.safe_load(text)
    except (OSError, yaml.YAMLError) as error:
        raise JujuError(f"cannot read {name}: {' '.join(str(error).split())}") from None
    values = said.get(application, said) if isinstance(said, dict) else {}
    for key, value in values.items():
        spec = charm.options[_option(charm, key)]
        if not spec.accepts(value):
            raise JujuError(f'option "{key}" expected {spec.type}, got {value!r}')
    return values


def _option(charm: Charm, key: str) -> str:
    if key not in charm.options:
        raise JujuError(f'unknown option "{key}"')
    return key


def _show_one(call: Call, application: Application, key: str) -> None:
    spec = application.charm.options.get(key)
    if spec is None:
        raise JujuError(
            f'key "{key}" not found in "{application.name}" application config or charm settings.'
        )
    value = application.config.get(key, spec.default)
    call.out(f"{str(value).lower() if isinstance(value, bool) else '' if value is None else value}\n")


def _document(application: Application) -> dict[str, Any]:
    settings = {}
    for key, spec in sorted(application.charm.options.items()):
        entry: dict[str, Any] = {"description": spec.description}
        if spec.default is not None:
            entry["default"] = spec.default
        value = application.config.get(key, spec.default)
        entry["source"] = "user" if key in application.config else "default"
        if value is None:
            entry["source"] = "unset"
        entry["type"] = spec.type
        if value is not None:
            entry["value"] = value
        settings[key] = entry
    trust = {
        "default": False,
        "description": "Does this application have access to trusted credentials",
        "source": "user" if application.trust else "default",
        "type": "bool",
        "value": application.trust,
    }
    return {
        "application": application.name,
        "application-config": {"trust": trust},
        "charm": application.charm.name,
        "settings": settings,
    }
