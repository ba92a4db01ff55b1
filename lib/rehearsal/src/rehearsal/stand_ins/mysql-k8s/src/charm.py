"""Plays mysql-k8s: gives each requesting application a database and its own user.

Facts: canonical/mysql-k8s-operator, 8.0, src/relations/mysql_provider.py, and version 0 of
canonical/data-platform-libs, data_interfaces. The real charm runs MySQL in its own pod; MySQL is not played.
Differences from the real charm:

- An option of the stand-in sets the TLS data for clients.
- Its Services exist from the first client to the last, and select the unit's pod by Juju's label.
"""

from __future__ import annotations

import json
import secrets
import string

import ops

from rehearsal.stand_ins.manifests import Manifest
from rehearsal.stand_ins.objects import SERVICE, KubernetesStandIn
from rehearsal.stand_ins.stopping import blocked, starting

ROLES = ("primary", "replicas")
VERSION = "8.0.41-0ubuntu0.22.04.1"
_ALPHABET = string.ascii_letters + string.digits


class MysqlK8s(KubernetesStandIn):
    """The parts of mysql-k8s that other charms rely on."""

    def play(self) -> None:
        """Answer every request."""
        if self.config["profile"] not in ("production", "testing"):
            raise blocked("Invalid value for option profile: production, testing")
        if not self.unit.get_container("mysql").can_connect():
            raise starting("Waiting for pod startup to complete")
        asking = [each for each in self.related("database") if each.data[each.app].get("database")]
        self.objects.keep(SERVICE, [self.service(role) for role in ROLES] if asking else [])
        self.each(*(lambda relation=relation: self.answer(relation) for relation in asking))

    def clear(self) -> None:
        """Delete the Services."""
        self.objects.keep(SERVICE)

    def answer(self, relation: ops.Relation) -> None:
        """Make a database and a user at the first request; later requests change nothing."""
        asked, said = relation.data[relation.app], relation.data[self.app]
        wanted = self.wanted(relation)
        known = "endpoints" in said
        said["data"] = json.dumps(dict(asked))
        if not known:
            credentials = {
                "username": f"relation-{relation.id}_{self.model.uuid.replace('-', '')}"[:26],
                "password": "".join(secrets.choice(_ALPHABET) for _ in range(24)),
            }
            said.update(
                {
                    "database": asked["database"],
                    "endpoints": self.endpoint("primary"),
                    "read-only-endpoints": self.endpoint("replicas"),
                    "version": VERSION,
                }
            )
            self.tell(relation, wanted, "user", credentials)
        authority = str(self.config["stand-in-tls-ca"])
        tls = {"tls": "True", "tls-ca": authority}
        if authority:
            self.tell(relation, wanted, "tls", tls)
        else:
            for key in ("secret-tls", *tls):
                said.pop(key, None)

    def wanted(self, relation: ops.Relation) -> set[str]:
        """Return the fields that an application requests in secrets; none if it does not support secrets."""
        try:
            wanted = json.loads(relation.data[relation.app].get("requested-secrets") or "[]")
        except (ValueError, RecursionError):
            wanted = None
        if not isinstance(wanted, list) or not all(isinstance(each, str) for each in wanted):
            raise blocked(f"wrong data on database from {relation.app.name}: requested-secrets: no JSON list")
        return set(wanted)

    def tell(self, relation: ops.Relation, wanted: set[str], group: str, content: dict[str, str]) -> None:
        """Write each field into the group's secret if it is wanted there, otherwise in plain text."""
        said = relation.data[self.app]
        said.update({key: value for key, value in content.items() if key not in wanted})
        if hidden := {key: value for key, value in content.items() if key in wanted}:
            said[f"secret-{group}"] = self.kept(relation, group, hidden)

    def kept(self, relation: ops.Relation, group: str, content: dict[str, str]) -> str:
        """Store `content` in a secret of the relation, and return its URI."""
        label = f"database.{relation.id}.{group}.secret"
        try:
            secret = self.model.get_secret(label=label)
        except ops.SecretNotFoundError:
            secret = self.app.add_secret(content, label=label)
            secret.grant(relation)
        else:
            if secret.get_content(refresh=True) != content:
                secret.set_content(content)
        return secret.id or secret.get_info().id

    def endpoint(self, role: str) -> str:
        """Return a Service's address; its name ends with the dot of the DNS root."""
        return f"{self.app.name}-{role}.{self.model.name}.svc.cluster.local.:3306"

    def service(self, role: str) -> Manifest:
        """Return the Service of the primary or of the replicas."""
        return {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": f"{self.app.name}-{role}"},
            "spec": {
                "selector": {"app.kubernetes.io/name": self.app.name},
                "ports": [{"name": "mysql", "port": 3306}],
            },
        }


if __name__ == "__main__":
    ops.main(MysqlK8s)
