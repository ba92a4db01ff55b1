"""The objects of one kind as they are: listed once, watched from there, and kept for reading."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import httpx2
import lightkube
from lightkube.core.resource import api_info

from rehearsal.players import decoding, kinds
from rehearsal.players.kinds import Key, Kind, Object
from rehearsal.players.refusals import Refusals

FIRST_PAUSE, LONGEST_PAUSE = 0.05, 5.0
"""Seconds between two attempts at what does not succeed."""

Hear = Callable[[Object | None, Object | None], None]
"""Told of an object as it was and as it is; None where there is none."""


class Follower:
    """Follows a kind in a thread of its own.

    Args:
        client: of who reads.
        kind: what.
        refusals: told what is in the way.
        scope: `namespace` and `fields` as lightkube takes them, if it is not all of the cluster.
    """

    def __init__(self, client: lightkube.Client, kind: Kind, refusals: Refusals, **scope: Any):
        self.synced = threading.Event()
        """Set when everything has been listed; when stopped, too, since nobody shall wait for it then."""
        self._client = client
        self._kind = kind
        self._refusals = refusals
        self._scope = scope
        if kinds.namespaced(kind):
            self._scope.setdefault("namespace", "*")
        self._hearers: list[Hear] = []
        self._lock = threading.Lock()
        self._items: dict[Key, Object] = {}
        self._stopped = threading.Event()
        name = f"follow {api_info(kind).plural}"
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def tell(self, hear: Hear) -> None:
        """Have someone told of every change, in this follower's thread; to be said before the start."""
        self._hearers.append(hear)

    def start(self) -> None:
        """Begin to follow."""
        self._thread.start()

    def stop(self) -> None:
        """Tell nobody any more; the thread ends when its connection is cut."""
        self._stopped.set()
        self.synced.set()

    def join(self) -> None:
        """Wait until the thread has ended."""
        if self._thread.ident is not None:
            self._thread.join()

    def get(self, key: Key) -> Object | None:
        """Return an object; it belongs to all, so change a copy only."""
        return self._items.get(key)

    def items(self) -> list[Object]:
        """Return all objects, in the order of their names."""
        with self._lock:
            return [self._items[key] for key in sorted(self._items)]

    def _run(self) -> None:
        pause = FIRST_PAUSE
        while not self._stopped.is_set():
            try:
                version = self._list()
                pause = FIRST_PAUSE
                self._watch(version)
            except (httpx2.HTTPError, OSError, decoding.Undecodable) as error:
                # It ends so whenever the server closes it, when the server goes away, and when there is an
                # object that a typed client cannot read: nothing more is heard of any until that is mended.
                if not self._stopped.is_set():
                    self._refusals.hear(self._thread.name, error)
            self._stopped.wait(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    def _list(self) -> str:
        listing = self._client.list(self._kind, **self._scope)
        found: dict[Key, Object] = {}
        for item in listing:
            decoding.check(self._kind, item)
            found[kinds.key(item)] = item
        for key in self._items.keys() | found.keys():
            self._put(key, found.get(key))
        self.synced.set()
        return listing.resourceVersion

    def _watch(self, version: str) -> None:
        for what, item in self._client.watch(self._kind, resource_version=version, **self._scope):
            if self._stopped.is_set():
                return
            decoding.check(self._kind, item)
            self._put(kinds.key(item), None if what == "DELETED" else item)

    def _put(self, key: Key, new: Object | None) -> None:
        old = self._items.get(key)
        if new is not None and old is not None and _version(new) == _version(old):
            return
        with self._lock:
            if new is None:
                self._items.pop(key, None)
            else:
                self._items[key] = new
        for hear in self._hearers:
            hear(old, new)


def _version(item: Object) -> str:
    return item["metadata"]["resourceVersion"]
