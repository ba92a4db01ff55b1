"""A workflow that really runs: Argo's own controller and executor, and artifacts in a real MinIO."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import urllib3
import yaml
from minio import Minio, S3Error
from partial_bundle import PIPELINES, part_of_the_bundle

from rehearsal.node.name import NAME
from rehearsal.patience import until
from rehearsal.stage import Stage

MODEL = "kubeflow"
IMAGES = ("busybox", "minio", "workflow-controller", "argoexec")
SHELL = "docker.io/library/busybox:1.36"
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


class Platform:
    """Pipelines on a real node, and what its users type."""

    def __init__(self, stage: Stage):
        self.stage = stage

    def kubectl(self, *words: str, given: str | None = None) -> str:
        done = subprocess.run(
            [self.stage.bin / "kubectl", *words],
            env=self.stage.environment,
            input=given,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def get(self, *words: str) -> dict[str, Any]:
        return json.loads(self.kubectl("get", *words, "-o", "json"))

    def key(self, namespace: str) -> tuple[str, str]:
        """Return a profile's key of the object store."""
        said = self.get("secret", "mlpipeline-minio-artifact", "-n", namespace)["data"]
        access, secret = (base64.b64decode(said[name]).decode() for name in ("accesskey", "secretkey"))
        return access, secret

    def store(self, key: tuple[str, str]) -> Minio:
        """Return a client of the object store, by the way that hooks take."""
        way = urllib3.ProxyManager(f"http://127.0.0.1:{self.stage.engine.stores.port}", retries=False)
        return Minio(
            "minio.kubeflow:9000", access_key=key[0], secret_key=key[1], secure=False, http_client=way
        )

    def statuses(self) -> dict[str, str]:
        units = [unit for model in self.stage.engine.models.values() for unit in model.units()]
        return {unit.name: f"{unit.workload.current} {unit.workload.message}" for unit in units}


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    bundle = tmp_path_factory.mktemp("bundle") / "bundle.yaml"
    bundle.write_text(yaml.safe_dump(part_of_the_bundle(PIPELINES)))
    with Stage(real_node=IMAGES) as stage:
        platform = Platform(stage)
        stage.juju("add-model", MODEL)
        stage.juju("deploy", bundle, "--trust")
        until(
            lambda: {word.split()[0] for word in platform.statuses().values()} == {"active"},
            platform.statuses,
            within=240,
        )
        for name in ("ada", "bob"):
            profile = {
                "apiVersion": "kubeflow.org/v1",
                "kind": "Profile",
                "metadata": {"name": name},
                "spec": {"owner": {"kind": "User", "name": f"{name}@example.com"}},
            }
            platform.kubectl("apply", "-f", "-", given=json.dumps(profile))
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
