"""An object store that speaks S3, whichever interface tells of it."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class ObjectStore:
    """Where an object store is, and a key to it.

    Args:
        host: name or address; an IPv6 address has no brackets.
        port: TCP port.
        secure: whether it speaks TLS.
        access_key: the name of the key, whatever characters it has.
        secret_key: its secret, whatever characters it has.
        region: AWS's name of the region, if one is known.
        bucket: the bucket to use, if one is named.
        path: the folder in the bucket to use, if one is named, without slashes around it.
        tls_ca: PEM of the authorities to trust; empty for those that everybody does.
        root: whether the key is that of MinIO's administrator, who may make others.
        application: whose store it is, for statuses.
    """

    host: str
    port: int
    secure: bool
    access_key: str
    secret_key: str = dataclasses.field(repr=False)
    region: str = ""
    bucket: str = ""
    path: str = ""
    tls_ca: str = ""
    root: bool = False
    application: str = ""

    @property
    def url_host(self) -> str:
        """The host as it stands in a URL: an IPv6 address in brackets."""
        return f"[{self.host}]" if ":" in self.host else self.host

    @property
    def endpoint(self) -> str:
        """`host:port`."""
        return f"{self.url_host}:{self.port}"

    @property
    def folder(self) -> str:
        """What every key in the bucket begins with: empty, or a folder with a slash behind it."""
        return f"{self.path}/" if self.path else ""
