"""The running pods of a model: one watch for each model."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx2
import lightkube

from rehearsal import documents
from rehearsal.juju.kubernetes.manifests import CHARM_VERSION
from rehearsal.juju.model.state import Pod

logger = logging.getLogger(__name__)

_Pod = documents.namespaced("", "v1", "Pod", "pods")
_AGAIN = 0.5


class Watch:
    """Follows the pods of a namespace.

    Args:
        kubeconfig: the administrator's kubeconfig.
        namespace: the namespace.
        changed: the watch's thread calls this when the running pods change.
    """

    def __init__(self, kubeconfig: Path, namespace: str, changed: Callable[[], None]):
        self.running: Mapping[str, Pod] = {}
        """The running pods by name; every change replaces the mapping and never modifies it."""
        self._kubeconfig = kubeconfig
        self._namespace = namespace
        self._changed = changed
        self._stopped = threading.Event()
        threading.Thread(target=self._run, name=f"pods of {namespace}", daemon=True).start()

    def stop(self) -> None:
        """Report no more changes; the thread ends with its connection."""
        self._stopped.set()

    def _run(self) -> None:
        config = lightkube.KubeConfig.from_file(self._kubeconfig)
        while not self._stopped.is_set():
            try:
                with lightkube.Client(config=config, namespace=self._namespace, trust_env=False) as client:
                    self._follow(client)
            except (httpx2.HTTPError, lightkube.ApiError, OSError) as error:
                # The watch ends like this whenever the server closes it or goes away.
                logger.debug("watching pods of %s: %s", self._namespace, error)
                self._stopped.wait(_AGAIN)

    def _follow(self, client: lightkube.Client) -> None:
        listing = client.list(_Pod)
        self._put({name: pod for item in listing if (pod := _running(item)) and (name := _name(item))})
        for operation, item in client.watch(_Pod, resource_version=listing.resourceVersion):
            if self._stopped.is_set():
                return
            pod = None if operation == "DELETED" else _running(item)
            rest = {name: each for name, each in self.running.items() if name != _name(item)}
            self._put(rest | ({_name(item): pod} if pod else {}))

    def _put(self, running: dict[str, Pod]) -> None:
        if running != self.running:
            self.running = running
            self._changed()


def _name(item: Any) -> str:
    return item["metadata"]["name"]


def _running(item: Any) -> Pod | None:
    """Return the pod if Juju made it, it runs, and nobody has deleted it; else None."""
    status, metadata = item.get("status") or {}, item["metadata"]
    agents = [each for each in item["spec"].get("initContainers") or [] if each["name"] == "charm-init"]
    arguments = (agents[0].get("args") or []) if agents else []
    if CHARM_VERSION not in arguments or "deletionTimestamp" in metadata:
        return None
    if status.get("phase") != "Running" or not status.get("podIP"):
        return None
    version = arguments[arguments.index(CHARM_VERSION) + 1]
    return Pod(metadata["uid"], status["podIP"], int(version))
