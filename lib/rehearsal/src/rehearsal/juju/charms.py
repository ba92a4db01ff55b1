"""Charms: what their metadata says, and where a name or a path leads.

A charm is a source folder; nothing is unpacked. `charmcraft.yaml` may hold everything, or `metadata.yaml`,
`config.yaml` and `actions.yaml` lie beside it, as charmcraft merges them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from rehearsal.juju.errors import JujuError

STAND_INS = Path(__file__).parents[1] / "stand_ins"
_ROLES = ("provides", "requires", "peers")
_OPTION_TYPES = {"string": str, "int": int, "float": (int, float), "boolean": bool, "secret": str}
_ENDPOINT_KEYS = {"interface", "limit", "optional", "scope", "description", "schema", "versions", "gets"}
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class EndpointSpec:
    """An endpoint of a charm."""

    name: str
    role: str
    interface: str
    limit: int | None
    optional: bool


@dataclass(frozen=True)
class OptionSpec:
    """A configuration option."""

    name: str
    type: str
    default: Any
    description: str

    def parse(self, text: str) -> Any:
        """Return a value given as text; raises JujuError in Juju's words if it is of another type."""
        try:
            if self.type == "boolean":
                return {"true": True, "false": False}[text.lower()]
            return {"int": int, "float": float}.get(self.type, str)(text)
        except (KeyError, ValueError):
            raise JujuError(f'option "{self.name}" expected {self.type}, got "{text}"') from None

    def accepts(self, value: Any) -> bool:
        """Whether a value from YAML is of the option's type."""
        expected = _OPTION_TYPES[self.type]
        return isinstance(value, expected) and (self.type == "boolean" or not isinstance(value, bool))


@dataclass(frozen=True)
class ResourceSpec:
    """A resource: an image or a file."""

    name: str
    type: str
    upstream_source: str


@dataclass(frozen=True)
class Charm:
    """A charm's metadata, checked, and where its source lies."""

    name: str
    path: Path
    metadata: Mapping[str, Any]

    @property
    def stand_in(self) -> bool:
        """Whether it plays a charm of Charmhub."""
        return STAND_INS in self.path.parents

    @cached_property
    def endpoints(self) -> dict[str, EndpointSpec]:
        """The endpoints by name, `juju-info` not among them."""
        found = {}
        for role in _ROLES:
            for name, said in (self.metadata.get(role) or {}).items():
                found[name] = EndpointSpec(
                    name, role, said["interface"], said.get("limit"), bool(said.get("optional"))
                )
        return found

    @cached_property
    def options(self) -> dict[str, OptionSpec]:
        """The options by name."""
        said = (self.metadata.get("config") or {}).get("options") or {}
        return {
            name: OptionSpec(name, o["type"], o.get("default"), str(o.get("description", "")).strip())
            for name, o in said.items()
        }

    @cached_property
    def actions(self) -> dict[str, dict[str, Any]]:
        """The actions by name, as the metadata has them."""
        said = self.metadata.get("actions") or {}
        return {name: action or {} for name, action in said.items()}

    @cached_property
    def resources(self) -> dict[str, ResourceSpec]:
        """The resources by name."""
        said = self.metadata.get("resources") or {}
        return {name: ResourceSpec(name, r["type"], r.get("upstream-source", "")) for name, r in said.items()}

    @property
    def containers(self) -> list[str]:
        """The names of the workload containers in the charm's own pod."""
        return list(self.metadata.get("containers") or {})

    def defaults(self) -> dict[str, Any]:
        """The options that have a default."""
        return {name: option.default for name, option in self.options.items() if option.default is not None}


def load(path: Path) -> Charm:
    """Return the charm whose source is the folder `path`.

    Raises:
        JujuError: in one sentence with file and place, if it is not a charm that Juju would take.
    """
    metadata: dict[str, Any] = {}
    for file, key in (
        ("charmcraft.yaml", ""),
        ("metadata.yaml", ""),
        ("config.yaml", "config"),
        ("actions.yaml", "actions"),
    ):
        if (path / file).exists():
            said = _read(path / file)
            metadata |= {key: said} if key else said
    if not metadata:
        raise JujuError(f'no charm was found at "{path}"')
    _check(metadata, path)
    return Charm(metadata["name"], path.resolve(), metadata)


def find(reference: str, base: Path, replacements: Mapping[str, Path] | None = None) -> tuple[Charm, str]:
    """Return the charm that a reference means, and its origin: `local` or `charmhub`.

    Args:
        reference: a path (`./charms/profiles`, or a packed charm whose source folder it lies in), or the
            name of a Charmhub charm.
        base: the folder that paths are relative to.
        replacements: folders that run in the place of Charmhub charms.

    Raises:
        JujuError: if there is no such charm.
    """
    if reference.startswith((".", "/")):
        path = (base / reference).resolve()
        if path.suffix == ".charm":
            path = path.parent
        if not path.is_dir():
            raise JujuError(f'no charm was found at "{reference}"')
        return load(path), "local"
    name = reference.removeprefix("ch:")
    if name in (replacements or {}):
        return load((replacements or {})[name]), "charmhub"
    if (STAND_INS / name).is_dir():
        return load(STAND_INS / name), "charmhub"
    raise JujuError(
        f'resolving with preferred channel: selecting releases: charm or bundle not found for "{name}": '
        "no stand-in plays it here; give its source with --charm NAME=DIR"
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        said = yaml.load(path.read_text(), Loader=_Loader)  # noqa: S506 (a safe loader)
    except yaml.YAMLError as error:
        raise JujuError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(said, dict):
        raise JujuError(f"{path}: expected a mapping")
    return said


def _check(metadata: dict[str, Any], path: Path) -> None:
    """Refuse what Juju, charmcraft or ops would refuse (juju/charm, meta.go and config.go)."""
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]*[a-z][a-z0-9]*)*", str(metadata.get("name"))):
        raise JujuError(f"{path}: name: {metadata.get('name')!r} is no name of a charm")
    for role in _ROLES:
        for name, said in (metadata.get(role) or {}).items():
            place = f"{path}: {role}.{name}"
            if not isinstance(said, dict) or not isinstance(said.get("interface"), str):
                raise JujuError(f"{place}: an endpoint has an interface")
            if unknown := {k for k in said if not k.startswith("__")} - _ENDPOINT_KEYS:
                raise JujuError(f"{place}: unknown key {sorted(unknown)[0]}")
            if name.startswith("juju-") or name == "juju":
                raise JujuError(f"{place}: the name is reserved")
            if not isinstance(said.get("limit", 1), int):
                raise JujuError(f"{place}.limit: expected a number")
    for name, option in ((metadata.get("config") or {}).get("options") or {}).items():
        place = f"{path}: config.options.{name}"
        if option.get("type") not in _OPTION_TYPES:
            raise JujuError(f"{place}.type: expected one of {', '.join(_OPTION_TYPES)}")
        default = option.get("default")
        if default is not None and not OptionSpec(name, option["type"], None, "").accepts(default):
            raise JujuError(f"{place}.default: expected {option['type']}, got {default!r}")
    for name, said in (metadata.get("resources") or {}).items():
        if said.get("type") not in ("oci-image", "file"):
            raise JujuError(f"{path}: resources.{name}.type: expected oci-image or file")
    for name in metadata.get("actions") or {}:
        if not re.fullmatch(r"[a-z](-?[a-z0-9]+)*", name):
            raise JujuError(f"{path}: actions.{name}: no name of an action")
