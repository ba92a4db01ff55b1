"""Plays dex-auth: sends its issuer, reads its client, requests the route to /dex.

Facts: canonical/dex-auth-operator, 2.41. The real charm runs Dex in its own pod. Dex is not played, so
nothing is made in Kubernetes. Differences from the real charm:

- Juju opens its ports; the real one patches the application's Service itself.
- Connectors that are no list of entries with type, id and name block it; the real one's Dex does not start.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ops
import yaml

from rehearsal.stand_ins import metrics
from rehearsal.stand_ins.handshake import speaking
from rehearsal.stand_ins.playing import StandIn
from rehearsal.stand_ins.stopping import blocked, starting

METRICS_PORT = 5558


class DexAuth(StandIn):
    """The parts of dex-auth that other charms rely on."""

    endpoints = speaking(Path(__file__).parents[1] / "charmcraft.yaml")

    def play(self) -> None:
        """Send the issuer in any case; request the route once people can log in."""
        self.tell_issuer()
        self.check_pod()
        self.interface("oidc-client").received()
        self.check_login()
        port = int(self.config["port"])
        self.unit.set_ports(port, METRICS_PORT)
        route = {"service": self.app.name, "port": port, "prefix": "/dex", "rewrite": "/dex"}
        self.interface("ingress").send(route)

    def scrape_jobs(self) -> list[dict[str, Any]]:
        """Return the job of Dex's metrics."""
        return [metrics.job(METRICS_PORT)]

    def tell_issuer(self) -> None:
        """Send the issuer: from the option, or its predecessor, or else the Service's own address."""
        public = str(self.config["public-url"])
        if public and not public.startswith(("http://", "https://")):
            public = f"http://{public}"
        local = f"http://{self.app.name}.{self.model.name}.svc:{self.config['port']}/dex"
        issuer = str(self.config["issuer-url"]) or (f"{public}/dex" if public else local)
        for relation in self.related("dex-oidc-config"):
            relation.data[self.app]["issuer-url"] = issuer

    def check_pod(self) -> None:
        """Wait for dex's container."""
        if not self.unit.get_container("dex").can_connect():
            raise starting("Waiting for pod startup to complete")

    def check_login(self) -> None:
        """Check that there is a way to log in."""
        try:
            connectors = yaml.safe_load(str(self.config["connectors"])) or []
        except yaml.YAMLError as error:
            raise blocked(f"option connectors is no YAML: {error}") from None
        if not isinstance(connectors, list):
            raise blocked("option connectors: expected a list")
        for connector in connectors:
            said = connector if isinstance(connector, dict) else {}
            if not (said.get("id") and said.get("name") and said.get("type")):
                raise blocked("option connectors: ID, Type and Name fields are required for a connector")
        if not connectors and not self.config["enable-password-db"]:
            raise blocked("Please add a connectors configuration to proceed without a static login.")


if __name__ == "__main__":
    ops.main(DexAuth)
