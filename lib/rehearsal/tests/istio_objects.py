"""Istio's objects in a test's namespace."""

from __future__ import annotations

from typing import Any

import lightkube
from lightkube.generic_resource import create_namespaced_resource

from rehearsal.players.kinds import SERVICE

GATEWAY = create_namespaced_resource("networking.istio.io", "v1alpha3", "Gateway", "gateways")
ENVOY_FILTER = create_namespaced_resource("networking.istio.io", "v1alpha3", "EnvoyFilter", "envoyfilters")
VIRTUAL_SERVICE = create_namespaced_resource(
    "networking.istio.io", "v1alpha3", "VirtualService", "virtualservices"
)


def reachable(client: lightkube.Client, namespace: str, kind: str, *addresses: str) -> None:
    """Make the Service of the gateway's proxies, with a load balancer's addresses."""
    metadata = {"name": "istio-ingressgateway-workload", "namespace": namespace}
    made = client.apply(
        SERVICE({"metadata": metadata, "spec": {"type": kind, "ports": [{"port": 80}]}}), field_manager="us"
    )
    made["status"] = {"loadBalancer": {"ingress": [{"ip": each} for each in addresses]}}
    client.replace(SERVICE.Status(made))


def names(client: lightkube.Client, kind: Any, namespace: str) -> set[str]:
    """Return the names of all objects of a kind."""
    return {item.metadata.name for item in client.list(kind, namespace=namespace)}


def spec(client: lightkube.Client, kind: Any, name: str, namespace: str) -> dict[str, Any]:
    """Return the spec of an object."""
    return client.get(kind, name, namespace=namespace)["spec"]
