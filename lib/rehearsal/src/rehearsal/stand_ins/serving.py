"""The real program of a stand-in, in pods of its own, where the rehearsal has a node that runs pods.

The real charms run their programs in the unit's own pod, under Pebble. A unit's pod is played here, so the
program has a Deployment of its own, to which the application's Service leads.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Mapping
from typing import Any

from rehearsal.stand_ins.manifests import Manifest

SERVED = "REHEARSAL_SERVED"
"""An environment variable of charms: the names of charms whose programs run, with spaces between."""


def is_served(charm: str) -> bool:
    """Return whether the program of a charm runs."""
    return charm in os.environ.get(SERVED, "").split()


def program_name(application: str) -> str:
    """Return the name of an application's program, by which Services select its pods."""
    return f"{application}-program"


def secret(application: str, content: Mapping[str, str]) -> Manifest:
    """Return the Secret of an application's program."""
    data = {key: base64.b64encode(value.encode()).decode() for key, value in content.items()}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": program_name(application)},
        "data": data,
    }


def digest(content: Mapping[str, str]) -> Manifest:
    """Return a variable that changes with a Secret's content, so that other content is another pod."""
    value = hashlib.sha256(json.dumps(dict(content), sort_keys=True).encode()).hexdigest()[:8]
    return {"name": "CONTENT_DIGEST", "value": value}


def program(application: str, container: Manifest, *, user: int = 0) -> Manifest:
    """Return the Deployment of an application's program.

    Args:
        application: its name.
        container: what runs, without a name. `/data` is a folder of its own, which ends with the pod, and
            `/secret` has the files of the Secret with the Deployment's name.
        user: whose process it is; not root, if said.
    """
    name = program_name(application)
    labels = {"app.kubernetes.io/name": name}
    security: dict[str, Any] = {"runAsNonRoot": True, "runAsUser": user, "fsGroup": user} if user else {}
    container = {
        "name": "program",
        "imagePullPolicy": "IfNotPresent",
        "volumeMounts": [
            {"name": "data", "mountPath": "/data"},
            {"name": "secret", "mountPath": "/secret", "readOnly": True},
        ],
        **container,
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
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
                    "volumes": [
                        {"name": "data", "emptyDir": {}},
                        {"name": "secret", "secret": {"secretName": name}},
                    ],
                },
            },
        },
    }
