"""`mysql_client`: a database in MySQL, by version 0 of the data interfaces.

The requirer's application writes `database`, and `requested-secrets`, a JSON list of the fields that it wants
in secrets. When `database` is new, the provider creates a user, and answers with `endpoints` (a list of
`host:port` with commas), `database`, `version`, and the URIs `secret-user` and optionally `secret-tls`
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
_PLAIN = re.compile(r"[A-Za-z0-9_$]{1,64}")
"""A name without quotes in MySQL (https://dev.mysql.com/doc/refman/8.0/en/identifiers.html)."""
_TRUE = ("true", "yes", "on", "1", "enabled")


@dataclasses.dataclass(frozen=True)
class Database:
    """A database, and the user that owns it.

    Args:
        host: name or address; an IPv6 address has no brackets, a name no dot at its end.
        port: TCP port.
        name: the database's name.
        username: the user's name.
        password: the user's password; it may have any characters.
        tls: whether the server speaks TLS.
        tls_ca: PEM of the authorities to trust; empty for the well-known ones.
        version: the server's version, if the provider gives it.
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
        """The host before a colon and a port: an IPv6 address is in brackets."""
        return f"[{self.host}]" if ":" in self.host else self.host


class Requires(Reader[Database]):
    """The side that uses the database.

    Args:
        charm: the charm that declares the endpoint.
        name: the endpoint's name.
        database: the database's name. The provider uses the first name that we write.
        plain: whether the program writes the name without quotes, so that it may not need any.
    """

    hint = "mysql-k8s"

    def __init__(self, charm: ops.CharmBase, name: str, *, database: str, plain: bool = False):
        super().__init__(charm, name)
        self._plain = plain
        self._request = {
            "database": database,
            "requested-secrets": json.dumps(["username", "password", "tls", "tls-ca", "uris"]),
        }

    def get(self) -> Database:
        """Write our request, and return the database.

        Raises:
            Problem: if there is no relation or no answer yet, or if the answer is garbage.
        """
        for relation in self.relations:
            self.write(relation, self._request)
        return super().get()

    def read(self, relation: ops.Relation) -> Database:
        """Return the database of the application at the other end; raises its `Problem`."""
        data = self.received(relation)
        if not data.get("endpoints") or not (data.get("secret-user") or data.get("username")):
            raise self.nothing_yet(relation)
        host, port = self._address(relation, data["endpoints"])
        user = secrets.content(self, relation, "secret-user") if data.get("secret-user") else data
        tls = secrets.content(self, relation, "secret-tls") if data.get("secret-tls") else data
        authority = tls.get("tls-ca", "")
        if authority and authorities.BEGIN not in authority:
            raise self.garbage(relation, "tls-ca: no certificate")
        if not (user.get("username") and user.get("password")):
            raise self.garbage(relation, "secret-user: no username and password")
        database = data.get("database") or self._request["database"]
        if self._plain and not _PLAIN.fullmatch(database):
            raise self.garbage(relation, f"database: {database!r} needs quotes")
        return Database(
            host=host,
            port=port,
            name=database,
            username=user["username"],
            password=user["password"],
            tls=tls.get("tls", "").lower() in _TRUE,
            tls_ca=authorities.joined([authority]),
            version=data.get("version", ""),
        )

    def _address(self, relation: ops.Relation, endpoints: str) -> tuple[str, int]:
        """Return host and port of the first endpoint.

        mysql-k8s ends names with the root's dot. A complete name does not need it, and it prevents the check
        of a certificate.
        """
        first = endpoints.split(",")[0].strip()
        found = _ENDPOINT.fullmatch(first)
        if not found or int(found["port"]) > 65535:
            raise self.garbage(relation, f"endpoints: {first[:60]!r} is not host:port")
        return found["v6"] or found["host"].rstrip("."), int(found["port"])
