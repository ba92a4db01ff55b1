"""The real program of a stand-in, in pods of its own, where the rehearsal has a node that runs pods.

The real charms run their programs in the unit's own pod, under Pebble. A unit's pod is played here, so the
program has a Deployment of its own, to which the application's Service leads.
"""

from __future__ import annotations

import os
from typing import Any

from rehearsal.stand_ins.manifests import Manifest

SERVED = "REHEARSAL_SERVED"
"""An environment variable of charms: the names of charms whose programs run, with spaces between."""


def is_served(charm: str) -> bool:
    """Return whether the program of a charm runs."""
    return charm in os.environ.get(SERVED, "").split()


def program(application: str, container: Manifest, *, user: int = 0) -> Manifest:
    """Return the Deployment of an application's program.

    Args:
        application: its name; the pods have the label that `rehearsal.juju.kubernetes` selects by.
        container: what runs, without a name. `/data` is a folder of its own, which ends with the pod.
        user: whose process it is; not root, if said.
    """
    labels = {"app.kubernetes.io/name": f"{application}-program"}
    security: dict[str, Any] = {"runAsNonRoot": True, "runAsUser": user, "fsGroup": user} if user else {}
    container = {
        "name": "program",
        "imagePullPolicy": "IfNotPresent",
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
        **container,
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": f"{application}-program"},
        "spec": {
            "replicas": 1,
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels, "annotations": {"sidecar.istio.io/inject": "false"}},
                "spec": {
                    "automountServiceAccountToken": False,
                    "securityContext": security,
                    "containers": [container],
                    "volumes": [{"name": "data", "emptyDir": {}}],
                },
            },
        },
    }
