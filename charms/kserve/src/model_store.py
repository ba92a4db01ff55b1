"""The store of models: its keys, and what each profile gets so that KServe fetches from it.

KServe's storage initializer takes the key from a Secret that a service account names (kserve v0.16.0,
pkg/credentials). So each profile gets both, by resource-dispatcher. In a MinIO, a profile's key reads what
the profile may serve: what pipelines store for it, its own folder of models, where it also writes, and the
buckets that all may read, such as MLflow's.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any

from kserve_options import KServeOptions
from serving_facts import Models

from kubeflow_charm import Manifest
from kubeflow_charm.cluster.executor import Cluster
from kubeflow_charm.images import pull_secret_name
from kubeflow_charm.minio.admin import Administration, Refused
from kubeflow_charm.minio.grants import Decision, Terms
from kubeflow_charm.minio.keys import NO_ADMINISTRATION, Key, PerProfile, Shared, record
from kubeflow_charm.problems import blocked
from kubeflow_charm.relations.object_store import ObjectStore

RECORD = "kserve.charmhub.io/object-store-keys"
"""The annotation on our own Secret that says who has which of our keys."""
MODELS = "models"
"""The folder with a folder for each profile's models."""
_OF_PIPELINES = ("private-artifacts", "private")
"""Folders of pipelines with a folder for each profile (kubeflow/pipelines 2.17.0,
base/installs/multi-user/pipelines-profile-controller/sync.py)."""
_ANNOTATION = "serving.kserve.io/s3-"
_WRITE = ("PutObject", "DeleteObject", "AbortMultipartUpload", "ListMultipartUploadParts")
_EXISTS = ("BucketAlreadyOwnedByYou", "BucketAlreadyExists")

Statement = dict[str, Any]


def name(application: str) -> str:
    """Return the name of Secret, ServiceAccount and ConfigMap of profiles, and of our own Secret.

    Charmed Kubeflow's kserve-controller names them so, too.
    """
    return f"{application}-s3"


def models(
    application: str, owner: str, config: KServeOptions, store: ObjectStore | None, cluster: Cluster
) -> Models | None:
    """Return the store of models with its keys; None without a store.

    Args:
        application: our application's name.
        owner: this installation, as in `keys.derived`.
        config: the options.
        store: the store, with its bucket.
        cluster: the cluster with the profiles and our own Secret.

    Raises:
        Problem: as `grants.Decision.keys` does.
    """
    if store is None:
        return None
    return Models(store, *Decision(terms(application, owner, config, store), store, cluster).keys())


def terms(application: str, owner: str, config: KServeOptions, store: ObjectStore) -> Terms:
    """Return what the charm wants of its keys.

    Args:
        application: our application's name.
        owner: this installation, as in `keys.derived`.
        config: the options.
        store: the store, with its bucket.
    """
    buckets = [store.bucket, *config.shared_buckets]
    return Terms(
        application,
        owner,
        distribution=config.object_store_keys,
        own=config.object_store_keys == "per-profile" or (config.object_store_keys == "auto" and store.root),
        platform=_policy(
            [_allow(("GetObject",), _within(buckets)), _allow(("ListBucket", *_ASK), _arns(buckets))]
        ),
        profile=lambda namespace: profile_policy(store, namespace, config.shared_buckets),
        secret=name(application),
        annotation=RECORD,
        made=_make_bucket,
    )


def profile_policy(store: ObjectStore, namespace: str, shared: Iterable[str]) -> dict[str, Any]:
    """Return what a profile's key allows.

    Args:
        store: the store, with its bucket.
        namespace: the profile's namespace.
        shared: the buckets that all profiles may read.
    """
    own = f"{store.folder}{MODELS}/{namespace}/"
    prefixes = [own, *(f"{store.folder}{folder}/{namespace}/" for folder in _OF_PIPELINES)]
    (bucket,) = _arns([store.bucket])
    within = {"Condition": {"StringLike": {"s3:prefix": [f"{prefix}*" for prefix in prefixes]}}}
    statements = [
        _allow(("GetObject",), [f"{bucket}/{prefix}*" for prefix in prefixes]),
        _allow(_WRITE, [f"{bucket}/{own}*"]),
        _allow(("ListBucket",), [bucket]) | within,
        _allow(_ASK, [bucket]),
    ]
    if shared := [each for each in shared if each != store.bucket]:
        statements.append(_allow(("GetObject",), _within(shared)))
        statements.append(_allow(("ListBucket", *_ASK), _arns(shared)))
    return _policy(statements)


def own_secret(application: str, namespace: str, models: Models) -> Manifest:
    """Return the Secret of our own namespace: the key of all, or of none, and the record of `keys.record`."""
    secret = _secret(application, models.store, models.keys.platform)
    secret["metadata"]["annotations"] |= record(models.keys, RECORD)
    secret["data"] |= _encoded({"accesskey": models.keys.platform.access_key})
    return _in(namespace, secret)


def secrets(application: str, models: Models | None) -> list[Manifest]:
    """Return the Secrets of profiles: the key, and how the store is reached; nothing without a store."""
    if models is None:
        return []
    store, keys = models.store, models.keys
    if isinstance(keys, PerProfile):
        return [
            _in(namespace, _secret(application, store, key))
            for namespace, key in sorted(keys.profiles.items())
        ]
    return [_secret(application, store, keys.platform)]


def service_accounts(application: str, pulling: bool, models: Models | None) -> list[Manifest]:
    """Return the ServiceAccount of profiles that names the Secret; nothing without a store.

    Args:
        application: our application's name.
        pulling: whether images need the pull secret.
        models: the store of models.
    """
    if models is None:
        return []
    account: Manifest = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": name(application)},
        "secrets": [{"name": name(application)}],
    }
    if pulling:
        account["imagePullSecrets"] = [{"name": pull_secret_name(application)}]
    return [account]


def config_maps(application: str, models: Models | None) -> list[Manifest]:
    """Return the ConfigMap of profiles with the authorities of the store, if it has its own."""
    if models is None or not models.store.tls_ca:
        return []
    data = {_BUNDLE: models.store.tls_ca}
    return [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name(application)}, "data": data}]


def trusted(application: str, models: Models | None, *, told: bool) -> None:
    """Check that profiles learn whom to trust, if the store has authorities of its own.

    Args:
        application: our application's name.
        models: the store of models.
        told: whether the ConfigMap reaches profiles.

    Raises:
        Problem: if they do not.
    """
    if models and models.store.tls_ca and not told:
        cure = f"juju integrate {application}:config-maps resource-dispatcher"
        raise blocked(f"{models.store.application} has authorities of its own", cure)


def summary(models: Models | None) -> str:
    """Return the fact for `juju status` that profiles share a key, or an empty text."""
    return "profiles share one object store key" if models and isinstance(models.keys, Shared) else ""


_BUNDLE = "cabundle.crt"
"""The file in which KServe looks for authorities (v0.16.0, pkg/constants/constants.go)."""
_ASK = ("GetBucketLocation",)
"""Clients without a region ask for it first."""


def _secret(application: str, store: ObjectStore, key: Key) -> Manifest:
    """Return a Secret as KServe reads it: a key, and the address in annotations."""
    annotations = {
        "endpoint": store.endpoint,
        "usehttps": "1" if store.secure else "0",
        "verifyssl": "1" if store.secure else "0",
        "region": store.region,
        "usevirtualbucket": "false",
        "useanoncredential": "false",
    }
    if store.tls_ca:
        annotations["cabundle-configmap"] = name(application)
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": name(application),
            "annotations": {f"{_ANNOTATION}{field}": value for field, value in annotations.items()},
        },
        "data": _encoded({"AWS_ACCESS_KEY_ID": key.access_key, "AWS_SECRET_ACCESS_KEY": key.secret_key}),
    }


def _encoded(data: dict[str, str]) -> dict[str, str]:
    return {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}


def _in(namespace: str, manifest: Manifest) -> Manifest:
    """Return a manifest with a profile's namespace."""
    return {**manifest, "metadata": {**manifest["metadata"], "namespace": namespace}}


def _make_bucket(admin: Administration) -> None:
    """Make the bucket of models: nobody else may, before pipelines come."""
    try:
        admin.make_bucket()
    except Refused as refused:
        if refused.code not in _EXISTS:
            raise


def _policy(statements: list[Statement]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": [*statements, NO_ADMINISTRATION]}


def _allow(actions: Iterable[str], resources: list[str]) -> Statement:
    return {"Effect": "Allow", "Action": [f"s3:{action}" for action in actions], "Resource": resources}


def _arns(buckets: Iterable[str]) -> list[str]:
    return [f"arn:aws:s3:::{bucket}" for bucket in dict.fromkeys(buckets)]


def _within(buckets: Iterable[str]) -> list[str]:
    return [f"{arn}/*" for arn in _arns(buckets)]
