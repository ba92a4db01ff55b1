"""Send logs as the state says: to which Lokis, with which labels; keep positions in a file."""

from __future__ import annotations

import fcntl
import itertools
import logging
import os
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kubeflow_charm.watch import state
from kubeflow_charm.watch.apiserver import ApiServer
from kubeflow_charm.watch.logs.lines import Cursor
from kubeflow_charm.watch.logs.loki import Target
from kubeflow_charm.watch.logs.pods import Container, Pods
from kubeflow_charm.watch.logs.sending import Sender
from kubeflow_charm.watch.logs.threads import start

logger = logging.getLogger("watcher")

Wanted = Mapping[str, Any]
"""What to send, as plain data: the fields of `watcher.Logs`, with `namespace` and `selector` of the pods."""

_LAST_ANSWERS = 3.0
"""Seconds that the end of the process waits for the answers to what is on its way to a Loki."""
_OLDEST = 7 * 24 * 3600
"""Seconds after which a position is forgotten: Loki refuses older lines (`reject_old_samples_max_age`)."""


class Forwarding:
    """All logs of the application, to all its Lokis.

    Args:
        positions: the file that tells the next process up to where each Loki has the logs. This process has
            them alone: where another one still waits for its last answers, we wait for it.
        api: the API server.
    """

    def __init__(self, positions: Path, api: ApiServer):
        self._path, self._api = positions, api
        self._lock = threading.Lock()
        self._senders: dict[str, Sender] = {}
        self._containers: dict[str, list[Container]] = {}
        """UID of each pod to its containers."""
        self._wanted: Wanted | None = None
        self._pods: threading.Thread | None = None
        self._alone = -1
        self._unwritable = ""

    def follow(self, wanted: Wanted | None) -> None:
        """Send what is wanted, and nothing else; called about once a second. A bug here ends nothing else."""
        if wanted == self._wanted or not self._is_alone(wanted):
            return
        self._wanted = wanted
        try:
            self._change(wanted)
        except Exception:
            logger.exception("logs are not sent")

    def close(self) -> None:
        """Stop everything; wait a little for the last answers, so that no line is sent twice."""
        until = time.monotonic() + _LAST_ANSWERS
        with self._lock:
            senders = list(self._senders.values())
        for sender in senders:
            sender.stop()
        for sender in senders:
            sender.join(max(until - time.monotonic(), 0.0))

    def _is_alone(self, wanted: Wanted | None) -> bool:
        """Whether no other process of this unit has the positions; the lock goes with the process."""
        if wanted is None or self._alone >= 0:
            return True
        try:
            descriptor = os.open(self._path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        except OSError:
            return True  # the positions cannot be written either, and that is logged
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return False
        self._alone = descriptor
        return True

    def _change(self, wanted: Wanted | None) -> None:
        targets = {each["name"]: Target(**each) for each in (wanted or {}).get("targets", ())}
        labels = (wanted or {}).get("labels", {})
        with self._lock:
            kept = {
                name: sender
                for name, sender in self._senders.items()
                if sender.target == targets.get(name) and sender.labels == labels
            }
            ended = {name: sender for name, sender in self._senders.items() if name not in kept}
            known = {name: sender.settled for name, sender in ended.items()} or self._read()
            for sender in ended.values():
                sender.stop()
            new = {
                name: Sender(target, labels, self._api, known.get(name, {}), self._save)
                for name, target in targets.items()
                if name not in kept
            }
            self._senders = kept | new
            for container in itertools.chain.from_iterable(self._containers.values()):
                for sender in new.values():
                    sender.seen(container)
        logger.info("logs go to %s", ", ".join(targets) or "nobody")
        self._save()
        if wanted is not None and targets:
            self._follow_pods(wanted)

    def _follow_pods(self, wanted: Wanted) -> None:
        if self._pods is not None and self._pods.is_alive():
            return
        pods = Pods(
            self._api,
            wanted["namespace"],
            wanted["selector"],
            seen=self._seen,
            lost=self._lost,
            wanted=lambda: bool(self._senders),
        )
        self._pods = start("pods-with-logs", pods.run)

    def _seen(self, uid: str, containers: list[Container]) -> None:
        with self._lock:
            self._containers[uid] = containers
            for sender in self._senders.values():
                for container in containers:
                    sender.seen(container)

    def _lost(self, uid: str) -> None:
        with self._lock:
            self._containers.pop(uid, None)
            for sender in self._senders.values():
                sender.lost(uid)

    def _read(self) -> dict[str, dict[str, Cursor]]:
        """Return the positions that the process before us left; none if they are garbage."""
        oldest = (time.time() - _OLDEST) * 10**9
        try:
            return {
                name: {key: Cursor(*map(int, place)) for key, place in places.items() if place[0] > oldest}
                for name, places in state.read(self._path).items()
            }
        except (TypeError, ValueError, LookupError, AttributeError):
            return {}

    def _save(self) -> None:
        """Write the positions; where that fails, the next process sends some lines again."""
        with self._lock:
            places = {name: dict(sender.settled) for name, sender in self._senders.items()}
            try:
                state.write(self._path, places)
            except OSError as error:
                if str(error) != self._unwritable:
                    logger.info("positions in logs: %s", error)
                self._unwritable = str(error)
