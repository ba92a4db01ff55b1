"""`mysql_client`: a database in MySQL, by version 0 of the data interfaces.

The requirer's application writes `database`, and `requested-secrets`, a JSON list of the fields that it wants
in secrets. The provider makes a user when `database` is new, and answers with `endpoints` (`host:port`,
several with commas between them), `database`, `version`, and the URIs `secret-user` and perhaps `secret-tls`
(canonical/data-platform-libs, lib/charms/data_platform_libs/v0/data_interfaces.py, LIBPATCH 40 to 59). The
packages on PyPI speak version 1 only, which mysql-k8s 8.0 never answers.
"""

from __future__ import annotations

import dataclasses
import json
import re

import ops

from kubeflow_charm.relations import authorities, secrets
from kubeflow_charm.relations.endpoint import Reader

_ENDPOINT = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<host>[A-Za-z0-9._-]+)):(?P<port>[1-9][0-9]{0,4})")
_TRUE = ("true", "yes", "on", "1", "enabled")


@dataclasses.dataclass(frozen=True)
class Database:
    """A database, and the user that owns it.

    Args:
        host: name or address; an IPv6 address has no brackets, a name no dot at its end.
        port: TCP port.
        name: of the database.
        username: of the user.
        password: of the user, whatever characters it has.
        tls: whether the server speaks TLS.
        tls_ca: PEM of the authorities to trust; empty for those that everybody does.
        version: of the server, if it is told.
    """

    host: str
    port: int
    name: str
    username: str
    password: str = dataclasses.field(repr=False)
    tls: bool = False
    tls_ca: str = ""
    version: str = ""

    @property
    def url_host(self) -> str:
        """The host as it stands before a colon and a port: an IPv6 address in brackets."""
        return f"[{self.host}]" if ":" in self.host else self.host


class Requires(Reader[Database]):
    """The side that uses the database.

    Args:
        charm: the charm that declares the endpoint.
        name: the endpoint's name.
        database: the database's name. The provider looks at the first one that it is told.
    """

    hint = "mysql-k8s"

    def __init__(self, charm: ops.CharmBase, name: str, *, database: str):
        super().__init__(charm, name)
        self._asked = {
            "database": database,
            "requested-secrets": json.dumps(["username", "password", "tls", "tls-ca", "uris"]),
        }

    def get(self) -> Database:
        """Ask, and return the database.

        Raises:
            Problem: that nothing is related, that nothing is answered yet, or that the answer is garbage.
        """
        for relation in self.relations:
            self.write(relation, self._asked)
        return super().get()

    def read(self, relation: ops.Relation) -> Database:
        """Return the database that an application has made; raises its `Problem`."""
        said = self.received(relation)
        if not said.get("endpoints") or not (said.get("secret-user") or said.get("username")):
            raise self.nothing_yet(relation)
        host, port = self._address(relation, said["endpoints"])
        user = secrets.content(self, relation, "secret-user") if said.get("secret-user") else said
        tls = secrets.content(self, relation, "secret-tls") if said.get("secret-tls") else said
        authority = tls.get("tls-ca", "")
        if authority and authorities.BEGIN not in authority:
            raise self.garbage(relation, "tls-ca: no certificate")
        if not (user.get("username") and user.get("password")):
            raise self.garbage(relation, "secret-user: no username and password")
        return Database(
            host=host,
            port=port,
            name=said.get("database") or self._asked["database"],
            username=user["username"],
            password=user["password"],
            tls=tls.get("tls", "").lower() in _TRUE,
            tls_ca=authorities.joined([authority]),
            version=said.get("version", ""),
        )

    def _address(self, relation: ops.Relation, endpoints: str) -> tuple[str, int]:
        """Return host and port of the first endpoint.

        mysql-k8s ends names with the root's dot. It says nothing new of a name that has all its domains, and
        is in the way where a certificate is checked.
        """
        first = endpoints.split(",")[0].strip()
        found = _ENDPOINT.fullmatch(first)
        if not found or int(found["port"]) > 65535:
            raise self.garbage(relation, f"endpoints: {first[:60]!r} is not host:port")
        return found["v6"] or found["host"].rstrip("."), int(found["port"])
