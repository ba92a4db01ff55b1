"""Find the destination of a cluster address when a connection is made, as kube-proxy and DNS do.

Facts: Kubernetes v1.36, k8s.io/apiserver/pkg/util/proxy (an API server dials a Service's first address, and
the Service's port) and EndpointSlices (their ports have the Service's names and the pods' numbers).

Nothing is cached: each connection requests the objects again, so it sees at once that an endpoint became
ready or is gone.
"""

from __future__ import annotations

import json
import random
import socket
import time
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

Object = dict[str, Any]
_TRIES, _PAUSE = 20, 0.1
"""How often, and after how many seconds, endpoints are looked up again if the pod of one is gone."""


class Cluster(Protocol):
    """A cluster that accepts requests as its administrator."""

    def request(self, method: str, path: str, body: bytes | None = None, kind: str = ...) -> bytes:
        """Return the answer's body; raise OSError if there is no answer, or if it is a refusal."""
        ...


class Unreachable(Exception):
    """Nothing answers at an address; `status` is the HTTP status that a proxy reports for it."""

    def __init__(self, reason: str, *, status: int = 502):
        super().__init__(reason)
        self.status = status


class _Gone(Unreachable):
    """The pod of an endpoint cannot be found."""


@dataclass(frozen=True)
class Destination:
    """The target of a connection: a port of a pod, or of this machine if `pod` is None."""

    host: str
    port: int
    pod: Object | None = None


class Addresses:
    """Finds the destinations of addresses.

    Args:
        cluster: the cluster of the Services and pods.
        routed: returns whether an address leads somewhere of itself, since something real has it.
    """

    def __init__(self, cluster: Cluster, routed: Callable[[str], bool] = lambda _: False):
        self._cluster = cluster
        self._routed = routed

    def find(self, host: str, port: int) -> Destination:
        """Return the destination of `host:port`: `host` is a Service, pod or local address, or a DNS name.

        Raises:
            Unreachable: if nothing has that address, or no endpoint of the Service is ready.
        """
        if self._routed(host) or _is_here(host):
            return Destination(host, port)
        if service := self._service(host):
            return self._endpoint(service, port)
        if pod := self._pod_at(host):
            return Destination(host, port, pod)
        raise Unreachable(f"nothing has the address {host}")

    def _service(self, host: str) -> Object | None:
        if _is_ip(host):
            found = self._items("/api/v1/services", fieldSelector=f"spec.clusterIP={host}")
            return found[0] if found else None
        name, namespace, kind, *_ = [*host.split("."), "", ""]
        return self._get(f"/api/v1/namespaces/{namespace}/services/{name}") if kind == "svc" else None

    def _endpoint(self, service: Object, port: int) -> Destination:
        """Return a random ready endpoint of the Service whose pod is there.

        Endpoints follow pods a moment later, and a packet in that moment is sent again.
        """
        for _ in range(_TRIES - 1):
            try:
                return self._any_endpoint(service, port)
            except _Gone:
                time.sleep(_PAUSE)
        return self._any_endpoint(service, port)

    def _any_endpoint(self, service: Object, port: int) -> Destination:
        name, namespace = service["metadata"]["name"], service["metadata"]["namespace"]
        ports = [each for each in service["spec"].get("ports", []) if each["port"] == port]
        if not ports:
            raise Unreachable(f"the Service {namespace}/{name} has no port {port}")
        path = f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"
        slices = self._items(path, labelSelector=f"kubernetes.io/service-name={name}")
        ready = [
            (endpoint, target["port"])
            for each in slices
            for target in each.get("ports") or []
            if target.get("name", "") == ports[0].get("name", "")
            for endpoint in each.get("endpoints") or []
            if endpoint.get("conditions", {}).get("ready", True)
        ]
        if not ready:
            raise Unreachable(f"no endpoint of the Service {namespace}/{name} is ready", status=503)
        endpoint, number = random.choice(ready)  # noqa: S311 (as kube-proxy does)
        return self._behind(endpoint, number)

    def _behind(self, endpoint: Object, port: int) -> Destination:
        host, target = endpoint["addresses"][0], endpoint.get("targetRef", {})
        if self._routed(host):
            return Destination(host, port)
        if target.get("kind") == "Pod":
            path = f"/api/v1/namespaces/{target['namespace']}/pods/{target['name']}"
            try:
                return Destination(host, port, self._get(path))
            except Unreachable as reason:
                raise _Gone(str(reason)) from None
        if _is_here(host):
            return Destination(host, port)
        if pod := self._pod_at(host):
            return Destination(host, port, pod)
        raise Unreachable(f"nothing has the address {host}")

    def _pod_at(self, host: str) -> Object | None:
        if not _is_ip(host):
            return None
        found = self._items("/api/v1/pods", fieldSelector=f"status.podIP={host},status.phase=Running")
        return found[0] if found else None

    def _items(self, path: str, **query: str) -> list[Object]:
        return self._get(f"{path}?{urllib.parse.urlencode(query)}")["items"]

    def _get(self, path: str) -> Object:
        try:
            return json.loads(self._cluster.request("GET", path))
        except OSError as error:
            raise Unreachable(str(error)) from None


def _is_ip(host: str) -> bool:
    try:
        socket.inet_pton(socket.AF_INET6 if ":" in host else socket.AF_INET, host)
    except OSError:
        return False
    return True


def _is_here(host: str) -> bool:
    """Tell whether an address is this machine's: only those can be bound."""
    if not _is_ip(host):
        return host == "localhost"
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((host, 0))
        except OSError:
            return False
    return True
