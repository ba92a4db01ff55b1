"""Read, merge (as charmcraft does) and check the metadata files of a charm's source folder.

The checks refuse what Juju, charmcraft or ops would refuse, in their words if they have some. Facts:
juju/charm, meta.go, config.go, actions.go; canonical/charmcraft, charmcraft/preprocess.py and const.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rehearsal import yaml_document as document
from rehearsal.juju.model import assumes
from rehearsal.juju.model.errors import JujuError
from rehearsal.juju.model.options import TYPES, OptionSpec
from rehearsal.juju.model.storage import STORAGE_COUNT, megabytes
from rehearsal.yaml_document import Document, Finding, Place

ROLES = ("provides", "requires", "peers")
_NAME = r"[a-z][a-z0-9]*(-[a-z0-9]*[a-z][a-z0-9]*)*"
_ENDPOINT_NAME = r"[a-z][a-z0-9]*([_-][a-z0-9]+)*"
_ACTION_NAME = r"[a-z0-9]([a-z0-9-]*[a-z0-9])?"
Refusal = tuple[Place, str]


class CharmError(JujuError):
    """Juju would refuse a folder as a charm; the text names file, place and reason in one sentence."""


class _Files:
    """The files of a charm as one mapping, and the origin of each part."""

    def __init__(self, folder: Path):
        self.values: dict[str, Any] = {}
        self._origins: dict[str, tuple[Document, Place]] = {}
        self._documents: list[Document] = []
        for file in ("charmcraft.yaml", "metadata.yaml"):
            self._add(folder / file)
        for section in ("config", "actions"):
            self._add(folder / f"{section}.yaml", section)
        if not self._documents:
            raise CharmError(f'no charm was found at "{folder}"')

    def _add(self, path: Path, section: str = "") -> None:
        if not path.exists():
            return
        said = document.load(path)
        self._documents.append(said)
        if said.findings:
            raise CharmError(str(min(said.findings)))
        values = said.value or {}
        if not isinstance(values, dict):
            raise CharmError(str(said.finding((), "expected a mapping")))
        for key, value in ({section: values} if section else values).items():
            place: Place = () if section else (key,)
            if key in self.values:
                first = self._origins[key][0].path.name
                raise CharmError(str(said.finding(place, f"{key} is already said in {first}")))
            self.values[key] = value
            self._origins[key] = (said, place)

    def finding(self, place: Place, message: str) -> Finding:
        """Return a finding in the file that holds the place's first key."""
        said, start = self._origins.get(str(place[0]), (self._documents[0], ()))
        return said.finding((*start, *place[1:]), message)


def read(folder: Path) -> dict[str, Any]:
    """Return a charm's metadata, with `config` and `actions` in it.

    An endpoint's short form (`db: mysql`) is expanded, and an option without a type becomes a string.

    Raises:
        CharmError: if Juju would refuse the charm; with file, line and column.
    """
    files = _Files(folder)
    values = files.values
    _write_out(values)
    for check in (_name, _endpoints, _options, _resources, _containers, _storage, _actions, _assumes):
        for place, message in check(values):
            raise CharmError(str(files.finding(place, message)))
    return values


def _write_out(values: dict[str, Any]) -> None:
    for role in ROLES:
        if isinstance(values.get(role), dict):
            for name, said in values[role].items():
                if isinstance(said, str):
                    values[role][name] = {"interface": said}
    config = values.get("config")
    if isinstance(config, dict) and isinstance(config.get("options"), dict):
        for option in config["options"].values():
            if isinstance(option, dict):
                option.setdefault("type", "string")


def _section(values: dict[str, Any], *keys: str) -> Iterator[tuple[str, Any, Refusal | None]]:
    """Yield name, value and refusal of each entry of a section; the refusal is None for a mapping."""
    said: Any = values
    for key in keys:
        said = said.get(key) or {}
        if not isinstance(said, dict):
            yield "", {}, (keys, f"{'.'.join(keys)}: expected a mapping")
            return
    for name, value in said.items():
        bad = None if isinstance(value, dict) else ((*keys, name), f"{keys[-1]}.{name}: expected a mapping")
        yield name, value, bad


def _name(values: dict[str, Any]) -> Iterator[Refusal]:
    if "name" not in values:
        yield ("name",), "name: expected the charm's name"
    elif not re.fullmatch(_NAME, str(values["name"])):
        yield ("name",), f'name: "{values["name"]}" is no name of a charm'


def _reserved(name: str) -> str:
    if name == "juju":
        return '"juju" is a reserved name'
    return 'the "juju-" prefix is reserved' if name.startswith("juju-") else ""


def _endpoints(values: dict[str, Any]) -> Iterator[Refusal]:
    charm, seen = values.get("name"), set()
    for role in ROLES:
        for name, said, bad in _section(values, role):
            if bad:
                yield bad
                continue
            for key, message in _endpoint(str(charm), role, name, said):
                yield (role, name, *key), message
            if name in seen:
                yield (role, name), f'charm "{charm}" using a duplicated relation name: "{name}"'
            seen.add(name)


def _endpoint(charm: str, role: str, name: str, said: dict[str, Any]) -> Iterator[Refusal]:
    here = f"{role}.{name}"
    interface = said.get("interface")
    if not isinstance(interface, str) or not interface:
        yield ("interface",), f"{here}.interface: expected the interface's name"
    elif role != "requires" and _reserved(interface):
        yield ("interface",), f'charm "{charm}" relation "{name}" using a reserved interface: "{interface}"'
    if _reserved(name):
        yield (), f'charm "{charm}" using a reserved relation name: "{name}"'
    elif not re.fullmatch(_ENDPOINT_NAME, name):
        yield (), f'{here}: "{name}" is no name of an endpoint'
    limit = said.get("limit")
    if limit is not None and (not isinstance(limit, int) or isinstance(limit, bool) or limit < 1):
        yield ("limit",), f"{here}.limit: expected a whole number above 0, got {limit!r}"
    if not isinstance(said.get("optional", False), bool):
        yield ("optional",), f"{here}.optional: expected true or false, got {said['optional']!r}"
    if said.get("scope", "global") not in ("global", "container"):
        yield ("scope",), f"{here}.scope: expected global or container, got {said['scope']!r}"


def _options(values: dict[str, Any]) -> Iterator[Refusal]:
    for name, said, bad in _section(values, "config", "options"):
        place = ("config", "options", name)
        if bad:
            yield bad
        elif said["type"] not in TYPES:
            yield (
                (*place, "type"),
                f'invalid config: option "{name}" has unknown type "{said["type"]}": '
                f"expected one of {', '.join(TYPES)}",
            )
        elif said.get("default") is not None:
            try:
                OptionSpec(name, said["type"], None, "").coerce(said["default"])
            except JujuError as error:
                yield (*place, "default"), f"invalid config default: {error}"


def _resources(values: dict[str, Any]) -> Iterator[Refusal]:
    for name, said, bad in _section(values, "resources"):
        place = ("resources", name)
        if bad:
            yield bad
        elif "type" not in said:
            yield place, f"resources.{name}: resource missing type: expected oci-image or file"
        elif said["type"] not in ("oci-image", "file"):
            yield (
                (*place, "type"),
                f'resources.{name}: unsupported resource type "{said["type"]}": expected oci-image or file',
            )
        elif said["type"] == "file" and not said.get("filename"):
            yield place, f"resources.{name}: resource missing filename"


def _containers(values: dict[str, Any]) -> Iterator[Refusal]:
    resources = values.get("resources") or {}
    for name, said, bad in _section(values, "containers"):
        if bad and said is not None:
            yield bad
            continue
        resource = (said or {}).get("resource")
        if resource and resource not in resources:
            yield ("containers", name, "resource"), f'referenced resource "{resource}" not found'
        elif resource and resources[resource]["type"] != "oci-image":
            yield ("containers", name, "resource"), f'referenced resource "{resource}" is not a oci-image'
        for number, mount in enumerate((said or {}).get("mounts") or ()):
            storage = mount.get("storage") if isinstance(mount, dict) else None
            if storage not in (values.get("storage") or {}):
                message = f'container "{name}": storage "{storage}" not valid'
                yield ("containers", name, "mounts", number), message
        for key in ("uid", "gid"):
            owner = (said or {}).get(key)
            if isinstance(owner, int) and 1000 <= owner <= 9999:
                message = f"invalid {key} {owner}: {key} cannot be in reserved range 1000-9999"
                yield ("containers", name, key), f'container "{name}" has {message}'


def _storage(values: dict[str, Any]) -> Iterator[Refusal]:
    for name, said, bad in _section(values, "storage"):
        if bad:
            yield bad
        elif said.get("type") not in ("filesystem", "block"):
            charm = values["name"]
            yield (
                ("storage", name),
                f'charm "{charm}" storage "{name}": type must be specified: filesystem or block',
            )
        elif not re.fullmatch(STORAGE_COUNT, str((said.get("multiple") or {}).get("range", 1))):
            said_range = said["multiple"]["range"]
            yield (
                ("storage", name, "multiple", "range"),
                f"storage.{name}.multiple.range: supported formats are: m (a fixed number), m-n (an explicit "
                f'range), and m- (a minimum number), got "{said_range}"',
            )
        elif said.get("minimum-size") and megabytes(str(said["minimum-size"])) is None:
            yield (
                ("storage", name, "minimum-size"),
                f"storage.{name}.minimum-size: expected a non-negative float with optional M/G/T/P/E/Z/Y "
                f'suffix, got "{said["minimum-size"]}"',
            )


def _actions(values: dict[str, Any]) -> Iterator[Refusal]:
    for name, said, bad in _section(values, "actions"):
        if bad and said is not None:
            yield bad
        elif not re.fullmatch(_ACTION_NAME, name):
            yield ("actions", name), f"bad action name {name}"
        elif _reserved(name):
            yield ("actions", name), f"cannot use action name {name}: {_reserved(name)}"
        else:
            yield from _parameters(name, said or {})


def _parameters(name: str, said: dict[str, Any]) -> Iterator[Refusal]:
    """Refuse parameters that are no JSON schema, as Juju does."""
    from jsonschema import Draft4Validator, SchemaError  # takes long to import; few charms have parameters

    if not said.get("params"):
        return
    try:
        Draft4Validator.check_schema({"type": "object", "properties": said["params"]})
    except SchemaError as error:
        why = f"{'.'.join(map(str, error.absolute_path))}: {error.message}"
        yield ("actions", name, "params"), f"invalid params schema for action schema {name}: {why}"


def _assumes(values: dict[str, Any]) -> Iterator[Refusal]:
    for message in assumes.misshapen(values.get("assumes")):
        yield ("assumes",), message
