"""Plays dex-auth: tells its issuer, reads its client, routes /dex."""

from collections.abc import Callable

import ops
import yaml

from rehearsal.stand_ins.playing import StandIn, Stop


class DexAuth(StandIn):
    """What other charms rely on of dex-auth."""

    def steps(self) -> list[Callable[[], None]]:
        """Tell the issuer, ask for the route, read the client."""
        return [self.tell_issuer, self.ask_for_route, self.read_client]

    def tell_issuer(self) -> None:
        """Tell clients the issuer; a configuration that lets nobody in is refused."""
        try:
            connectors = yaml.safe_load(str(self.config["connectors"])) or []
        except yaml.YAMLError:
            raise Stop(ops.BlockedStatus("connectors is not valid YAML")) from None
        if not connectors and not self.config["enable-password-db"]:
            raise Stop(ops.BlockedStatus("no connectors, and no static login"))
        address = f"http://{self.app.name}.{self.model.name}.svc:{self.config['port']}/dex"
        public = str(self.config["public-url"]).rstrip("/")
        issuer = self.config["issuer-url"] or (f"{public}/dex" if public else address)
        for relation in self.related("dex-oidc-config"):
            relation.data[self.app]["issuer-url"] = str(issuer)

    def ask_for_route(self) -> None:
        """Ask for /dex."""
        port = self.config["port"]
        self.send("ingress", {"service": self.app.name, "port": port, "prefix": "/dex", "rewrite": "/dex"})

    def read_client(self) -> None:
        """Wait for the client that may ask who a user is."""
        self.required("oidc-client")
        if not self.sent("oidc-client"):
            raise Stop(ops.WaitingStatus("Waiting for OIDC Client information"))


if __name__ == "__main__":
    ops.main(DexAuth)
