"""Find the played program behind a pod's port, by the name of the container's image."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import lightkube

from rehearsal.cluster.controlplane import ControlPlane
from rehearsal.network.addresses import Object, Unreachable
from rehearsal.players import identity


@dataclass(frozen=True)
class Visit:
    """A connection to a port of a container."""

    cluster: ControlPlane
    pod: Object
    container: Object
    port: int
    client: Callable[[], lightkube.Client]
    """Returns a client with the pod's service account; the caller must not close it."""


Answer = Callable[[socket.socket], None]
"""Answers a connection, and closes it."""

Program = Callable[[Visit], Answer | None]
"""Returns the answer to a visit, or None if the program does not listen on that port; raises Unreachable if
the program cannot run, say for want of a file."""


class Cast:
    """The programs that the rehearsal plays.

    Args:
        cluster: the cluster of their pods.
        programs: by the last part of the image's path, so that a registry mirror makes no difference.
    """

    def __init__(self, cluster: ControlPlane, programs: Mapping[str, Program]):
        self._cluster = cluster
        self._programs = programs
        self._clients: dict[str, lightkube.Client] = {}
        self._lock = threading.Lock()

    def find(self, pod: Object, port: int) -> Answer:
        """Return the answer of a pod's port.

        Raises:
            Unreachable: if no program answers.
        """
        for container in pod["spec"]["containers"]:
            if program := self._programs.get(image_name(container["image"])):
                visit = Visit(self._cluster, pod, container, port, lambda: self._client(pod))
                if answer := program(visit):
                    return answer
        metadata = pod["metadata"]
        raise Unreachable(
            f"nobody listens on port {port} of the pod {metadata['namespace']}/{metadata['name']}"
        )

    def close(self) -> None:
        """Close the clients of all programs."""
        with self._lock:
            clients, self._clients = self._clients, {}
        for client in clients.values():
            client.close()

    def _client(self, pod: Object) -> lightkube.Client:
        """Return the client that a pod keeps for its life; making one costs more than most answers."""
        metadata = pod["metadata"]
        with self._lock:
            if metadata["uid"] not in self._clients:
                account = pod["spec"].get("serviceAccountName", "default")
                made = identity.client(self._cluster, metadata["namespace"], account)
                self._clients[metadata["uid"]] = made
            return self._clients[metadata["uid"]]


def image_name(reference: str) -> str:
    """Return the last part of an image's path: `b` for `host:5000/a/b:1@sha256:c`.

    Knative's last parts are words like `controller`, so its project comes before them:
    `knative-serving-controller` for `gcr.io/knative-releases/knative.dev/serving/cmd/controller`.
    """
    path = reference.partition("@")[0]
    folder, _, last = path.rpartition("/")
    name = last.partition(":")[0]
    parts = folder.split("/")
    if parts[-1:] == ["cmd"] and parts[-2:-1] in (["serving"], ["eventing"]):
        return f"knative-{parts[-2]}-{name}"
    return f"net-istio-{name}" if parts[-2:] == ["net-istio", "cmd"] else name
