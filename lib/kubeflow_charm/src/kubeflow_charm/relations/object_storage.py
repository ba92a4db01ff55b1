"""`object-storage`: MinIO, by serialized-data-interface, version v1.

The provider writes `access-key`, `secret-key`, `service`, `port` (a number), `secure` and optionally
`namespace` (canonical/operator-schemas, object-storage.yaml; canonical/minio-operator, src/charm.py). The key
is that of MinIO's administrator.
"""

from __future__ import annotations

from typing import Annotated

import ops
import pydantic

from kubeflow_charm.relations.kubernetes_names import DnsName, Namespace
from kubeflow_charm.relations.object_store import ObjectStore
from kubeflow_charm.relations.sdi import SdiReader, SdiWriter

Key = Annotated[str, pydantic.Field(min_length=1, max_length=4096)]


class Storage(pydantic.BaseModel):
    """The data on the relation."""

    model_config = pydantic.ConfigDict(
        alias_generator=lambda name: name.replace("_", "-"),
        frozen=True,
        populate_by_name=True,
        defer_build=True,
    )

    access_key: Key
    secret_key: Annotated[Key, pydantic.Field(repr=False)]
    service: DnsName
    port: Annotated[int, pydantic.Field(ge=1, le=65535)]
    secure: bool
    namespace: Namespace | None = None

    def store(self, application: str, namespace: str) -> ObjectStore:
        """Return the store of an application; `namespace` is its model, where the Service is by default."""
        return ObjectStore(
            host=self.service if "." in self.service else f"{self.service}.{self.namespace or namespace}",
            port=self.port,
            secure=self.secure,
            access_key=self.access_key,
            secret_key=self.secret_key,
            root=True,
            application=application,
        )


class Requires(SdiReader[Storage]):
    """The side that uses the store."""

    hint = "minio"
    model = Storage

    def store(self) -> ObjectStore:
        """Write our version, and return the store.

        Raises:
            Problem: if there is no relation or no data yet, or if the data is garbage.
        """
        return self.get().store(self.relations[0].app.name, self.charm.model.name)

    def store_of(self, relation: ops.Relation) -> ObjectStore:
        """Return the store of the application at the other end; raises its `Problem`."""
        return self.read(relation).store(relation.app.name, self.charm.model.name)


class Provides(SdiWriter):
    """The side that has the store."""

    def send(self, storage: Storage) -> None:
        """Send the store to every related application.

        Raises:
            ExceptionGroup: with a `Problem` for each application that speaks only other versions of SDI.
        """
        self.send_data(storage)
