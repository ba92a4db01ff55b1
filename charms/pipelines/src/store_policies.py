"""What the keys to the object store allow: those of our own programs, and those of profiles."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pipelines_config import PRIVATE, PipelinesConfig
from profile_manifests import RECORD, STORE_KEY

from kubeflow_charm.minio.grants import Terms
from kubeflow_charm.minio.keys import NO_ADMINISTRATION
from kubeflow_charm.relations.object_store import ObjectStore

_OBJECTS = ("GetObject", "PutObject", "DeleteObject", "AbortMultipartUpload", "ListMultipartUploadParts")
_BUCKET = ("ListBucket", "GetBucketLocation", "ListBucketMultipartUploads", "CreateBucket")
"""The rights of our programs on a bucket; the API server creates a missing bucket."""


def terms(application: str, owner: str, config: PipelinesConfig, store: ObjectStore) -> Terms:
    """Return what the charm wants of its keys.

    Args:
        application: our application's name.
        owner: this installation, as in `keys.derived`.
        config: the options.
        store: the store, with its bucket.
    """
    return Terms(
        application,
        owner,
        distribution=config.object_store_keys,
        own=config.own_keys(store),
        platform=platform_policy(config.buckets(store)),
        profile=lambda namespace: profile_policy(store, namespace, config.log_folder),
        secret=STORE_KEY,
        annotation=RECORD,
    )


def platform_policy(buckets: Iterable[str]) -> dict[str, Any]:
    """Return the policy of our own programs: everything with objects in these buckets, and nothing else."""
    arns = [f"arn:aws:s3:::{bucket}" for bucket in buckets]
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": [f"s3:{action}" for action in _OBJECTS],
                "Resource": [f"{arn}/*" for arn in arns],
            },
            {"Effect": "Allow", "Action": [f"s3:{action}" for action in _BUCKET], "Resource": arns},
            NO_ADMINISTRATION,
        ],
    }


def profile_policy(store: ObjectStore, namespace: str, logs: str) -> dict[str, Any]:
    """Return the policy of a profile: everything with objects in its folders, listing them, and nothing else.

    Its folders hold the artifacts and logs of its runs, and the private files of upstream's users (`private`,
    as in upstream's sync.py).

    Args:
        store: the store.
        namespace: the profile's namespace.
        logs: the folder with a folder for each profile's logs.
    """
    folders = dict.fromkeys((PRIVATE, "private", logs))
    prefixes = [f"{store.folder}{folder}/{namespace}/" for folder in folders]
    bucket = f"arn:aws:s3:::{store.bucket}"
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": [f"s3:{action}" for action in _OBJECTS],
                "Resource": [f"{bucket}/{prefix}*" for prefix in prefixes],
            },
            {
                "Effect": "Allow",
                "Action": ["s3:ListBucket"],
                "Resource": [bucket],
                "Condition": {"StringLike": {"s3:prefix": [f"{prefix}*" for prefix in prefixes]}},
            },
            # Without a region, Argo's client asks for it first.
            {"Effect": "Allow", "Action": ["s3:GetBucketLocation"], "Resource": [bucket]},
            NO_ADMINISTRATION,
        ],
    }
