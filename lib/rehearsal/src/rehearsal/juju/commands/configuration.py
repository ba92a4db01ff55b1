"""`juju config`: it checks all options before it changes any."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml

from rehearsal.juju.commands.call import Call
from rehearsal.juju.commands.formats import document, raw
from rehearsal.juju.commands.parsing import USAGE, pairs
from rehearsal.juju.commands.registry import Word, command, option, options, output
from rehearsal.juju.model.charms import Charm
from rehearsal.juju.model.errors import JujuError
from rehearsal.juju.model.options import OptionSpec
from rehearsal.juju.model.state import Application

TRUST = OptionSpec("trust", "boolean", False, "Does this application have access to trusted credentials")
"""The one option that every application has besides those of its charm."""

_LARGEST = 5 << 20


@command(
    "config",
    usage="<application name> [--reset <key[,key]>] [<attribute-key>[=<value>] ...]",
    words=(Word("name", "no application name specified"), Word("words", many=True)),
    options=(
        option("--file", help="Path to yaml-formatted configuration file"),
        options("--reset", help="Reset the provided comma delimited keys"),
        output("yaml", "json"),
    ),
)
def config(call: Call) -> None:
    """Gets, sets, or resets configuration for a deployed application."""
    arguments, words = call.arguments, call.arguments.words
    resets = [key for said in arguments.reset for key in said.split(",") if key]
    setting = _is_setting(words, bool(arguments.file), bool(resets))
    application = call.application(arguments.name)
    if not setting and not resets:
        _show(call, application, words)
        return
    try:
        changes = dict.fromkeys((_spec(application.charm, key).name for key in resets), None)
        if arguments.file:
            changes |= from_file(call, application.charm, application.name, arguments.file)
        changes |= from_words(call, application.charm, words)
    except JujuError as error:
        raise JujuError(f"parsing settings for application: {error}") from None
    for key, value in changes.items():
        if key in application.config and application.config[key] == value:
            call.info(f'WARNING the configuration setting "{key}" already has the value "{value}"')
    apply(call, application, changes)


def _is_setting(words: Sequence[str], file: bool, reset: bool) -> bool:
    """Return True to set values, False to show one or all; raises JujuError if the words mix these."""
    with_value = sum("=" in word for word in words)
    if 0 < with_value < len(words):
        raise JujuError("cannot set and retrieve values simultaneously", USAGE)
    if with_value and file:
        raise JujuError("cannot specify --file and key=value arguments simultaneously", USAGE)
    if words and not with_value:
        if len(words) > 1:
            raise JujuError("can only retrieve a single value, or all values", USAGE)
        if reset:
            raise JujuError("cannot reset and retrieve values simultaneously", USAGE)
        if file:
            raise JujuError("cannot use --file flag and get a value simultaneously", USAGE)
    return bool(with_value) or file


def apply(call: Call, application: Application, changes: dict[str, Any]) -> None:
    """Set checked options, including `trust`; None resets an option."""
    if "trust" in changes:
        call.engine.set_trust(call.model, application, bool(changes["trust"]))
    own = {key: value for key, value in changes.items() if key != "trust"}
    if own:
        call.engine.set_config(call.model, application, own)


def given(call: Call, charm: Charm, application: str, said: Sequence[str]) -> dict[str, Any]:
    """Return the options of all `--config` values, each of them `key=value` or a file.

    Args:
        call: the command.
        charm: the charm with the options.
        application: the application, which names the section of a file.
        said: the `--config` values.
    """
    found: dict[str, Any] = {}
    for word in said:
        if "=" in word:
            found |= from_words(call, charm, [word])
        else:
            found |= from_file(call, charm, application, word)
    return found


def from_words(call: Call, charm: Charm, words: Sequence[str]) -> dict[str, Any]:
    """Return options from `key=value` or `key=@file` words, in their types."""
    found = {}
    for key, value in pairs(list(words)).items():
        text = _of_file(call, value[1:]) if value.startswith("@") else value
        found[key] = _spec(charm, key).parse(text)
    return found


def _of_file(call: Call, name: str) -> str:
    try:
        text = call.read(name)
    except JujuError as error:
        raise JujuError(f'cannot read option from file "{name}": {error}') from None
    if len(text) > _LARGEST:
        raise JujuError("size of option file is larger than 5M")
    return text


def from_file(call: Call, charm: Charm, application: str, name: str) -> dict[str, Any]:
    """Return the options under the application's name in a YAML file."""
    try:
        said = yaml.safe_load(call.read(name))
    except yaml.YAMLError as error:
        raise JujuError(f"cannot parse settings data: {' '.join(str(error).split())}") from None
    values = _settings(said, application) if isinstance(said, dict) else None
    if not isinstance(values, dict):
        raise JujuError(f'no settings found for "{application}"')
    return {key: _spec(charm, key).coerce(value) for key, value in values.items()}


def _settings(said: dict[str, Any], application: str) -> Any:
    """Return the options in a file: under the application's name, or as `juju config` itself prints them."""
    if application in said or said.get("application") != application:
        return said.get(application)
    settings = said.get("settings")
    if not isinstance(settings, dict) or not all(isinstance(each, dict) for each in settings.values()):
        raise JujuError("unknown format for settings")
    return {key: each["value"] for key, each in settings.items() if "value" in each}


def _spec(charm: Charm, key: str) -> OptionSpec:
    if key == TRUST.name:
        return TRUST
    if key not in charm.options:
        raise JujuError(f'unknown option "{key}"')
    return charm.options[key]


def _show(call: Call, application: Application, words: Sequence[str]) -> None:
    said = _document(application)
    if not words:
        call.out(document(said, call.arguments.format))
        return
    for section in ("settings", "application-config"):
        if words[0] in said[section]:
            value = said[section][words[0]].get("value")
            call.out("\n" if value is None else f"{raw(value)}\n")
            return
    raise JujuError(
        f'key "{words[0]}" not found in "{application.name}" application config or charm settings.'
    )


def _document(application: Application) -> dict[str, Any]:
    trust = {"trust": True} if application.trust else {}
    specs = application.charm.options
    return {
        "application": application.name,
        "application-config": {"trust": _entry(TRUST, trust) | {"type": "bool"}},
        "charm": application.charm.name,
        "settings": {key: _entry(spec, application.config) for key, spec in sorted(specs.items())},
    }


def _entry(spec: OptionSpec, config: dict[str, Any]) -> dict[str, Any]:
    value = config.get(spec.name, spec.default)
    source = "user" if spec.name in config else "unset" if value is None else "default"
    said = {
        "default": spec.default,
        "description": spec.description,
        "source": source,
        "type": spec.type,
        "value": value,
    }
    return {key: value for key, value in said.items() if value is not None}
