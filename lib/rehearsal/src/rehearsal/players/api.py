"""What a program has of the API server: copies of what it follows, and writes as a reconciler makes them."""

from __future__ import annotations

import copy
import hashlib
import json
import ssl
import threading
from collections.abc import Callable
from typing import Any

import httpx2
import lightkube
from lightkube.models.core_v1 import ObjectReference
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.core_v1 import PodBinding
from lightkube.types import CascadeType, PatchType

from rehearsal.players import direct, kinds
from rehearsal.players.follower import Follower
from rehearsal.players.kinds import Key, Kind, Object
from rehearsal.players.refusals import Refusals
from rehearsal.players.severing import Severable

Copy = Callable[[Object, Object], None]
"""Copies into an object that is there (the second) what a reconciler wants of it (the first)."""

_VOLATILE = ("resourceVersion", "managedFields", "generation")


class Gone(Exception):
    """There is no such object any more."""


class Api:
    """One account's way to the API server.

    Reading is from copies that followers keep, as client libraries for controllers do it: so it takes the
    verbs `list` and `watch`, and may be a moment behind. Only `read` asks the server, by `get`.

    Args:
        connect: makes the client, given what its requests go through.
        context: how to speak to the server.
        refusals: told what is in the way.
    """

    def __init__(
        self,
        connect: Callable[[httpx2.BaseTransport], lightkube.Client],
        context: ssl.SSLContext,
        refusals: Refusals,
    ):
        self._transport = Severable(context)
        self._client = connect(self._transport)
        self._refusals = refusals
        self._followers: dict[tuple[Any, ...], Follower] = {}
        self._lock = threading.Lock()
        self._started = self._stopped = False
        self._settled: dict[tuple[str, bool], tuple[str, str]] = {}

    def follower(self, kind: Kind, **scope: Any) -> Follower:
        """Return what follows a kind, the same one for all; scope as `Follower` takes it."""
        which = (kind, json.dumps(scope, sort_keys=True))
        with self._lock:
            if which not in self._followers:
                follower = self._followers[which] = Follower(self._client, kind, self._refusals, **scope)
                if self._stopped:
                    follower.stop()
                elif self._started:
                    follower.start()
            return self._followers[which]

    def start(self) -> None:
        """Begin to follow."""
        with self._lock:
            self._started = True
            for each in self._followers.values():
                each.start()

    def stop(self) -> None:
        """End all requests, whoever makes them."""
        with self._lock:
            self._stopped = True
            for each in self._followers.values():
                each.stop()
        self._transport.sever()

    def close(self) -> None:
        """Wait for the followers' end, and free everything; nobody may use it any more."""
        for each in self._followers.values():
            each.join()
        self._client.close()

    def get(self, kind: Kind, key: Key) -> Object | None:
        """Return the copy of an object; it belongs to all. The first time a kind is asked for, it waits."""
        follower = self.follower(kind)
        follower.synced.wait()
        return follower.get(key)

    def items(self, kind: Kind, namespace: str) -> list[Object]:
        """Return the copies of a namespace's objects."""
        follower = self.follower(kind)
        follower.synced.wait()
        return [item for item in follower.items() if kinds.key(item)[0] == namespace]

    def read(self, kind: Kind, key: Key) -> Object | None:
        """Ask for an object."""
        return direct.read(self._client, kind, key)

    def create(self, kind: Kind, item: Object) -> Object:
        """Create an object; return it as it is."""
        return self._client.create(kind(item))

    def ensure(self, kind: Kind, wanted: Object) -> Object:
        """Create an object unless there is one of its name; return what is there, as far as it is known."""
        found = self.get(kind, kinds.key(wanted))
        if found is not None:
            return found
        try:
            return self.create(kind, wanted)
        except lightkube.ApiError as error:
            if error.status.reason != "AlreadyExists":
                raise
            return wanted  # the copies are a moment behind

    def apply(self, kind: Kind, item: Object, manager: str) -> Object:
        """Apply an object on the server side as a field manager, by force; return it as it is."""
        return self._client.apply(kind(item), field_manager=manager, force=True)

    def bind(self, pod: Key, node: str) -> None:
        """Have a pod run on a node."""
        namespace, name = pod
        metadata = ObjectMeta(name=name, namespace=namespace)
        target = ObjectReference(kind="Node", name=node)
        self._client.create(PodBinding(metadata=metadata, target=target), name)

    def delete(self, kind: Kind, key: Key, *, foreground: bool = False) -> None:
        """Delete an object, if there is one; in the foreground if it shall go after what it owns."""
        namespace, name = key
        cascade = CascadeType.FOREGROUND if foreground else None
        try:
            self._client.delete(kind, name, namespace=namespace or None, cascade=cascade)
        except httpx2.HTTPStatusError as error:
            if error.response.status_code != 404:
                raise

    def patch(self, kind: Kind, key: Key, patch: Object) -> Object:
        """Change some fields of an object; raises `Gone` if there is none."""
        namespace, name = key
        try:
            return self._client.patch(
                kind, name, patch, namespace=namespace or None, patch_type=PatchType.STRATEGIC
            )
        except httpx2.HTTPStatusError as error:
            if error.response.status_code == 404:
                raise Gone(name) from None
            raise

    def merge(self, kind: Kind, key: Key, patch: Object) -> Object:
        """Merge something into an object as RFC 7386 has it; raises `Gone` if there is none."""
        namespace, name = key
        try:
            return self._client.patch(
                kind, name, patch, namespace=namespace or None, patch_type=PatchType.MERGE
            )
        except httpx2.HTTPStatusError as error:
            if error.response.status_code == 404:
                raise Gone(name) from None
            raise

    def replace(self, kind: Kind, item: Object, live: Object) -> Object:
        """Replace an object that is there; return it as it is."""
        return self._put(kind, item, live, status=False)

    def replace_status(self, kind: Kind, live: Object, status: Object) -> Object:
        """Replace the status of an object that is there; return the object as it is."""
        return self._put(kind, {**live, "status": status}, live, status=True)

    def keep(self, kind: Kind, wanted: Object, live: Object | None, change: Copy) -> Object:
        """Create an object, or have what is there of it changed; return it as it is."""
        if live is None:
            return self.create(kind, wanted)
        item = copy.deepcopy(live)
        change(wanted, item)
        return self.replace(kind, item, live)

    def _put(self, kind: Kind, item: Object, live: Object, *, status: bool) -> Object:
        """Write, unless that has been written before, and the object has not changed since.

        An object is never what was written, since the server adds its defaults; so it is remembered how one
        looked afterwards.
        """
        if item == live:
            return live
        which = (live["metadata"]["uid"], status)
        asked = _digest(item, status)
        if self._settled.get(which) == (asked, _digest(live, status)):
            return live
        result = self._client.replace((kind.Status if status else kind)(item))
        self._settled[which] = (asked, _digest(result, status))
        return result


def _digest(item: Object, status: bool) -> str:
    """Return a digest of what a write can change: everything else, or the status."""
    metadata = {name: value for name, value in item["metadata"].items() if name not in _VOLATILE}
    rest = {name: value for name, value in item.items() if name not in ("apiVersion", "kind", "status")}
    said = item.get("status") if status else {**rest, "metadata": metadata}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
