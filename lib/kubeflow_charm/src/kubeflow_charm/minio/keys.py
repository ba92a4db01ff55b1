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

from kubeflow_charm.cluster.resources import Manifest
from kubeflow_charm.relations.object_store import ObjectStore

PLATFORM = ""
"""Our own programs among the namespaces of profiles; no namespace has an empty name."""
PER_PROFILE, SHARED = "per-profile", "shared"
NO_ADMINISTRATION = {"Effect": "Deny", "Action": ["admin:*"]}
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


def record(keys: Keys, annotation: str) -> dict[str, str]:
    """Return the annotations of our own Secret, which record the distribution for later hooks.

    Args:
        keys: who has which key.
        annotation: its name. The Secret lacks it while its key is the store's own.
    """
    if isinstance(keys, PerProfile):
        return {annotation: PER_PROFILE}
    return {annotation: SHARED} if keys.made else {}


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
