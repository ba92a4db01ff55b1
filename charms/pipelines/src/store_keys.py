"""The keys to the object store: who has which, their derivation, and their rights.

If the store is a MinIO and we know its administrator's key, nobody else gets that key. Our own programs get a
key to the bucket, and every profile gets a key to its own folders. Upstream's store, SeaweedFS, creates a key
for each profile, and only the profile's Secret holds it (2.17.0,
base/installs/multi-user/pipelines-profile-controller/sync.py). We store no key: we derive it from the
administrator's key and the profile. So every hook knows all keys without reading one back, a lost Secret
comes back unchanged, and a new administrator's key renews all others. The derivation includes the profile's
UID: a former owner of the name gets no key to the new profile.
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
"""Our own programs among the namespaces of profiles; no namespace has an empty name."""
RECORD = "kubeflow-pipelines.charmhub.io/object-store-keys"
"""The annotation on our own programs' Secret that says who has which of our keys. The Secret lacks it while
its key is the store's own."""
PER_PROFILE, SHARED = "per-profile", "shared"
_OBJECTS = ("GetObject", "PutObject", "DeleteObject", "AbortMultipartUpload", "ListMultipartUploadParts")
_BUCKET = ("ListBucket", "GetBucketLocation", "ListBucketMultipartUploads", "CreateBucket")
"""The rights of our programs on a bucket; the API server creates a missing bucket."""
_NO_ADMINISTRATION = {"Effect": "Deny", "Action": ["admin:*"]}
"""Without this, users could create more keys for themselves."""


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
    """Each profile has its own key, to its own folders of the bucket.

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
        made: whether we made the key, limited to the bucket; otherwise the store gave it.
    """

    platform: Key
    made: bool


Keys = PerProfile | Shared


def record(keys: Keys) -> dict[str, str]:
    """Return the annotations of our own programs' Secret, which record the distribution for later hooks."""
    if isinstance(keys, PerProfile):
        return {RECORD: PER_PROFILE}
    return {RECORD: SHARED} if keys.made else {}


def given(store: ObjectStore) -> Key:
    """Return the key that the store gave us."""
    return Key(store.access_key, store.secret_key)


def derived(store: ObjectStore, owner: str, profiles: Mapping[str, str]) -> dict[str, Key]:
    """Return the key of every profile, by its namespace, and of our own programs, without any request.

    Args:
        store: the store, with the administrator's key.
        owner: this installation, among all that use the store; without spaces.
        profiles: the profiles' namespaces, each with its UID.
    """
    # Deliberately slow: a user could try to guess the administrator's secret from a profile's.
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
    """Return the beginning of the names of all keys and policies of an installation."""
    return "KFP" + base64.b32encode(hashlib.sha256(owner.encode()).digest()).decode()[:6]


def policy_name(owner: str, namespace: str, document: dict[str, Any]) -> str:
    """Return the name of a policy; it includes a digest of the policy."""
    digest = hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()[:12]
    return f"{mark(owner)}-{namespace or '.platform'}-{digest}"


def uids(namespaces: Iterable[Manifest]) -> dict[str, str]:
    """Return the UID of each namespace, by its name."""
    found = (item["metadata"] for item in namespaces)
    return {each["name"]: each["uid"] for each in found}


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
            _NO_ADMINISTRATION,
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
            _NO_ADMINISTRATION,
        ],
    }
