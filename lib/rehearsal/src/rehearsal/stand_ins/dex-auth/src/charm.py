"""Plays dex-auth: tells its issuer, reads its client, routes /dex."""

import ops
import yaml

from rehearsal.stand_ins.playing import StandIn, Stop


class DexAuth(StandIn):
    """What other charms rely on of dex-auth."""

    def play(self) -> None:
        """Check the configuration, shake all hands."""
        try:
            connectors = yaml.safe_load(str(self.config["connectors"])) or []
        except yaml.YAMLError:
            raise Stop(ops.BlockedStatus("connectors is not valid YAML")) from None
        if not connectors and not self.config["enable-password-db"]:
            raise Stop(ops.BlockedStatus("Please add a connectors configuration to proceed without a static login."))
        address = f"http://{self.app.name}.{self.model.name}.svc:{self.config['port']}/dex"
        public = str(self.config["public-url"]).rstrip("/")
        issuer = self.config["issuer-url"] or (f"{public}/dex" if public else address)
        for relation in self.related("dex-oidc-config"):
            relation.data[self.app]["issuer-url"] = str(issuer)
        route = {"service": self.app.name, "port": self.config["port"], "prefix": "/dex", "rewrite": "/dex"}
        self.send("ingress", route)
        self.required("oidc-client")
        if not self.sent("oidc-client"):
            raise Stop(ops.WaitingStatus("Waiting for OIDC Client information"))


if __name__ == "__main__":
    ops.main(DexAuth)
