"""Charms: their metadata, and the charm that a name or a path refers to.

A charm is a source folder; nothing is unpacked. `rehearsal.juju.model.metadata` checks its files.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from rehearsal.errors import RehearsalError
from rehearsal.juju.model import assumes, environments, metadata, packed, storage
from rehearsal.juju.model.errors import JujuError
from rehearsal.juju.model.metadata import CharmError
from rehearsal.juju.model.options import OptionSpec
from rehearsal.juju.model.storage import StorageSpec

__all__ = [
    "INFO",
    "Charm",
    "CharmError",
    "EndpointSpec",
    "Finder",
    "OptionSpec",
    "ResourceSpec",
    "find",
    "load",
]

_PROJECT = Path(__file__).parents[6]
"""The project of the rehearsal when it runs from its sources; its charms share one environment."""
STAND_INS = Path(__file__).parents[2] / "stand_ins"


@dataclass(frozen=True)
class EndpointSpec:
    """An endpoint of a charm."""

    name: str
    role: str
    interface: str
    limit: int | None
    optional: bool


INFO = EndpointSpec("juju-info", "provides", "juju-info", None, optional=True)
"""Every charm provides it without declaring it."""


@dataclass(frozen=True)
class ResourceSpec:
    """A resource: an image or a file."""

    name: str
    type: str
    filename: str
    upstream_source: str


@dataclass(frozen=True)
class Charm:
    """A charm's checked metadata, and its folder.

    Attributes:
        name: of the charm.
        path: its source folder, or that of its unpacked file.
        metadata: of its files, with `config` and `actions` in it.
        dispatched: whether its own `dispatch` runs its hooks, each as a process of its own, instead of a copy
            of a process that has imported it.
        python: the Python of its own environment, if it has one; that of a packed charm is in the charm.
    """

    name: str
    path: Path
    metadata: Mapping[str, Any]
    dispatched: bool = False
    python: Path | None = None

    @property
    def stand_in(self) -> bool:
        """Whether the charm is a stand-in for one on Charmhub."""
        return STAND_INS in self.path.parents

    @cached_property
    def endpoints(self) -> dict[str, EndpointSpec]:
        """The endpoints by name, without `juju-info`."""
        found = {}
        for role in metadata.ROLES:
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
        """The actions of the metadata, by name."""
        said = self.metadata.get("actions") or {}
        return {name: action or {} for name, action in said.items()}

    @cached_property
    def resources(self) -> dict[str, ResourceSpec]:
        """The resources by name."""
        said = self.metadata.get("resources") or {}
        return {
            name: ResourceSpec(name, r["type"], r.get("filename", ""), r.get("upstream-source", ""))
            for name, r in said.items()
        }

    @cached_property
    def storage(self) -> dict[str, StorageSpec]:
        """The storage by name."""
        return storage.declared(self.metadata)

    @property
    def needs_trust(self) -> bool:
        """Whether the charm needs rights on the cluster, that is, assumes `k8s-api`.

        To Juju, `k8s-api` only means "a Kubernetes model"; by our convention, the charm also uses the API.
        """
        return assumes.K8S_API in assumes.mentioned(self.metadata.get("assumes"))

    @property
    def release(self) -> str:
        """The release of Ubuntu that its metadata names, the newest one; without any, 24.04."""
        return base(self.metadata)["channel"]

    @property
    def containers(self) -> list[str]:
        """The names of the workload containers in the charm's own pod."""
        return list(self.metadata.get("containers") or {})

    def defaults(self) -> dict[str, Any]:
        """Return the options that have a default, with their defaults."""
        return {name: option.default for name, option in self.options.items() if option.default is not None}


def base(said: Mapping[str, Any]) -> dict[str, str]:
    """Return the base that a charm's metadata names, the newest one; without any, Ubuntu 24.04."""
    platforms = said.get("platforms") or {}
    named = str(said.get("base") or next((name for name in platforms if "@" in str(name)), "ubuntu@24.04"))
    name, _, channel = named.partition(":")[0].partition("@")
    return {"name": name, "channel": channel}


def load(path: Path, *, dispatched: bool = False, python: Path | None = None) -> Charm:
    """Return the charm in the folder `path`.

    Raises:
        CharmError: if Juju would refuse the charm; one sentence with file and place.
    """
    said = metadata.read(path)
    return Charm(said["name"], path.resolve(), said, dispatched, python)


def _load_as_it_runs(path: Path) -> Charm:
    """Return the charm in a source folder.

    One that brings a `dispatch` or hooks that are programs runs these. One that says what it needs of Python
    packages runs in an environment of its own. Any other is imported, and so is one of this project, or one
    that is packed from more than its folder.

    Raises:
        JujuError: if Juju would refuse the charm, or its environment cannot be made.
    """
    charm = load(path)
    runs_itself = any((path / name).exists() for name in ("dispatch", "hooks"))
    parts = (charm.metadata.get("parts") or {}).values()
    more = any(str((part or {}).get("source", ".")).startswith("..") for part in parts)
    if more or _PROJECT in charm.path.parents or environments.source(charm.path) is None:
        return dataclasses.replace(charm, dispatched=runs_itself)
    try:
        python = environments.python(charm.path, charm.release)
    except RehearsalError as error:
        raise CharmError(str(error)) from None
    return dataclasses.replace(charm, dispatched=True, python=python)


@dataclass
class Finder:
    """Finds the charms that names and paths refer to.

    Attributes:
        replacements: source folders that replace charms, by the charm's name.
        packed: whether packed charms that exist run, instead of the sources in their folders.
        used: the names of the replacements that something has referred to.
    """

    replacements: Mapping[str, Path] = field(default_factory=dict)
    packed: bool = False
    used: set[str] = field(default_factory=set)

    def find(self, reference: str, base: Path) -> tuple[Charm, str]:
        """Return the charm that a reference names, and its origin: `local` or `charmhub`.

        Args:
            reference: a path, or the name of a Charmhub charm. A path is a source folder
                (`./charms/profiles`) or a packed charm in one: then the folder runs, and the packed file need
                not exist. A packed charm in a folder that is no charm's source runs itself.
            base: the folder that paths are relative to.

        Raises:
            JujuError: if there is no such charm.
        """
        if reference.startswith((".", "/")):
            charm = self._local(reference, base)
            return self._replaced(charm.name) or charm, "local"
        name = reference.removeprefix("ch:")
        if found := self._replaced(name):
            return found, "charmhub"
        if not name or not (STAND_INS / name).is_dir():
            raise JujuError(
                f'cannot resolve charm or bundle "{name}": charm or bundle not found: '
                f"no stand-in plays it here; --charm {name}=DIR runs its source"
            )
        return load(STAND_INS / name), "charmhub"

    def _replaced(self, name: str) -> Charm | None:
        if name not in self.replacements:
            return None
        self.used.add(name)
        return _load_as_it_runs(self.replacements[name])

    def _local(self, reference: str, base: Path) -> Charm:
        path = (base / reference).resolve()
        is_packed = path.suffix == ".charm"
        folder = path.parent if is_packed else path
        sources = any((folder / name).exists() for name in ("charmcraft.yaml", "metadata.yaml"))
        if is_packed and path.is_file() and (self.packed or not sources):
            return load(packed.unpacked(path), dispatched=True)
        if not folder.is_dir():
            raise JujuError(f'no charm was found at "{reference}"')
        charm = _load_as_it_runs(folder)
        if is_packed and path.name.partition("_")[0] != charm.name:
            raise CharmError(f'no charm was found at "{reference}": the charm in {folder} is "{charm.name}"')
        return charm


def find(reference: str, base: Path, replacements: Mapping[str, Path] | None = None) -> tuple[Charm, str]:
    """Return the charm that a reference names, and its origin, as `Finder.find` does."""
    return Finder(replacements or {}).find(reference, base)
