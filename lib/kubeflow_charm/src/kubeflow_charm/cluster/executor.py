"""Make the cluster hold what is desired, and nothing of ours that is not."""

from __future__ import annotations

import concurrent.futures
import functools
import itertools
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import lightkube
from lightkube import ALL_NS

from kubeflow_charm.cluster import errors, metadata_only, ownership, settled
from kubeflow_charm.cluster.resources import (
    DEFINITION,
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
from kubeflow_charm.problems import Problem, blocked, flattened
from kubeflow_charm.watch import process

logger = logging.getLogger(__name__)

Labels = Mapping[str, str | None]
"""A label selector; a value of None asks for the label only."""

_PARALLEL = 4
"""Requests under way at once: enough to hide the round trip, few enough for a busy API server."""
_PAUSES = (0.5, 2.0)
"""Seconds between tries to clear the cluster: types that come and go keep an API server from answering."""
_FEW_NAMESPACES = 8
"""Above this, one list of all namespaces costs less than one of each."""
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
    def client(self) -> Any:  # its overloads do not know generic resources made at run time
        """The API server, with the application's own rights and under its field manager."""
        process.decodable()
        return lightkube.Client(namespace=self.own.namespace, field_manager=self.own.field_manager)

    @functools.cached_property
    def lister(self) -> Any:
        """The same for lists without what is in the objects."""
        process.decodable()
        return metadata_only.client(self.own.namespace)

    def close(self) -> None:
        """Close the connections to the API server, if there are any."""
        for name in ("client", "lister"):
            if name in self.__dict__:
                self.__dict__.pop(name).close()

    def converge(self, desired: Iterable[Manifest]) -> list[Manifest]:
        """Apply what differs in the order of kinds, prune what is not desired, return the live objects.

        A settled cluster costs one list request for each kind and no write.

        Raises:
            ExceptionGroup: with a `Problem` for each object that could not be applied. Nothing is
                pruned then, and kinds that come after a failed one are left for the next time.
        """
        wanted = {identity(manifest): self._claimed(manifest) for manifest in desired}
        live, kinds, stale, recorded = self._ours(wanted)
        if not recorded:
            self._write_parent(kinds | stale)
        applied = self._apply_in_order(wanted, live)
        kept = self._prune(live, wanted)
        remembered = {kind for kind in stale if any(kind_of(item) is kind for item in kept)}
        if stale != remembered:
            self._write_parent(kinds | remembered)
        return list(applied.values())

    def distribute(
        self,
        desired: Iterable[tuple[Manifest, Iterable[str]]],
        keep: Callable[[Manifest], bool] = lambda _: False,
    ) -> list[tuple[Manifest, Problem]]:
        """Converge on objects that do not depend on one another, and let none be in another's way.

        Args:
            desired: objects of others, each with the namespaces it is for; what is wrong with one is no
                bug of ours.
            keep: tells which of our objects stay although they are not desired.

        Returns:
            The objects that could not be written or deleted, and why.

        Raises:
            Problem: if it is not even known what there is.
        """
        wanted = {identity(placed): placed for item in desired for placed in self._placed(*item)}
        live, kinds, stale, recorded = self._ours(wanted, by=self.lister)
        if wanted and not recorded:
            self._write_parent(kinds | stale)
        due = self._due(wanted, live)
        there = self._there([item for item in due if identity(item) not in live])
        failed = [(item, _taken(item)) for item in there.values() if not self._is_ours(item)]
        taken = {identity(item) for item, _ in failed}
        apply = functools.partial(self._apply, ours=live.keys() | there.keys() - taken)
        gone = [item for item in self._unwanted(live, wanted) if not keep(item)]
        failed += _trying(apply, [item for item in due if identity(item) not in taken], self._application)
        failed += _trying(self._delete_quietly, gone, self._application)
        return failed

    def pods(self) -> list[Manifest]:
        """Return the application's pods in its namespace."""
        with errors.explained("pods", self._application):
            return self._request_list(_POD, self.own.namespace, self.own.selector)

    def all_pods(self) -> list[Manifest]:
        """Return the pods of the whole cluster, whosesoever they are; not for a hook.

        Raises:
            Problem: if Kubernetes does not tell them.
        """
        with errors.explained("pods", self._application):
            return self._request_list(_POD, ALL_NS, None)

    def namespaces(self, label: str) -> list[Manifest]:
        """Return the namespaces that have a label, whatever its value, and are not going away.

        Raises:
            Problem: if Kubernetes does not tell them.
        """
        with errors.explained("namespaces", self._application):
            found = self._request_list(_NAMESPACE, "", {label: None})
        return [item for item in found if "deletionTimestamp" not in item["metadata"]]

    def nodes(self) -> list[Manifest]:
        """Return the cluster's nodes, by one request.

        Raises:
            Problem: if Kubernetes does not tell them.
        """
        with errors.explained("nodes", self._application):
            return self._request_list(_NODE, "", None)

    def clear(self) -> None:
        """Delete all that is ours; CRDs that still have objects stay, and a log line says so.

        Never raises for a remote cause: the unit that could try again is going away, so it tries a few times,
        and what cannot be deleted is logged with its name.
        """
        for pause in _PAUSES:
            problems = self._cleared()
            if not problems:
                return
            time.sleep(pause)
        for problem in self._cleared():
            logger.error("could not clear the cluster: %s", problem)

    def _cleared(self) -> list[Problem]:
        """Delete all that is ours, and return what was in the way."""
        problems: list[Problem] = []
        try:
            recorded = self.own.recorded(self._list({_PARENT_KIND}).values())
            # Without the record, whatever a charm may own is looked through.
            live = self._list(set(KINDS) if recorded is None else recorded | {_PARENT_KIND})
            self._prune(live, {}, everything=True)
            with errors.explained(f"ConfigMap {self.own.name}", self._application):
                self._delete_quietly(self.own.parent(()))
        except* Problem as group:
            problems = flattened(group)
        return problems

    def _claimed(self, manifest: Manifest) -> Manifest:
        manifest = _copied(manifest)
        self.own.claim(manifest)
        settled.stamp(manifest)
        return manifest

    def _placed(self, manifest: Manifest, namespaces: Iterable[str]) -> Iterator[Manifest]:
        """Yield an object for each namespace; they share all but their metadata."""
        claimed = self._claimed(manifest)
        for namespace in namespaces:
            yield {**claimed, "metadata": {**claimed["metadata"], "namespace": namespace}}

    # Reading

    def _ours(
        self, wanted: dict[Key, Manifest], by: Any = None
    ) -> tuple[dict[Key, Manifest], set[Kind], set[Kind], bool]:
        """Return what is ours, the kinds wanted, the kinds that were, and whether the first are recorded."""
        kinds = {kind_of(manifest) for manifest in wanted.values()} | {_PARENT_KIND}
        live = self._list(kinds, by)
        recorded = self.own.recorded(live.values())
        stale = (recorded or set()) - kinds
        live |= self._list(stale, by)
        return live, kinds, stale, recorded is not None and kinds <= recorded

    def _list(self, kinds: Iterable[Kind], by: Any = None) -> dict[Key, Manifest]:
        """Return what is ours of these kinds, the parent included. A type that is absent has none."""
        selector = self.own.selector
        found = _in_parallel(lambda kind: self._list_kind(kind, ALL_NS, selector, by), sorted(kinds, key=str))
        return {identity(item): item for item in itertools.chain.from_iterable(found)}

    def _list_kind(self, kind: Kind, namespace: str, labels: Labels | None, by: Any = None) -> list[Manifest]:
        """Return the objects of a kind; a type that is absent has none."""
        try:
            with errors.explained(kind.group_kind, self._application):
                return self._request_list(kind, namespace, labels, by)
        except Problem as problem:
            if errors.is_missing(problem.__cause__):
                return []
            raise

    def _request_list(
        self, kind: Kind, namespace: str, labels: Labels | None, by: Any = None
    ) -> list[Manifest]:
        where = {"namespace": namespace} if kind.namespaced else {}
        items = (by or self.client).list(kind.resource, labels=labels, **where)
        # Items of a list come without the two fields that say what they are, or as mere metadata.
        return [{**item, "apiVersion": kind.api_version, "kind": kind.kind} for item in items]

    def _due(self, wanted: dict[Key, Manifest], live: dict[Any, Manifest]) -> list[Manifest]:
        """Return what is wanted and is not so already."""
        known = settled.Settled(self.own.field_manager)
        return [item for key, item in wanted.items() if not known.is_settled(item, live.get(key))]

    def _unwanted(self, live: dict[Key, Manifest], wanted: dict[Key, Manifest]) -> list[Manifest]:
        """Return our objects that are not wanted."""
        return [item for key, item in live.items() if key not in wanted and self.own.is_member(item)]

    def _is_ours(self, there: Manifest) -> bool:
        """Whether an object was made by us, though someone may have taken our label off."""
        return settled.applied_fields(there, self.own.field_manager) is not None

    # Writing

    def _apply_in_order(self, wanted: dict[Key, Manifest], live: dict[Any, Manifest]) -> dict[Key, Manifest]:
        result = {key: live[key] for key in wanted if key in live}
        due = self._due(wanted, live)
        unlabelled = self._unlabelled([item for item in due if identity(item) not in live])
        due.sort(key=lambda manifest: kind_of(manifest).rank)
        for _, group in itertools.groupby(due, key=lambda manifest: kind_of(manifest).rank):
            apply = functools.partial(self._apply, ours=live.keys() | unlabelled)
            for item in _in_parallel(apply, list(group)):
                result[identity(item)] = item
        return result

    def _unlabelled(self, unknown: list[Manifest]) -> set[Key]:
        """Return which of the objects are there and ours, though someone took our label off.

        Server-side apply would merge into an object of a user's without a conflict, and removal would then
        delete it. Types are shared by nature: a CRD that is there is taken over.

        Raises:
            ExceptionGroup: with a `Problem` for each object that is there and not ours. Nothing has been
                written then.
        """
        there = self._there(unknown)
        problems = [_taken(item) for item in there.values() if not self._is_ours(item)]
        if any(identity(item) == identity(self.own.parent(())) for item in unknown):
            problems.append(blocked(f"ConfigMap {self.own.name}", "the name is needed, choose another"))
        if problems:
            raise ExceptionGroup("objects of others", problems)
        return set(there)

    def _there(self, unknown: list[Manifest]) -> dict[Key, Manifest]:
        """Return those of the objects that there are, whosesoever; types are not looked for."""
        wanted = {identity(item): item for item in unknown if kind_of(item).rank != DEFINITION}
        places: dict[Kind, set[str]] = {}
        for item in wanted.values():
            places.setdefault(kind_of(item), set()).add(item["metadata"].get("namespace", ""))
        lists = [
            (kind, namespace)
            for kind, namespaces in places.items()
            for namespace in ([ALL_NS] if len(namespaces) > _FEW_NAMESPACES else sorted(namespaces))
        ]
        found = _in_parallel(lambda place: self._list_kind(*place, labels=None), lists)
        return {
            identity(item): item for item in itertools.chain.from_iterable(found) if identity(item) in wanted
        }

    def _apply(self, manifest: Manifest, ours: set[Key]) -> Manifest:
        """Apply one object. What came up meanwhile is not taken by force: the next time tells whose it is."""
        kind = kind_of(manifest)
        force = identity(manifest) in ours or kind.rank == DEFINITION
        with errors.explained(described(manifest), self._application):
            return self._request_apply(kind, manifest, force=force)

    def _request_apply(self, kind: Kind, manifest: Manifest, *, force: bool) -> Manifest:
        return dict(
            self.client.apply(
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
        live: dict[Key, Manifest],
        wanted: dict[Key, Manifest],
        *,
        everything: bool = False,
    ) -> list[Manifest]:
        """Delete our objects that are not wanted, what calls a workload first; return what is left."""

        def delete(item: Manifest) -> Manifest | None:
            try:
                with errors.explained(described(item), self._application):
                    if kind_of(item).kind == "CustomResourceDefinition" and self._in_use(item):
                        logger.warning("%s stays: it still has objects", described(item))
                        return item
                    self._delete_quietly(item)
            except Problem as problem:
                if not everything:
                    raise
                logger.error("%s is left behind: %s", described(item), problem)
                return item
            return None

        gone = sorted(self._unwanted(live, wanted), key=_order_of_removal)
        left: list[Manifest | None] = []
        for _, group in itertools.groupby(gone, key=_order_of_removal):
            left += _in_parallel(delete, list(group))
        return [item for item in left if item is not None]

    def _delete_quietly(self, item: Manifest) -> None:
        """Delete an object; one that is already gone is as good."""
        kind = kind_of(item)
        try:
            self.client.delete(kind.resource, item["metadata"]["name"], **_where(kind, item))
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
        items = self.client.list(kind.resource, chunk_size=1, **where)
        return next(iter(items), None) is not None


_NAMESPACE = next(kind for kind in KINDS if kind.group_kind == "Namespace")
_POD = Kind("v1", "Pod", "pods", WORKLOAD)
_NODE = Kind("v1", "Node", "nodes", WORKLOAD, namespaced=False)


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


def _trying(
    work: Callable[[Manifest], Any], items: list[Manifest], application: str
) -> list[tuple[Manifest, Problem]]:
    """Do `work` for each item, a few at a time; return the items for which it failed, and why."""

    def attempt(item: Manifest) -> tuple[Manifest, Problem] | None:
        try:
            with errors.explained(described(item), application):
                work(item)
        except Problem as problem:
            return item, problem
        except lightkube.ApiError as error:  # what the API server cannot read is its author's fault
            return item, blocked(described(item), error.status.message or str(error))
        return None

    with concurrent.futures.ThreadPoolExecutor(_PARALLEL) as pool:
        return [failed for failed in pool.map(attempt, items) if failed]


def _copied(value: Any) -> Any:
    """Return a copy of a document: a fifth of the time of `copy.deepcopy`, which counts for thousands."""
    if isinstance(value, dict):
        return {key: _copied(item) for key, item in value.items()}
    return [_copied(item) for item in value] if isinstance(value, list) else value


def _order_of_removal(item: Manifest) -> tuple[bool, int]:
    """What calls a workload goes first, then the last that was made."""
    return kind_of(item).rank != WEBHOOK, -kind_of(item).rank


def _where(kind: Kind, manifest: Manifest) -> dict[str, str]:
    return {"namespace": manifest["metadata"]["namespace"]} if kind.namespaced else {}


def _taken(there: Manifest) -> Problem:
    return blocked(f"{described(there)} belongs to {_writers(there)}", "remove or rename it")


def _writers(there: Any) -> str:
    entries = there["metadata"].get("managedFields") or []
    return ", ".join(sorted({entry.get("manager", "another") for entry in entries})) or "another"
