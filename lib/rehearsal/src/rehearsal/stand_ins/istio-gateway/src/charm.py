"""Plays istio-gateway: the proxies at the edge of the mesh, and their Service.

Facts: canonical/istio-operators, charms/istio-gateway, 1.28. Differences from the real charm:

- A change of `kind` deletes the objects of the former kind.
- It blocks as soon as the `istio-pilot` relation is gone; the proxies stay, as with the real one.
- It notes the type of its Service in its unit's data on `istio-pilot`, so that istio-pilot looks at the
  Service again. The real charm says nothing, and istio-pilot learns of the Service with its next event.
- It defers no event, since every hook does the same.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

import ops

from rehearsal.stand_ins import metrics
from rehearsal.stand_ins.handshake import speaking
from rehearsal.stand_ins.manifests import load, render
from rehearsal.stand_ins.objects import (
    DEPLOYMENT,
    ROLE,
    ROLE_BINDING,
    SERVICE,
    SERVICE_ACCOUNT,
    KubernetesStandIn,
)
from rehearsal.stand_ins.stopping import blocked, waiting

logger = logging.getLogger(__name__)

KINDS = {
    "ServiceAccount": SERVICE_ACCOUNT,
    "Role": ROLE,
    "RoleBinding": ROLE_BINDING,
    "Deployment": DEPLOYMENT,
    "Service": SERVICE,
}
"""In the order of creation."""

SERVICE_TYPES = ["LoadBalancer", "ClusterIP", "NodePort"]

WORKLOAD = load(Path(__file__).parent / "manifests" / "workload.yaml")

_SUBDOMAIN = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
_ANNOTATION = re.compile(
    rf"(?!kubernetes\.io/|k8s\.io/)(?=.{{1,253}}=)({_SUBDOMAIN}/)?[a-z0-9]([-a-z0-9_.]{{0,61}}[a-z0-9])?=[\w.-]+",
    re.IGNORECASE,
)
"""`key=value` in the real charm's format: no reserved prefix, and stricter values than Kubernetes allows."""


class IstioGateway(KubernetesStandIn):
    """The parts of istio-gateway that other charms rely on: its workload and its service account."""

    endpoints = speaking(Path(__file__).parents[1] / "charmcraft.yaml")

    def scrape_jobs(self) -> list[dict[str, Any]]:
        """Return the job of the proxies, which are in no unit."""
        host = f"istio-gateway-metrics.{self.model.name}.svc"
        return [metrics.job(9090, "/stats/prometheus", host)]

    def play(self) -> None:
        """Make the workload once the control plane's address is known."""
        pilots = self.interface("istio-pilot").received()
        if self.config["kind"] not in ("ingress", "egress"):
            raise blocked("Config item `kind` must be set")
        if not self.related("istio-pilot"):
            raise blocked("Please add required relation to istio-pilot")
        if not pilots:
            raise waiting("Waiting for istio-pilot relation data")
        if self.config["gateway_service_type"] not in SERVICE_TYPES:
            raise blocked(f"Ingress Gateway Service must one of type: {SERVICE_TYPES}")
        made = render(WORKLOAD, self.values(next(iter(pilots.values()))))
        for kind, resource in KINDS.items():
            self.objects.keep(resource, [each for each in made if each["kind"] == kind])
        for relation in self.related("istio-pilot"):
            relation.data[self.unit]["service-type"] = str(self.config["gateway_service_type"])

    def clear(self) -> None:
        """Delete the workload."""
        for resource in reversed(KINDS.values()):
            self.objects.keep(resource)

    def values(self, pilot: dict[str, Any]) -> dict[str, Any]:
        """Return the manifest's values."""
        kind = str(self.config["kind"])
        gateway = f"{kind}gateway"
        return {
            "namespace": self.model.name,
            "gateway": gateway,
            "workload": f"istio-{gateway}-workload",
            "labels": {
                "app": f"istio-{gateway}",
                "install.operator.istio.io/owning-resource": "unknown",
                "istio": gateway,
                "istio.io/rev": "default",
                "operator.istio.io/component": f"{kind.capitalize()}Gateways",
                "release": "istio",
            },
            "annotations": self.annotations(),
            "image": self.config["proxy-image"],
            "replicas": self.config["replicas"],
            "service_type": "ClusterIP" if kind == "egress" else self.config["gateway_service_type"],
            "pilot_host": pilot["service-name"],
            "pilot_port": pilot["service-port"],
        }

    def annotations(self) -> dict[str, str]:
        """Return the Service's annotations; if one is invalid, log that and return none."""
        pairs = [pair.strip() for pair in str(self.config["annotations"]).split(",") if pair.strip()]
        for pair in pairs:
            if not _ANNOTATION.fullmatch(pair):
                logger.error("annotations are ignored, since one is invalid: %r", pair)
                return {}
        return dict(pair.split("=", 1) for pair in pairs)


if __name__ == "__main__":
    ops.main(IstioGateway)
