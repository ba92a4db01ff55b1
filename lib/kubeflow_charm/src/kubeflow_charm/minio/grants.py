"""Register the keys of `keys.py` at MinIO, and decide who gets which key.

The store's own key may go into a Secret only after a proof: an answer that shows that the store is not a
MinIO, or that our key is not its administrator's. After any other answer we wait: a wrong clock, a proxy or a
restart must not give the administrator's key to anybody. If profiles had their own keys, only the operator
can make them share one. An annotation on our own programs' Secret records that they had. Every hook can read
it, whatever happens to the store and the relations, and it goes with the application.

In MinIO, each key is a user with its own policy. A settled hook makes one request, which lists the users.
Service accounts would need fewer objects. But MinIO before 2023 does not record their owners, and before
October 2025 lets a service account create another with all the administrator's rights (CVE-2025-62506).
"""

from __future__ import annotations

import base64
import concurrent.futures
import dataclasses
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import ops

from kubeflow_charm.cluster.executor import Cluster
from kubeflow_charm.cluster.resources import kind_of
from kubeflow_charm.minio import keys as store_keys
from kubeflow_charm.minio.admin import Administration, Denied, Refused, explained
from kubeflow_charm.minio.keys import PLATFORM, Key, Keys, PerProfile, Shared
from kubeflow_charm.problems import Problem, blocked
from kubeflow_charm.relations.object_store import ObjectStore
from kubeflow_charm.relations.one_store import OneStore

logger = logging.getLogger(__name__)

PROFILE = "user.kubeflow.org/enabled"
"""The label of profiles' namespaces, the same as resource-dispatcher's default."""
_SHARED = "shared"
"""The option's value that lets profiles share a key."""
_WISH = "make keys"
_SECRET = kind_of({"apiVersion": "v1", "kind": "Secret"})
_AT_ONCE = 4
"""Parallel requests: MinIO needs 64 MiB to decrypt each."""


_PROOFS = ("NoSuchBucket", "NoSuchKey", "MethodNotAllowed")
"""Errors of an S3 server that takes the address of MinIO's administration for an object. No MinIO is known to
answer this request with one of them. MinIO's other errors in XML, such as `RequestTimeTooSkewed`, prove
nothing (minio/minio, cmd/auth-handler.go, setAuthMiddleware)."""


class NotMinio(Exception):
    """The store supports no users: its answer proves that it is not a MinIO."""


@dataclasses.dataclass(frozen=True)
class Terms:
    """What a charm wants of its keys.

    Args:
        application: our application's name.
        owner: this installation, as in `keys.derived`.
        distribution: the option: `auto`, `per-profile` or `shared`.
        own: whether each profile should have its own key, by the option and the store.
        platform: the policy of our own programs, and of all if they share a key.
        profile: returns the policy of a profile, by its namespace.
        secret: our own Secret with the platform's key, whose annotation records the distribution.
        annotation: the name of that annotation.
        made: called before the first key is registered, to make what the keys are for.
    """

    application: str
    owner: str
    distribution: str
    own: bool
    platform: dict[str, Any]
    profile: Callable[[str], dict[str, Any]]
    secret: str
    annotation: str
    made: Callable[[Administration], None] = lambda _: None

    @property
    def sharing(self) -> str:
        """The command that lets profiles share a key."""
        return f"juju config {self.application} object-store-keys=shared"

    def unable(self, store: ObjectStore) -> Problem:
        """Return the problem that a store cannot give each profile a key."""
        return blocked(f"{store.application} cannot give each profile a key", self.sharing)

    def unasked(self) -> Problem:
        """Return the problem that profiles would share a key without consent after each had its own."""
        return blocked("each profile had its own key, and would share one", self.sharing)


class Decision:
    """The decision who gets which key; every hook decides again.

    Args:
        terms: what the charm wants.
        store: the store, with the key that it gave us.
        cluster: the cluster with the profiles and our own Secret.
    """

    def __init__(self, terms: Terms, store: ObjectStore, cluster: Cluster):
        self._terms, self._store, self._cluster = terms, store, cluster

    def keys(self) -> tuple[Keys, Problem | None]:
        """Register the keys at the store, and return them.

        Returns:
            The keys, and a problem if the store did not answer. Then the keys are those that the store knew
            before: enough for the platform's objects, but not to offer keys to profiles.

        Raises:
            Problem: if the store does not answer and never knew our keys, or refuses; or if profiles would
                share a key without the operator's consent.
        """
        terms = self._terms
        if not terms.own:
            self._consented()
            if not self._store.root:
                return self._given(), None
        profiles = store_keys.uids(self._cluster.namespaces(PROFILE)) if terms.own else {}
        try:
            made = ensured(self._store, terms, profiles)
        except NotMinio:
            if terms.distribution == "per-profile":
                raise terms.unable(self._store) from None
            self._consented()
            return self._given(), None
        except Denied:
            if terms.distribution != _SHARED:
                raise
            return self._given(), None  # the store denies no administrator: the key is another user's
        except Problem as problem:
            made = store_keys.derived(self._store, terms.owner, profiles)
            if not self._known(made[PLATFORM]):
                raise
            return self._chosen(made), problem
        return self._chosen(made), None

    def _chosen(self, made: dict[str, Key]) -> Keys:
        """Return the keys that we made, distributed as the option says."""
        platform = made[PLATFORM]
        if not self._terms.own:
            return Shared(platform, made=True)
        return PerProfile(platform, {name: key for name, key in made.items() if name != PLATFORM})

    def _given(self) -> Shared:
        """Return the store's own key as the key of all."""
        return Shared(store_keys.given(self._store), made=False)

    def _consented(self) -> None:
        """Raise a `Problem` if profiles had their own keys and the operator has not allowed a shared one."""
        if self._terms.distribution != _SHARED and self._recorded()[0] == store_keys.PER_PROFILE:
            raise self._terms.unasked()

    def _known(self, platform: Key) -> bool:
        """Return whether the store knew this key at its last answer."""
        who, access_key = self._recorded()
        return bool(who) and access_key == platform.access_key

    def _recorded(self) -> tuple[str, str]:
        """Return the recorded distribution, empty if we made no keys, and the name of our programs' key."""
        found = self._cluster.named(_SECRET, self._terms.secret)
        secret = found[0] if found else {}
        who = (secret.get("metadata", {}).get("annotations") or {}).get(self._terms.annotation, "")
        encoded = (secret.get("data") or {}).get("accesskey", "")
        return who, base64.b64decode(encoded).decode(errors="replace")


def ensured(store: ObjectStore, terms: Terms, profiles: Mapping[str, str]) -> dict[str, Key]:
    """Register the keys of our programs and of every profile, revoke old ones, and return the keys.

    It creates keys before it revokes others, so a failure revokes nothing. If an administrator has disabled a
    key, the key stays disabled.

    Args:
        store: the store, with the administrator's key.
        terms: what the charm wants.
        profiles: the profiles' namespaces, each with its UID.

    Returns:
        The keys by namespace; our own programs' under `PLATFORM`.

    Raises:
        NotMinio: if the store proves to be an S3 server without MinIO's users.
        Problem: if the store does not answer, or refuses.
    """
    keys = store_keys.derived(store, terms.owner, profiles)
    policies = {namespace: terms.profile(namespace) for namespace in profiles}
    policies[PLATFORM] = terms.platform
    with Administration(store) as admin, explained(store.application, _WISH):
        _converge(admin, terms.owner, keys, policies, terms.made)
    return keys


def revoked(store: ObjectStore, owner: str) -> None:
    """Revoke all our keys; failures are only logged, because nothing depends on it.

    Args:
        store: the store, with the administrator's key.
        owner: this installation, as in `keys.derived`.
    """
    try:
        with Administration(store) as admin, explained(store.application, _WISH):
            _converge(admin, owner, {}, {}, lambda _: None)
    except NotMinio:
        return
    except Problem as problem:
        logger.warning("keys of profiles may stay in the store of %s: %s", store.application, problem)


def left(stores: OneStore, relation: ops.Relation, owner: str, keys: str) -> None:
    """Revoke all our keys in a store if it is the one whose relation breaks.

    Args:
        stores: the endpoints.
        relation: the relation that breaks.
        owner: this installation, as in `keys.derived`.
        keys: the option that says who has a key.

    Raises:
        Problem: if the relation's data is missing or wrong.
    """
    if store := stores.left(relation, own_keys=keys == "per-profile"):
        revoked(store, owner)


def _converge(
    admin: Administration,
    owner: str,
    keys: Mapping[str, Key],
    policies: Mapping[str, dict[str, Any]],
    first: Callable[[Administration], None],
) -> None:
    """Make our users and policies in MinIO exactly these, and call `first` if there were none."""
    names = {who: store_keys.policy_name(owner, who, document) for who, document in policies.items()}
    users = _users(admin)
    mine = {name for name in users if name.startswith(store_keys.mark(owner))}
    wrong = [who for who, key in keys.items() if users.get(key.access_key) != names[who]]
    gone = mine - {key.access_key for key in keys.values()}
    if keys and not mine:
        first(admin)

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
    """Return MinIO's users, each with its policy's name; raises `NotMinio` if the store supports none."""
    try:
        return admin.users()
    except Refused as refused:
        of_s3 = refused.is_s3 and 400 <= refused.status < 500 and refused.code in _PROOFS
        if of_s3 or refused.code == "NotImplemented":
            raise NotMinio from None
        raise


def _each(act: Callable[[str], object], items: Iterable[str]) -> None:
    """Act on every item, on several in parallel; raises the first error when all are done."""
    with concurrent.futures.ThreadPoolExecutor(_AT_ONCE) as executor:
        list(executor.map(act, items))
