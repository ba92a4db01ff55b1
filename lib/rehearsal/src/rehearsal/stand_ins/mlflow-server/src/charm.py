"""Plays mlflow-server: offers MLflow's credentials and PodDefaults to every profile.

Facts: canonical/mlflow-operator, 2.22, src/charm.py, src/secrets and src/poddefaults. Its output is byte for
byte that of the real charm's templates. The real charm runs MLflow in its own pod. MLflow is not played, so
nothing is made in Kubernetes. Differences from the real charm:

- Juju opens its ports; the real one patches the application's Service, and opens ports of the nodes.
- It does not look for its bucket in the store, and does not check the option for the artifacts' place in it.
- Credentials that break the templates block it; the real one's hook fails.
- It makes its offers to profiles even if the ingress has not answered.
"""

from __future__ import annotations

import json
import string
from pathlib import Path
from typing import Any

import ops
import yaml

from rehearsal.stand_ins import metrics
from rehearsal.stand_ins.handshake import speaking
from rehearsal.stand_ins.playing import StandIn
from rehearsal.stand_ins.stopping import blocked, waiting

FOLDER = Path(__file__).parent / "manifests"
OFFERED = {name: (FOLDER / f"{name}.yaml").read_text() for name in ("secrets", "pod-defaults")}
REQUESTED = ["username", "password", "tls", "tls-ca", "uris"]
LINK = {
    "text": "MLflow",
    "link": "/mlflow/",
    "type": "item",
    "icon": "device:data-usage",
    "location": "external",
    "desc": "",
}


class MlflowServer(StandIn):
    """The parts of mlflow-server that other charms rely on."""

    endpoints = speaking(Path(__file__).parents[1] / "charmcraft.yaml")

    def play(self) -> None:
        """Make the offers once database and store are known."""
        for relation in self.related("dashboard-links"):
            relation.data[self.app]["dashboard_links"] = json.dumps([LINK])
        port = int(self.config["mlflow_port"])
        self.unit.set_ports(port, int(self.config["mlflow_prometheus_exporter_port"]))
        self.ask_database()
        store = self.store()
        self.check_database()
        if not self.unit.get_container("mlflow-server").can_connect():
            raise waiting("Container mlflow-server is not ready")
        host = f"{self.app.name}.{self.model.name}.svc.cluster.local"
        values = {
            "application": self.app.name,
            "store": f"http://{store['service']}.{store['namespace']}:{store['port']}",
            "tracking": f"http://{host}:{port}",
            "access_key": store["access-key"],
            "secret_key": store["secret-key"],
        }
        for endpoint, text in OFFERED.items():
            manifests = json.dumps(self.filled(text, values))
            for relation in self.related(endpoint):
                relation.data[self.app]["kubernetes_manifests"] = manifests
        self.interface("ingress").send(
            {
                "prefix": "/mlflow/",
                "rewrite": "/",
                "service": self.app.name,
                "namespace": self.model.name,
                "port": port,
            }
        )

    def scrape_jobs(self) -> list[dict[str, Any]]:
        """Return the job of MLflow's exporter."""
        return [metrics.job(int(self.config["mlflow_prometheus_exporter_port"]))]

    def store(self) -> dict[str, Any]:
        """Return the object store's data."""
        interface = self.interface("object-storage")
        for relation, data in interface.received().items():
            if "namespace" not in data:  # the schema allows that; the real charm's hook fails
                raise interface.wrong(relation, "no namespace")
            return data
        raise waiting("Waiting for object-storage relation data")

    def ask_database(self) -> None:
        """Request a database."""
        for relation in self.related("relational-db"):
            relation.data[self.app].update({"database": "mlflow", "requested-secrets": json.dumps(REQUESTED)})

    def check_database(self) -> None:
        """Wait for the database's credentials."""
        relations = self.related("relational-db")
        if not relations:
            raise blocked("Please add relation to the database")
        for relation in relations:
            said = relation.data[relation.app]
            if not said.get("endpoints") or not said.get("secret-user"):
                raise waiting("Waiting for relational-db relation data")

    def filled(self, text: str, values: dict[str, str]) -> list[Any]:
        """Return a template's documents; as in the real charm, values go into its text, unquoted."""
        try:
            # Each is its own file in the real charm, so a key must not begin another document.
            documents = [
                yaml.safe_load(string.Template(each).substitute(values)) for each in text.split("---\n")
            ]
            json.dumps(documents)
        except (yaml.YAMLError, ValueError, LookupError, TypeError, RecursionError):
            raise blocked("credentials of object-storage are no YAML: the real charm would fail") from None
        return documents


if __name__ == "__main__":
    ops.main(MlflowServer)
