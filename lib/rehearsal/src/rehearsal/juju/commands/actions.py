"""`juju actions` and `juju run`: list an application's actions, and run them."""

from __future__ import annotations

import re
from typing import Any

import jsonschema
import yaml

from rehearsal.juju.commands import tasks
from rehearsal.juju.commands.call import Call
from rehearsal.juju.commands.formats import as_json, document
from rehearsal.juju.commands.parsing import USAGE
from rehearsal.juju.commands.registry import Word, command, flag, option, output
from rehearsal.juju.commands.tabular import table
from rehearsal.juju.model.errors import JujuError
from rehearsal.juju.model.state import Task, Unit

_WAIT = 60.0
"""Default of `--wait`, in seconds."""

_UNIT = re.compile(r"([a-z][a-z0-9-]*)/(\d+|leader)")
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")


@command(
    "run",
    usage="<unit> [<unit> ...] <action-name> [<key>=<value> [<key>[.<key> ...]=<value>]]",
    words=(Word("words", many=True),),
    options=(
        option("--params", help="Path to yaml-formatted params file"),
        flag("--string-args", help="Use raw string values of CLI args"),
        flag("--utc", help="Show times in UTC"),
        *tasks.WAITING,
        output("plain", "json", "yaml"),
    ),
    locked=False,
)
def run(call: Call) -> int:
    """Run an action on a specified unit."""
    if call.arguments.background and call.arguments.wait is not None:
        raise JujuError("cannot specify both --wait and --background", USAGE)
    units, action, words = _split(call.arguments.words)
    parameters = _parameters(call, words)
    with call.locked():
        operation = tasks.Operation(call, action)
        for unit in units:
            operation.add(unit, lambda found: _enqueue(call, found, action, parameters))
    return operation.report(call.arguments.wait or _WAIT)


def _split(words: list[str]) -> tuple[list[str], str, list[str]]:
    """Return the units, the action and its parameters."""
    units: list[str] = []
    for number, word in enumerate(words):
        if _UNIT.fullmatch(word):
            units.append(word)
        elif not _NAME.fullmatch(word):
            raise JujuError(f'invalid unit or action name "{word}"', USAGE)
        elif not units:
            raise JujuError("no unit specified", USAGE)
        elif len({unit.partition("/")[0] for unit in units}) > 1:
            raise JujuError("all units must be of the same application", USAGE)
        else:
            return units, word, words[number + 1 :]
    raise JujuError("no action specified" if units else "no unit specified", USAGE)


def _enqueue(call: Call, unit: Unit, action: str, parameters: dict[str, Any]) -> Task:
    actions = call.application(unit.application).charm.actions
    if not actions:
        raise JujuError(f'no actions defined on charm "{call.application(unit.application).charm.name}"')
    if action not in actions:
        raise JujuError(f'action "{action}" not defined on unit "{unit.name}"')
    checked = _checked(actions[action], parameters)
    return call.engine.enqueue(call.model, unit, "action", action, checked)


def _parameters(call: Call, words: list[str]) -> dict[str, Any]:
    """Return the parameters of a file, then of `key.sub=value` words, whose values are YAML."""
    found: Any = {}
    if call.arguments.params:
        try:
            found = yaml.safe_load(call.read(call.arguments.params)) or {}
        except yaml.YAMLError as error:
            raise JujuError(f"yaml: {' '.join(str(error).split())}") from None
        if not isinstance(found, dict):
            raise JujuError("params must contain a YAML map with string keys")
    for word in words:
        key, sign, text = word.partition("=")
        if not sign:
            raise JujuError(f'argument "{word}" must be of the form key.key.key...=value', USAGE)
        _put(found, key.split("."), text if call.arguments.string_args else _read(text))
    return found


def _read(text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise JujuError(f"yaml: {' '.join(str(error).split())}") from None


def _put(place: dict[str, Any], keys: list[str], value: Any) -> None:
    for key in keys:
        if not _NAME.fullmatch(key):
            raise JujuError(
                f'key "{key}" must start and end with lowercase alphanumeric, '
                "and contain only lowercase alphanumeric and hyphens",
                USAGE,
            )
    *above, last = keys
    for key in above:
        if not isinstance(place.get(key), dict):
            place[key] = {}
        place = place[key]
    place[last] = value


def _checked(spec: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Return an action's parameters with defaults; raises JujuError in the words of Juju's gojsonschema."""
    schema = {
        "type": "object",
        "properties": spec.get("params") or {},
        "required": spec.get("required") or [],
        "additionalProperties": spec.get("additionalProperties", True),
    }
    merged = _with_defaults(schema, given)
    error = next(iter(jsonschema.Draft4Validator(schema).iter_errors(merged)), None)
    if error is not None:
        where = ".".join(["(root)", *map(str, error.absolute_path)])
        raise JujuError(f"validation failed: {where} : {_why(error)}")
    return merged


def _with_defaults(schema: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Return parameters with a schema's defaults, also of objects within (juju/gojsonschema, defaults.go)."""
    properties = schema.get("properties") or {}
    merged = {key: spec["default"] for key, spec in properties.items() if "default" in spec} | given
    for key, spec in properties.items():
        if spec.get("properties") and isinstance(merged.get(key, {}), dict):
            inside = _with_defaults(spec, merged.get(key, {}))
            if inside or key in merged:
                merged[key] = inside
    return merged


def _why(error: Any) -> str:
    given, shown = error.instance, as_json(error.instance).strip()
    match error.validator:
        case "type":
            return f"must be of type {error.validator_value}, given {shown}"
        case "required":
            name = next(name for name in error.validator_value if name not in given)
            return f'"{name}" property is missing and required, given {shown}'
        case "additionalProperties":
            name = next(name for name in given if name not in error.schema.get("properties", {}))
            return f'additional property "{name}" is not allowed, given {shown}'
        case _:
            return error.message


@command(
    "actions",
    "list-actions",
    usage="<application>",
    words=(Word("name", "no application name specified"),),
    options=(
        output("default", "tabular", "json", "yaml"),
        flag("--schema", help="Display the full action schema"),
    ),
)
def actions(call: Call) -> None:
    """List actions defined for an application."""
    found = call.application(call.arguments.name).charm.actions
    form = call.arguments.format
    if not found:
        call.info(f"No actions defined for {call.arguments.name}.")
    elif call.arguments.schema:
        said = {name: _schema(name, spec) for name, spec in sorted(found.items())}
        call.out(document(said, form))
    elif form in ("json", "yaml"):
        said = {name: spec.get("description", "No description") for name, spec in sorted(found.items())}
        call.out(document(said, form))
    else:
        rows = [[name, _line(spec)] for name, spec in sorted(found.items())]
        call.out(table(["Action", "Description"], rows))


def _line(spec: dict[str, Any]) -> str:
    return (str(spec.get("description") or "No description").strip().splitlines() or [""])[0]


def _schema(name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {
        "title": name,
        "description": spec.get("description", "No description"),
        "type": "object",
        "properties": spec.get("params") or {},
        "required": spec.get("required") or [],
        "additionalProperties": spec.get("additionalProperties", True),
    }
