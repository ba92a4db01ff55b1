"""Make the cluster hold what is wanted, and nothing else of ours.

`plan.py` decides what to do. This module reads the cluster, carries the plan out, and reports failures.
"""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import httpx2
import lightkube
from lightkube import ALL_NS
from lightkube.types import CascadeType, PatchType

from kubeflow_charm.cluster import errors, settled, sharing
from kubeflow_charm.cluster import plan as planning
from kubeflow_charm.cluster.ownership import Record
from kubeflow_charm.cluster.parallel import each
from kubeflow_charm.cluster.plan import PARENT_KIND, Existing, Plan, Refusal, Removal, Wanted, Way, Write
from kubeflow_charm.cluster.reading import Reader
from kubeflow_charm.cluster.resources import (
    KINDS,
    WEBHOOK,
    WORKLOAD,
    Key,
    Kind,
    Manifest,
    described,
    identity,
    kind_of,
)
from kubeflow_charm.problems import Problem, blocked, flattened, waiting

logger = logging.getLogger(__name__)

Placed = tuple[Manifest, Iterable[str]]
"""An object without a namespace, and the namespaces to put it into; `NOWHERE` for a cluster-wide kind."""

NOWHERE = ("",)
"""The place of an object of a cluster-wide kind."""

_PAUSES = (0.5, 1.0, 2.0, 4.0)
"""Seconds between attempts to clear the cluster: an API server may not answer while types change."""
_FEW_NAMESPACES = 8
"""Above this number, one list of all namespaces costs less than one list of each."""


@dataclass(frozen=True)
class Converged:
    """The result of converging.

    Args:
        live: the core objects as the API server has them. Deployments, StatefulSets and CRDs are complete;
            others may be metadata only.
        refused: the objects that could not be spread or deleted, and why.
    """

    live: tuple[Manifest, ...] = ()
    refused: tuple[Refusal, ...] = ()

    @property
    def problems(self) -> list[Problem]:
        """The problems of the refused objects."""
        return [problem for _, problem in self.refused]


class Cluster(Reader):
    """The objects of one application."""

    def converge(
        self,
        desired: Iterable[Manifest],
        spread: Iterable[Placed] = (),
        keep: Callable[[Manifest], bool] = lambda _: False,
    ) -> Converged:
        """Apply the objects that differ, in the order of kinds, and delete the unwanted ones.

        A settled cluster costs one list request for each kind and no write.

        Args:
            desired: the application's own objects.
            spread: independent objects, such as those for users' namespaces. If one is refused, the others
                go on.
            keep: decides which unwanted objects of ours stay.

        Raises:
            ExceptionGroup: with a `Problem` for each object of `desired` that could not be applied. Then
                nothing is deleted, and the later kinds wait for the next hook. If somebody else owns one of
                the objects, nothing is written at all.
        """
        core = {identity(manifest): self._claimed(manifest) for manifest in desired}
        placed = {identity(item): item for each in spread for item in self._placed(*each)}
        wanted = Wanted(core, {key: item for key, item in placed.items() if key not in core}, keep)
        existing = self._existing(wanted)
        return self._execute(planning.plan(self.own, wanted, existing), wanted, existing)

    def distribute(
        self, desired: Iterable[Placed], keep: Callable[[Manifest], bool] = lambda _: False
    ) -> list[Refusal]:
        """Converge on independent objects of other authors; if one fails, the others go on.

        Returns:
            The objects that could not be written or deleted, and why.

        Raises:
            Problem: or a group of them, if the cluster cannot be read.
        """
        return list(self.converge((), desired, keep).refused)

    def clear(self) -> None:
        """Delete all our objects; CRDs that still have objects stay, without our labels.

        Never raises for a remote cause: it retries for some seconds, and then logs every object that is left
        behind. The record stays as long as anything is left, so that a repeated hook finds the rest.
        """
        for pause in _PAUSES:
            if not self._clear_once():
                return
            time.sleep(pause)
        for problem in self._clear_once(insist=True):
            logger.error("left behind: %s", problem)

    # Looking

    def _claimed(self, manifest: Manifest) -> Manifest:
        manifest = _writable(manifest)
        self.own.claim(manifest)
        settled.stamp(manifest)
        return manifest

    def _placed(self, manifest: Manifest, namespaces: Iterable[str]) -> Iterator[Manifest]:
        """Yield an object for each namespace; they share all but their metadata."""
        claimed = self._claimed(manifest)
        for namespace in namespaces:
            where = {"namespace": namespace} if namespace else {}
            yield {**claimed, "metadata": {**claimed["metadata"], **where}}

    def _existing(self, wanted: Wanted) -> Existing:
        """Read our objects, and what is in the places of missing ones."""
        live = _by_identity(self.labelled(wanted.kinds))
        record = self.own.recorded(live.values()) or Record()
        live |= _by_identity(self.labelled(record.kinds - wanted.kinds))
        return Existing(live, self._unlabelled(planning.undecided(self.own, wanted, live)))

    def _unlabelled(self, places: dict[Key, Manifest]) -> dict[Key, Manifest]:
        """Return the objects in some places, whoever owns them."""
        namespaces: dict[Kind, set[str]] = {}
        for item in places.values():
            namespaces.setdefault(kind_of(item), set()).add(item["metadata"].get("namespace", ""))
        found: dict[Key, Manifest] = {}
        for kind, names in sorted(namespaces.items(), key=str):
            for namespace in [ALL_NS] if len(names) > _FEW_NAMESPACES else sorted(names):
                found |= _by_identity(self.of_kind(kind, namespace, None, whole=False))
        return {key: self._with_schema(item) for key, item in found.items() if key in places}

    def _with_schema(self, item: Manifest) -> Manifest:
        """Return a complete CRD if its schema decides whether we can use it."""
        shared = kind_of(item).shared and sharing.other_managers(item, self.own.field_manager)
        return self.whole(kind_of(item), item["metadata"]["name"]) if shared else item

    # Doing

    def _execute(self, plan: Plan, wanted: Wanted, existing: Existing) -> Converged:
        if plan.blocked:
            raise ExceptionGroup("Kubernetes", [problem for _, problem in plan.blocked])
        if plan.record is not None:
            self._write_parent(plan.record)
        for name in sorted(plan.newly_shared):
            logger.info("CRD %s is managed by %s: used as it is", name, ", ".join(plan.shared[name]))
        live = {key: existing.live[key] for key in wanted.core if key in existing.live}
        for rank in plan.ranks:
            live |= _by_identity(self._write_rank(rank))
        _, refused = each(self._write_spread, plan.spread, _manifest_of)
        remaining = self._remove(plan.removals)
        final = plan.record_after(item for item, _ in remaining)
        if final is not None:
            self._write_parent(final)
        return Converged(tuple(live.values()), (*plan.refused, *refused, *remaining))

    def _write_rank(self, rank: Iterable[Write]) -> list[Manifest]:
        written, failed = each(self._write, rank, _manifest_of)
        if failed:
            raise ExceptionGroup("Kubernetes", [problem for _, problem in failed])
        return written

    def _write_spread(self, write: Write) -> Manifest:
        """Apply an object of another author; a bad request is that author's problem, not our bug."""
        try:
            return self._write(write)
        except lightkube.ApiError as error:
            reason = error.status.message or str(error)
            raise blocked(described(write.manifest), reason) from error

    def _write(self, write: Write) -> Manifest:
        """Apply one object; if it is ours and an immutable field differs, replace it."""
        with errors.explained(described(write.manifest), self.application):
            try:
                return self._apply(write.manifest, force=write.force)
            except lightkube.ApiError as error:
                if not (write.force and errors.is_immutable(error)):
                    raise
                return self._replace(write.manifest, error)

    def _replace(self, item: Manifest, error: lightkube.ApiError) -> Manifest:
        """Delete an object and apply it again, if that loses no data. Its pods go with it."""
        kind, reason = kind_of(item), errors.immutable_field(error)
        if not kind.replaceable:
            cure = "save its data, then delete it with kubectl"
            raise blocked(f"{described(item)}: {reason} cannot change", cure, in_cluster=True)
        logger.warning("%s is deleted and made anew: %s cannot change", described(item), reason)
        self._delete(item, cascade=CascadeType.BACKGROUND)
        try:
            return self._apply(item, force=False)
        except lightkube.ApiError as again:
            if errors.is_immutable(again):
                raise waiting(described(item), "its predecessor is being removed") from again
            raise

    def _apply(self, item: Manifest, *, force: bool) -> Manifest:
        kind = kind_of(item)
        name = item["metadata"]["name"]
        return dict(self.client.apply(kind.resource(item), name, force=force, **_where(item)))

    def _write_parent(self, record: Record) -> None:
        parent = self.own.parent(record)
        with errors.explained(described(parent), self.application):
            self._apply(parent, force=True)

    # Removing

    def _remove(self, groups: Iterable[Iterable[Removal]], *, insist: bool = False) -> list[Refusal]:
        """Remove objects group by group; return those that remain, and why.

        While a webhook remains, its workload stays, unless `insist` is set.
        """
        remaining: list[Refusal] = []
        calling = False
        for group in groups:
            if calling and not insist:
                items = map(_manifest_of, group)
                remaining += [
                    (item, waiting(described(item), "stays until its webhook is gone")) for item in items
                ]
                continue
            remaining += each(self._let_go, group, _manifest_of)[1]
            calling = any(kind_of(item).rank == WEBHOOK for item, _ in remaining)
        return remaining

    def _let_go(self, removal: Removal) -> None:
        item = removal.manifest
        with errors.explained(described(item), self.application):
            if removal.way is Way.DELETE_UNUSED and self._has_objects(item):
                logger.warning("%s stays, and is ours no more: it still has objects", described(item))
                self._release(item)
            elif removal.way is Way.RELEASE:
                managers = sharing.other_managers(item, self.own.field_manager)
                logger.info("%s stays: %s manages it", described(item), ", ".join(managers))
                self._release(item)
            else:
                self._delete(item)

    def _delete(self, item: Manifest, cascade: CascadeType | None = None) -> None:
        """Delete an object; it may be gone already."""
        kind = kind_of(item)
        try:
            self.client.delete(kind.resource, item["metadata"]["name"], cascade=cascade, **_where(item))
        except httpx2.HTTPStatusError as error:
            if not errors.is_missing(error):
                raise

    def _release(self, crd: Manifest) -> None:
        patch = sharing.release_patch(crd, self.own.field_manager)
        name = crd["metadata"]["name"]
        self.client.patch(kind_of(crd).resource, name, patch, patch_type=PatchType.MERGE)

    def _has_objects(self, crd: Manifest) -> bool:
        """Whether a type has any object, or may have one in a version that is not served."""
        spec = crd["spec"]
        served = [version["name"] for version in spec["versions"] if version["served"]]
        if not served:
            return True
        kind = Kind(
            f"{spec['group']}/{served[0]}",
            spec["names"]["kind"],
            spec["names"]["plural"],
            rank=WORKLOAD,
            namespaced=spec["scope"] == "Namespaced",
        )
        where = {"namespace": ALL_NS} if kind.namespaced else {}
        try:
            return any(True for _ in self.client.list(kind.resource, chunk_size=1, **where))
        except httpx2.HTTPStatusError as error:
            if errors.is_missing(error):  # the API server never accepted its names
                return False
            raise

    def _clear_once(self, *, insist: bool = False) -> list[Problem]:
        """Remove all our objects, the record last; return the problems."""
        try:
            live = _by_identity(self.labelled({PARENT_KIND}))
            record = self.own.recorded(live.values())
            # Without the record, look for every kind that a charm may own.
            kinds = set(KINDS) if record is None else record.kinds
            live |= _by_identity(self.labelled(kinds - {PARENT_KIND}))
            removals = planning.plan(self.own, Wanted(), Existing(live)).removals
            problems = [problem for _, problem in self._remove(removals, insist=insist)]
            unknown = sorted(record.unknown) if record else []
            problems += [blocked(name, "this revision does not know the kind") for name in unknown]
            if record is not None and not problems:
                parent = self.own.parent(record)
                with errors.explained(described(parent), self.application):
                    self._delete(parent)
        except* Problem as group:
            problems = flattened(group)
        return problems


def _manifest_of(step: Write | Removal) -> Manifest:
    return step.manifest


def _by_identity(items: Iterable[Manifest]) -> dict[Key, Manifest]:
    return {identity(item): item for item in items}


def _writable(manifest: Manifest) -> Manifest:
    """Return a copy of a document whose labels and annotations can be changed, its pods' included.

    It shares the rest with the original: the CRDs of pipelines have two megabytes.
    """
    result = {**manifest, "metadata": copy.deepcopy(manifest["metadata"])}
    spec = manifest.get("spec")
    template = spec.get("template") if isinstance(spec, dict) else None
    if isinstance(template, dict):
        template = {**template}
        if "metadata" in template:
            template["metadata"] = copy.deepcopy(template["metadata"])
        result["spec"] = {**manifest["spec"], "template": template}
    return result


def _where(manifest: Manifest) -> dict[str, str]:
    return {"namespace": manifest["metadata"]["namespace"]} if kind_of(manifest).namespaced else {}
