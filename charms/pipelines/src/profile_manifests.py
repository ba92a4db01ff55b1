"""What every profile gets through the resource dispatcher, so that its runs find store and metadata.

Upstream has a controller make these, and made two pods in each profile until 2.15 (kubeflow/pipelines 2.16.0,
base/installs/multi-user/pipelines-profile-controller/sync.py). Its `artifact-repositories` is left out: the
workflow controller's own settings say the same for all namespaces.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from pipelines_config import PRIVATE, PipelinesConfig

from kubeflow_charm import Manifest
from kubeflow_charm.relations.object_store import ObjectStore

if TYPE_CHECKING:
    from profile_keys import ProfileKey

Keys = Mapping[str, "ProfileKey"] | None

STORE_KEY = "mlpipeline-minio-artifact"
"""The Secret with the object store's key, by the name that launcher and driver take where none is said
(backend/src/v2/config/env.go)."""
CA_BUNDLE = "kfp-ca-bundle"
ACCESS = "access-ml-pipeline"
_TOKENS = "/var/run/secrets/kubeflow/pipelines"


def secrets(store: ObjectStore, authorities: str, keys: Keys = None) -> list[Manifest]:
    """Return the Secrets: the key of the store, and whom to trust, if that is not everybody's.

    Args:
        store: the object store.
        authorities: whom to trust, as PEM.
        keys: each profile's own key by its namespace, or None if all have the store's.
    """
    if keys is None:
        made = [_key(store.access_key, store.secret_key)]
    else:
        made = [_in(name, _key(key.access_key, key.secret_key)) for name, key in sorted(keys.items())]
    return [*made, _secret(CA_BUNDLE, {"ca.crt": authorities})] if authorities else made


def config_maps(
    config: PipelinesConfig, store: ObjectStore, namespace: str, profiles: Iterable[str] | None = None
) -> list[Manifest]:
    """Return the ConfigMaps: what the launcher reads, and where the metadata store is.

    Args:
        config: says where artifacts go.
        store: the object store.
        namespace: the one that pipelines are deployed in.
        profiles: the profiles that have a folder of their own instead; None if none has.
    """
    reference = {"secretName": STORE_KEY, "accessKeyKey": "accesskey", "secretKeyKey": "secretkey"}
    default = {
        "endpoint": store.endpoint,
        "region": store.region,
        "disableSSL": not store.secure,
        "forcePathStyle": True,
        "credentials": {"fromEnv": False, "secretRef": reference},
    }
    # The same store under both schemes, for a root may be written either way (backend/src/v2/config).
    providers = {scheme: {"default": default} for scheme in ("minio", "s3")}
    said = json.dumps(providers, sort_keys=True, separators=(",", ":"))

    def launcher(root: str) -> Manifest:
        return _config_map("kfp-launcher", {"defaultPipelineRoot": root, "providers": said})

    if profiles is None:
        launchers = [launcher(config.pipeline_root(store.bucket, store.folder))]
    else:
        private = f"minio://{store.bucket}/{store.folder}{PRIVATE}"
        launchers = [_in(name, launcher(f"{private}/{name}/v2/artifacts")) for name in sorted(profiles)]
    metadata = {
        "METADATA_GRPC_SERVICE_HOST": f"metadata-grpc-service.{namespace}",
        "METADATA_GRPC_SERVICE_PORT": "8080",
    }
    return [*launchers, _config_map("metadata-grpc-configmap", metadata)]


def pod_defaults() -> list[Manifest]:
    """Return the PodDefault by which a notebook may call the API as its profile's service account.

    As https://www.kubeflow.org/docs/components/pipelines/user-guides/core-functions/connect-api/ has it.
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


def _key(access_key: str, secret_key: str) -> Manifest:
    return _secret(STORE_KEY, {"accesskey": access_key, "secretkey": secret_key})


def _in(namespace: str, manifest: Manifest) -> Manifest:
    """Return a manifest for one profile only."""
    return {**manifest, "metadata": {**manifest["metadata"], "namespace": namespace}}


def _secret(name: str, data: dict[str, str]) -> Manifest:
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": encoded}


def _config_map(name: str, data: dict[str, str]) -> Manifest:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}
