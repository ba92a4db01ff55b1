"""The containers of the application whose logs are followed."""

from __future__ import annotations

import http.client
import json
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from kubeflow_charm.watch.apiserver import ApiServer, Refused
from kubeflow_charm.watch.logs.pauses import Pauses

logger = logging.getLogger("watcher")

INJECTED = "sidecar.istio.io/status"
"""Istio's injector names in this annotation what it added to a pod (istio.io, Sidecar Injection)."""
_AGAIN_AFTER = 300
"""Seconds after which the API server ends a watch, so that one that nobody needs any more ends, too."""


class Container(NamedTuple):
    """A container that has started at least once.

    Args:
        namespace: its pod's namespace.
        pod: its pod's name.
        uid: its pod's UID.
        name: its own name.
        restarts: how often it has been restarted.
        runs: whether it runs now. Otherwise its log is complete, until it is restarted.
    """

    namespace: str
    pod: str
    uid: str
    name: str
    restarts: int
    runs: bool

    @property
    def key(self) -> str:
        """What distinguishes it from all others, ever."""
        return f"{self.uid}/{self.name}"

    @property
    def folder(self) -> str:
        """The folder of its log on the node, for the label `filename`.

        The OpenTelemetry collector of COS lets only some labels through. Among them are `filename` and
        `container`, but neither `pod` nor `namespace` (canonical/opentelemetry-collector-k8s-operator,
        track/2, src/config_manager.py).
        """
        return f"/var/log/pods/{self.namespace}_{self.pod}_{self.uid}/{self.name}"

    @property
    def path(self) -> str:
        """The path of its log."""
        return f"/api/v1/namespaces/{self.namespace}/pods/{self.pod}/log"


def containers(pod: Mapping[str, Any]) -> list[Container]:
    """Return the containers and init containers of a pod that have a log to send.

    We leave out those that Istio injected. Their access logs have a line for each request of each user, and
    they belong to the mesh: nobody looks for them among the lines of this application. Ephemeral containers
    are a person's terminal.
    """
    metadata, status = pod["metadata"], pod.get("status") or {}
    injected = _injected(metadata.get("annotations") or {})
    return [
        Container(
            metadata["namespace"],
            metadata["name"],
            metadata["uid"],
            each["name"],
            int(each.get("restartCount") or 0),
            "running" in (each.get("state") or {}),
        )
        for key in ("initContainerStatuses", "containerStatuses")
        for each in status.get(key) or ()
        if each["name"] not in injected and _has_started(each)
    ]


def _has_started(status: Mapping[str, Any]) -> bool:
    state, last = status.get("state") or {}, status.get("lastState") or {}
    return "running" in state or "terminated" in state or "terminated" in last


def _injected(annotations: Mapping[str, str]) -> set[str]:
    try:
        said = json.loads(annotations.get(INJECTED) or "{}")
        return {*(said.get("containers") or ()), *(said.get("initContainers") or ())}
    except (ValueError, TypeError, AttributeError):
        return set()


class Pods:
    """The application's pods, listed and watched.

    Args:
        api: the API server.
        namespace: the namespace of the pods.
        labels: the labels that select them.
        seen: called with the UID of each new or changed pod, and its containers.
        lost: called with the UID of each pod that is gone.
        wanted: whether anybody wants to know.
    """

    def __init__(
        self,
        api: ApiServer,
        namespace: str,
        labels: Mapping[str, str],
        *,
        seen: Callable[[str, list[Container]], None],
        lost: Callable[[str], None],
        wanted: Callable[[], bool],
    ):
        self._api, self._seen, self._lost, self._wanted = api, seen, lost, wanted
        self._path = f"/api/v1/namespaces/{namespace}/pods"
        self._query = {"labelSelector": ",".join(f"{key}={value}" for key, value in labels.items())}
        self._known: set[str] = set()
        self._version = ""

    def run(self) -> None:
        """Follow the pods until nobody wants to know any more."""
        pauses, logged = Pauses(), ""
        while self._wanted():
            try:
                if not self._version:
                    self._list()
                self._watch()
                pauses.begin_anew()
                logged = ""
            except (OSError, http.client.HTTPException, ValueError, LookupError, Refused) as error:
                reason = f"pods with logs: {type(error).__name__}: {error}"
                if reason != logged:
                    logger.info(reason)
                self._version, logged = "", reason
            time.sleep(pauses.next())

    def _watch(self) -> None:
        query = self._query | {"timeoutSeconds": str(_AGAIN_AFTER)}
        for event, pod in self._api.events(self._path, query, self._version, metadata_only=False):
            if event == "DELETED":
                self._known.discard(pod["metadata"]["uid"])
                self._lost(pod["metadata"]["uid"])
            elif event != "BOOKMARK":
                self._look(pod)
            self._version = pod["metadata"]["resourceVersion"]

    def _list(self) -> None:
        version, before = "", self._known
        self._known = set()
        for page in self._api.pages(self._path, self._query, metadata_only=False):
            for pod in page["items"] or ():
                self._look(pod)
            version = page["metadata"]["resourceVersion"]
        for uid in before - self._known:
            self._lost(uid)
        self._version = version

    def _look(self, pod: Mapping[str, Any]) -> None:
        self._known.add(pod["metadata"]["uid"])
        self._seen(pod["metadata"]["uid"], containers(pod))
