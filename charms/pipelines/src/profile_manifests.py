"""The objects for every profile, with which its runs find the store and the metadata store.

The resource dispatcher creates them.

Upstream has a controller for these, and until 2.15 it also ran two pods in each profile (kubeflow/pipelines
2.17.0, base/installs/multi-user/pipelines-profile-controller/sync.py). We leave out its
`artifact-repositories`: the workflow controller's own settings say the same for all namespaces.
"""

from __future__ import annotations

import base64
import json

from pipelines_config import PRIVATE, PipelinesConfig

from kubeflow_charm import Manifest
from kubeflow_charm.minio.keys import Key, Keys, PerProfile, record
from kubeflow_charm.relations.object_store import ObjectStore

STORE_KEY = "mlpipeline-minio-artifact"
"""The Secret with the object store's key; launcher and driver use this name by default
(backend/src/v2/config/env.go)."""
RECORD = "kubeflow-pipelines.charmhub.io/object-store-keys"
"""The annotation on our own programs' Secret that says who has which of our keys."""
CA_BUNDLE = "kfp-ca-bundle"
ACCESS = "access-ml-pipeline"
_TOKENS = "/var/run/secrets/kubeflow/pipelines"


def secrets(keys: Keys, authorities: str, pull_secret: Manifest | None) -> list[Manifest]:
    """Return the Secrets of profiles: the key to the store, and what only some platforms need.

    Args:
        keys: those to the store.
        authorities: whom to trust, as PEM; empty if that is everybody's.
        pull_secret: what pods of runs pull the charm's images with; None where no registry asks.
    """
    if isinstance(keys, PerProfile):
        made = [_in(name, _key(key)) for name, key in sorted(keys.profiles.items())]
    else:
        made = [_key(keys.platform)]
    return [*made, *_bundle(authorities), *([pull_secret] if pull_secret else [])]


def platform_secrets(keys: Keys, authorities: str) -> list[Manifest]:
    """Return the same Secrets for our own programs, with the record of `keys.record`."""
    secret = _key(keys.platform)
    if annotations := record(keys, RECORD):
        secret["metadata"]["annotations"] = annotations
    return [secret, *_bundle(authorities)]


def config_maps(config: PipelinesConfig, store: ObjectStore, namespace: str, keys: Keys) -> list[Manifest]:
    """Return the ConfigMaps: the launcher's settings, and the address of the metadata store.

    Args:
        config: the options with the place of artifacts.
        store: the object store.
        namespace: the namespace of pipelines.
        keys: the keys to the store; a profile with its own key has its own folder.
    """
    reference = {"secretName": STORE_KEY, "accessKeyKey": "accesskey", "secretKeyKey": "secretkey"}
    default = {
        "endpoint": store.endpoint,
        "region": store.region,
        "disableSSL": not store.secure,
        "forcePathStyle": True,
        "credentials": {"fromEnv": False, "secretRef": reference},
    }
    # The same store for both schemes, because a root may have either (backend/src/v2/config).
    providers = {scheme: {"default": default} for scheme in ("minio", "s3")}
    document = json.dumps(providers, sort_keys=True, separators=(",", ":"))

    def launcher(root: str) -> Manifest:
        return _config_map("kfp-launcher", {"defaultPipelineRoot": root, "providers": document})

    if isinstance(keys, PerProfile):
        private = f"minio://{store.bucket}/{store.folder}{PRIVATE}"
        launchers = [_in(name, launcher(f"{private}/{name}/v2/artifacts")) for name in sorted(keys.profiles)]
    else:
        launchers = [launcher(config.pipeline_root(store.bucket, store.folder))]
    metadata = {
        "METADATA_GRPC_SERVICE_HOST": f"metadata-grpc-service.{namespace}",
        "METADATA_GRPC_SERVICE_PORT": "8080",
    }
    return [*launchers, _config_map("metadata-grpc-configmap", metadata)]


def pod_defaults() -> list[Manifest]:
    """Return the PodDefault with which a notebook calls the API as its profile's service account.

    Source: https://www.kubeflow.org/docs/components/pipelines/user-guides/core-functions/connect-api/.
    """
    token = {"path": "token", "expirationSeconds": 7200, "audience": "pipelines.kubeflow.org"}
    spec = {
        "desc": "Allow access to Kubeflow Pipelines",
        "selector": {"matchLabels": {ACCESS: "true"}},
        "env": [{"name": "KF_PIPELINES_SA_TOKEN_PATH", "value": f"{_TOKENS}/token"}],
        "volumes": [
            {"name": "volume-kf-pipeline-token", "projected": {"sources": [{"serviceAccountToken": token}]}}
        ],
        "volumeMounts": [{"name": "volume-kf-pipeline-token", "mountPath": _TOKENS, "readOnly": True}],
    }
    return [
        {
            "apiVersion": "kubeflow.org/v1alpha1",
            "kind": "PodDefault",
            "metadata": {"name": ACCESS},
            "spec": spec,
        }
    ]


def _key(key: Key) -> Manifest:
    return _secret(STORE_KEY, {"accesskey": key.access_key, "secretkey": key.secret_key})


def _bundle(authorities: str) -> list[Manifest]:
    return [_secret(CA_BUNDLE, {"ca.crt": authorities})] if authorities else []


def _in(namespace: str, manifest: Manifest) -> Manifest:
    """Return a manifest with a profile's namespace."""
    return {**manifest, "metadata": {**manifest["metadata"], "namespace": namespace}}


def _secret(name: str, data: dict[str, str]) -> Manifest:
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": encoded}


def _config_map(name: str, data: dict[str, str]) -> Manifest:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}
