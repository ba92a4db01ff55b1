"""What every profile gets through the resource dispatcher, so that its runs find store and metadata.

Upstream has a controller make these, and made two pods in each profile until 2.15 (kubeflow/pipelines 2.16.0,
base/installs/multi-user/pipelines-profile-controller/sync.py). Its `artifact-repositories` is left out: the
workflow controller's own settings say the same for all namespaces.
"""

from __future__ import annotations

import base64
import json

from object_stores import Store

from kubeflow_charm import Manifest

STORE_KEY = "mlpipeline-minio-artifact"
"""The Secret with the object store's key, by the name that launcher and driver take where none is said
(backend/src/v2/config/env.go)."""
CA_BUNDLE = "kfp-ca-bundle"
ACCESS = "access-ml-pipeline"
_TOKENS = "/var/run/secrets/kubeflow/pipelines"


def secrets(store: Store, authorities: str) -> list[Manifest]:
    """Return the Secrets: the key of the store, and whom to trust, if that is not everybody's."""
    made = [_secret(STORE_KEY, {"accesskey": store.access_key, "secretkey": store.secret_key})]
    return [*made, _secret(CA_BUNDLE, {"ca.crt": authorities})] if authorities else made


def config_maps(store: Store, pipeline_root: str, namespace: str) -> list[Manifest]:
    """Return the ConfigMaps: what the launcher reads, and where the metadata store is.

    Args:
        store: the object store.
        pipeline_root: where artifacts go.
        namespace: the one that pipelines are deployed in.
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
    launcher = {"defaultPipelineRoot": pipeline_root, "providers": json.dumps(providers, sort_keys=True)}
    metadata = {
        "METADATA_GRPC_SERVICE_HOST": f"metadata-grpc-service.{namespace}",
        "METADATA_GRPC_SERVICE_PORT": "8080",
    }
    return [_config_map("kfp-launcher", launcher), _config_map("metadata-grpc-configmap", metadata)]


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


def _secret(name: str, data: dict[str, str]) -> Manifest:
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": encoded}


def _config_map(name: str, data: dict[str, str]) -> Manifest:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}
