"""Every kind of workload in a profile whose quota counts everything: none is refused for what it does not say."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from kubeflow_platform import MODEL, Platform
from kubeflow_users import Requests, running
from pipeline_compiling import compiled
from pipeline_templates import Settings

from rehearsal.cluster.existing import Refused
from rehearsal.patience import until

NAME = "cyd"
PROFILES = "/apis/kubeflow.org/v1/profiles"
CORE = f"/api/v1/namespaces/{NAME}"
VIEWERS = f"/apis/kubeflow.org/v1alpha1/namespaces/{NAME}/pvcviewers"
BOARDS = f"/apis/tensorboard.kubeflow.org/v1alpha1/namespaces/{NAME}/tensorboards"
RUNS = f"/apis/argoproj.io/v1alpha1/namespaces/{NAME}/workflows"
DEFAULTS = f"{CORE}/limitranges/kubeflow-quota-defaults"
HARD = {
    "requests.cpu": "8",
    "requests.memory": "16Gi",
    "limits.cpu": "16",
    "limits.memory": "32Gi",
    "requests.nvidia.com/gpu": "1",
    "pods": "20",
    "persistentvolumeclaims": "5",
    "requests.storage": "50Gi",
}
STEP = {"image": "python:3.12", "command": ["python"]}
"""A step of a pipeline that says nothing of cpu or memory."""
PIPELINE: dict[str, Any] = {
    "pipelineInfo": {"name": "two-steps"},
    "root": {
        "dag": {
            "tasks": {
                "first": {"componentRef": {"name": "comp-first"}},
                "second": {"componentRef": {"name": "comp-first"}, "dependentTasks": ["first"]},
            }
        }
    },
    "components": {"comp-first": {"executorLabel": "exec-first"}},
    "deploymentSpec": {"executors": {"exec-first": {"container": STEP}}},
}


@pytest.fixture(scope="module")
def cyd(platform: Platform) -> Iterator[Requests]:
    """A user whose profile has a quota of everything; both go after the module's tests."""
    platform.have_nodes("no-gpu")
    spec = {"owner": {"kind": "User", "name": f"{NAME}@example.com"}, "resourceQuotaSpec": {"hard": HARD}}
    document = {"apiVersion": "kubeflow.org/v1", "kind": "Profile", "metadata": {"name": NAME}, "spec": spec}
    platform.admin.create(PROFILES, document)
    requests = Requests(platform.stage.cluster, f"{NAME}@example.com")
    until(lambda: platform.admin.find(f"{CORE}/serviceaccounts/default-editor"))
    until(lambda: platform.admin.find(DEFAULTS))
    until(lambda: may_work(requests))
    yield requests
    requests.close()
    platform.admin.delete(f"{PROFILES}/{NAME}")
    until(lambda: platform.admin.find(f"/api/v1/namespaces/{NAME}") is None)


def may_work(user: Requests) -> bool:
    """Whether the user's role is there already."""
    try:
        user.get(BOARDS)
    except Refused as refusal:
        assert refusal.status == 403
        return False
    return True


def test_the_defaults_are_what_the_quota_counts(platform: Platform, cyd: Requests) -> None:
    (item,) = platform.admin.get(DEFAULTS)["spec"]["limits"]
    assert item == {
        "type": "Container",
        "default": {"cpu": "1", "memory": "2Gi"},
        "defaultRequest": {"cpu": "100m", "memory": "256Mi"},
    }
    # A quota of cpu only has defaults for cpu only; a profile without one has none.
    until(lambda: platform.admin.find(DEFAULTS.replace(NAME, "bob")))
    (item,) = platform.admin.get(DEFAULTS.replace(NAME, "bob"))["spec"]["limits"]
    assert item == {"type": "Container", "defaultRequest": {"cpu": "100m"}}
    assert platform.admin.items("/api/v1/namespaces/ada/limitranges") == []


def test_a_notebook_a_viewer_and_a_tensorboard_run(platform: Platform, cyd: Requests) -> None:
    platform.jupyter.post(cyd, NAME, "mine")
    running(cyd, NAME, "mine")
    platform.volumes.view(cyd, NAME, "mine-workspace")
    until(lambda: cyd.get(f"{VIEWERS}/mine-workspace").get("status", {}).get("ready"))
    board = {
        "apiVersion": "tensorboard.kubeflow.org/v1alpha1",
        "kind": "Tensorboard",
        "metadata": {"name": "board"},
        "spec": {"logspath": "pvc://mine-workspace/logs"},
    }
    cyd.create(BOARDS, board)
    until(lambda: cyd.get(f"{BOARDS}/board").get("status", {}).get("readyReplicas") == 1)


def test_a_run_comes_to_its_end(platform: Platform, cyd: Requests) -> None:
    path = f"/apis/apps/v1/namespaces/{MODEL}/deployments/ml-pipeline"
    (container,) = platform.admin.get(path)["spec"]["template"]["spec"]["containers"]
    environment = {each["name"]: each.get("value", "") for each in container["env"]}
    settings = Settings(environment["V2_DRIVER_IMAGE"], environment["V2_LAUNCHER_IMAGE"])
    workflow = compiled(PIPELINE, None, settings)
    workflow["metadata"] = {"name": "run", "labels": workflow["metadata"]["labels"]}
    cyd.create(RUNS, workflow)

    def phase() -> str:
        return cyd.get(f"{RUNS}/run").get("status", {}).get("phase", "")

    until(lambda: phase() in ("Succeeded", "Failed", "Error"))
    status = cyd.get(f"{RUNS}/run")["status"]
    assert phase() == "Succeeded", [each.get("message") for each in status["nodes"].values()]
    assert status["progress"] == "5/5"


def test_the_defaults_follow_the_quota(platform: Platform, cyd: Requests) -> None:
    hard = dict.fromkeys(HARD) | {"requests.memory": "16Gi"}
    platform.admin.patch(f"{PROFILES}/{NAME}", {"spec": {"resourceQuotaSpec": {"hard": hard}}})
    wanted = [{"type": "Container", "defaultRequest": {"memory": "256Mi"}}]
    until(lambda: platform.admin.get(DEFAULTS)["spec"]["limits"] == wanted)
    platform.admin.patch(f"{PROFILES}/{NAME}", {"spec": {"resourceQuotaSpec": None}})
    until(lambda: platform.admin.find(DEFAULTS) is None)
    platform.settle()
