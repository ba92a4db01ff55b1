"""Reads of the cluster, one request each."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterable, Mapping
from typing import Any

from lightkube import ALL_NS

from kubeflow_charm.cluster import connection, errors, metadata_only, ownership
from kubeflow_charm.cluster.resources import CUSTOM_RESOURCE_DEFINITION, KINDS, WORKLOAD, Kind, Manifest
from kubeflow_charm.problems import Problem

Labels = Mapping[str, str | None]
"""A label selector; None stands for any value of the label."""

_NAMESPACE = next(kind for kind in KINDS if kind.group_kind == "Namespace")
_POD = Kind("v1", "Pod", "pods", WORKLOAD)
_NODE = Kind("v1", "Node", "nodes", WORKLOAD, namespaced=False)


class Reader:
    """Reads objects with the application's own rights.

    The requests follow one another, so a hook that only reads opens one connection.

    Args:
        application: name of the Juju application.
        namespace: name of the Juju model, which is the namespace.
    """

    def __init__(self, application: str, namespace: str):
        self.application = application
        self.own = ownership.ApplySet(application, namespace)
        self._read: dict[Kind, list[Manifest]] = {}

    @functools.cached_property
    def client(self) -> Any:  # its overloads do not know generic resources made at run time
        """The API server, with the application's own rights and under its field manager."""
        return connection.client(self.own.namespace, self.own.field_manager)

    def close(self) -> None:
        """Close the connections to the API server, if there are any."""
        self._read.clear()
        if "client" in self.__dict__:
            self.__dict__.pop("client").close()

    def pods(self) -> list[Manifest]:
        """Return the application's pods in its namespace.

        Raises:
            Problem: if the API server does not answer or refuses. The other readers raise the same.
        """
        with errors.explained("pods", self.application):
            return self._list(_POD, self.own.namespace, self.own.selector)

    def all_pods(self) -> list[Manifest]:
        """Return all pods of the cluster; too many for a hook."""
        with errors.explained("pods", self.application):
            return self._list(_POD, ALL_NS, None)

    def namespaces(self, label: str) -> list[Manifest]:
        """Return the namespaces with a label of any value, except those that are being deleted."""
        with errors.explained("namespaces", self.application):
            found = self._list(_NAMESPACE, "", {label: None})
        return [item for item in found if "deletionTimestamp" not in item["metadata"]]

    def nodes(self) -> list[Manifest]:
        """Return the cluster's nodes."""
        with errors.explained("nodes", self.application):
            return self._list(_NODE, "", None)

    def serves(self, kind: Kind) -> bool:
        """Return whether the API server has a kind, for an object that only newer ones have.

        It costs nothing where such an object is then applied: the request is the one that looks for ours.

        Raises:
            Problem: if the API server does not answer or refuses.
        """
        found = self._found(kind, ALL_NS, self.own.selector, whole=kind.status)
        if found is not None:
            self._read[kind] = found
        return found is not None

    def labelled(self, kinds: Iterable[Kind]) -> list[Manifest]:
        """Return the objects of some kinds with our label, including the parent of our set.

        What `serves` has read is used once: afterwards it may be old.
        """
        found: list[Manifest] = []
        for kind in sorted(kinds, key=str):
            read = self._read.pop(kind, None)
            found += (
                self.of_kind(kind, ALL_NS, self.own.selector, whole=kind.status) if read is None else read
            )
        return found

    def of_kind(self, kind: Kind, namespace: str, labels: Labels | None, *, whole: bool) -> list[Manifest]:
        """Return the objects of a kind; none if the type does not exist.

        Args:
            kind: the kind.
            namespace: where to look; ignored for kinds without namespaces.
            labels: which objects to return; None for all.
            whole: whether to read complete objects, not only their metadata.
        """
        return self._found(kind, namespace, labels, whole=whole) or []

    def _found(
        self, kind: Kind, namespace: str, labels: Labels | None, *, whole: bool
    ) -> list[Manifest] | None:
        """Return the objects of a kind; None if the type does not exist."""
        content = contextlib.nullcontext() if whole else metadata_only.requested()
        try:
            with errors.explained(kind.group_kind, self.application), content:
                return self._list(kind, namespace, labels)
        except Problem as problem:
            if errors.is_missing(problem.__cause__):
                return None
            raise

    def whole(self, kind: Kind, name: str) -> Manifest:
        """Return one complete object of a kind without namespaces."""
        with errors.explained(f"{kind.kind} {name}", self.application):
            return {**self.client.get(kind.resource, name), "apiVersion": kind.api_version, "kind": kind.kind}

    def definitions(self) -> set[str]:
        """Return the names of all CustomResourceDefinitions, such as `notebooks.kubeflow.org`."""
        found = self.of_kind(CUSTOM_RESOURCE_DEFINITION, "", None, whole=False)
        return {item["metadata"]["name"] for item in found}

    def named(self, kind: Kind, name: str, *, everywhere: bool = False) -> list[Manifest]:
        """Return the objects with one name, in our namespace or in all namespaces."""
        with errors.explained(f"{kind.kind} {name}", self.application):
            where = ALL_NS if everywhere else self.own.namespace
            return self._list(kind, where, None, fields={"metadata.name": name})

    def _list(
        self, kind: Kind, namespace: str, labels: Labels | None, fields: Mapping[str, str] | None = None
    ) -> list[Manifest]:
        where = {"namespace": namespace} if kind.namespaced else {}
        items = self.client.list(kind.resource, labels=labels, fields=fields, **where)
        # Items of a list lack `apiVersion` and `kind`, or have those of their metadata.
        return [{**item, "apiVersion": kind.api_version, "kind": kind.kind} for item in items]
