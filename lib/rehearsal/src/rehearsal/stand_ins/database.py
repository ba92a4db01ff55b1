"""What databases of Charmhub do alike: give each requesting application a database and its own user.

Facts: version 0 of canonical/data-platform-libs, data_interfaces.
"""

from __future__ import annotations

import json
import secrets
import string
from collections.abc import Mapping

import ops

from rehearsal.stand_ins.manifests import Manifest
from rehearsal.stand_ins.objects import SERVICE, KubernetesStandIn
from rehearsal.stand_ins.stopping import blocked, starting

_ALPHABET = string.ascii_letters + string.digits


class Database(KubernetesStandIn):
    """A database.

    Its Services exist from the first client to the last, and select the unit's pod by Juju's label; those of
    the real charms select by labels of the cluster's members.
    """

    container = ""
    """The workload container."""
    port = 0
    port_name = ""
    version = ""
    """What it tells of its version."""
    roles = ("primary", "replicas")
    """The ends of its Services' names."""
    length = 24
    """Characters of a password."""

    def play(self) -> None:
        """Answer every request."""
        self.check()
        if not self.unit.get_container(self.container).can_connect():
            raise starting("Waiting for pod startup to complete")
        asking = [each for each in self.related("database") if each.data[each.app].get("database")]
        self.objects.keep(SERVICE, [self.service(role) for role in self.roles] if asking else [])
        self.each(*(lambda relation=relation: self.answer(relation) for relation in asking))

    def check(self) -> None:
        """Check the options; raise `Stop` if one is wrong."""

    def user(self, relation: ops.Relation) -> str:
        """Return the name of a relation's user."""
        raise NotImplementedError

    def endpoint(self, role: str) -> str:
        """Return a Service's address with its port."""
        raise NotImplementedError

    def told(self, relation: ops.Relation) -> Mapping[str, str]:
        """Return what clients are told in plain text, besides the database's name."""
        raise NotImplementedError

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
                "username": self.user(relation),
                "password": "".join(secrets.choice(_ALPHABET) for _ in range(self.length)),
            }
            said.update({"database": asked["database"], **self.told(relation), "version": self.version})
            self.tell(relation, wanted, "user", credentials)

    def credentials(self, relation: ops.Relation) -> tuple[str, str] | None:
        """Return name and password of a relation's user; None before the first answer."""
        said = relation.data[self.app]
        if "endpoints" not in said:
            return None
        content: Mapping[str, str] = said
        if "secret-user" in said:
            label = f"database.{relation.id}.user.secret"
            content = self.model.get_secret(label=label).get_content(refresh=True)
        return content["username"], content["password"]

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
            said[f"secret-{group}"] = self.kept(relation, f"database.{relation.id}.{group}.secret", hidden)

    def service(self, role: str) -> Manifest:
        """Return the Service of the primary or of the replicas."""
        return {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": f"{self.app.name}-{role}"},
            "spec": {
                "selector": {"app.kubernetes.io/name": self.app.name},
                "ports": [{"name": self.port_name, "port": self.port}],
            },
        }
