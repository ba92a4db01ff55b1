"""Apply a stand-in's Kubernetes objects, and prune them by label."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import httpx2
import lightkube
import ops
from lightkube.core.exceptions import ApiError
from lightkube.generic_resource import create_global_resource, create_namespaced_resource

from rehearsal.stand_ins.manifests import Manifest
from rehearsal.stand_ins.playing import StandIn
from rehearsal.stand_ins.stopping import Stop, blocked, waiting

logging.getLogger("httpx2").setLevel(logging.WARNING)  # it logs each request, and `juju debug-log` shows that

Kind = Any
"""A generic resource of lightkube."""

CRD = create_global_resource(
    "apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions"
)
SECRET = create_namespaced_resource("", "v1", "Secret", "secrets")
SERVICE = create_namespaced_resource("", "v1", "Service", "services")
SERVICE_ACCOUNT = create_namespaced_resource("", "v1", "ServiceAccount", "serviceaccounts")
DEPLOYMENT = create_namespaced_resource("apps", "v1", "Deployment", "deployments")
JOB = create_namespaced_resource("batch", "v1", "Job", "jobs")
ROLE = create_namespaced_resource("rbac.authorization.k8s.io", "v1", "Role", "roles")
ROLE_BINDING = create_namespaced_resource("rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings")

_APPLIED = "stand-in.rehearsal/applied"
_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
"""Only such names may go into a URL."""


class Rejected(Stop):
    """Kubernetes refuses an object because something in it is wrong.

    Attributes:
        name: of the object.
        reason: what is wrong.
    """

    def __init__(self, kind: str, name: str, reason: str):
        super().__init__(blocked(f"Kubernetes refuses {kind} {name}: {reason}").status)
        self.name = name
        self.reason = reason


class Objects:
    """An application's objects in its model's namespace.

    Every method raises `Stop` for problems that the operator can fix: missing rights, with the command that
    grants them, and values that Kubernetes refuses. If the API server is down or busy, the hook fails, as the
    real charms' hooks do, and Juju runs it again. A hook that touches no object opens no connection.
    """

    def __init__(self, application: str, namespace: str):
        self._application = application
        self._namespace = namespace
        self._labels = {"app.juju.is/created-by": application, "app.kubernetes.io/managed-by": "stand-in"}

    @functools.cached_property
    def _client(self) -> lightkube.Client:
        return lightkube.Client(namespace=self._namespace, field_manager=self._application)

    def close(self) -> None:
        """Close the connection, if there is one; the next use opens a new one."""
        if client := self.__dict__.pop("_client", None):
            client.close()

    def exists(self, kind: Kind, name: str) -> bool:
        """Tell whether an object of that name exists, whoever made it."""
        return self.look_at(kind, name) is not None

    def look_at(self, kind: Kind, name: str) -> Manifest | None:
        """Return an object, whoever made it; None if there is none."""
        self._check(kind, name)
        with self.explained(f"{kind.__name__} {name}"):
            try:
                return dict(self._client.get(kind, name))
            except httpx2.HTTPStatusError as error:
                if error.response.status_code == 404:
                    return None
                raise

    def get(self, kind: Kind, name: str) -> Manifest | None:
        """Return one of our own objects."""
        return self._list(kind).get(name)

    def all(self, kind: Kind) -> list[Manifest]:
        """Return our own objects."""
        return list(self._list(kind).values())

    def tell(self, kind: Kind, name: str, status: Manifest) -> None:
        """Set an object's status."""
        document = kind.Status({"metadata": {"name": name, "namespace": self._namespace}, "status": status})
        with self.explained(f"{kind.__name__} {name}"):
            self._client.apply(document, force=True)

    def delete(self, kind: Kind, name: str) -> None:
        """Delete an object, whoever made it, if there is one."""
        with self.explained(f"{kind.__name__} {name}"), _whether_gone():
            self._client.delete(kind, name)

    def names(self, kind: Kind) -> set[str]:
        """Return the names of our own objects."""
        return set(self._list(kind))

    def keep(self, kind: Kind, wanted: Iterable[Manifest] = (), *, marked: bool = False) -> None:
        """Keep exactly these objects of a kind: apply those that differ, and delete our others.

        Args:
            kind: the kind.
            wanted: the objects.
            marked: whether they are marked with a digest of what was applied, so that those with defaults
                from the server are not applied again; then what others change of them stays.

        Raises:
            Rejected: if Kubernetes refuses one; then nothing is deleted.
        """
        live, kept = self._list(kind), set()
        for manifest in wanted:
            name = str(manifest["metadata"]["name"])
            manifest["metadata"]["labels"] = manifest["metadata"].get("labels", {}) | self._labels
            if marked:
                digest = hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()[:16]
                manifest["metadata"]["annotations"] = {
                    **(manifest["metadata"].get("annotations") or {}),
                    _APPLIED: digest,
                }
                there = live.get(name, {}).get("metadata", {}).get("annotations") or {}
                settled = there.get(_APPLIED) == digest
            else:
                settled = _says(live.get(name), manifest)
            if not settled:
                self._apply(kind, name, manifest)
            kept.add(name)
        for name in live.keys() - kept:
            with self.explained(f"{kind.__name__} {name}"), _whether_gone():
                self._client.delete(kind, name)

    @contextlib.contextmanager
    def explained(self, subject: str) -> Iterator[None]:
        """Turn a refusal about `subject` into a `Stop` if trying again is useless."""
        try:
            yield
        except httpx2.HTTPStatusError as error:
            stop = self.explanation(subject, error.response.status_code, _said(error))
            if stop is None:
                raise
            raise stop from error

    def explanation(self, subject: str, code: int, message: str) -> Stop | None:
        """Return the meaning of a refusal; None if trying again may help.

        Args:
            subject: a kind, or a kind and a name.
            code: the HTTP status.
            message: the API server's message.
        """
        if "is being terminated" in message:
            return waiting(f"{subject}: its namespace is being removed")
        if code in (401, 403):
            return blocked(f"no rights on {subject}: juju trust {self._application} --scope=cluster")
        if code in (400, 422):
            kind, _, name = subject.partition(" ")
            return Rejected(kind, name, message.partition(" is invalid: ")[2] or message)
        return None

    def _list(self, kind: Kind) -> dict[str, Manifest]:
        """Return our objects by name; none if the kind is not installed."""
        with self.explained(kind.__name__):
            try:
                items = list(self._client.list(kind, labels={**self._labels}))
            except httpx2.HTTPStatusError as error:
                if error.response.status_code == 404:
                    return {}
                raise
        return {item["metadata"]["name"]: item for item in items}

    def _apply(self, kind: Kind, name: str, manifest: Manifest) -> None:
        self._check(kind, name)
        with self.explained(f"{kind.__name__} {name}"):
            self._client.apply(kind(manifest), force=True)

    @staticmethod
    def _check(kind: Kind, name: str) -> None:
        if not _NAME.fullmatch(name):
            raise Rejected(kind.__name__, name, "no name of an object")


class KubernetesStandIn(StandIn):
    """A stand-in that makes objects in Kubernetes."""

    def __init__(self, framework: ops.Framework):
        super().__init__(framework)
        self.objects = Objects(self.app.name, self.model.name)

    def _reconcile(self, event: ops.EventBase) -> None:
        with contextlib.closing(self.objects):
            super()._reconcile(event)

    def _remove(self, event: ops.RemoveEvent) -> None:
        with contextlib.closing(self.objects):
            super()._remove(event)


@contextlib.contextmanager
def _whether_gone() -> Iterator[None]:
    """Ignore that an object is gone already."""
    try:
        yield
    except httpx2.HTTPStatusError as error:
        if error.response.status_code != 404:
            raise


def _said(error: httpx2.HTTPStatusError) -> str:
    return (error.status.message if isinstance(error, ApiError) else None) or str(error)


def _says(live: Manifest | None, manifest: Manifest) -> bool:
    """Tell whether an object needs no apply; always False for objects that get defaults from the server."""
    if live is None:
        return False
    for key, value in manifest.items():
        if key not in ("apiVersion", "kind", "metadata") and live.get(key) != value:
            return False
    return all(
        _within(manifest["metadata"].get(part), live["metadata"].get(part))
        for part in ("labels", "annotations")
    )


def _within(wanted: Mapping[str, str] | None, live: Mapping[str, str] | None) -> bool:
    return (wanted or {}).items() <= (live or {}).items()
