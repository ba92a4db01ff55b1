"""The settings of Argo's workflow controller: where logs go, and what every step is given.

kubeflow/pipelines 2.16.0, third-party/argo/base/workflow-controller-configmap-patch.yaml; the keys are those
of argo-workflows v3.7.3, config/config.go.
"""

from __future__ import annotations

import yaml
from pipelines_config import PipelinesConfig
from profile_manifests import CA_BUNDLE, STORE_KEY

from kubeflow_charm import Manifest
from kubeflow_charm.relations.object_store import ObjectStore

_EXECUTOR = {
    "imagePullPolicy": "IfNotPresent",
    "securityContext": {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "seccompProfile": {"type": "RuntimeDefault"},
    },
}


def settings(config: PipelinesConfig, store: ObjectStore, defaults: Manifest) -> dict[str, str]:
    """Return the data of the controller's ConfigMap.

    Args:
        config: says whether logs go to the store, and which keys they have there.
        store: where logs go, and what steps of v1 pipelines leave behind.
        defaults: what a Workflow has that says nothing else.
    """
    s3 = {
        "endpoint": store.endpoint,
        "bucket": store.bucket,
        "region": store.region,
        "insecure": not store.secure,
        "keyFormat": config.log_key(store.folder),
        "accessKeySecret": {"name": STORE_KEY, "key": "accesskey"},
        "secretKeySecret": {"name": STORE_KEY, "key": "secretkey"},
    }
    if store.tls_ca:
        s3["caSecret"] = {"name": CA_BUNDLE, "key": "ca.crt"}
    parts = {
        "artifactRepository": {"archiveLogs": config.archive_logs, "s3": s3},
        "executor": _EXECUTOR,
        "workflowDefaults": defaults,
    }
    return {key: yaml.safe_dump(part, sort_keys=False) for key, part in parts.items() if part}
