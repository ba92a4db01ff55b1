"""A whole rehearsal calls webhooks, and leaves nothing of its network behind."""

from __future__ import annotations

import threading

from webhook_bench import Kube, denial, eventually

from rehearsal.cluster.controlplane import ControlPlane
from rehearsal.stage import Stage


def networks() -> set[threading.Thread]:
    return {each for each in threading.enumerate() if each.name.startswith("network")}


def test_a_rehearsal_calls_webhooks_until_it_ends():
    before = networks()
    with Stage() as stage:
        assert isinstance(stage.cluster, ControlPlane)
        kube = Kube(stage.cluster)
        service = {"name": "nothing", "namespace": "default"}
        kube.create("Service", "nothing", "default", spec={"ports": [{"port": 443}]})
        hook = {
            "name": "hook.example.com",
            "clientConfig": {"service": service},
            "rules": [
                {
                    "apiGroups": [""],
                    "apiVersions": ["v1"],
                    "operations": ["CREATE"],
                    "resources": ["configmaps"],
                }
            ],
            "failurePolicy": "Fail",
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
        }
        kube.create("ValidatingWebhookConfiguration", "nothing", webhooks=[hook])
        said = eventually(lambda: denial(lambda: kube.create("ConfigMap", "x", "default", dry=True)))
        assert "no endpoint of the Service default/nothing is ready" in said
        assert networks() - before
    assert not networks() - before
    assert not stage.folder.exists()
