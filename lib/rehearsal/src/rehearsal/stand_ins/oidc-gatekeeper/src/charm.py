"""Plays oidc-gatekeeper: dex's client, which the gateway asks about every request.

Facts: canonical/oidc-gatekeeper-operator, ckf-1.10. The real charm runs the authservice in its own pod. The
authservice is not played, so nothing is made in Kubernetes. As in the real charm, it sends nothing before dex
has sent its issuer and every related application has greeted, and it ignores the option client-secret.
Differences from the real charm:

- It greets everywhere before it waits for a greeting, which takes fewer rounds.
- Juju opens its port; the real one patches the application's Service itself.
- An issuer that is no URL, or more than one, blocks it.
"""

from __future__ import annotations

import secrets
import string
from pathlib import Path
from urllib.parse import urlsplit

import ops

from rehearsal.stand_ins.handshake import speaking
from rehearsal.stand_ins.playing import StandIn
from rehearsal.stand_ins.stopping import blocked, starting, waiting

PORT = 8080


class OidcGatekeeper(StandIn):
    """The parts of oidc-gatekeeper that other charms rely on."""

    endpoints = speaking(Path(__file__).parents[1] / "charmcraft.yaml")

    def play(self) -> None:
        """Once dex is known and all have greeted, register with dex and with the gateway."""
        self.check_issuer()
        interfaces = {name: self.interface(name) for name in ("oidc-client", "ingress", "ingress-auth")}
        for interface in interfaces.values():
            interface.received()
        interfaces["oidc-client"].send(self.client())
        interfaces["ingress"].send(
            {"service": self.app.name, "port": PORT, "prefix": "/authservice", "rewrite": "/"}
        )
        interfaces["ingress-auth"].send(
            {
                "service": self.app.name,
                "port": PORT,
                "allowed-request-headers": ["cookie", "X-Auth-Token"],
                "allowed-response-headers": ["kubeflow-userid"],
            }
        )
        self.unit.set_ports(PORT)
        if not self.unit.get_container("oidc-authservice").can_connect():
            raise starting("Waiting for pod startup to complete")

    def check_issuer(self) -> None:
        """Check that dex has sent its issuer."""
        relations = self.related("dex-oidc-config")
        if not relations:
            raise blocked(
                "Missing relation with a Dex OIDC config provider. Please add the missing relation."
            )
        if len(relations) > 1:
            names = ", ".join(relation.app.name for relation in relations)
            raise blocked(f"Too many remote applications on dex-oidc-config: {names}")
        issuer = relations[0].data[relations[0].app].get("issuer-url")
        if not issuer:
            raise waiting(
                "Empty or missing data in dex-oidc-config relation. "
                "This may be transient, but if it persists it is likely an error."
            )
        if not _is_url(issuer):
            name = relations[0].app.name
            raise blocked(f"wrong data on dex-oidc-config from {name}: issuer-url: no URL: {issuer}")

    def client(self) -> dict[str, object]:
        """Return our client data for dex."""
        return {
            "id": self.config["client-id"],
            "name": self.config["client-name"],
            "redirectURIs": ["/authservice/oidc/callback"],
            "secret": self.client_secret(),
        }

    def client_secret(self) -> str:
        """Return the client's secret, generated once and kept in the peer relation."""
        for relation in self.related("client-secret"):
            data = relation.data[self.app]
            if "client-secret" not in data:
                characters = string.ascii_uppercase + string.digits
                data["client-secret"] = "".join(secrets.choice(characters) for _ in range(30))
            return data["client-secret"]
        raise waiting("Waiting for Client Secret")


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)


if __name__ == "__main__":
    ops.main(OidcGatekeeper)
