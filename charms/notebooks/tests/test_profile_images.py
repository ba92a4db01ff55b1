"""The charm's images that run in profiles: their pods pull with the credentials of the resources, and no others."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
import yaml

OFFLINE = {"gpu-discovery": False}
EVERY = {
    name: (f"user-{name}", f"pass-{name}") for name in ("jupyter-web-app", "tensorboard", "volume-viewer")
}
PULLED_BOARD = {
    "apiVersion": "kubeflow.org/v1alpha1",
    "kind": "PodDefault",
    "metadata": {"name": "tensorboard-image-pull"},
    "spec": {
        "desc": "Pull the TensorBoard image",
        "selector": {"matchLabels": {"tensorboard-image-pull": "true"}},
        "imagePullSecrets": [{"name": "kubeflow-notebooks-image-pull"}],
    },
}


@pytest.fixture
def given(notebooks: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return what profiles are given, and the pod of viewers, where these resources have credentials."""

    def given(*resources: str) -> tuple[list[Any], list[Any], dict[str, Any]]:
        monkeypatch.setattr(type(notebooks), "credentials", {name: EVERY[name] for name in resources})
        context = notebooks.context()
        state = notebooks.state("mlops", OFFLINE, dispatcher=True)
        with context(context.on.action("list-images"), state) as manager:
            charm = manager.charm
            facts = charm.gather()
            documents = {each["metadata"]["name"]: each for each in charm.manifests(facts)}
            charm.publish(facts)
            data = {
                name: charm.model.get_relation(name).data[charm.app] for name in ("secrets", "pod-defaults")
            }
            secrets = []
            if uri := data["secrets"].get("kubernetes_manifests"):
                content = charm.model.get_secret(id=uri).peek_content()
                secrets = json.loads(content["manifests"])
            defaults = json.loads(data["pod-defaults"]["kubernetes_manifests"])
        viewer = yaml.safe_load(documents["volumes-web-app-viewer-spec"]["data"]["viewer-spec.yaml"])
        return secrets, defaults, viewer["podSpec"]

    return given


def places(secret: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """Return user and password by repository."""
    auths = json.loads(base64.b64decode(secret["data"][".dockerconfigjson"]))["auths"]
    return {place: (entry["username"], entry["password"]) for place, entry in auths.items()}


@pytest.mark.parametrize("resources", [(), ("jupyter-web-app",)], ids=str)
def test_without_credentials_of_what_runs_in_profiles_nothing_is_there(given, resources):
    secrets, defaults, pod = given(*resources)
    assert (secrets, defaults) == ([], [])
    assert "imagePullSecrets" not in pod


def test_viewers_and_tensorboards_pull_with_their_credentials_and_no_others(given):
    (secret,), defaults, pod = given(*EVERY)
    assert secret["metadata"] == {"name": "kubeflow-notebooks-image-pull"}
    assert secret["type"] == "kubernetes.io/dockerconfigjson"
    assert places(secret) == {
        "docker.io/tensorflow/tensorflow": EVERY["tensorboard"],
        "docker.io/filebrowser/filebrowser": EVERY["volume-viewer"],
    }
    assert pod["imagePullSecrets"] == [{"name": "kubeflow-notebooks-image-pull"}]
    assert defaults == [PULLED_BOARD]


@pytest.mark.parametrize(("resource", "viewers"), [("volume-viewer", True), ("tensorboard", False)])
def test_pods_name_no_secret_that_is_not_for_them(given, resource, viewers):
    (secret,), defaults, pod = given(resource)
    assert len(places(secret)) == 1
    assert ("imagePullSecrets" in pod) == viewers
    assert defaults == ([] if viewers else [PULLED_BOARD])
