"""The settings of Argo's workflow controller: the place of logs, and defaults of every step.

kubeflow/pipelines 2.17.0, third-party/argo/base/workflow-controller-configmap-patch.yaml; the keys are those
of argo-workflows v3.7.14, config/config.go.
"""

from __future__ import annotations

import step_placement
import yaml
from pipelines_config import PipelinesConfig
from profile_manifests import CA_BUNDLE, STORE_KEY

from kubeflow_charm import Manifest
from kubeflow_charm.gpu.pools import Gpus
from kubeflow_charm.relations.object_store import ObjectStore

_RESOURCES = {
    "requests": {"cpu": "10m", "memory": "32Mi"},
    "limits": {"cpu": "500m", "memory": "512Mi"},
}
"""For the containers `init` and `wait`, which Argo adds to every pod of a run. With a quota of requests or
limits, Kubernetes refuses a pod if a container sets none, and users cannot set them for these two. The
requests are what the two need while idle, so that steps get most of a quota. The limits are those of
upstream's example (docs/workflow-controller-configmap.yaml): `wait` packs artifacts and logs when a step
ends."""
_EXECUTOR = {
    "imagePullPolicy": "IfNotPresent",
    "resources": _RESOURCES,
    "securityContext": {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "seccompProfile": {"type": "RuntimeDefault"},
    },
}


def settings(
    config: PipelinesConfig, store: ObjectStore, gpus: Gpus, pull_secret: Manifest | None
) -> dict[str, str]:
    """Return the data of the controller's ConfigMap.

    Args:
        config: says whether logs go to the store, and which keys they have there.
        store: where logs go, and what steps of v1 pipelines leave behind.
        gpus: where pods of runs go.
        pull_secret: what they pull the charm's images with; None where no registry asks.
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
        "workflowDefaults": _defaults(gpus, pull_secret),
        # In plain text, like the metrics of all programs here: policies say who reads them.
        "metricsConfig": {"secure": False},
    }
    return {key: yaml.safe_dump(part, sort_keys=False) for key, part in parts.items() if part}


def _defaults(gpus: Gpus, pull_secret: Manifest | None) -> Manifest:
    """Return what Argo adds to every Workflow, or nothing.

    Pull secrets come on top of those that a Workflow or a step has (argo-workflows v3.7.14,
    workflow/util/merge.go and workflow/controller/workflowpod.go: merged by their names).
    """
    spec = step_placement.fields(gpus)
    if pull_secret:
        spec["imagePullSecrets"] = [{"name": pull_secret["metadata"]["name"]}]
    return {"spec": spec} if spec else {}
