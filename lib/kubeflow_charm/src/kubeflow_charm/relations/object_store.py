"""An object store that speaks S3, from any interface."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class ObjectStore:
    """The address of an object store, and a key to it.

    Args:
        host: name or address; an IPv6 address has no brackets.
        port: TCP port.
        secure: whether it speaks TLS.
        access_key: the name of the key; it may have any characters.
        secret_key: its secret; it may have any characters.
        region: AWS's name of the region, if known.
        bucket: the bucket to use, if the application names one.
        path: the folder to use in the bucket, if the application names one, without slashes around it.
        tls_ca: PEM of the authorities to trust; empty for the well-known ones.
        root: whether the key is that of MinIO's administrator, who may create other keys.
        application: the application that has the store, for statuses.
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
        """The host in a URL: an IPv6 address is in brackets."""
        return f"[{self.host}]" if ":" in self.host else self.host

    @property
    def endpoint(self) -> str:
        """`host:port`."""
        return f"{self.url_host}:{self.port}"

    @property
    def folder(self) -> str:
        """The beginning of every key in the bucket: empty, or a folder with a slash behind it."""
        return f"{self.path}/" if self.path else ""
