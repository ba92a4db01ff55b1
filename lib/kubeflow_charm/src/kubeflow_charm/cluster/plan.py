"""Decide what to write, what to delete and what is in the way, from what is wanted and what exists.

Nothing here reads or changes the cluster; `executor.py` does both.
"""

from __future__ import annotations

import enum
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from kubeflow_charm.cluster import settled, sharing
from kubeflow_charm.cluster.ownership import APPLICATION, ApplySet, Record
from kubeflow_charm.cluster.resources import KINDS, WEBHOOK, Key, Kind, Manifest, described, identity, kind_of
from kubeflow_charm.problems import Problem, blocked, waiting

PARENT_KIND = next(kind for kind in KINDS if kind.group_kind == "ConfigMap")

Objects = Mapping[Key, Manifest]
Refusal = tuple[Manifest, Problem]
"""An object that could not be written or deleted, and why. If somebody else owns it, the existing object."""


@dataclass(frozen=True)
class Wanted:
    """What should exist; every object is claimed and stamped.

    Args:
        core: the application's own objects. If one cannot be written, the later kinds wait, and nothing is
            deleted.
        spread: independent objects; if one cannot be written, the others go on.
        keep: decides which unwanted objects of ours stay.
    """

    core: Objects = field(default_factory=dict)
    spread: Objects = field(default_factory=dict)
    keep: Callable[[Manifest], bool] = lambda _: False

    def __iter__(self) -> Iterator[tuple[Key, Manifest]]:
        """Yield every wanted object with its key."""
        return itertools.chain(self.core.items(), self.spread.items())

    def __contains__(self, key: Key) -> bool:
        return key in self.core or key in self.spread

    def __bool__(self) -> bool:
        return bool(self.core or self.spread)

    @property
    def kinds(self) -> set[Kind]:
        """The kinds of all wanted objects, and the parent's kind."""
        return {kind_of(item) for _, item in self} | {PARENT_KIND}


@dataclass(frozen=True)
class Existing:
    """The cluster before the first write.

    Args:
        live: the objects that carry our label, by their keys.
        unlabelled: the objects without our label in the places of wanted objects, and in the parent's place
            if no live object is the parent. CRDs that somebody else manages are complete; other objects may
            be metadata only.
    """

    live: Objects = field(default_factory=dict)
    unlabelled: Objects = field(default_factory=dict)


@dataclass(frozen=True)
class Write:
    """Apply one object.

    Args:
        manifest: the object.
        force: whether to take fields from other managers. A new object is applied without force: if somebody
            else creates it meanwhile, the next hook finds its owner.
    """

    manifest: Manifest
    force: bool


class Way(enum.Enum):
    """How to remove an object from the set."""

    DELETE = "delete it"
    DELETE_UNUSED = "delete it, or release it if it is a type that has objects"
    RELEASE = "take off our labels and fields, and leave the object"


@dataclass(frozen=True)
class Removal:
    """Remove one object from the set."""

    manifest: Manifest
    way: Way


@dataclass(frozen=True)
class Plan:
    """What to do, in this order: record, ranks, spread, removals, record again.

    Args:
        blocked: problems of core objects. If there are any, the executor does nothing.
        record: the parent's record before the first write; None if the parent already has it.
        ranks: groups of objects to apply, one group after the other.
        spread: independent objects to apply.
        refused: objects of `Wanted.spread` that are not written, and why.
        removals: groups of objects to remove, one group after the other.
        shared: names of the CRDs that we use and others manage, to their managers.
        newly_shared: the names that the parent does not record yet.
        stale: recorded kinds without any wanted object.
        final: the parent's record once the objects of stale kinds are gone.
    """

    blocked: tuple[Refusal, ...] = ()
    record: Record | None = None
    ranks: tuple[tuple[Write, ...], ...] = ()
    spread: tuple[Write, ...] = ()
    refused: tuple[Refusal, ...] = ()
    removals: tuple[tuple[Removal, ...], ...] = ()
    shared: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    newly_shared: frozenset[str] = frozenset()
    stale: frozenset[Kind] = frozenset()
    final: Record = field(default_factory=Record)

    def record_after(self, remaining: Iterable[Manifest]) -> Record | None:
        """Return the parent's final record; None if the parent already has it.

        Args:
            remaining: the objects that could not be removed.
        """
        kinds = {kind_of(item) for item in remaining} & self.stale
        if kinds == self.stale:
            return None
        return replace(self.final, names=self.final.names | {kind.group_kind for kind in kinds})


def undecided(own: ApplySet, wanted: Wanted, live: Objects) -> dict[Key, Manifest]:
    """Return the places where an object without our label may be: wanted ones, and the parent's."""
    places = {key: item for key, item in wanted if key not in live}
    if own.recorded(live.values()) is None and wanted:
        parent = own.parent(Record())
        places[identity(parent)] = parent
    return places


def plan(own: ApplySet, wanted: Wanted, existing: Existing) -> Plan:
    """Decide what to do.

    An object is ours if it carries our label, or if we have applied it. We neither change nor delete other
    objects: server-side apply would merge into them without a conflict, and removal would delete them. CRDs
    follow the rules of `sharing.py`.
    """
    record = own.recorded(existing.live.values())
    judge = _Judge(own, existing)
    core = [judge.verdict(key, item) for key, item in wanted.core.items()]
    spread = [judge.verdict(key, item) for key, item in wanted.spread.items()]
    stopped = [found for found in core if isinstance(found, tuple)] + judge.parent_conflicts(wanted)
    if stopped:
        return Plan(blocked=tuple(stopped))
    names = frozenset(kind.group_kind for kind in wanted.kinds)
    before = Record(names | (record.names if record else frozenset()), frozenset(judge.shared))
    removable = [item for key, item in existing.live.items() if key not in wanted and _is_ours(own, item)]
    gone = [item for item in removable if not wanted.keep(item)]
    kept = {kind_of(item) for item in removable if wanted.keep(item)}
    stale = (record.kinds if record else set()) - wanted.kinds - kept
    return Plan(
        record=before if wanted and before != record else None,
        ranks=_ranks(found for found in core if isinstance(found, Write)),
        spread=tuple(found for found in spread if isinstance(found, Write)),
        refused=tuple(found for found in spread if isinstance(found, tuple)),
        removals=_removals(own, gone),
        shared=judge.shared,
        newly_shared=before.shared - (record.shared if record else frozenset()),
        final=replace(before, names=before.names - {kind.group_kind for kind in stale}),
        stale=frozenset(stale),
    )


class _Judge:
    """Judges one wanted object after the other, and collects the shared CRDs."""

    def __init__(self, own: ApplySet, existing: Existing):
        self._own = own
        self._existing = existing
        self._settled = settled.Settled(own.field_manager)
        self.shared: dict[str, tuple[str, ...]] = {}

    def verdict(self, key: Key, item: Manifest) -> Write | Refusal | None:
        """Return what to write, or why we cannot; None if there is nothing to do."""
        live = self._existing.live.get(key)
        present = live or self._existing.unlabelled.get(key)
        if present is None:
            return Write(item, force=False)
        if kind_of(item).shared:
            if "deletionTimestamp" in present["metadata"]:  # its objects go, too: nothing can use it
                return item, waiting(described(item), "is being removed")
            managers = sharing.other_managers(present, self._own.field_manager)
            if managers and not sharing.is_our_schema(present, self._own.field_manager):
                return self._of_shared(item, present, managers)
        elif live is None and not self._own.made(present):
            return present, _belongs_to_another(present)
        return None if self._settled.is_settled(item, live) else Write(item, force=True)

    def _of_shared(self, item: Manifest, present: Manifest, managers: tuple[str, ...]) -> Refusal | None:
        name = item["metadata"]["name"]
        shortcoming = sharing.shortcoming(item, present)
        if shortcoming:
            what = f"CRD {name} of {', '.join(managers)}"
            return item, blocked(what, f"{shortcoming}; update or remove it", in_cluster=True)
        self.shared[name] = managers
        return None

    def parent_conflicts(self, wanted: Wanted) -> list[Refusal]:
        """Return the problem that an object or a template has the parent's name."""
        parent = self._own.parent(Record())
        key = identity(parent)
        if key in wanted:
            return [(parent, blocked(described(parent), "the charm needs that name, choose another"))]
        present = self._existing.unlabelled.get(key)
        if present is not None and not self._own.made(present):
            return [(present, _belongs_to_another(present))]
        return []


def _ranks(writes: Iterable[Write]) -> tuple[tuple[Write, ...], ...]:
    def rank(write: Write) -> int:
        return kind_of(write.manifest).rank

    return tuple(tuple(group) for _, group in itertools.groupby(sorted(writes, key=rank), key=rank))


def _is_ours(own: ApplySet, labelled: Manifest) -> bool:
    """Whether an object with our label is a member, even if somebody has removed the other label."""
    return own.is_member(labelled) or (own.made(labelled) and not own.is_parent(labelled))


def _removals(own: ApplySet, gone: Iterable[Manifest]) -> tuple[tuple[Removal, ...], ...]:
    """Return how to remove objects: webhooks first, because they call workloads; then in reverse order."""

    def order(removal: Removal) -> tuple[bool, int]:
        rank = kind_of(removal.manifest).rank
        return rank != WEBHOOK, -rank

    removals = sorted((Removal(item, _way(own, item)) for item in gone), key=order)
    return tuple(tuple(group) for _, group in itertools.groupby(removals, key=order))


def _way(own: ApplySet, item: Manifest) -> Way:
    if not kind_of(item).shared:
        return Way.DELETE
    return Way.RELEASE if sharing.other_managers(item, own.field_manager) else Way.DELETE_UNUSED


def _belongs_to_another(present: Manifest) -> Problem:
    for writer in _writers(present):
        if application := APPLICATION.fullmatch(writer):
            model, name = application.groups()
            what = f"{described(present)} belongs to {name} in model {model}"
            return blocked(what, "remove one", in_cluster=True)
    who = ", ".join(_writers(present)) or "another"
    return blocked(f"{described(present)} belongs to {who}", "remove or rename it", in_cluster=True)


def _writers(present: Manifest) -> list[str]:
    entries = present["metadata"].get("managedFields") or []
    return sorted({entry.get("manager", "another") for entry in entries})
