"""Plays oidc-gatekeeper: the client of dex that guards the gateway."""

import secrets
from collections.abc import Callable

import ops

from rehearsal.stand_ins.playing import StandIn, Stop

PORT = 8080


class OidcGatekeeper(StandIn):
    """What other charms rely on of oidc-gatekeeper."""

    def steps(self) -> list[Callable[[], None]]:
        """Ask for the route, guard the gateway, tell the client, read the issuer."""
        return [self.ask_for_route, self.guard_gateway, self.tell_client, self.read_issuer]

    def ask_for_route(self) -> None:
        """Ask for /authservice."""
        route = {"service": self.app.name, "port": PORT, "prefix": "/authservice", "rewrite": "/"}
        self.send("ingress", route)

    def guard_gateway(self) -> None:
        """Have the gateway ask us."""
        guard = {
            "service": self.app.name,
            "port": PORT,
            "allowed-request-headers": ["cookie", "X-Auth-Token"],
            "allowed-response-headers": ["kubeflow-userid"],
        }
        self.send("ingress-auth", guard)

    def tell_client(self) -> None:
        """Tell dex who we are."""
        client = {
            "id": self.config["client-id"],
            "name": self.config["client-name"],
            "redirectURIs": ["/authservice/oidc/callback"],
            "secret": self.client_secret(),
        }
        self.send("oidc-client", client)

    def read_issuer(self) -> None:
        """Wait for dex."""
        self.required("dex-oidc-config")
        if not list(self.received("dex-oidc-config", "issuer-url")):
            raise Stop(ops.WaitingStatus("Waiting for dex-oidc-config data"))

    def client_secret(self) -> str:
        """Return the client's secret: the configured one, or one made once."""
        peers = self.model.get_relation("client-secret")
        if peers is None:
            raise Stop(ops.WaitingStatus("Waiting for the peer relation"))
        data = peers.data[self.app]
        secret = str(self.config["client-secret"]) or data.get("client-secret") or secrets.token_hex(15)
        if data.get("client-secret") != secret:
            data["client-secret"] = secret
        return secret


if __name__ == "__main__":
    ops.main(OidcGatekeeper)
