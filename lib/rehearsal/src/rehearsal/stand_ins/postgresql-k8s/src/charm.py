"""Plays postgresql-k8s: gives each requesting application a database and its own user.

Facts: canonical/postgresql-k8s-operator, 14, src/relations/postgresql_provider.py. The real charm runs
PostgreSQL in its own pod; PostgreSQL is not played. Differences from the real charm:

- It offers no TLS, and no connection strings (`uris`).
- An option of the stand-in sets what passwords are; the real one makes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ops

from rehearsal.stand_ins.database import Database


class PostgresqlK8s(Database):
    """The parts of postgresql-k8s that other charms rely on."""

    container = "postgresql"
    port = 5432
    port_name = "api"
    version = "14.15"
    length = 16

    def scrape_jobs(self) -> list[dict[str, Any]]:
        """Return the job of PostgreSQL's exporter."""
        return [{"static_configs": [{"targets": ["*:9187"]}]}]

    def user(self, relation: ops.Relation) -> str:
        """Return the name of a relation's user."""
        return f"relation_id_{relation.id}"

    def told(self, relation: ops.Relation) -> Mapping[str, str]:
        """Return the primary's address; that of the replicas is empty if there are none."""
        replicas = self.endpoint("replicas") if self.app.planned_units() > 1 else ""
        return {"endpoints": self.endpoint("primary"), "read-only-endpoints": replicas}

    def endpoint(self, role: str) -> str:
        """Return a Service's address."""
        return f"{self.app.name}-{role}.{self.model.name}.svc.cluster.local:5432"

    def answer(self, relation: ops.Relation) -> None:
        """Answer a request, with the password that the option sets."""
        super().answer(relation)
        if password := str(self.config["stand-in-password"]):
            self.tell(
                relation,
                self.wanted(relation),
                "user",
                {"username": self.user(relation), "password": password},
            )


if __name__ == "__main__":
    ops.main(PostgresqlK8s)
