"""The keys to the object store: whose they are, how they are made, and what each may do.

Where the store is a MinIO and we know its administrator's key, nobody else gets that key: our own programs
have one that reaches the bucket, and every profile one that reaches its own part of the bucket. Upstream has
its store, SeaweedFS, make a key per profile and keeps it in the profile's Secret only (2.17.0,
base/installs/multi-user/pipelines-profile-controller/sync.py). Here nothing is kept: a key is derived from
the administrator's and from the profile, so that every hook knows all keys without reading one back, a Secret
that was lost comes back as it was, and a new administrator's key makes all others new. The profile's UID is
part of it: a former owner of the name gets no key to the new profile.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import hmac
import json
from collections.abc import Iterable, Mapping
from typing import Any

from pipelines_config import PRIVATE

from kubeflow_charm import Manifest
from kubeflow_charm.relations.object_store import ObjectStore

PLATFORM = ""
"""Stands for our own programs where profiles stand by their namespaces; no namespace is called so."""
RECORD = "kubeflow-pipelines.charmhub.io/object-store-keys"
"""The annotation on the Secret of our own programs: who has which of the keys that we made. There is none
while the key in it is the one that the store gave."""
PER_PROFILE, SHARED = "per-profile", "shared"
_OBJECTS = ("GetObject", "PutObject", "DeleteObject", "AbortMultipartUpload", "ListMultipartUploadParts")
_BUCKET = ("ListBucket", "GetBucketLocation", "ListBucketMultipartUploads", "CreateBucket")
"""What our programs do with a bucket: the API server makes it where it is missing."""
_NO_ADMINISTRATION = {"Effect": "Deny", "Action": ["admin:*"]}
"""Users may otherwise make further keys of their own."""


@dataclasses.dataclass(frozen=True)
class Key:
    """A key to the store.

    Args:
        access_key: its name; 20 letters and digits if we made it.
        secret_key: its secret; 40 characters if we made it.
    """

    access_key: str
    secret_key: str = dataclasses.field(repr=False)


@dataclasses.dataclass(frozen=True)
class PerProfile:
    """Each profile has a key of its own, to its own part of the bucket.

    Args:
        platform: the key of our own programs.
        profiles: each profile's key, by its namespace.
    """

    platform: Key
    profiles: Mapping[str, Key]


@dataclasses.dataclass(frozen=True)
class Shared:
    """All profiles have the key of our own programs.

    Args:
        platform: that key.
        made: whether we made it, limited to the bucket; otherwise it is the one that the store gave.
    """

    platform: Key
    made: bool


Keys = PerProfile | Shared


def record(keys: Keys) -> dict[str, str]:
    """Return the annotations of the Secret of our own programs, by which the next hook knows these keys."""
    if isinstance(keys, PerProfile):
        return {RECORD: PER_PROFILE}
    return {RECORD: SHARED} if keys.made else {}


def given(store: ObjectStore) -> Key:
    """Return the key that the store gave us."""
    return Key(store.access_key, store.secret_key)


def derived(store: ObjectStore, owner: str, profiles: Mapping[str, str]) -> dict[str, Key]:
    """Return the key of every profile, by its namespace, and of our own programs; asks nobody.

    Args:
        store: the store, with the administrator's key.
        owner: which installation this is, among all that use the store; without spaces.
        profiles: the profiles' namespaces, each with its UID.
    """
    # Deliberately slow: a profile's own secret could be used to guess a poor one of the administrator's.
    salt = json.dumps(["keys of profiles", owner, store.access_key]).encode()
    master = hashlib.scrypt(store.secret_key.encode(), salt=salt, n=2**14, r=8, p=1, dklen=32)
    keys = {}
    for namespace, uid in {PLATFORM: PLATFORM, **profiles}.items():
        whose = json.dumps([store.bucket, namespace, uid]).encode()
        digest = hmac.digest(master, whose, "sha512")
        name = base64.b32encode(digest[:10]).decode()
        secret = base64.urlsafe_b64encode(digest[10:40]).decode()
        keys[namespace] = Key(mark(owner) + name[: 20 - len(mark(owner))], secret)
    return keys


def mark(owner: str) -> str:
    """Return what the names of all keys and policies of an installation begin with."""
    return "KFP" + base64.b32encode(hashlib.sha256(owner.encode()).digest()).decode()[:6]


def policy_name(owner: str, namespace: str, document: dict[str, Any]) -> str:
    """Return the name of a policy, which has a digest of what the policy says."""
    digest = hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()[:12]
    return f"{mark(owner)}-{namespace or '.platform'}-{digest}"


def uids(namespaces: Iterable[Manifest]) -> dict[str, str]:
    """Return the UID of each namespace, by its name."""
    found = (item["metadata"] for item in namespaces)
    return {each["name"]: each["uid"] for each in found}


def platform_policy(buckets: Iterable[str]) -> dict[str, Any]:
    """Return what our own programs may do: all with the objects of these buckets, and nothing beside them."""
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
            _NO_ADMINISTRATION,
        ],
    }


def profile_policy(store: ObjectStore, namespace: str, logs: str) -> dict[str, Any]:
    """Return what a profile may do: all with objects below its folders, listing them, and nothing else.

    Its folders are those where its runs leave artifacts and logs, and where upstream's users keep what is
    their own (`private`, as in upstream's sync.py).

    Args:
        store: the store.
        namespace: the profile's.
        logs: the folder that has one for the logs of each profile.
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
            # Argo's client asks for it before anything else where no region is set.
            {"Effect": "Allow", "Action": ["s3:GetBucketLocation"], "Resource": [bucket]},
            _NO_ADMINISTRATION,
        ],
    }
