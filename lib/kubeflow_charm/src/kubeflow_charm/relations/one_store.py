"""One object store from either of two endpoints: `object-storage` (MinIO) or `s3-credentials` (any S3)."""

from __future__ import annotations

import dataclasses

import ops

from kubeflow_charm.problems import Problem, blocked, missing_relation
from kubeflow_charm.relations import object_storage, s3
from kubeflow_charm.relations.object_store import ObjectStore

_SOME_REGION = "us-east-1"
"""For stores without a region: S3's clients need one."""


@dataclasses.dataclass(frozen=True)
class OneStore:
    """The store that is related.

    Args:
        application: our application's name.
        minio: the endpoint `object-storage`.
        other: the endpoint `s3-credentials`; its application may name the bucket.
    """

    application: str
    minio: object_storage.Requires
    other: s3.Requires

    @classmethod
    def of(cls, charm: ops.CharmBase) -> OneStore:
        """Return the store of a charm with the endpoints `object-storage` and `s3-credentials`."""
        minio = object_storage.Requires(charm, "object-storage")
        return cls(charm.app.name, minio, s3.Requires(charm, "s3-credentials"))

    def find(self, bucket: str) -> ObjectStore | None:
        """Return the store, with its bucket and region; None if none is related.

        Args:
            bucket: the bucket, unless the store names one.

        Raises:
            Problem: if two stores are related, or if the data is missing or wrong.
        """
        if self.minio.relations and self.other.relations:
            # Only the operator knows which of the two to keep.
            remove = f"juju remove-relation {self.application} {self.minio.relations[0].app.name}"
            raise blocked(f"relations {self.minio.name} and {self.other.name} exclude each other", remove)
        if not self.minio.relations and not self.other.relations:
            return None
        found = self.minio.store() if self.minio.relations else self.other.store(bucket)
        return dataclasses.replace(found, bucket=found.bucket or bucket, region=found.region or _SOME_REGION)

    def missing(self) -> Problem:
        """Return the problem that no store is related; the command names the usual one."""
        problem = missing_relation(self.application, self.minio.name, self.minio.hint)
        return Problem(problem.status, missing=f"{self.minio.name} (or {self.other.name})")

    def left(self, relation: ops.Relation, *, own_keys: bool) -> ObjectStore | None:
        """Return the store of a breaking relation if it may have our keys, otherwise None.

        Args:
            relation: the relation that breaks.
            own_keys: whether we make keys in any store.

        Raises:
            Problem: if its data is missing or wrong.
        """
        if relation.name == self.minio.name:
            return self.minio.store_of(relation)
        return self.other.read(relation) if relation.name == self.other.name and own_keys else None
