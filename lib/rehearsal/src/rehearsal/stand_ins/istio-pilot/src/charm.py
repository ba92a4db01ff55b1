"""Plays istio-pilot: installs Istio's CRDs, keeps the Gateway, and makes routes of ingress relations."""

from collections.abc import Callable
from typing import Any

import httpx2
import ops

from rehearsal.cluster import crds
from rehearsal.stand_ins.playing import CRD, StandIn, Stop

NETWORKING = "networking.istio.io/v1"
FILTERS = "networking.istio.io/v1alpha3"


class IstioPilot(StandIn):
    """What other charms rely on of istio-pilot."""

    def steps(self) -> list[Callable[[], None]]:
        """Types first; then the control plane's address, the gateway, and routes."""
        return [self.install_types, self.tell_address, self.keep_gateway, self.keep_routes]

    def tell_address(self) -> None:
        """Tell gateways where the control plane is."""
        name = f"istiod.{self.model.name}.svc"
        self.send("istio-pilot", {"service-name": name, "service-port": "15012"})

    def keep_gateway(self) -> None:
        """Keep the gateway, closed while its guard is unknown."""
        name = str(self.config["default-gateway"])
        try:
            guard = self.guard()
        except Stop:
            # Related is closed: without the guard's address nobody gets in (the real charm, too).
            self.prune(NETWORKING, "Gateway")
            self.tell(name, up=False)
            raise
        self.keep_guard(guard)
        self.apply(NETWORKING, "Gateway", name, {"spec": self.gateway()})
        self.prune(NETWORKING, "Gateway", {name})
        self.tell(name, up=True)

    def install_types(self) -> None:
        """Install the CRDs of Istio; the one of gateways comes last, and says that all are there."""
        client, last = self.kubernetes, "gateways.networking.istio.io"
        try:
            client.get(CRD, last)
        except httpx2.HTTPStatusError as error:
            if error.response.status_code != 404:
                raise
            definitions = crds.read("istio")
            definitions.sort(key=lambda crd: crd["metadata"]["name"] == last)
            for crd in definitions:
                client.apply(CRD(**crd), force=True)

    def tell(self, name: str, *, up: bool) -> None:
        """Write gateway-info."""
        for relation in self.related("gateway-info"):
            relation.data[self.app].update(
                {
                    "gateway_name": name,
                    "gateway_namespace": self.model.name,
                    "gateway_up": str(up).lower(),
                }
            )

    def gateway(self) -> dict[str, Any]:
        """Return the Gateway: port 80, or 443 with the certificate of `tls-secret-id`."""
        server: dict[str, Any] = {
            "hosts": ["*"],
            "port": {"name": "http", "number": 80, "protocol": "HTTP"},
        }
        if self.config.get("tls-secret-id"):
            name = f"{self.app.name}-tls"
            server["port"] = {"name": "https", "number": 443, "protocol": "HTTPS"}
            server["tls"] = {"mode": "SIMPLE", "credentialName": name}
        return {"selector": {"istio": "ingressgateway"}, "servers": [server]}

    def guard(self) -> dict[str, Any] | None:
        """Return what the authenticator sent."""
        if len(self.related("ingress-auth")) > 1:
            raise Stop(ops.BlockedStatus("Multiple auth relations are not supported"))
        sent = next(iter(self.sent("ingress-auth").values()), None)
        if self.related("ingress-auth") and sent is None:
            raise Stop(ops.WaitingStatus("Waiting for auth relation data"))
        return sent

    def keep_guard(self, guard: dict[str, Any] | None) -> None:
        """Have every request at the gateway asked about, or none."""
        name = f"{self.app.name}-authn-filter"
        if guard is None:
            self.prune(FILTERS, "EnvoyFilter")
            return
        service = f"{guard['service']}.{self.model.name}.svc.cluster.local"
        authorizer = {
            "name": "envoy.filters.http.ext_authz",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz",
                "http_service": {
                    "server_uri": {
                        "uri": f"http://{service}:{guard['port']}",
                        "cluster": f"outbound|{guard['port']}||{service}",
                        "timeout": "10s",
                    }
                },
            },
        }
        patch = {
            "applyTo": "HTTP_FILTER",
            "match": {"context": "GATEWAY"},
            "patch": {"operation": "INSERT_BEFORE", "value": authorizer},
        }
        spec = {
            "workloadSelector": {"labels": {"istio": "ingressgateway"}},
            "configPatches": [patch],
        }
        self.apply(FILTERS, "EnvoyFilter", name, {"spec": spec})

    def keep_routes(self) -> None:
        """Make a VirtualService for each application on `ingress`, called after its service."""
        gateway = f"{self.model.name}/{self.config['default-gateway']}"
        wanted = set()
        for said in self.sent("ingress").values():
            host = f"{said['service']}.{said.get('namespace', self.model.name)}.svc.cluster.local"
            route = {
                "match": [{"uri": {"prefix": said["prefix"]}}],
                "rewrite": {"uri": said.get("rewrite", said["prefix"])},
                "route": [{"destination": {"host": host, "port": {"number": said["port"]}}}],
            }
            spec = {"gateways": [gateway], "hosts": ["*"], "http": [route]}
            self.apply(NETWORKING, "VirtualService", said["service"], {"spec": spec})
            wanted.add(said["service"])
        self.prune(NETWORKING, "VirtualService", wanted)

    def clear(self) -> None:
        """Delete everything but the types, which others use."""
        for api_version, kind in (
            (NETWORKING, "VirtualService"),
            (NETWORKING, "Gateway"),
            (FILTERS, "EnvoyFilter"),
        ):
            self.prune(api_version, kind)


if __name__ == "__main__":
    ops.main(IstioPilot)
