"""Follow the objects of one kind: list them, watch them, and note news."""

from __future__ import annotations

import http.client
import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from kubeflow_charm.watch.apiserver import ApiServer, Refused
from kubeflow_charm.watch.digests import APPLIED, STATES, Digest, Item, digest, is_news, place
from kubeflow_charm.watch.pacing import Pacing

logger = logging.getLogger("watcher")

_FIRST_PAUSE, _LONGEST_PAUSE, _ABSENT_PAUSE = 0.2, 10.0, 60.0
_OUTDATED = (400, 404, 410, 504)
"""Refusals after which a watch begins with a list: the version is too old, or its store is gone."""

Kind = Mapping[str, Any]
"""A kind to follow, as plain data: the fields of `watcher.Followed`."""


class Changes:
    """The changes that the threads saw, and when a hook is due."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._known: dict[str, dict[str, Digest]] = {}
        self._pacing = Pacing()
        self._cause = ""

    def listed(self, kind: str, digests: dict[str, Digest], *, first_is_news: bool) -> None:
        """Record all objects of a kind.

        Args:
            kind: the kind.
            digests: namespace and name of each object, to its digest.
            first_is_news: whether the first list is news, because the charm looked earlier.
        """
        with self._condition:
            known = self._known.get(kind)
            self._known[kind] = digests
            if known is None:
                news = first_is_news
            else:
                names = known.keys() | digests.keys()
                news = any(is_news(known.get(name), digests.get(name)) for name in names)
            if news:
                self._touch(f"a list of {kind}")

    def seen(self, kind: str, name: str, digest: Digest | None) -> None:
        """Record one object; None means that it is gone."""
        with self._condition:
            known = self._known[kind]
            if is_news(known.get(name), digest):
                self._touch(f"{kind} {name}")
            if digest is None:
                known.pop(name, None)
            else:
                known[name] = digest

    def touch(self, cause: str) -> None:
        """Record a change that no object shows."""
        with self._condition:
            self._touch(cause)

    def _touch(self, cause: str) -> None:
        self._cause = self._cause or cause
        self._pacing.changed(time.monotonic())
        self._condition.notify()

    def wait(self, seconds: float, retry_after: float | None) -> bool:
        """Wait until a hook is due, at most some seconds; return whether it is due."""
        end = time.monotonic() + seconds
        with self._condition:
            self._pacing.retry(retry_after, time.monotonic())
            while True:
                now, due = time.monotonic(), self._pacing.due()
                if due is not None and due <= now:
                    self._pacing.asking()
                    logger.info("a hook is due for %s", self._cause or "another try")
                    self._cause = ""
                    return True
                if now >= end:
                    return False
                self._condition.wait(min(end, due or end) - now)

    def asked(self, *, done: bool) -> None:
        """Record that the request for a hook has ended, and whether the hook ran."""
        with self._condition:
            self._pacing.asked(time.monotonic(), done=done)


class Follower:
    """One kind of object, followed forever in a thread of its own.

    Args:
        kind: the kind to follow.
        api: the API server.
        namespace: the application's namespace, for kinds that we follow only there.
        manager: the application's field manager.
        changes: receives news.
        look: called with each new or changed object.
    """

    def __init__(
        self,
        kind: Kind,
        api: ApiServer,
        namespace: str,
        manager: str,
        changes: Changes,
        look: Callable[[Item], None] = lambda _: None,
    ):
        self._kind, self._api, self._manager, self._changes, self._look = kind, api, manager, changes, look
        self._name = f"{kind['plural']} ({kind['matters']})"
        self._path = path(kind, namespace)
        self._query = selection(kind)
        self._metadata_only = kind["matters"] not in STATES
        self._version: str | None = None

    def start(self) -> None:
        """Start the thread."""
        threading.Thread(target=self._run, name=self._kind["plural"], daemon=True).start()

    def _run(self) -> None:
        pause, logged = _FIRST_PAUSE, ""
        while True:
            began, longest = time.monotonic(), _LONGEST_PAUSE
            try:
                if self._version is None:
                    self._list()
                self._watch()
                logged = ""
            except (OSError, http.client.HTTPException, ValueError, LookupError, Refused) as error:
                if isinstance(error, Refused):
                    longest = _ABSENT_PAUSE if error.status == 404 else _LONGEST_PAUSE
                    self._version = None if error.status in _OUTDATED else self._version
                reason = f"{self._kind['kind']}: {type(error).__name__}: {error}"
                if reason != logged:
                    logger.info(reason)
                    if isinstance(error, Refused) and error.status == 401:
                        self._changes.touch("new credentials")  # a hook may know newer credentials
                logged = reason
            # Ask an API server that is away less and less often.
            if time.monotonic() - began > longest:
                pause = _FIRST_PAUSE
            time.sleep(pause)
            pause = min(pause * 2, longest)

    def _list(self) -> None:
        digests: dict[str, Digest] = {}
        version = ""
        for page in self._api.pages(self._path, self._query, metadata_only=self._metadata_only):
            for item in page["items"] or ():
                self._look(item)
                digests[place(item)] = self._digest(item)
            version = page["metadata"]["resourceVersion"]
        self._changes.listed(self._name, digests, first_is_news=self._kind["matters"] != APPLIED)
        self._version = version

    def _watch(self) -> None:
        assert self._version is not None  # noqa: S101 (listed before)
        events = self._api.events(self._path, self._query, self._version, metadata_only=self._metadata_only)
        for event, item in events:
            if event == "DELETED":
                self._changes.seen(self._name, place(item), None)
            elif event != "BOOKMARK":
                self._look(item)
                self._changes.seen(self._name, place(item), self._digest(item))
            self._version = item["metadata"]["resourceVersion"]

    def _digest(self, item: Item) -> Digest:
        return digest(item, self._kind["matters"], self._manager)


def path(kind: Kind, namespace: str) -> str:
    """Return the path of a kind's collection."""
    version = kind["api_version"]
    where = f"/namespaces/{namespace}" if kind["namespaced"] else ""
    return f"{'/apis' if '/' in version else '/api'}/{version}{where}/{kind['plural']}"


def selection(kind: Kind) -> dict[str, str]:
    """Return the query that selects a kind's objects."""
    labels = ",".join(key if value is None else f"{key}={value}" for key, value in kind["labels"].items())
    fields = ",".join(f"{key}={value}" for key, value in kind["fields"].items())
    query = {"labelSelector": labels, "fieldSelector": fields}
    return {key: value for key, value in query.items() if value}
