"""Plays feast-integrator: makes the configuration of Feast from three databases, for profiles and Feast's UI.

Facts: canonical/feast-operators, 0.49, charms/feast-integrator. Its output is byte for byte that of the real
charm's templates. Differences from the real charm:

- Credentials that break the template block it; the real one's hook fails.
"""

from __future__ import annotations

import json
import string
from pathlib import Path

import ops
import yaml

from rehearsal.stand_ins.playing import StandIn
from rehearsal.stand_ins.stopping import Stop, blocked, waiting

MANIFESTS = Path(__file__).parent / "manifests"
SECRET = (MANIFESTS / "secret.yaml").read_text()
POD_DEFAULT = (MANIFESTS / "pod-default.yaml").read_text()
STORES = {"offline-store": "offline_store", "online-store": "online_store", "registry": "registry"}
"""The database that it asks for at each endpoint; its name begins what the configuration calls it."""
REQUESTED = ["username", "password", "tls", "tls-ca", "uris"]
SECRET_NAME = "feature-store-yaml"  # noqa: S105 (a name)


class FeastIntegrator(StandIn):
    """The parts of feast-integrator that other charms rely on."""

    def play(self) -> None:
        """Ask all databases first; then send what they answered."""
        for endpoint, database in STORES.items():
            for relation in self.related(endpoint):
                relation.data[self.app].update(
                    {"database": database, "requested-secrets": json.dumps(REQUESTED)}
                )
        values: dict[str, str] = {}
        self.each(*(lambda endpoint=endpoint: values.update(self.store(endpoint)) for endpoint in STORES))
        self.each(
            lambda: self.offer("secrets", SECRET, {**values, "secret_name": SECRET_NAME}),
            lambda: self.offer(
                "pod-defaults", POD_DEFAULT, {"app_name": self.app.name, "secret_name": SECRET_NAME}
            ),
        )
        for relation in self.related("feast-configuration"):
            relation.data[self.app].update(values)

    def store(self, endpoint: str) -> dict[str, str]:
        """Return what the configuration says of a database."""
        relations = self.related(endpoint)
        if not relations:
            raise missing(endpoint)
        relation = relations[0]
        said = relation.data[relation.app]
        if not said.get("endpoints") or not (said.get("secret-user") or said.get("password")):
            raise waiting(f"[{endpoint}] Waiting for {endpoint} relation data")
        host, sign, port = said["endpoints"].partition(":")
        if not sign or not port.isdigit():
            raise waiting(f"[{endpoint}] Waiting for {endpoint} relation data")
        found = {"host": host, "port": port, "database": said.get("database", ""), **self.credentials(said)}
        return {f"{STORES[endpoint]}_{key}": value for key, value in found.items()}

    def credentials(self, said: ops.RelationDataContent) -> dict[str, str]:
        """Return user and password, of a secret if the database writes one."""
        content = dict(said)
        if uri := said.get("secret-user"):
            content |= self.model.get_secret(id=uri).get_content(refresh=True)
        return {"user": content["username"], "password": content["password"]}

    def offer(self, endpoint: str, text: str, values: dict[str, str]) -> None:
        """Offer a manifest to every profile; as in the real charm, values go into its text, unquoted."""
        relations = self.related(endpoint)
        if not relations:
            raise missing(endpoint)
        try:
            manifests = json.dumps([yaml.safe_load(string.Template(text).substitute(values))])
        except (yaml.YAMLError, ValueError, TypeError):
            raise blocked("credentials are no YAML: the real charm would fail") from None
        for relation in relations:
            relation.data[self.app]["kubernetes_manifests"] = manifests


def missing(endpoint: str) -> Stop:
    """Return the stop for an endpoint that must be related."""
    return blocked(f"[{endpoint}] Please add the missing relation: {endpoint}")


if __name__ == "__main__":
    ops.main(FeastIntegrator)
