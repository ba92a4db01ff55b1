"""Plays feast-ui: reads the configuration of Feast, and is behind the gateway and in the menu.

Facts: canonical/feast-operators, 0.49, charms/feast-ui, and the library feast_store_configuration of
charms/feast-integrator. The real charm runs Feast's UI in its own pod; that is not played. Differences from
the real charm:

- A field of the configuration that it does not know, or one that lacks, is waited for or blocks; the real
  one's hook fails.
"""

from __future__ import annotations

import json
from pathlib import Path

import ops

from rehearsal.stand_ins.handshake import speaking
from rehearsal.stand_ins.playing import StandIn
from rehearsal.stand_ins.stopping import blocked, starting, waiting

PORT = 8888
STORES = ("registry", "offline_store", "online_store")
FIELDS = {f"{store}_{part}" for store in STORES for part in ("user", "password", "host", "port", "database")}
LINK = {
    "text": "Feast",
    "link": "/feast/",
    "type": "item",
    "icon": "device:data-usage",
    "location": "external",
    "desc": "",
}


class FeastUi(StandIn):
    """The parts of feast-ui that other charms rely on."""

    endpoints = speaking(Path(__file__).parents[1] / "charmcraft.yaml")

    def play(self) -> None:
        """Ask for the route and the link first; then wait for the configuration."""
        self.unit.set_ports(PORT)
        for relation in self.related("dashboard-links"):
            relation.data[self.app]["dashboard_links"] = json.dumps([LINK])
        self.each(self.ask_for_a_route, self.check_configuration)
        if not self.unit.get_container("feast-ui").can_connect():
            raise starting("[feast-ui-pebble-service] Waiting for Pebble to be ready.")

    def ask_for_a_route(self) -> None:
        """Ask for the route to the UI."""
        route = {"prefix": "/feast/", "rewrite": "/", "service": self.app.name}
        self.interface("ingress").send(route | {"namespace": self.model.name, "port": PORT})

    def check_configuration(self) -> None:
        """Read the configuration as strictly as the real charm's library does."""
        relations = self.related("feast-configuration")
        if not relations:
            raise blocked("Missing relation: feast-configuration")
        said = relations[0].data[relations[0].app]
        if not said:
            raise waiting(
                "Waiting for relation data: No data found in relation feast-configuration data bag."
            )
        if missing := FIELDS - said.keys():
            raise waiting(f"Waiting for relation data: {sorted(missing)[0]}")
        if unknown := said.keys() - FIELDS:
            raise blocked(
                f"Invalid relation data: unknown {sorted(unknown)[0]}: the real charm's hook would fail"
            )
        for store in STORES:
            if not said[f"{store}_port"].isdigit():
                raise blocked(
                    f"Invalid relation data: {store}_port must be int or string representing an int"
                )


if __name__ == "__main__":
    ops.main(FeastUi)
