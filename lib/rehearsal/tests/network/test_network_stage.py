"""A whole rehearsal calls webhooks, and leaves nothing of its network behind."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
from webhook_bench import Kube, denial, eventually

from rehearsal.cluster.controlplane import ControlPlane, free_ports
from rehearsal.errors import RehearsalError
from rehearsal.network.outside import Outside
from rehearsal.stage import Stage


def networks() -> set[threading.Thread]:
    return {each for each in threading.enumerate() if each.name.startswith("network")}


def test_a_rehearsal_calls_webhooks_until_it_ends(tmp_path: Path):
    before, log = networks(), tmp_path / "audit.log"
    (closed,) = free_ports(1)
    away = Outside("notebook-controller", f"127.0.0.1:{closed}")
    with Stage(audit_log=log, outside=[away]) as stage:
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
        labels = {"app": "nothing"}
        pod = {"containers": [{"name": "main", "image": "example.com/notebook-controller:1"}]}
        template = {"metadata": {"labels": labels}, "spec": pod}
        selected = {"selector": {"matchLabels": labels}, "template": template}
        kube.create("Deployment", "nothing", "default", spec=selected)
        kube.apply("Service", "nothing", "default", spec={"selector": labels, "ports": [{"port": 443}]})

        def told() -> str:
            text = denial(lambda: kube.create("ConfigMap", "x", "default", dry=True))
            return text if away.address in text else ""

        assert f"{away.image} at {away.address}" in eventually(told)
        assert stage.players and stage.players.playing() == []
        assert networks() - before
    assert not networks() - before
    assert not stage.folder.exists()
    _reads_as_an_audit_log(log)


def _reads_as_an_audit_log(log: Path) -> None:
    """Check that it tells who made what with which answer, and nothing of what was in it."""
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    asked = [
        each for each in lines if each["verb"] == "create" and each["objectRef"]["resource"] == "configmaps"
    ]
    assert "configmaps" in asked[0]["requestURI"]
    assert asked[0]["user"]["username"]
    assert 500 in {each["responseStatus"]["code"] for each in asked}
    assert not [each for each in lines if "requestObject" in each or "responseObject" in each]


def test_a_cluster_of_the_users_own_has_neither_an_audit_log_of_ours_nor_programs_outside(tmp_path: Path):
    kubeconfig = tmp_path / "kubeconfig"
    with pytest.raises(RehearsalError, match="need the local control plane"):
        Stage(kubeconfig=kubeconfig, audit_log=tmp_path / "log")
    with pytest.raises(RehearsalError, match="need the local control plane"):
        Stage(kubeconfig=kubeconfig, outside=[Outside("a", "127.0.0.1")])
