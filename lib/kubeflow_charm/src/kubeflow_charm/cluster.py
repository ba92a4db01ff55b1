"""Make the cluster hold what is desired, and nothing of ours that is not."""

from __future__ import annotations

import concurrent.futures
import copy
import functools
import itertools
import logging
from collections.abc import Callable, Iterable
from typing import Any

import lightkube
from lightkube import ALL_NS

from kubeflow_charm import errors, ownership, settled
from kubeflow_charm.problems import Problem, blocked, flattened
from kubeflow_charm.resources import (
    DEFINITION,
    KINDS,
    WEBHOOK,
    WORKLOAD,
    Kind,
    Manifest,
    described,
    identity,
    kind_of,
)

logger = logging.getLogger(__name__)

_PARALLEL = 4
"""Requests under way at once: enough to hide the round trip, few enough for a busy API server."""
_PARENT_KIND = next(kind for kind in KINDS if kind.group_kind == "ConfigMap")


class Cluster:
    """The objects of one application.

    Args:
        application: name of the Juju application.
        namespace: name of the Juju model, which is the namespace.
    """

    def __init__(self, application: str, namespace: str):
        self._application = application
        self.own = ownership.ApplySet(application, namespace)

    @functools.cached_property
    def _client(self) -> Any:  # its overloads do not know generic resources made at run time
        return lightkube.Client(namespace=self.own.namespace, field_manager=self.own.field_manager)

    def close(self) -> None:
        """Close the connections to the API server, if there are any."""
        if "_client" in self.__dict__:
            self._client.close()
            del self.__dict__["_client"]

    def converge(self, desired: Iterable[Manifest]) -> list[Manifest]:
        """Apply what differs in the order of kinds, prune what is not desired, return the live objects.

        A settled cluster costs one list request for each kind and no write.

        Raises:
            ExceptionGroup: with a `Problem` for each object that could not be applied. Nothing is
                pruned then, and kinds that come after a failed one are left for the next time.
        """
        wanted = {identity(manifest): self._claimed(manifest) for manifest in desired}
        kinds = {kind_of(manifest) for manifest in wanted.values()} | {_PARENT_KIND}
        live = self._list(kinds)
        recorded = self.own.recorded(live.values())
        stale = (recorded or set()) - kinds
        live |= self._list(stale)
        if recorded is None or not kinds <= recorded:
            self._write_parent(kinds | stale)
        applied = self._apply_in_order(wanted, live)
        kept = self._prune(live, wanted)
        remembered = {kind for kind in stale if any(kind_of(item) is kind for item in kept)}
        if stale != remembered:
            self._write_parent(kinds | remembered)
        return list(applied.values())

    def pods(self) -> list[Manifest]:
        """Return the application's pods in its namespace."""
        with errors.explained("pods", self._application):
            return self._request_list(_POD, self.own.namespace)

    def clear(self) -> None:
        """Delete all that is ours; CRDs that still have objects stay, and a log line says so.

        Never raises for a remote cause: what cannot be deleted is logged with its name, since the unit
        that could try again is going away.
        """
        try:
            recorded = self.own.recorded(self._list({_PARENT_KIND}).values())
            # Without the record, whatever a charm may own is looked through.
            live = self._list(set(KINDS) if recorded is None else recorded | {_PARENT_KIND})
            self._prune(live, {}, everything=True)
            with errors.explained(f"ConfigMap {self.own.name}", self._application):
                self._delete_quietly(self.own.parent(()))
        except* Problem as group:
            for problem in flattened(group):
                logger.error("could not clear the cluster: %s", problem)

    def _claimed(self, manifest: Manifest) -> Manifest:
        manifest = copy.deepcopy(manifest)
        self.own.claim(manifest)
        settled.stamp(manifest)
        return manifest

    # Reading

    def _list(self, kinds: Iterable[Kind]) -> dict[tuple[str, str, str], Manifest]:
        """Return what is ours of these kinds, the parent included. A type that is absent has none."""

        def listed(kind: Kind) -> list[Manifest]:
            try:
                with errors.explained(kind.group_kind, self._application):
                    return self._request_list(kind, ALL_NS)
            except Problem as problem:
                if errors.is_missing(problem.__cause__):
                    return []
                raise

        items = itertools.chain.from_iterable(_in_parallel(listed, sorted(kinds, key=str)))
        return {identity(item): item for item in items}

    def _request_list(
        self, kind: Kind, namespace: str, labels: dict[str, str] | None = None
    ) -> list[Manifest]:
        where = {"namespace": namespace} if kind.namespaced else {}
        selector = self.own.selector if labels is None else labels
        items = self._client.list(kind.resource, labels=selector or None, **where)
        # Items of a list come without the two fields that say what they are.
        return [{"apiVersion": kind.api_version, "kind": kind.kind, **item} for item in items]

    # Writing

    def _apply_in_order(
        self, wanted: dict[tuple[str, str, str], Manifest], live: dict[Any, Manifest]
    ) -> dict[tuple[str, str, str], Manifest]:
        result = {key: live[key] for key in wanted if key in live}
        due = [
            manifest
            for key, manifest in wanted.items()
            if not settled.is_settled(manifest, live.get(key), self.own.field_manager)
        ]
        self._refuse_strangers([item for item in due if identity(item) not in live])
        due.sort(key=lambda manifest: kind_of(manifest).rank)
        for _, group in itertools.groupby(due, key=lambda manifest: kind_of(manifest).rank):
            apply = functools.partial(self._apply, live=live)
            for item in _in_parallel(apply, list(group)):
                result[identity(item)] = item
        return result

    def _refuse_strangers(self, unknown: list[Manifest]) -> None:
        """Raise the problems of objects that exist and are not ours, before anything is written.

        Server-side apply would merge into an object of a user's without a conflict, and removal would then
        delete it. Types are shared by nature: a CRD that is there is taken over.
        """
        wanted = {identity(item): item for item in unknown if kind_of(item).rank != DEFINITION}
        places = {(kind_of(item), item["metadata"].get("namespace", "")) for item in wanted.values()}

        def listed(place: tuple[Kind, str]) -> list[Problem]:
            kind, namespace = place
            try:
                with errors.explained(kind.group_kind, self._application):
                    there = self._request_list(kind, namespace, {})
            except Problem as problem:
                if errors.is_missing(problem.__cause__):
                    return []
                raise
            found = [item for item in there if identity(item) in wanted]
            manager = self.own.field_manager
            return [_taken(item) for item in found if settled.applied_fields(item, manager) is None]

        problems = list(itertools.chain.from_iterable(_in_parallel(listed, list(places))))
        if identity(self.own.parent(())) in wanted:
            problems.append(blocked(f"ConfigMap {self.own.name}", "the name is needed, choose another"))
        if problems:
            raise ExceptionGroup("objects of others", problems)

    def _apply(self, manifest: Manifest, live: dict[Any, Manifest]) -> Manifest:
        """Apply one object. What is not known to be ours is not taken from another by force."""
        kind = kind_of(manifest)
        known = identity(manifest) in live or kind.rank == DEFINITION
        subject = described(manifest)
        try:
            with errors.explained(subject, self._application):
                return self._request_apply(kind, manifest, force=known)
        except Problem as problem:
            if known or not errors.is_conflict(problem.__cause__):
                raise
        with errors.explained(subject, self._application):
            where = _where(kind, manifest)
            there = self._client.get(kind.resource, manifest["metadata"]["name"], **where)
            if settled.applied_fields(there, self.own.field_manager) is None:
                raise _taken({"kind": kind.kind, **there})
            # Ours after all: someone took our label off.
            return self._request_apply(kind, manifest, force=True)

    def _request_apply(self, kind: Kind, manifest: Manifest, *, force: bool) -> Manifest:
        return dict(
            self._client.apply(
                kind.resource(manifest),
                manifest["metadata"]["name"],
                force=force,
                **_where(kind, manifest),
            )
        )

    def _write_parent(self, kinds: Iterable[Kind]) -> None:
        parent = self.own.parent(kinds)
        with errors.explained(described(parent), self._application):
            self._request_apply(_PARENT_KIND, parent, force=True)

    # Removing

    def _prune(
        self,
        live: dict[tuple[str, str, str], Manifest],
        wanted: dict[tuple[str, str, str], Manifest],
        *,
        everything: bool = False,
    ) -> list[Manifest]:
        """Delete our objects that are not wanted, what calls a workload first; return what is left."""
        gone = [item for key, item in live.items() if key not in wanted and self.own.is_member(item)]
        gone.sort(key=lambda item: (kind_of(item).rank != WEBHOOK, -kind_of(item).rank))
        left: list[Manifest] = []
        for item in gone:
            try:
                with errors.explained(described(item), self._application):
                    if kind_of(item).kind == "CustomResourceDefinition" and self._in_use(item):
                        logger.warning("%s stays: it still has objects", described(item))
                        left.append(item)
                    else:
                        self._delete_quietly(item)
            except Problem as problem:
                if not everything:
                    raise
                logger.error("%s is left behind: %s", described(item), problem)
                left.append(item)
        return left

    def _delete_quietly(self, item: Manifest) -> None:
        """Delete an object; one that is already gone is as good."""
        kind = kind_of(item)
        try:
            self._client.delete(kind.resource, item["metadata"]["name"], **_where(kind, item))
        except lightkube.ApiError as error:
            if not errors.is_missing(error):
                raise

    def _in_use(self, crd: Manifest) -> bool:
        """Whether any object of the kind exists."""
        spec = crd["spec"]
        version = next(v["name"] for v in spec["versions"] if v["served"])
        kind = Kind(
            f"{spec['group']}/{version}",
            spec["names"]["kind"],
            spec["names"]["plural"],
            rank=WORKLOAD,
            namespaced=spec["scope"] == "Namespaced",
        )
        where = {"namespace": ALL_NS} if kind.namespaced else {}
        items = self._client.list(kind.resource, chunk_size=1, **where)
        return next(iter(items), None) is not None


_POD = Kind("v1", "Pod", "pods", WORKLOAD)


def _in_parallel(work: Callable[[Any], Any], items: list[Any]) -> list[Any]:
    """Do `work` for each item, a few at a time; return the results in order.

    Raises:
        ExceptionGroup: with every `Problem`. Any other error is a bug and comes first.
    """
    results: list[Any] = []
    problems: list[Problem] = []
    with concurrent.futures.ThreadPoolExecutor(_PARALLEL) as pool:
        for future in [pool.submit(work, item) for item in items]:
            try:
                results.append(future.result())
            except Problem as problem:
                problems.append(problem)
    if problems:
        raise ExceptionGroup("Kubernetes", problems)
    return results


def _where(kind: Kind, manifest: Manifest) -> dict[str, str]:
    return {"namespace": manifest["metadata"]["namespace"]} if kind.namespaced else {}


def _taken(there: Manifest) -> Problem:
    return blocked(f"{described(there)} belongs to {_writers(there)}", "remove or rename it")


def _writers(there: Any) -> str:
    entries = there["metadata"].get("managedFields") or []
    return ", ".join(sorted({entry.get("manager", "another") for entry in entries})) or "another"
