"""A key of its own for every profile, to its own part of the bucket: where the store is a MinIO.

Upstream has its store, SeaweedFS, make a key per profile and keeps it in the profile's Secret only (2.16.0,
base/installs/multi-user/pipelines-profile-controller/sync.py). Here nothing is kept: a key is derived from
the administrator's and from the profile, so that every hook knows all keys without reading one back, a
Secret that was lost comes back as it was, and a new administrator's key makes all others new. The profile's
UID is part of it: who had an earlier profile of the same name has no key to the new one.

In MinIO each key is a user with a policy of its own, whose name has a digest of what it says. Listing users
is one request, and all that a settled hook makes. Service accounts would be fewer objects, but MinIO before
2023 keeps no note of whose they are, and before October 2025 lets one make another that may do all that the
administrator may (CVE-2025-62506).
"""

from __future__ import annotations

import base64
import concurrent.futures
import dataclasses
import hashlib
import hmac
import json
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from minio_admin import Administration, Refused, explained
from pipelines_config import PRIVATE, PipelinesConfig

from kubeflow_charm import Manifest, Problem
from kubeflow_charm.relations.object_store import ObjectStore

logger = logging.getLogger(__name__)

Value = TypeVar("Value")

WISH = "make keys"
AT_ONCE = 4
"""Requests in flight: MinIO takes 64 MiB for what is encrypted in each."""
_OBJECTS = ("GetObject", "PutObject", "DeleteObject", "AbortMultipartUpload", "ListMultipartUploadParts")


@dataclasses.dataclass(frozen=True)
class ProfileKey:
    """A key to the part of the bucket that is a profile's.

    Args:
        access_key: its name, 20 letters and digits.
        secret_key: its secret, 40 characters.
    """

    access_key: str
    secret_key: str = dataclasses.field(repr=False)


def derived(store: ObjectStore, owner: str, profiles: Mapping[str, str]) -> dict[str, ProfileKey]:
    """Return the key of every profile, by its namespace; asks nobody.

    Args:
        store: the store, with the administrator's key.
        owner: which installation this is, among all that use the store; without spaces.
        profiles: the profiles' namespaces, each with its UID.
    """
    if not profiles:
        return {}
    # Deliberately slow, for a profile's own secret could be used to guess a poor one of the administrator's.
    salt = json.dumps(["keys of profiles", owner, store.access_key]).encode()
    master = hashlib.scrypt(store.secret_key.encode(), salt=salt, n=2**14, r=8, p=1, dklen=32)
    keys = {}
    for namespace, uid in profiles.items():
        whose = json.dumps([store.bucket, namespace, uid]).encode()
        digest = hmac.digest(master, whose, "sha512")
        name = base64.b32encode(digest[:10]).decode()
        secret = base64.urlsafe_b64encode(digest[10:40]).decode()
        keys[namespace] = ProfileKey(_mark(owner) + name[: 20 - len(_mark(owner))], secret)
    return keys


def _mark(owner: str) -> str:
    """Return what the names of all keys of an installation begin with."""
    return "KFP" + base64.b32encode(hashlib.sha256(owner.encode()).digest()).decode()[:6]


def uids(namespaces: Iterable[Manifest]) -> dict[str, str]:
    """Return the UID of each namespace, by its name."""
    found = (item["metadata"] for item in namespaces)
    return {each["name"]: each["uid"] for each in found}


def policy(store: ObjectStore, namespace: str, logs: str) -> dict[str, Any]:
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
            # Users may otherwise make further keys of their own.
            {"Effect": "Deny", "Action": ["admin:*"]},
        ],
    }


def ensured(
    store: ObjectStore, owner: str, profiles: Mapping[str, str], logs: str
) -> dict[str, ProfileKey] | None:
    """Have the store know the key of every profile and of none that is gone; return the keys.

    Keys are made before others are taken away, so a failure takes nothing away. One that an administrator has
    switched off stays off.

    Args:
        store: the store, with the administrator's key.
        owner: which installation this is, as in `derived`.
        profiles: the profiles' namespaces, each with its UID.
        logs: the folder that has one for the logs of each profile.

    Returns:
        The keys by namespace, or None if the store answers as an S3 server that is no MinIO.

    Raises:
        Problem: if the store does not answer, or refuses.
    """
    keys = derived(store, owner, profiles)
    policies = {namespace: policy(store, namespace, logs) for namespace in profiles}
    names = {namespace: f"{_mark(owner)}-{namespace}-{_digest(said)}" for namespace, said in policies.items()}
    with Administration(store) as admin:
        users = _answer(admin.users, store.application)
        if users is None:
            return None
        mine = {name for name in users if name.startswith(_mark(owner))}
        wrong = [each for each in keys if users.get(keys[each].access_key) != names[each]]
        gone = mine - {key.access_key for key in keys.values()}

        def grant(namespace: str) -> None:
            key, name = keys[namespace], names[namespace]
            admin.add_policy(name, policies[namespace])
            if key.access_key not in mine:
                admin.add_user(key.access_key, key.secret_key)
            admin.set_policy(key.access_key, name)

        with explained(store.application, WISH):
            _each(grant, wrong)
            _each(admin.remove_user, gone)
            if wrong or gone or not keys:
                known = [name for name in admin.policies() if _belongs(name, owner)]
                _each(admin.remove_policy, set(known) - set(names.values()))
    return keys


def offered(
    config: PipelinesConfig, application: str, store: ObjectStore, owner: str, profiles: Mapping[str, str]
) -> dict[str, ProfileKey] | None:
    """Return what `ensured` returns; raises a `Problem` also if options require keys and there are none."""
    keys = ensured(store, owner, profiles, config.log_folder)
    if keys is None and config.object_store_keys == "per-profile":
        raise config.no_own_keys(application, store)
    return keys


def withdrawn(store: ObjectStore, owner: str) -> None:
    """Have the store know no key of any profile; what keeps it from that is logged, for nothing needs it.

    Args:
        store: the store, with the administrator's key.
        owner: which installation this is, as in `derived`.
    """
    try:
        with Administration(store) as admin:
            policies = _answer(admin.policies, store.application) or []
        if any(_belongs(name, owner) for name in policies):
            ensured(store, owner, {}, "")
    except Problem as problem:
        logger.warning("keys of profiles may stay in the store of %s: %s", store.application, problem)


def _each(act: Callable[[str], object], items: Iterable[str]) -> None:
    """Act on every item, on some at once; raises what the first one raises when all are over."""
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as executor:
        list(executor.map(act, items))


def _answer(ask: Callable[[], Value], application: str) -> Value | None:
    """Return what the store answers its administrator; None if it can have no users.

    Only a certain answer makes the store one that is no MinIO: what follows is that profiles share a key.
    """
    with explained(application, WISH):
        try:
            return ask()
        except Refused as refused:
            if (refused.is_s3 and 400 <= refused.status < 500) or refused.code == "NotImplemented":
                return None
            raise


def _belongs(policy: str, owner: str) -> bool:
    """Return whether a policy is one of an installation's."""
    return policy.startswith(f"{_mark(owner)}-")


def _digest(document: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()[:12]
