"""Plays mysql-k8s: gives each requesting application a database and its own user.

Facts: canonical/mysql-k8s-operator, 8.0, src/relations/mysql_provider.py. The real charm runs MySQL in its
own pod; MySQL is not played. Differences from the real charm:

- An option of the stand-in sets the TLS data for clients.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ops

from rehearsal.stand_ins.database import Database
from rehearsal.stand_ins.stopping import blocked


class MysqlK8s(Database):
    """The parts of mysql-k8s that other charms rely on."""

    container = "mysql"
    port = 3306
    port_name = "mysql"
    version = "8.0.41-0ubuntu0.22.04.1"

    def check(self) -> None:
        """Check the profile."""
        if self.config["profile"] not in ("production", "testing"):
            raise blocked("Invalid value for option profile: production, testing")

    def scrape_jobs(self) -> list[dict[str, Any]]:
        """Return the job of MySQL's exporter."""
        return [{"static_configs": [{"targets": ["*:9104"]}]}]

    def user(self, relation: ops.Relation) -> str:
        """Return the name of a relation's user, cut to what MySQL takes."""
        return f"relation-{relation.id}_{self.model.uuid.replace('-', '')}"[:26]

    def told(self, relation: ops.Relation) -> Mapping[str, str]:
        """Return both addresses."""
        return {"endpoints": self.endpoint("primary"), "read-only-endpoints": self.endpoint("replicas")}

    def endpoint(self, role: str) -> str:
        """Return a Service's address; its name ends with the dot of the DNS root."""
        return f"{self.app.name}-{role}.{self.model.name}.svc.cluster.local.:3306"

    def answer(self, relation: ops.Relation) -> None:
        """Answer a request, and tell of TLS, which may come and go."""
        super().answer(relation)
        said = relation.data[self.app]
        authority = str(self.config["stand-in-tls-ca"])
        tls = {"tls": "True", "tls-ca": authority}
        if authority:
            self.tell(relation, self.wanted(relation), "tls", tls)
        else:
            for key in ("secret-tls", *tls):
                said.pop(key, None)


if __name__ == "__main__":
    ops.main(MysqlK8s)
