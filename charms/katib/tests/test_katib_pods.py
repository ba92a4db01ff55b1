"""What the API server does to the pods of suggestions and trials."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rehearsal.cluster.controlplane import ControlPlane
from rehearsal.patience import until

GROUP = "/apis/admissionregistration.k8s.io/v1"
PLURALS = {
    "MutatingAdmissionPolicy": "mutatingadmissionpolicies",
    "MutatingAdmissionPolicyBinding": "mutatingadmissionpolicybindings",
}
PROFILE, ELSEWHERE = "katib-pods-profile", "katib-pods-elsewhere"
JOB = {"batch.kubernetes.io/job-name": "a"}


@pytest.fixture(scope="module")
def policies(cluster: ControlPlane) -> Iterator[None]:
    """The policy that names the pull secret, at work, and two namespaces."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parents[1] / "src"))
        documents: list[Any] = importlib.import_module("trial_pods").pulling("katib-pods-test")
    for name, labels in ((PROFILE, {"app.kubernetes.io/part-of": "kubeflow-profile"}), (ELSEWHERE, {})):
        body = {"metadata": {"name": name, "labels": labels}}
        cluster.request("POST", "/api/v1/namespaces", json.dumps(body).encode())
    paths = []
    for document in documents:
        path = f"{GROUP}/{PLURALS[document['kind']]}/{document['metadata']['name']}"
        cluster.apply(f"{path}?fieldManager=test&fieldValidation=Strict", json.dumps(document).encode())
        paths.append(path)
    until(lambda: secrets(cluster, PROFILE, JOB))
    yield
    for path in [*paths, *(f"/api/v1/namespaces/{name}" for name in (PROFILE, ELSEWHERE))]:
        cluster.request("DELETE", path)


def secrets(cluster: ControlPlane, namespace: str, labels: dict[str, str], *given: str) -> list[str]:
    """Return the pull secrets of a pod as the API server would store it."""
    pod = {
        "metadata": {"name": "p", "labels": labels},
        "spec": {
            "containers": [{"name": "c", "image": "a"}],
            "imagePullSecrets": [{"name": name} for name in given],
        },
    }
    path = f"/api/v1/namespaces/{namespace}/pods?dryRun=All"
    made = json.loads(cluster.request("POST", path, json.dumps(pod).encode()))
    return [each["name"] for each in made["spec"].get("imagePullSecrets", [])]


@pytest.mark.parametrize(
    ("namespace", "labels", "given", "expected"),
    [
        (PROFILE, JOB, [], ["katib-pods-test-image-pull"]),
        (PROFILE, {"katib.kubeflow.org/suggestion": "x"}, [], ["katib-pods-test-image-pull"]),
        (PROFILE, {"training.kubeflow.org/job-name": "x"}, [], ["katib-pods-test-image-pull"]),
        (PROFILE, {"workflows.argoproj.io/workflow": "x"}, [], ["katib-pods-test-image-pull"]),
        (PROFILE, JOB, ["mine"], ["mine", "katib-pods-test-image-pull"]),
        (PROFILE, JOB, ["katib-pods-test-image-pull"], ["katib-pods-test-image-pull"]),
        (PROFILE, {"app": "notebook"}, [], []),
        (ELSEWHERE, JOB, [], []),
    ],
    ids=str,
)
def test_pods_that_run_our_images_get_the_pull_secret_and_no_others(
    cluster: ControlPlane, policies: None, namespace: str, labels: Any, given: Any, expected: Any
):
    assert secrets(cluster, namespace, labels, *given) == expected
