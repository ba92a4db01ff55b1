"""PVCViewers as the cluster holds them when their webhooks are played."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from open_types import OPEN
from webhook_bench import Webhook, define, denial, eventually

IMAGE, PORT, MOUNT = "example.com/x/pvcviewer-controller:1", 9443, "/tmp/k8s-webhook-server/serving-certs"
VIEWERS = ("kubeflow.org", "pvcviewers")
POD = OPEN | {"properties": {"containers": {"type": "array", "items": OPEN}}, "required": ["containers"]}
SPEC = {
    "type": "object",
    "required": ["pvc"],
    "properties": {
        "pvc": {"type": "string"},
        "podSpec": POD,
        "networking": OPEN,
        "rwoScheduling": {"type": "boolean", "default": False},
    },
}
DEFINITION = {
    "metadata": {"name": "pvcviewers.kubeflow.org"},
    "spec": {
        "group": "kubeflow.org",
        "names": {"kind": "PVCViewer", "plural": "pvcviewers"},
        "scope": "Namespaced",
        "versions": [
            {
                "name": "v1alpha1",
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "schema": {
                    "openAPIV3Schema": {"type": "object", "properties": {"spec": SPEC, "status": OPEN}}
                },
            }
        ],
    },
}
CLAIM = {"name": "viewer-volume", "persistentVolumeClaim": {"claimName": "data"}}


@pytest.fixture
def viewers(kube, deploy: Callable[..., Webhook], users: str) -> Callable[..., Callable[..., Any]]:
    """Deploy the webhooks and return what makes a viewer."""
    define(kube, DEFINITION)

    def deployed(file: str = "", **said: Any) -> Callable[..., Any]:
        hook = deploy(IMAGE, PORT, MOUNT, **said)
        if file:
            kube.create("ConfigMap", "defaults", hook.namespace, data={"pod.yaml": file})
        hook.configure(
            users, path="/mutate-kubeflow-org-v1alpha1-pvcviewer", resource=VIEWERS, versions=("v1",)
        )
        hook.configure(
            users,
            path="/validate-kubeflow-org-v1alpha1-pvcviewer",
            resource=VIEWERS,
            versions=("v1",),
            kind="ValidatingWebhookConfiguration",
        )

        def create(name: str = "viewer", **spec: Any) -> Any:
            return kube.create("PVCViewer", name, users, dry=True, spec=spec)["spec"]

        # The API server has learnt of the one webhook when this is refused, of the other when that is not.
        eventually(lambda: denial(lambda: create(pvc="")))
        eventually(lambda: "PodSpec must be specified" not in denial(lambda: create(pvc="x")))
        return create

    return deployed


def test_a_viewer_that_says_nothing_of_its_pod_gets_a_file_browser(viewers, users):
    said = viewers()(pvc="data", networking={"basePrefix": "/pvcviewers", "targetPort": 8080})
    (browser,) = said["podSpec"]["containers"]
    assert said["podSpec"]["volumes"] == [CLAIM]
    assert browser["image"] == "filebrowser/filebrowser:latest"
    assert browser["volumeMounts"] == [{"name": "viewer-volume", "mountPath": "/data"}]
    assert {"name": "FB_BASEURL", "value": f"/pvcviewers/{users}/viewer/"} in browser["env"]
    assert said["networking"] == {"basePrefix": "/pvcviewers", "targetPort": 8080}


MOUNTED = {
    "container": {
        "env": [{"name": "DEFAULT_POD_SPEC_PATH", "value": "/etc/config/pod.yaml"}],
        "volumeMounts": [{"name": "config", "mountPath": "/etc/config"}],
    },
    "volumes": ({"name": "config", "configMap": {"name": "defaults"}},),
}


def test_the_defaults_file_says_which_pod(viewers):
    file = "containers: [{name: own, image: example.com/browser:2}]\nvolumes: [{name: tmp, emptyDir: {}}]\n"
    said = viewers(file, **MOUNTED)(pvc="data")
    assert said["podSpec"]["containers"] == [
        {"name": "own", "image": "example.com/browser:2", "resources": {}}
    ]
    assert said["podSpec"]["volumes"] == [{"name": "tmp", "emptyDir": {}}, CLAIM]


@pytest.mark.parametrize("file", ["{", "- no pod", ""])
def test_a_defaults_file_that_cannot_be_read_refuses_the_viewer(viewers, file):
    create = viewers(file, **MOUNTED)
    assert "spec.podSpec.containers" in denial(lambda: create(pvc="data"))


def test_what_a_viewer_says_of_its_pod_stays(viewers):
    pod = {"containers": [{"name": "own", "image": "x", "resources": {}}], "volumes": [CLAIM]}
    assert viewers()(pvc="data", podSpec=pod)["podSpec"] == pod


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({"pvc": ""}, "PVC name must be specified"),
        (
            {"pvc": "data", "podSpec": {"containers": [{"name": "own", "image": "x"}]}},
            "PVC data must be used in the podSpec",
        ),
        (
            {
                "pvc": "data",
                "podSpec": {
                    "containers": [],
                    "volumes": [CLAIM | {"persistentVolumeClaim": {"claimName": "other"}}],
                },
            },
            "PVC data must be used in the podSpec",
        ),
    ],
    ids=["no claim", "no volume", "another's volume"],
)
def test_a_viewer_is_refused(viewers, spec, reason):
    create = viewers()
    assert (
        denial(lambda: create(**spec)) == f'admission webhook "hook.example.com" denied the request: {reason}'
    )
