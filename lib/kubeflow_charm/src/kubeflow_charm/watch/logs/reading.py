"""Read the log of one container for one Loki, from restart to restart."""

from __future__ import annotations

import http.client
import logging
import threading
import time
from collections.abc import Callable, Iterator

from kubeflow_charm.watch.apiserver import Answer, ApiServer, Refused
from kubeflow_charm.watch.logs.lines import LIMIT, STAMP_LIMIT, Cursor, Fresh, Line, parse
from kubeflow_charm.watch.logs.loki import Entry
from kubeflow_charm.watch.logs.pauses import Pauses
from kubeflow_charm.watch.logs.pods import Container

logger = logging.getLogger("watcher")

FIRST_LOOK = 3600
"""Seconds of the past that a Loki gets of a container of which it has nothing from us. The positions are in
the charm's pod, so another leader has none, and neither has a pod that was made anew, as by `juju refresh`.
An hour is longer than that takes. Loki knows a line that it has already by its time and text."""
_LONGEST = LIMIT + STAMP_LIMIT
"""Bytes of a line that are read; a container may write lines of any length."""


class Reader:
    """A container's log.

    Args:
        container: the container.
        cursor: where to begin.
        api: the API server.
        put: takes each line; returns False if nobody wants any more. It may wait.
        ended: called when the log is complete, or the container is gone; it decides whether the reader ends.
    """

    def __init__(
        self,
        container: Container,
        cursor: Cursor,
        api: ApiServer,
        put: Callable[[Entry], bool],
        ended: Callable[[Reader, Container], bool],
    ):
        self.container = container
        self.cursor = cursor
        self.lost = False
        """Whether the pod is gone: what the API server still sends is read to its end, and nothing more."""
        self._api, self._put, self._ended = api, put, ended
        self._pauses = Pauses()
        self._changed = threading.Event()
        self._stopped = False
        self._answer: Answer | None = None

    def changes(self, container: Container) -> None:
        """Learn that the container has been restarted, or has ended."""
        self.container = container
        self._changed.set()

    def loses(self) -> None:
        """Learn that the pod is gone."""
        self.lost = True
        self._changed.set()

    def stop(self) -> None:
        """Stop reading at once."""
        self._stopped = True
        self._changed.set()
        if answer := self._answer:
            answer.interrupt()

    def run(self) -> None:
        """Read until the log is complete, the container is gone, or the reader is stopped."""
        logged = ""
        while not self._stopped:
            self._changed.clear()
            now, failed = self.container, ""
            try:
                self._read(now)
            except (OSError, http.client.HTTPException, ValueError, Refused) as error:
                failed = f"log of {now.pod}/{now.name}: {type(error).__name__}: {error}"
                if failed != logged and not self._stopped:
                    logger.info(failed)
            logged = failed
            complete = self.lost or (not failed and not now.runs)
            if complete and self._ended(self, now):
                return
            if not self._stopped:
                self._changed.wait(self._pauses.next())

    def _read(self, now: Container) -> None:
        """Read what is new: first of the previous run, of which the rest was not read, then of this one."""
        if now.restarts > self.cursor.restarts:
            try:
                self._read_answer(now, {"previous": "true"}, now.restarts - 1)
            except Refused as refused:
                if refused.status not in (400, 404):  # the kubelet keeps the log of one run at most
                    raise
            self.cursor = self.cursor._replace(restarts=now.restarts)
        self._read_answer(now, {"follow": "true"} if now.runs else {}, now.restarts)

    def _read_answer(self, now: Container, how: dict[str, str], restarts: int) -> None:
        query = {"container": now.name, "timestamps": "true", "sinceTime": self.cursor.since, **how}
        fresh = Fresh(self.cursor)
        answer = self._api.log(now.path, query)
        self._answer = answer
        try:
            for line in self._lines(answer, whole="follow" in how):
                if not fresh.is_new(line.time):
                    continue
                self._pauses.begin_anew()
                after = self.cursor.after(line.time, max(restarts, self.cursor.restarts))
                if self._stopped or not self._put(Entry(now, line.text, after)):
                    return
                self.cursor = after
        finally:
            self._answer = None
            answer.close()

    def _lines(self, answer: Answer, *, whole: bool) -> Iterator[Line]:
        """Yield the lines of an answer.

        Args:
            answer: the answer.
            whole: whether a last line without a line break is left out: where the container runs, the rest of
                it may still come, and it is read again then.
        """
        odd = ""
        for raw in self._raw_lines(answer.response, whole=whole):
            line = parse(raw)
            if line is not None:
                yield line
            elif not odd:  # the kubelet itself, such as "unable to retrieve container logs"
                odd = raw[:200].decode(errors="replace").strip()
                logger.info("log of %s/%s: %s", self.container.pod, self.container.name, odd)

    def _raw_lines(self, response: http.client.HTTPResponse, *, whole: bool) -> Iterator[bytes]:
        while not self._stopped and (raw := response.readline(_LONGEST)):
            rest = raw
            while not rest.endswith(b"\n") and (rest := response.readline(_LONGEST)):
                pass
            if rest.endswith(b"\n") or not whole:
                yield raw


def first_look() -> Cursor:
    """Return where to begin in a log of which a Loki has nothing."""
    return Cursor((int(time.time()) - FIRST_LOOK) * 10**9)
