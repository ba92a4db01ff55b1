"""The loop that every controller is: keys of what has changed, and a function that puts each one right."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable

from rehearsal.players import kinds
from rehearsal.players.api import Api
from rehearsal.players.follower import FIRST_PAUSE, LONGEST_PAUSE, Follower
from rehearsal.players.kinds import Key, Kind, Object
from rehearsal.players.refusals import Refusals

Concerned = Callable[[Object], Iterable[Key]]
"""Returns the keys that an object concerns."""
Counts = Callable[[Object | None, Object | None], bool]
"""Returns whether a change counts, from before to after; None is no object."""
Reconcile = Callable[[Key], float | None]
"""Puts one object right; returns after how many seconds to look again, if nothing changes before."""


class Controller:
    """Calls `reconcile` for one key after the other, again and again with longer pauses while it fails.

    What is written is not announced to it: it learns of that as of any other change.

    Args:
        api: where it reads and writes.
        kind: of the objects whose keys these are.
        reconcile: called in the controller's thread.
        refusals: told what is in the way.
        name: of the thread.
    """

    def __init__(self, api: Api, kind: Kind, reconcile: Reconcile, refusals: Refusals, name: str):
        self._api = api
        self._kind = kind
        self._reconcile = reconcile
        self._refusals = refusals
        self._due: dict[Key, float] = {}
        self._failures: dict[Key, int] = {}
        self._changed = threading.Condition()
        self._hurries = 0
        self._stopped = False
        self._sources: list[Follower] = []
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self.watches(kind, lambda item: [kinds.key(item)])

    def owns(self, kind: Kind) -> None:
        """Look again at what controls an object of this kind, when that changes."""

        def owner(item: Object) -> list[Key]:
            name = kinds.controller(self._kind, item)
            namespace = item["metadata"].get("namespace", "") if kinds.namespaced(self._kind) else ""
            return [] if name is None else [(namespace, name)]

        self.watches(kind, owner)

    def watches(self, kind: Kind, concerned: Concerned, if_: Counts | None = None) -> None:
        """Look again at the keys that an object of this kind concerns, when that changes, if it counts."""
        self.hears(self._api.follower(kind), concerned, if_)

    def hears(self, follower: Follower, concerned: Concerned, if_: Counts | None = None) -> None:
        """Look again at the keys that what a follower follows concerns, when that changes."""

        def hear(old: Object | None, new: Object | None) -> None:
            if if_ is not None and not if_(old, new):
                return
            for key in {key for item in (old, new) if item is not None for key in concerned(item)}:
                self.add(key)

        follower.tell(hear)
        self._sources.append(follower)

    def start(self) -> None:
        """Begin, as soon as everything that is watched has been listed."""
        self._thread.start()

    def stop(self) -> None:
        """Begin with no other key."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def join(self) -> None:
        """Wait until the thread has ended."""
        if self._thread.ident is not None:
            self._thread.join()

    def add(self, key: Key, after: float = 0.0) -> None:
        """Have a key looked at, in some seconds if not earlier."""
        due = time.monotonic() + after
        with self._changed:
            self._due[key] = min(due, self._due.get(key, due))
            self._changed.notify_all()

    def hurry(self) -> None:
        """Look at once at what waits for its time, and again at what is being looked at."""
        with self._changed:
            self._hurries += 1
            self._due = dict.fromkeys(self._due, 0.0)
            self._changed.notify_all()

    def _run(self) -> None:
        for follower in self._sources:
            follower.synced.wait()
        while (key := self._next()) is not None:
            self._look_at(key)

    def _next(self) -> Key | None:
        with self._changed:
            while not self._stopped:
                now = time.monotonic()
                key = min(self._due, key=self._due.__getitem__, default=None)
                if key is None:
                    self._changed.wait()
                elif self._due[key] > now:
                    self._changed.wait(self._due[key] - now)
                else:
                    del self._due[key]
                    return key
        return None

    def _look_at(self, key: Key) -> None:
        hurries = self._hurries
        try:
            again = self._reconcile(key)
        except Exception as error:  # whatever one object leads to, the others are looked at
            if self._stopped:
                return
            self._refusals.hear(f"{self._thread.name}: {'/'.join(filter(None, key))}", error)
            failures = self._failures[key] = self._failures.get(key, 0) + 1
            self.add(key, min(FIRST_PAUSE * 2 ** (failures - 1), LONGEST_PAUSE))
        else:
            self._failures.pop(key, None)
            if again is not None:
                self.add(key, again if hurries == self._hurries else 0.0)
