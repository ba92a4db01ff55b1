"""The one object store that artifacts and logs go to, whichever endpoint it is related by."""

from __future__ import annotations

import dataclasses

import ops
from pipelines_config import PipelinesConfig

from kubeflow_charm import Problem, blocked, missing_relation
from kubeflow_charm.relations import object_storage, s3
from kubeflow_charm.relations.object_store import ObjectStore

_SOME_REGION = "us-east-1"
"""For stores that have none: S3's clients want one."""


def chosen(
    application: str, minio: object_storage.Requires, other: s3.Requires, config: PipelinesConfig
) -> ObjectStore:
    """Return the store that is related, with its bucket and region.

    Args:
        application: our application's name.
        minio: the endpoint `object-storage`.
        other: the endpoint `s3-credentials`; the bucket that its application names comes first.
        config: names the bucket to use otherwise, and what the store must be able to do.

    Raises:
        Problem: that none is related or both are, what keeps the one from being read, or what it cannot do.
    """
    if minio.relations and other.relations:
        # Of two that exclude each other, one was meant: only the operator knows which.
        remove = f"juju remove-relation {application} {minio.relations[0].app.name}"
        raise blocked(f"relations {minio.name} and {other.name} exclude each other", remove)
    if not minio.relations and not other.relations:
        raise _none(application, minio, other)
    bucket = config.object_store_bucket_name
    found = minio.store() if minio.relations else other.store(bucket)
    store = dataclasses.replace(found, bucket=found.bucket or bucket, region=found.region or _SOME_REGION)
    config.retention(application, store)
    return store


def left(
    relation: ops.Relation, minio: object_storage.Requires, other: s3.Requires, config: PipelinesConfig
) -> ObjectStore | None:
    """Return the store that had keys of profiles and goes with a relation that breaks, if it is one.

    Raises:
        Problem: what keeps it from being read.
    """
    if relation.name == minio.name:
        return minio.store_of(relation)
    own = relation.name == other.name and config.object_store_keys == "per-profile"
    return other.read(relation) if own else None


def _none(application: str, minio: object_storage.Requires, other: s3.Requires) -> Problem:
    """Return the problem that no store is related; the usual one is named for the command."""
    problem = missing_relation(application, minio.name, minio.hint)
    return Problem(problem.status, missing=f"{minio.name} (or {other.name})")
