"""Makes MinIO know the keys that `store_keys` derives, and decides who gets which.

Only an answer that proves that the store is no MinIO, or that our key is not its administrator's, may lead to
the store's own key in a Secret. Anything else is waited for: a wrong clock, a proxy or a restart must not
hand the administrator's key to anybody. Once profiles have had keys of their own, only the operator can make
them share one. That they had is written on the Secret of our own programs: every hook can read it back,
whatever became of the store and of the relations, and it goes when the application does.

In MinIO each key is a user with a policy of its own. Listing users is one request, and all that a settled
hook makes. Service accounts would be fewer objects, but MinIO before 2023 keeps no note of whose they are,
and before October 2025 lets one make another that may do all that the administrator may (CVE-2025-62506).
"""

from __future__ import annotations

import base64
import concurrent.futures
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import store_keys
from minio_admin import Administration, Denied, Refused, explained
from pipelines_config import PipelinesConfig
from profile_manifests import STORE_KEY
from store_keys import PLATFORM, Key, Keys, PerProfile, Shared

from kubeflow_charm import Problem
from kubeflow_charm.cluster.executor import Cluster
from kubeflow_charm.cluster.resources import kind_of
from kubeflow_charm.relations.object_store import ObjectStore

logger = logging.getLogger(__name__)

PROFILE = "user.kubeflow.org/enabled"
"""What the namespaces of profiles are labelled with, as the resource dispatcher has it at first."""
_SHARED = "shared"
"""The value of the option by which the operator says that profiles may share a key."""
_WISH = "make keys"
_SECRET = kind_of({"apiVersion": "v1", "kind": "Secret"})
_AT_ONCE = 4
"""Requests in flight: MinIO takes 64 MiB for what is encrypted in each."""


_PROOFS = ("NoSuchBucket", "NoSuchKey", "MethodNotAllowed")
"""What an S3 server answers that takes the address of MinIO's administration for an object or its bucket. Of
a MinIO none is known for this request; its other refusals in XML, such as `RequestTimeTooSkewed`, prove
nothing (minio/minio, cmd/auth-handler.go, setAuthMiddleware)."""


class NotMinio(Exception):
    """The store has no users that we could make: it answered as no MinIO does."""


class Decision:
    """Who gets which key, decided anew by every hook.

    Args:
        config: the options.
        application: our application's name.
        store: the store, with the key that it gave us.
        owner: which installation this is, as in `store_keys.derived`.
        cluster: where profiles are, and the Secret of our own programs.
    """

    def __init__(
        self,
        config: PipelinesConfig,
        application: str,
        store: ObjectStore,
        owner: str,
        cluster: Cluster,
    ):
        self._config, self._application, self._store, self._owner = config, application, store, owner
        self._cluster = cluster

    def keys(self) -> tuple[Keys, Problem | None]:
        """Make the keys known to the store, and return them.

        Returns:
            The keys, and why the store could not be asked: then they are those that it knew before, which
            suffices to keep the platform in order, and not to offer any to profiles.

        Raises:
            Problem: if the store cannot be asked and never knew a key of ours, or refuses; or if profiles
                would come to share a key although nobody said so.
        """
        own = self._config.own_keys(self._store)
        if not own:
            self._consented()
            if not self._store.root:
                return self._given(), None
        profiles = store_keys.uids(self._cluster.namespaces(PROFILE)) if own else {}
        buckets = self._config.buckets(self._store)
        try:
            made = ensured(self._store, self._owner, profiles, self._config.log_folder, buckets)
        except NotMinio:
            if self._config.object_store_keys == "per-profile":
                raise self._config.no_own_keys(self._application, self._store) from None
            self._consented()
            return self._given(), None
        except Denied:
            if self._config.object_store_keys != _SHARED:
                raise
            return self._given(), None  # an administrator is never denied: the key is somebody else's
        except Problem as problem:
            made = store_keys.derived(self._store, self._owner, profiles)
            if not self._known(made[PLATFORM]):
                raise
            return self._chosen(made), problem
        return self._chosen(made), None

    def _chosen(self, made: dict[str, Key]) -> Keys:
        """Return the keys that we made, as the option gives them out."""
        platform = made[PLATFORM]
        if not self._config.own_keys(self._store):
            return Shared(platform, made=True)
        return PerProfile(platform, {name: key for name, key in made.items() if name != PLATFORM})

    def _given(self) -> Shared:
        """Return the key that the store gave, for all."""
        return Shared(store_keys.given(self._store), made=False)

    def _consented(self) -> None:
        """Raise a `Problem` if profiles had their own keys and the operator did not ask for a shared one."""
        if self._config.object_store_keys != _SHARED and self._recorded()[0] == store_keys.PER_PROFILE:
            raise self._config.no_falling_back(self._application)

    def _known(self, platform: Key) -> bool:
        """Return whether the store knew this key when a hook asked last."""
        who, access_key = self._recorded()
        return bool(who) and access_key == platform.access_key

    def _recorded(self) -> tuple[str, str]:
        """Return who had which keys, empty if not ours, and the name of our programs' key."""
        found = self._cluster.named(_SECRET, STORE_KEY)
        secret = found[0] if found else {}
        who = (secret.get("metadata", {}).get("annotations") or {}).get(store_keys.RECORD, "")
        encoded = (secret.get("data") or {}).get("accesskey", "")
        return who, base64.b64decode(encoded).decode(errors="replace")


def ensured(
    store: ObjectStore, owner: str, profiles: Mapping[str, str], logs: str, buckets: Iterable[str]
) -> dict[str, Key]:
    """Make the store know the keys of our programs and of every profile, and no old ones; return the keys.

    Keys are made before others are taken away, so a failure takes nothing away. One that an administrator has
    switched off stays off.

    Args:
        store: the store, with the administrator's key.
        owner: which installation this is, as in `store_keys.derived`.
        profiles: the profiles' namespaces, each with its UID.
        logs: the folder that has one for the logs of each profile.
        buckets: those that our own programs may use.

    Returns:
        The keys by namespace; our own programs' under `PLATFORM`.

    Raises:
        NotMinio: if the store proves to be an S3 server without MinIO's users.
        Problem: if the store does not answer, or refuses.
    """
    keys = store_keys.derived(store, owner, profiles)
    policies = {namespace: store_keys.profile_policy(store, namespace, logs) for namespace in profiles}
    policies[PLATFORM] = store_keys.platform_policy(buckets)
    with Administration(store) as admin, explained(store.application, _WISH):
        _converge(admin, owner, keys, policies)
    return keys


def revoked(store: ObjectStore, owner: str) -> None:
    """Make the store forget every key of ours; what keeps it from that is logged, for nothing needs it.

    Args:
        store: the store, with the administrator's key.
        owner: which installation this is, as in `store_keys.derived`.
    """
    try:
        with Administration(store) as admin, explained(store.application, _WISH):
            _converge(admin, owner, {}, {})
    except NotMinio:
        return
    except Problem as problem:
        logger.warning("keys of profiles may stay in the store of %s: %s", store.application, problem)


def _converge(
    admin: Administration, owner: str, keys: Mapping[str, Key], policies: Mapping[str, dict[str, Any]]
) -> None:
    """Make MinIO's users and policies of ours these and no others."""
    names = {who: store_keys.policy_name(owner, who, document) for who, document in policies.items()}
    users = _users(admin)
    mine = {name for name in users if name.startswith(store_keys.mark(owner))}
    wrong = [who for who, key in keys.items() if users.get(key.access_key) != names[who]]
    gone = mine - {key.access_key for key in keys.values()}

    def grant(who: str) -> None:
        key, name = keys[who], names[who]
        admin.add_policy(name, policies[who])
        if key.access_key not in mine:
            admin.add_user(key.access_key, key.secret_key)
        admin.set_policy(key.access_key, name)

    _each(grant, wrong)
    _each(admin.remove_user, gone)
    if wrong or gone or not keys:
        known = [name for name in admin.policies() if name.startswith(f"{store_keys.mark(owner)}-")]
        _each(admin.remove_policy, set(known) - set(names.values()))


def _users(admin: Administration) -> dict[str, str]:
    """Return MinIO's users, each with the name of its policy; raises `NotMinio` if it can have none."""
    try:
        return admin.users()
    except Refused as refused:
        of_s3 = refused.is_s3 and 400 <= refused.status < 500 and refused.code in _PROOFS
        if of_s3 or refused.code == "NotImplemented":
            raise NotMinio from None
        raise


def _each(act: Callable[[str], object], items: Iterable[str]) -> None:
    """Act on every item, on some at once; raises what the first one raises when all are over."""
    with concurrent.futures.ThreadPoolExecutor(_AT_ONCE) as executor:
        list(executor.map(act, items))
