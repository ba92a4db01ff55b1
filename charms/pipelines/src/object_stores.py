"""The one object store that artifacts and logs go to, whichever endpoint it is related by."""

from __future__ import annotations

import dataclasses

from kubeflow_charm import Problem, blocked, missing_relation
from kubeflow_charm.relations import object_storage, s3
from kubeflow_charm.relations.object_store import ObjectStore


@dataclasses.dataclass(frozen=True)
class Store:
    """A bucket in a store, and how it is reached.

    Args:
        host: name or address, an IPv6 address in brackets.
        port: TCP port.
        secure: whether it speaks TLS.
        access_key: the name of the key.
        secret_key: its secret.
        bucket: the bucket's name.
        folder: what every key begins with: empty, or a folder with a slash behind it.
        region: AWS's name of the region; some region in any case.
        tls_ca: PEM of the authority to trust, empty for those that everybody does.
        root: whether the key is that of MinIO's administrator.
    """

    host: str
    port: int
    secure: bool
    access_key: str
    secret_key: str = dataclasses.field(repr=False)
    bucket: str
    folder: str
    region: str
    tls_ca: str
    root: bool = False

    @property
    def endpoint(self) -> str:
        """`host:port`."""
        return f"{self.host}:{self.port}"


def chosen(application: str, minio: object_storage.Requires, other: s3.Requires, bucket: str) -> Store:
    """Return the store that is related.

    Args:
        application: our application's name.
        minio: the endpoint `object-storage`.
        other: the endpoint `s3-credentials`; the bucket that its application names comes first.
        bucket: the one to use otherwise.

    Raises:
        Problem: that none is related or both are, or what keeps the one from being read.
    """
    if minio.relations and other.relations:
        # Of two that exclude each other, one was meant: only the operator knows which.
        remove = f"juju remove-relation {application} {minio.relations[0].app.name}"
        raise blocked(f"relations {minio.name} and {other.name} exclude each other", remove)
    if not minio.relations and not other.relations:
        raise _none(application, minio, other)
    found = minio.store() if minio.relations else other.store(bucket)
    return _store(found, bucket)


def _none(application: str, minio: object_storage.Requires, other: s3.Requires) -> Problem:
    """Return the problem that no store is related; the usual one is named for the command."""
    problem = missing_relation(application, minio.name, minio.hint)
    return Problem(problem.status, missing=f"{minio.name} (or {other.name})")


def _store(found: ObjectStore, bucket: str) -> Store:
    return Store(
        host=found.url_host,
        port=found.port,
        secure=found.secure,
        access_key=found.access_key,
        secret_key=found.secret_key,
        bucket=found.bucket or bucket,
        folder=f"{found.path}/" if found.path else "",
        region=found.region or "us-east-1",
        tls_ca=found.tls_ca,
        root=found.root,
    )
