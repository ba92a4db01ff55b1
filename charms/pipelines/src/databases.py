"""The database that API server, cache and metadata store share, as their programs want it said."""

from __future__ import annotations

import dataclasses
import re

from kubeflow_charm import blocked
from kubeflow_charm.relations import mysql_client

NAME = "mlpipeline"

_IDENTIFIER = re.compile(r"[A-Za-z0-9_$]{1,64}")
"""What MySQL takes without quotes: the programs write none (client_manager.go; mysql_metadata_source.cc)."""


@dataclasses.dataclass(frozen=True)
class Records:
    """A database, and who reads and writes it.

    Args:
        host: name or address, an IPv6 address without brackets.
        port: TCP port.
        name: of the database.
        username: of the user that owns it.
        password: of that user.
        tls: whether connections must be encrypted, and the server's certificate checked.
        tls_ca: PEM of the authority to trust, empty for those that everybody does.
    """

    host: str
    port: int
    name: str
    username: str
    password: str = dataclasses.field(repr=False)
    tls: bool
    tls_ca: str

    @property
    def url_host(self) -> str:
        """The host as it stands before a colon and a port."""
        return f"[{self.host}]" if ":" in self.host else self.host

    @property
    def parameters(self) -> dict[str, str]:
        """What Go's MySQL driver is told beyond that."""
        return {"tls": "true"} if self.tls else {}


def records(endpoint: mysql_client.Requires) -> Records:
    """Return the related database.

    Raises:
        Problem: what keeps it from being read, or that it has a name which the programs cannot write.
    """
    found = endpoint.get()
    if not _IDENTIFIER.fullmatch(found.name):
        provider = endpoint.relations[0].app.name
        raise blocked(
            f"{provider} sent wrong data on {endpoint.name}", f"database: {found.name!r} needs quotes"
        )
    return Records(
        host=found.host,
        port=found.port,
        name=found.name,
        username=found.username,
        password=found.password,
        tls=found.tls,
        tls_ca=found.tls_ca,
    )
