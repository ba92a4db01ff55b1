"""Who plays a pod: programs that the rehearsal answers for, known by the name of their image."""

from __future__ import annotations

import re
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
    """A connection that somebody makes to a port of a container."""

    cluster: ControlPlane
    pod: Object
    container: Object
    port: int
    client: Callable[[], lightkube.Client]
    """Returns a client that is the pod's service account; it is not the caller's to close."""


Answer = Callable[[socket.socket], None]
"""Speaks over a connection, and closes it."""

Program = Callable[[Visit], Answer | None]
"""Says who answers a visit: None if the program does not listen on that port; raises Unreachable if it
cannot even run, for want of a file, say."""


class Cast:
    """The programs that are played.

    Args:
        cluster: where their pods are.
        programs: by the last part of their image's path, so that a mirror of the registry is no matter.
    """

    def __init__(self, cluster: ControlPlane, programs: Mapping[str, Program]):
        self._cluster = cluster
        self._programs = programs
        self._clients: dict[str, lightkube.Client] = {}
        self._lock = threading.Lock()

    def find(self, pod: Object, port: int) -> Answer:
        """Return who answers at a port of a pod.

        Raises:
            Unreachable: if nobody does.
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
        """Return the client that a pod has for its life; to make one costs more than most answers."""
        metadata = pod["metadata"]
        with self._lock:
            if metadata["uid"] not in self._clients:
                account = pod["spec"].get("serviceAccountName", "default")
                made = identity.client(self._cluster, metadata["namespace"], account)
                self._clients[metadata["uid"]] = made
            return self._clients[metadata["uid"]]


def image_name(reference: str) -> str:
    """Return the last part of an image's path: of `host:5000/a/b:1@sha256:c`, `b`."""
    return re.split("[:@]", reference.rpartition("/")[2])[0]
