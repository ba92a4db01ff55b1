"""Storage: what a charm declares, what a deployment asks for, and the instances that units have.

Facts: juju/juju 3.6, storage/constraints.go (what `--storage` takes), state/storage.go (identifiers, and the
defaults of Kubernetes: pool `kubernetes`, 1 GiB), state/filesystem.go (FilesystemMountPoint).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rehearsal.juju.model.errors import JujuError

POOL = "kubernetes"
SIZE = 1024
"""MiB, unless something else is asked for."""
STORAGE_COUNT = r"(\d+)([-+]?)(\d*)"
"""How often a charm may have storage: `2`, `0-1`, `1-` or `2+`."""
_UNITS = "MGTPEZY"


@dataclass(frozen=True)
class StorageSpec:
    """Storage that a charm declares.

    Attributes:
        name: of the storage.
        type: `filesystem` or `block`.
        location: where the charm wants it; empty for Juju's own place.
        minimum: how many instances a unit has at least.
        maximum: how many it may have; None for any number.
        size: MiB that an instance has at least.
        read_only: whether it is mounted so.
    """

    name: str
    type: str
    location: str
    minimum: int
    maximum: int | None
    size: int
    read_only: bool

    @property
    def mount_point(self) -> str:
        """Where the instance is in the charm's container."""
        standard = f"/var/lib/juju/storage/{self.name}/0"
        if not self.location:
            return standard
        return self.location if self.maximum == 1 else f"{self.location}/{self.name}/0"


@dataclass(frozen=True)
class Directive:
    """What a deployment asks for, of one storage."""

    pool: str = POOL
    size: int = SIZE
    """MiB of each instance."""
    count: int = 1


@dataclass
class StorageInstance:
    """One instance of storage: a claim of a unit's pod."""

    id: str
    """`data/0`; the number counts all storage of the model."""
    spec: StorageSpec
    directive: Directive
    application: str
    claim: str
    """The name of its PersistentVolumeClaim."""
    unit: str = ""
    """The unit that has it; empty while it is detached."""

    @property
    def index(self) -> int:
        """The number in its identifier."""
        return int(self.id.rpartition("/")[2])


def declared(metadata: Mapping[str, Any]) -> dict[str, StorageSpec]:
    """Return the storage that checked metadata declares, by name."""
    found = {}
    for name, said in (metadata.get("storage") or {}).items():
        minimum, maximum = _range((said.get("multiple") or {}).get("range", "1-1"))
        size = megabytes(str(said["minimum-size"])) if said.get("minimum-size") else 0
        found[name] = StorageSpec(
            name,
            said["type"],
            said.get("location") or "",
            minimum,
            maximum,
            size or 0,
            bool(said.get("read-only")),
        )
    return found


def _range(said: Any) -> tuple[int, int | None]:
    """Return the least and the most of `2`, `0-1`, `1-` or `2+` (juju/charm, meta.go, parseStorageCount)."""
    (first, sign, last) = re.findall(STORAGE_COUNT, str(said))[0]
    if not sign:
        return int(first), int(first)
    return int(first), int(last) if last else None


def megabytes(said: str) -> int | None:
    """Return MiB of `2G`; None if it is no size (juju/utils, size.go)."""
    found = re.fullmatch(rf"(\d+(?:\.\d+)?)([{_UNITS}])(?:i?B)?", said)
    return int(float(found[1]) * 1024 ** _UNITS.index(found[2])) if found else None


def parsed(text: str, size: int = SIZE) -> Directive:
    """Return what `pool,count,size` in any order says, each part at most once.

    Args:
        text: the words.
        size: MiB, if they do not say it.

    Raises:
        JujuError: if it says none of them, or what Kubernetes does not have.
    """
    pool, count = "", 1
    for part in text.split(","):
        if part.isdigit():
            count = int(part)
            if not count:
                raise JujuError(f'cannot parse count: count must be greater than zero, got "{part}"')
        elif found := megabytes(part):
            size = found
        elif re.fullmatch(r"[a-zA-Z]+[-?a-zA-Z0-9]*", part) and not pool:
            pool = part
        else:
            raise JujuError(f'unrecognized storage directive "{part}" in "{text}"')
    return Directive(pool or POOL, size, count)


def directives(
    specs: Mapping[str, StorageSpec], asked: Mapping[str, str], charm: str
) -> dict[str, Directive]:
    """Return what a unit gets, by storage: what is asked for, or what the charm needs.

    Args:
        specs: what the charm declares.
        asked: `pool,count,size` by storage.
        charm: the charm's name.

    Raises:
        JujuError: if the charm has no such storage, or cannot have what is asked for.
    """
    found = {}
    for name in asked:
        if name not in specs:
            raise JujuError(f'charm "{charm}" has no store called "{name}"')
    for name, spec in specs.items():
        if name not in asked and not spec.minimum:
            continue
        size = spec.size or SIZE
        said = parsed(asked[name], size) if name in asked else Directive(size=size, count=spec.minimum)
        _check(charm, spec, said)
        found[name] = said
    return found


def _check(charm: str, spec: StorageSpec, said: Directive) -> None:
    where = f'charm "{charm}" store "{spec.name}"'
    if said.pool != POOL:
        raise JujuError(f'pool "{said.pool}" not found')
    if spec.type == "block":
        raise JujuError(f'{where}: "kubernetes" provider does not support "block" storage')
    if spec.size > said.size:
        raise JujuError(f"{where}: minimum storage size is {spec.size:.0f}MB, {said.size:.0f}MB specified")
    if said.count < spec.minimum:
        raise JujuError(f"{where}: {spec.minimum} instances required, {said.count} specified")
    if spec.maximum is not None and said.count > spec.maximum:
        raise JujuError(f"{where}: at most {spec.maximum} instances supported, {said.count} specified")
    if said.count > 1:
        # Juju takes it, and then never makes the pod (application.go, configureStorage).
        raise JujuError(f"{where}: a Kubernetes pod can have one instance, {said.count} specified")


def check_next(old: Mapping[str, StorageSpec], new: Mapping[str, StorageSpec], in_use: set[str]) -> None:
    """Refuse a new charm to which an application's storage cannot follow (state/application.go).

    Args:
        old: what the present charm declares.
        new: what the new charm declares.
        in_use: the names of storage that units have.

    Raises:
        JujuError: if something that is needed is added, or something that is there is removed or changed.
    """
    for name in old.keys() - new.keys():
        if name in in_use:
            raise JujuError(f'in-use storage "{name}" removed')
    for name, spec in new.items():
        before = old.get(name)
        if before is None:
            if spec.minimum:
                raise JujuError(f'required storage "{name}" added')
            continue
        for what in ("type", "location", "read_only"):
            was, becomes = getattr(before, what), getattr(spec, what)
            if was != becomes:
                change = f"{what.replace('_', '-')} changed from {_quoted(was)} to {_quoted(becomes)}"
                raise JujuError(f'existing storage "{name}" {change}')


def _quoted(value: str | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else f'"{value}"'
