"""Plays istio-gateway: the proxies at the edge of the mesh."""

from collections.abc import Callable
from typing import Any

import ops

from rehearsal.stand_ins.playing import StandIn, Stop


class IstioGateway(StandIn):
    """What other charms rely on of istio-gateway: its workload and its service account."""

    def steps(self) -> list[Callable[[], None]]:
        """There is one."""
        return [self.keep_workload]

    def keep_workload(self) -> None:
        """Make the workload, once the control plane's address is known."""
        kind = self.config["kind"]
        if kind not in ("ingress", "egress"):
            raise Stop(ops.BlockedStatus("Config item 'kind' must be set"))
        self.required("istio-pilot")
        if not self.sent("istio-pilot"):
            raise Stop(ops.WaitingStatus("Waiting for istio-pilot relation data"))
        name = f"istio-{kind}gateway-workload"
        labels = {"app": name, "istio": f"{kind}gateway"}
        self.apply("v1", "ServiceAccount", f"{name}-service-account", {})
        self.apply("apps/v1", "Deployment", name, {"spec": self.deployment(name, labels)})
        ports = [{"name": "http2", "port": 80, "targetPort": 8080}]
        ports += [{"name": "https", "port": 443, "targetPort": 8443}]
        service = {"type": self.config["gateway_service_type"], "selector": labels, "ports": ports}
        self.apply("v1", "Service", name, {"spec": service})

    def deployment(self, name: str, labels: dict[str, str]) -> dict[str, Any]:
        """Return the proxies."""
        container = {"name": "istio-proxy", "image": self.config["proxy-image"]}
        pod = {"serviceAccountName": f"{name}-service-account", "containers": [container]}
        return {
            "replicas": self.config["replicas"],
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        }

    def clear(self) -> None:
        """Delete the workload."""
        for api_version, kind in (("v1", "Service"), ("apps/v1", "Deployment"), ("v1", "ServiceAccount")):
            self.prune(api_version, kind)


if __name__ == "__main__":
    ops.main(IstioGateway)
