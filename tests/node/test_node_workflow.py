"""A workflow that really runs: Argo's own controller and executor, and artifacts in a real MinIO."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from minio import S3Error
from node.platforms import MODEL, SHELL, Platform, running
from partial_bundle import PIPELINES

from rehearsal.node.name import NAME
from rehearsal.patience import until

IMAGES = ("busybox", "minio", "workflow-controller", "argoexec")
WORDS = "private-artifacts/ada/words.tgz"


def step(name: str, script: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "container": {"image": SHELL, "command": ["sh", "-c", script]}, **more}


WORKFLOW = {
    "apiVersion": "argoproj.io/v1alpha1",
    "kind": "Workflow",
    "metadata": {"name": "counting", "namespace": "ada"},
    "spec": {
        "entrypoint": "main",
        "serviceAccountName": "default-editor",
        "templates": [
            {
                "name": "main",
                "dag": {
                    "tasks": [
                        {"name": "make", "template": "make"},
                        {
                            "name": "count",
                            "template": "count",
                            "depends": "make",
                            "arguments": {
                                "artifacts": [
                                    {"name": "words", "from": "{{tasks.make.outputs.artifacts.words}}"}
                                ]
                            },
                        },
                        {
                            "name": "tell",
                            "template": "tell",
                            "depends": "count",
                            "arguments": {
                                "parameters": [
                                    {"name": "number", "value": "{{tasks.count.outputs.parameters.number}}"}
                                ]
                            },
                        },
                    ]
                },
            },
            step(
                "make",
                "printf 'one two three' > /tmp/words",
                outputs={"artifacts": [{"name": "words", "path": "/tmp/words", "s3": {"key": WORDS}}]},
            ),
            step(
                "count",
                "wc -w < /tmp/words > /tmp/number",
                inputs={"artifacts": [{"name": "words", "path": "/tmp/words"}]},
                outputs={"parameters": [{"name": "number", "valueFrom": {"path": "/tmp/number"}}]},
            ),
            step(
                "tell",
                "echo there are {{inputs.parameters.number}} words",
                inputs={"parameters": [{"name": "number"}]},
            ),
        ],
    },
}


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with running(tmp_path_factory.mktemp("bundle"), PIPELINES, IMAGES) as platform:
        for name in ("ada", "bob"):
            secret = "secret", "mlpipeline-minio-artifact", "-n", name, "--ignore-not-found", "-o", "name"
            until(lambda secret=secret: platform.kubectl("get", *secret), within=60)
        yield platform


def test_three_steps_hand_on_an_artifact_and_a_number(platform: Platform) -> None:
    platform.kubectl("create", "-f", "-", given=json.dumps(WORKFLOW))

    def status() -> dict[str, Any]:
        return platform.get("workflow", "counting", "-n", "ada").get("status", {})

    until(lambda: status().get("phase") in ("Succeeded", "Failed", "Error"), status, within=180)
    assert status()["phase"] == "Succeeded", status()
    pods = platform.get("pods", "-n", "ada", "-l", "workflows.argoproj.io/workflow=counting")["items"]
    assert {pod["spec"]["nodeName"] for pod in pods} == {NAME}
    (last,) = [pod["metadata"]["name"] for pod in pods if "-tell-" in pod["metadata"]["name"]]
    assert "there are 3 words" in platform.kubectl("logs", "-n", "ada", last, "-c", "main")


def test_the_artifact_and_the_logs_are_in_the_profiles_own_folders(platform: Platform) -> None:
    ours = platform.store(platform.key("ada"))
    found = {
        each.object_name for each in ours.list_objects("mlpipeline", "private-artifacts/ada/", recursive=True)
    }
    assert found == {WORDS}
    logs = [each.object_name for each in ours.list_objects("mlpipeline", "artifacts/ada/", recursive=True)]
    assert len(logs) == 3
    assert all(name and name.endswith("/main.log") for name in logs)


def test_another_profiles_key_is_refused(platform: Platform) -> None:
    theirs = platform.store(platform.key("bob"))
    with pytest.raises(S3Error) as refused:
        theirs.stat_object("mlpipeline", WORDS)
    assert refused.value.code == "AccessDenied"
    with pytest.raises(S3Error) as refused:
        list(theirs.list_objects("mlpipeline", "private-artifacts/ada/"))
    assert refused.value.code == "AccessDenied"


def test_the_programs_ask_for_nothing_that_they_have_no_right_to(platform: Platform) -> None:
    said = platform.kubectl("logs", "-n", MODEL, "deploy/workflow-controller", "--tail=-1")
    assert "counting" in said
    assert not [line for line in said.splitlines() if "forbidden" in line.lower()]
