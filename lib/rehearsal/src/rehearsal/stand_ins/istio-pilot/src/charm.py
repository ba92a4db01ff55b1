"""Plays istio-pilot: installs Istio's CRDs, keeps the Gateway and its guard, and makes `ingress` routes.

Facts: canonical/istio-operators, charms/istio-pilot, 1.28. Differences from the real charm:

- It installs only CRDs; the real one installs the control plane, too. Its CRDs stay after its removal.
- While the Service of the gateway's proxies waits for its load balancer, hooks fail, as those of the real one
  do (`_get_address_from_loadbalancer`); but it waits a moment first, and `remove` works all the same.
- The status is the worst problem itself, not the number of problems.
- Wrong data on `ingress-auth` close the gateway, like missing data.
- Certificates come only from the option `tls-secret-id`; a relation on `certificates` blocks it.
"""

from __future__ import annotations

import base64
import logging
import time
from pathlib import Path
from typing import Any

import ops
import yaml
from lightkube.generic_resource import create_namespaced_resource

from rehearsal.cluster import crds
from rehearsal.stand_ins.handshake import speaking
from rehearsal.stand_ins.installing import install
from rehearsal.stand_ins.manifests import Manifest, load, render
from rehearsal.stand_ins.objects import SECRET, SERVICE, KubernetesStandIn, Rejected
from rehearsal.stand_ins.stopping import Stop, blocked, waiting

logger = logging.getLogger(__name__)

GATEWAY = create_namespaced_resource("networking.istio.io", "v1alpha3", "Gateway", "gateways")
ENVOY_FILTER = create_namespaced_resource("networking.istio.io", "v1alpha3", "EnvoyFilter", "envoyfilters")
VIRTUAL_SERVICE = create_namespaced_resource(
    "networking.istio.io", "v1alpha3", "VirtualService", "virtualservices"
)

ADDRESS_WAIT = 2.0
"""Seconds that a hook waits for the address that a load balancer gives the gateway's Service."""
PAUSE = 0.05
"""Seconds between two looks at that Service."""

LAST = "gateways.networking.istio.io"
"""The CRD that is installed last: if it exists, all others do."""

IMAGES = {"pilot-image", "global-tag", "global-hub", "global-proxy-image", "global-proxy-init-image"}
"""Required keys of the option image-configuration."""

MANIFESTS = Path(__file__).parent / "manifests"
OPEN = load(MANIFESTS / "gateway.yaml")
ENCRYPTED = load(MANIFESTS / "gateway-tls.yaml")
GUARDED = load(MANIFESTS / "authn-filter.yaml")
ROUTED = load(MANIFESTS / "virtual-service.yaml")


class IstioPilot(KubernetesStandIn):
    """The parts of istio-pilot that other charms rely on."""

    endpoints = speaking(Path(__file__).parents[1] / "charmcraft.yaml")
    reached = False
    """Whether traffic reaches the gateway's proxies, as far as their Service shows."""

    def play(self) -> None:
        """Install types first, and send the gateway's state after the gateway is made."""
        self.each(
            self.ask_for_the_address,
            self.check_images,
            self.install_types,
            self.tell_address,
            self.keep_gateway,
            self.tell_gateway,
            self.keep_routes,
        )

    def scrape_jobs(self) -> list[dict[str, Any]]:
        """Return the job of the control plane, which is in no unit."""
        return [{"static_configs": [{"targets": [f"istiod.{self.model.name}.svc:15014"]}]}]

    def clear(self) -> None:
        """Delete everything but the CRDs, which others use."""
        for kind in (VIRTUAL_SERVICE, GATEWAY, ENVOY_FILTER, SECRET):
            self.objects.keep(kind)

    def ask_for_the_address(self) -> None:
        """Find out whether the Service of the gateway's proxies can be reached.

        Raises:
            RuntimeError: if a load balancer owes it an address.
        """
        name = str(self.config["gateway-service-name"])
        until = time.monotonic() + ADDRESS_WAIT
        while (service := self.objects.look_at(SERVICE, name)) is not None:
            kind = service["spec"]["type"]
            given = service.get("status", {}).get("loadBalancer", {}).get("ingress")
            if kind != "LoadBalancer" or given:
                self.reached = kind in ("ClusterIP", "NodePort", "LoadBalancer")
                return
            if time.monotonic() > until:
                raise RuntimeError(
                    f"Service {name} has no address: this cluster has no load balancer that gives it one. "
                    "Without one: juju config istio-ingressgateway gateway_service_type=NodePort"
                )
            time.sleep(PAUSE)

    def check_images(self) -> None:
        """Check the control plane's images."""
        try:
            said = yaml.safe_load(str(self.config["image-configuration"]))
        except yaml.YAMLError as error:
            raise blocked(f"option image-configuration is no YAML: {error}") from None
        if not isinstance(said, dict) or not said.keys() >= IMAGES:
            missing = IMAGES - said.keys() if isinstance(said, dict) else IMAGES
            raise blocked(f"option image-configuration does not say {', '.join(sorted(missing))}")

    def install_types(self) -> None:
        """Install Istio's CRDs if they are missing, and wait until they are served."""
        install(self.objects, "Istio's", lambda: crds.read("istio"), LAST)

    def tell_address(self) -> None:
        """Send the control plane's address to gateways."""
        address = {"service-name": f"istiod.{self.model.name}.svc", "service-port": "15012"}
        self.interface("istio-pilot").send(address)

    def keep_gateway(self) -> None:
        """Keep the gateway, guarded if `ingress-auth` has a relation."""
        try:
            self.keep_guard()
        except Stop:
            # A relation without a working guard closes the gateway: better nobody gets in than everybody.
            self.objects.keep(GATEWAY)
            self.objects.keep(SECRET)
            raise
        values = {"name": self.config["default-gateway"], "namespace": self.model.name}
        if certificate := self.certificate():
            *secrets, gateway = render(ENCRYPTED, values | certificate)
        else:
            *secrets, gateway = render(OPEN, values)
        self.objects.keep(SECRET, secrets)
        self.objects.keep(GATEWAY, [gateway])

    def keep_guard(self) -> None:
        """Keep the filter that sends every request at the gateway to the guard, if one is related."""
        auth = self.interface("ingress-auth")
        guards = auth.received()
        if len(guards) > 1:
            raise blocked(
                "Multiple ingress-auth relations are not supported.  Remove all related apps and re-relate"
            )
        if self.related("ingress-auth") and not guards:
            raise waiting("Waiting for the auth provider data.")
        try:
            self.objects.keep(ENVOY_FILTER, [self.authn_filter(guard) for guard in guards.values()])
        except Rejected as rejection:
            raise auth.wrong(next(iter(guards)), rejection.reason) from rejection

    def authn_filter(self, guard: dict[str, Any]) -> Manifest:
        """Return the filter that asks an authenticator; it is always in our own model."""
        values = {
            "name": f"{self.app.name}-authn-filter",
            "namespace": self.model.name,
            "host": f"{guard['service']}.{self.model.name}.svc.cluster.local",
            "port": guard["port"],
            "request_headers": [{"exact": each} for each in guard.get("allowed-request-headers", [])],
            "response_headers": [{"exact": each} for each in guard.get("allowed-response-headers", [])],
        }
        return render(GUARDED, values)[0]

    def certificate(self) -> dict[str, str]:
        """Return certificate and key of the user's secret in base64; empty if none is configured."""
        if self.related("certificates"):
            raise blocked("certificates: not played by this stand-in; use the option tls-secret-id")
        identifier = self.config.get("tls-secret-id")
        if not identifier:
            return {}
        try:
            content = self.model.get_secret(id=str(identifier)).get_content(refresh=True)
        except ops.SecretNotFoundError:
            raise blocked(
                "tls-secret-id was provided, but the secret could not be found - "
                "please provide a secret ID of a secret that exists."
            ) from None
        except ops.ModelError:
            cure = f"juju grant-secret {identifier} {self.app.name}"
            raise blocked(f"Permission denied trying to access TLS secret: {cure}") from None
        for key in ("tls-crt", "tls-key"):
            if not content.get(key):
                raise blocked(f"Missing TLS ('{key}',) value(s), please add them to the TLS secret")
        encoded = {key: base64.b64encode(value.encode()).decode() for key, value in content.items()}
        return {"certificate": encoded["tls-crt"], "key": encoded["tls-key"]}

    def tell_gateway(self) -> None:
        """Send the gateway's name and namespace, and whether traffic gets through it."""
        name = str(self.config["default-gateway"])
        there = name in self.objects.names(GATEWAY)
        said = {
            "gateway_name": name,
            "gateway_namespace": self.model.name,
            "gateway_up": str(there and self.reached).lower(),
        }
        for relation in self.related("gateway-info"):
            relation.data[self.app].update(said)

    def keep_routes(self) -> None:
        """Keep a VirtualService for each application on `ingress`, with its service's name.

        If two applications send the same service, the later one wins, as in the real charm.
        """
        ingress = self.interface("ingress")
        routes, authors = {}, {}
        for relation, route in ingress.received().items():
            if route["service"] in routes:
                logger.warning("%s overwrites the route of another %s", relation.app.name, route["service"])
            routes[route["service"]], authors[route["service"]] = self.virtual_service(route), relation
        try:
            self.objects.keep(VIRTUAL_SERVICE, routes.values())
        except Rejected as rejection:
            raise ingress.wrong(authors[rejection.name], rejection.reason) from rejection

    def virtual_service(self, route: dict[str, Any]) -> Manifest:
        """Return the route to an application; its default namespace is our own model."""
        values = {
            "name": route["service"],
            "namespace": self.model.name,
            "gateway": f"{self.model.name}/{self.config['default-gateway']}",
            "prefix": route["prefix"],
            "rewrite": route.get("rewrite") or route["prefix"],
            "host": f"{route['service']}.{route.get('namespace', self.model.name)}.svc.cluster.local",
            "port": route["port"],
        }
        return render(ROUTED, values)[0]


if __name__ == "__main__":
    ops.main(IstioPilot)
