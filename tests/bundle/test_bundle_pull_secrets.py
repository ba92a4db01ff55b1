"""Images of the charms whose registry asks for credentials, in profiles: viewers, TensorBoards and runs."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubeflow_platform import MODEL, POD_DEFAULTS, Platform
from kubeflow_users import Requests

from rehearsal.patience import until

pytestmark = pytest.mark.usefixtures("cleared")

SECRETS = "/api/v1/namespaces/ada/secrets"
VIEWER_SPEC = f"/api/v1/namespaces/{MODEL}/configmaps/volumes-web-app-viewer-spec"
BOARDS = "/apis/tensorboard.kubeflow.org/v1alpha1/namespaces/ada/tensorboards"
RUNS = "/apis/argoproj.io/v1alpha1/namespaces/ada/workflows"
PULLED_BOARD = f"{POD_DEFAULTS}/namespaces/ada/poddefaults/tensorboard-image-pull"
ATTACHED = {
    ("kubeflow-notebooks", "volume-viewer"): "filebrowser/filebrowser:v2.25.0",
    ("kubeflow-notebooks", "tensorboard"): "tensorflow/tensorflow:2.5.1",
    ("kubeflow-pipelines", "argoexec"): "quay.io/argoproj/argoexec:v3.7.14",
}
"""Application and resource to image."""


@pytest.fixture(scope="module")
def closed(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Some resources have credentials; they have none after the module's tests."""
    platform.have_nodes("no-gpu")
    assert not [each for each in names(platform.admin) if each.endswith("image-pull")]
    for (application, resource), image in ATTACHED.items():
        file = tmp_path_factory.mktemp("images") / "image.yaml"
        file.write_text(yaml.safe_dump({"registrypath": image, "username": resource, "password": "p"}))
        attach(platform, application, resource, file)
    until(lambda: {"kubeflow-notebooks-image-pull", "kubeflow-pipelines-image-pull"} <= names(platform.admin))
    until(lambda: platform.admin.find(PULLED_BOARD))
    platform.settle()
    yield
    for (application, resource), image in ATTACHED.items():
        attach(platform, application, resource, image)
    until(lambda: not [each for each in names(platform.admin) if each.endswith("image-pull")])
    until(lambda: platform.admin.find(PULLED_BOARD) is None)
    platform.settle()


def attach(platform: Platform, application: str, resource: str, value: Path | str) -> None:
    platform.stage.juju("attach-resource", application, f"{resource}={value}")


def names(admin: Requests) -> set[str]:
    """Return the Secrets of a profile."""
    return {each["metadata"]["name"] for each in admin.items(SECRETS)}


def users(admin: Requests, name: str) -> set[str]:
    """Return the users in a pull secret."""
    secret = admin.get(f"{SECRETS}/{name}")
    assert secret["type"] == "kubernetes.io/dockerconfigjson"
    content = json.loads(base64.b64decode(secret["data"][".dockerconfigjson"]))
    return {entry["username"] for entry in content["auths"].values()}


def pulls(user: Requests, label: str) -> list[str]:
    """Return the pull secrets of the pod with a label, as soon as there is one."""
    path = f"/api/v1/namespaces/ada/pods?labelSelector={label}"
    (pod, *_) = until(lambda: user.items(path))
    return [each["name"] for each in pod["spec"].get("imagePullSecrets", [])]


@pytest.mark.usefixtures("closed")
def test_pods_in_profiles_pull_with_the_credentials_of_the_resources(
    platform: Platform, ada: Requests
) -> None:
    assert users(platform.admin, "kubeflow-notebooks-image-pull") == {"volume-viewer", "tensorboard"}
    assert users(platform.admin, "kubeflow-pipelines-image-pull") == {"argoexec"}
    platform.volumes.create(ada, "ada", "data", "1Gi")
    until(lambda: "imagePullSecrets" in platform.admin.get(VIEWER_SPEC)["data"]["viewer-spec.yaml"])
    platform.volumes.view(ada, "ada", "data")
    assert pulls(ada, "app.kubernetes.io/instance=pvcviewer-data") == ["kubeflow-notebooks-image-pull"]

    board: dict[str, Any] = {
        "apiVersion": "tensorboard.kubeflow.org/v1alpha1",
        "kind": "Tensorboard",
        "metadata": {"name": "board", "labels": {"tensorboard-image-pull": "true"}},
        "spec": {"logspath": "pvc://data/logs"},
    }
    ada.create(BOARDS, board)
    assert pulls(ada, "app=board") == ["kubeflow-notebooks-image-pull"]

    container = {"image": "python:3.12", "command": ["python"]}
    workflow = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"name": "pulled"},
        "spec": {
            "entrypoint": "step",
            "serviceAccountName": "default-editor",
            "templates": [{"name": "step", "container": container}],
        },
    }
    ada.create(RUNS, workflow)
    assert pulls(ada, "workflows.argoproj.io/workflow=pulled") == ["kubeflow-pipelines-image-pull"]
    ada.delete(f"{RUNS}/pulled")
