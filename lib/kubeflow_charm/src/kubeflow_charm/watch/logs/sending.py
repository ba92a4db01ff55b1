"""Send the logs of all containers to one Loki."""

from __future__ import annotations

import http.client
import logging
import threading
from collections.abc import Callable, Mapping

from kubeflow_charm.watch.apiserver import ApiServer
from kubeflow_charm.watch.logs.buffer import Buffer
from kubeflow_charm.watch.logs.lines import Cursor
from kubeflow_charm.watch.logs.loki import Answer, Entry, Loki, Target, packed
from kubeflow_charm.watch.logs.pauses import Pauses
from kubeflow_charm.watch.logs.pods import Container
from kubeflow_charm.watch.logs.reading import Reader, first_look
from kubeflow_charm.watch.logs.threads import start

logger = logging.getLogger("watcher")


class Sender:
    """One Loki: its readers, its buffer and the thread that sends.

    Args:
        target: the Loki.
        labels: the labels of all lines.
        api: the API server.
        settled: `Container.key` to the place up to which the Loki has, or has refused, the log.
        save: called when that has changed.
    """

    def __init__(
        self,
        target: Target,
        labels: Mapping[str, str],
        api: ApiServer,
        settled: Mapping[str, Cursor],
        save: Callable[[], None],
    ):
        self.target, self.labels = target, labels
        self.settled = dict(settled)
        self._api, self._save = api, save
        self._loki = Loki(target)
        self._buffer = Buffer()
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._pods: set[str] = set()
        """The UIDs of the pods that are there."""
        self._readers: dict[str, Reader] = {}
        self._read: dict[str, Cursor] = {}
        """Up to where the logs were read whose readers have ended."""
        self._complete: dict[str, int] = {}
        """The restarts of containers of whose last run everything was read."""
        self._logged = -1
        self._thread = start(f"send-{target.name}", self._run)

    def seen(self, container: Container) -> None:
        """Read the log of a container, if that is not done already."""
        key = container.key
        with self._lock:
            if self._closed.is_set():
                return
            self._pods.add(container.uid)
            if reader := self._readers.get(key):
                if reader.container != container:
                    reader.changes(container)
            elif container.runs or self._complete.get(key) != container.restarts:
                begin = self._read.get(key) or self.settled.get(key) or first_look()
                reader = Reader(container, begin, self._api, self._buffer.put, self._ended)
                self._readers[key] = reader
                start("log", reader.run)

    def lost(self, uid: str) -> None:
        """Forget the containers of a pod that is gone, when what they wrote last has been read."""
        with self._lock:
            self._pods.discard(uid)
            for key, reader in self._readers.items():
                if key.startswith(f"{uid}/"):
                    reader.loses()
            for known in (self._read, self._complete, self.settled):
                for key in [key for key in known if key.startswith(f"{uid}/")]:
                    del known[key]

    def stop(self) -> None:
        """Stop reading and sending; what is on its way to the Loki may still arrive."""
        with self._lock:
            self._closed.set()
            readers = list(self._readers.values())
        self._buffer.close()
        for reader in readers:
            reader.stop()

    def join(self, seconds: float) -> None:
        """Wait for the Loki's answer to what is on its way."""
        self._thread.join(seconds)

    def _ended(self, reader: Reader, container: Container) -> bool:
        """Forget a reader, unless its container has been restarted since it began to read."""
        with self._lock:
            if reader.container != container and not reader.lost:
                return False
            self._readers.pop(container.key, None)
            if not reader.lost:
                self._read[container.key] = reader.cursor
                self._complete[container.key] = container.restarts
            return True

    def _run(self) -> None:
        while batch := self._buffer.take():
            if not self._deliver(batch):
                return
            with self._lock:
                for container, _, cursor in batch:
                    if container.uid in self._pods:
                        self.settled[container.key] = cursor
            self._save()

    def _deliver(self, batch: list[Entry]) -> bool:
        """Push a batch until Loki has accepted or refused it; return False if the sender is stopped."""
        body, pauses = packed(batch, self.labels), Pauses()
        while not self._closed.is_set():
            try:
                answer = self._loki.push(body)
            except (OSError, http.client.HTTPException, ValueError) as error:
                answer = Answer(0, f"{type(error).__name__}: {error}")
            self._log(answer, len(batch))
            if answer.final:
                return True
            self._closed.wait(pauses.next())
        return False

    def _log(self, answer: Answer, lines: int) -> None:
        """Log an answer, unless it is as the one before; its text may name a time, so its status counts."""
        status = 200 if answer.accepted else answer.status
        if status == self._logged:
            return
        self._logged = status
        if answer.accepted:
            logger.info("%s takes logs", self.target.name)
        else:
            fate = f"{lines} lines are dropped" if answer.final else "they are sent again later"
            logger.info("%s refuses logs: %s %s: %s", self.target.name, answer.status, answer.message, fate)
