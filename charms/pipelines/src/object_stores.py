"""The one object store for artifacts and logs, from either endpoint."""

from __future__ import annotations

import dataclasses

import ops
from pipelines_config import PipelinesConfig

from kubeflow_charm import Problem, blocked, missing_relation
from kubeflow_charm.relations import object_storage, s3
from kubeflow_charm.relations.object_store import ObjectStore

_SOME_REGION = "us-east-1"
"""For stores without a region: S3's clients need one."""


def chosen(
    application: str, minio: object_storage.Requires, other: s3.Requires, config: PipelinesConfig
) -> ObjectStore:
    """Return the store that is related, with its bucket and region.

    Args:
        application: our application's name.
        minio: the endpoint `object-storage`.
        other: the endpoint `s3-credentials`; its application may name the bucket.
        config: the options with the default bucket and the rules that the store must support.

    Raises:
        Problem: if no store or two stores are related, if its data is missing or wrong, or if the store does
            not support the options.
    """
    if minio.relations and other.relations:
        # Only the operator knows which of the two to keep.
        remove = f"juju remove-relation {application} {minio.relations[0].app.name}"
        raise blocked(f"relations {minio.name} and {other.name} exclude each other", remove)
    if not minio.relations and not other.relations:
        raise _none(application, minio, other)
    bucket = config.object_store_bucket_name
    found = minio.store() if minio.relations else other.store(bucket)
    store = dataclasses.replace(found, bucket=found.bucket or bucket, region=found.region or _SOME_REGION)
    config.retention(application, store)
    return store


def store_being_left(
    relation: ops.Relation, minio: object_storage.Requires, other: s3.Requires, config: PipelinesConfig
) -> ObjectStore | None:
    """Return the store of a breaking relation if it may have our keys, otherwise None.

    Raises:
        Problem: if its data is missing or wrong.
    """
    if relation.name == minio.name:
        return minio.store_of(relation)
    own = relation.name == other.name and config.object_store_keys == "per-profile"
    return other.read(relation) if own else None


def _none(application: str, minio: object_storage.Requires, other: s3.Requires) -> Problem:
    """Return the problem that no store is related; the command names the usual one."""
    problem = missing_relation(application, minio.name, minio.hint)
    return Problem(problem.status, missing=f"{minio.name} (or {other.name})")
