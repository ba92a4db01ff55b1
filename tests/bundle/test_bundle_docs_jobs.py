"""What the pages about tuning and training show works: every command, and every object.

`test_bundle_docs` runs their `juju config` and `juju run`.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import documented
import pytest
import yaml
from kubeflow_platform import Platform
from kubeflow_users import Requests

from rehearsal.patience import until

ROOT = Path(__file__).parents[2]
HOW_TO = ROOT / "docs/how-to"
PAGES = [HOW_TO / "tune.md", HOW_TO / "train-models.md", HOW_TO / "upgrade.md"]
TYPED = re.compile(r"(?:^ {4,}|`)((?:juju|kubectl) [^`\n]+)", re.MULTILINE)
ELSEWHERE = {
    "juju config": "test_bundle_docs",
    "juju run": "test_bundle_docs",
    "juju refresh": "tests/integration",
    "juju integrate katib:relational-db katib-db": "test_another_database_takes_the_place",
    "juju integrate my-db:certificates self-signed-certificates": "MySQL's own way; its stand-in has no TLS",
    "juju remove-application katib-controller": "charms of others, which a rehearsal does not have",
    "kubectl get clustertrainingruntime mpi-distributed": "a runtime of a charm of others",
    "kubectl delete": "no command, but the name of one",
    "kubectl describe suggestion first": "tests/integration reads what a suggestion says",
}
"""How commands begin that are not run here, and where they are or why they are not."""
DATABASE = (
    "juju deploy mysql-k8s my-db",
    "juju remove-relation katib",
    "juju integrate katib:relational-db my-db",
)
"""How the commands begin that must follow one another."""


def typed(page: Path) -> list[str]:
    """Return the commands of a page in order."""
    return [command.partition(" #")[0].rstrip() for command in TYPED.findall(page.read_text())]


def begins(command: str, words: Any) -> bool:
    return command.startswith(tuple(words))


COMMANDS = [
    (page, command)
    for page in PAGES
    for command in dict.fromkeys(typed(page))
    if not begins(command, ELSEWHERE) and not begins(command, DATABASE)
]


def objects(page: Path) -> list[dict[str, Any]]:
    """Return the objects of a page; a part of an object is laid over the one before it."""
    found: list[dict[str, Any]] = []
    for text in documented.blocks(page):
        if text.startswith("apiVersion:"):
            found.append(yaml.safe_load(text))
        elif text.startswith("spec:"):
            part = yaml.safe_load(text)
            found.append({**found[-1], "spec": {**found[-1]["spec"], **part["spec"]}})
    return found


KINDS = {
    "TrainJob": "/apis/trainer.kubeflow.org/v1alpha1/namespaces/ada/trainjobs",
    "PyTorchJob": "/apis/kubeflow.org/v1/namespaces/ada/pytorchjobs",
}
OBJECTS = objects(HOW_TO / "train-models.md")
LABELS = {"TrainJob": "jobset.sigs.k8s.io/jobset-name", "PyTorchJob": "training.kubeflow.org/job-name"}


@pytest.fixture(scope="module", autouse=True)
def nodes_with_gpus(platform: Platform) -> None:
    """Nodes as in the pages, and one with eight GPUs among them."""
    platform.have_nodes("default")


@pytest.fixture(scope="module")
def waiting(platform: Platform, ada: Requests) -> Iterator[None]:
    """The first TrainJob of the page, for which the cluster has too few GPUs, as a user made it."""
    until(lambda: ada.may_list(KINDS["TrainJob"]), "ada may train")
    (job, *_) = OBJECTS
    ada.create(KINDS["TrainJob"], in_profile(job))
    pods = "/api/v1/namespaces/ada/pods?labelSelector=jobset.sigs.k8s.io/jobset-name=mnist"
    until(lambda: len(ada.items(pods)) == job["spec"]["trainer"]["numNodes"], "its pods")
    yield
    platform.admin.delete(f"{KINDS['TrainJob']}/mnist")
    until(lambda: not platform.admin.items(pods), "its pods' end")


def in_profile(item: dict[str, Any]) -> dict[str, Any]:
    """Return an object as a user of the platform would write it."""
    assert item["metadata"]["namespace"] == "alice"
    return {**item, "metadata": {**item["metadata"], "namespace": "ada"}}


def run(platform: Platform, *words: str) -> str:
    """Run a command as an administrator types it."""
    done = subprocess.run(
        words, env=os.environ | platform.stage.environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("page", "command"), COMMANDS, ids=[f"{page.stem}: {command}" for page, command in COMMANDS]
)
@pytest.mark.usefixtures("waiting")
def test_a_command_works(
    platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, page: Path, command: str
) -> None:
    monkeypatch.chdir(tmp_path)
    command = command.replace("<image>", "registry.example.com/image:1").replace("-n alice", "-n ada")
    line, _, file = command.partition(" > ")
    said = run(platform, *shlex.split(line))
    if command.startswith("kubectl get events"):
        until(lambda: "Insufficient nvidia.com/gpu" in run(platform, *shlex.split(line)), "why no pod starts")
    if file:
        assert "kind: List" in said
    if command.startswith("juju attach-resource"):
        _, _, application, resource = shlex.split(command)
        give_back(platform, application, resource.partition("=")[0])


def give_back(platform: Platform, application: str, resource: str) -> None:
    """Attach the image again that the charm comes with."""
    folder = application.removeprefix("kubeflow-")
    metadata = yaml.safe_load((ROOT / "charms" / folder / "charmcraft.yaml").read_text())
    assert platform.stage.engine.idle(120)
    assert platform.unit(f"{application}/0").current != "blocked"
    image = metadata["resources"][resource]["upstream-source"]
    platform.stage.juju("attach-resource", application, f"{resource}={image}")
    assert platform.stage.engine.idle(120)
    platform.settle()


def test_another_database_takes_the_place(platform: Platform) -> None:
    commands = [command for command in typed(HOW_TO / "tune.md") if begins(command, DATABASE)]
    assert len(commands) == len(DATABASE)
    host = platform.admin.get("/apis/apps/v1/namespaces/mlops/deployments/katib-db-manager")
    assert "kfp-db-primary" in json.dumps(host)
    try:
        for command in commands:
            platform.stage.juju(*shlex.split(command)[1:])
            assert platform.stage.engine.idle(120)
        platform.settle()
        host = platform.admin.get("/apis/apps/v1/namespaces/mlops/deployments/katib-db-manager")
        assert "my-db-primary" in json.dumps(host)
    finally:
        platform.stage.juju("remove-application", "my-db", "--no-prompt", "--destroy-storage")
        assert platform.stage.engine.idle(120)
        platform.stage.juju("integrate", "katib:relational-db", "kfp-db:database")
        assert platform.stage.engine.idle(120)
        platform.settle()


@pytest.mark.parametrize("number", range(len(OBJECTS)))
def test_a_job_as_the_page_shows_it_gets_its_pods(platform: Platform, ada: Requests, number: int) -> None:
    item = in_profile(OBJECTS[number])
    kind, name = item["kind"], f"shown-{number}"
    until(lambda: ada.may_list(KINDS[kind]), f"ada may make a {kind}")
    item["metadata"] = item["metadata"] | {"name": name}
    ada.create(KINDS[kind], item)
    pods = f"/api/v1/namespaces/ada/pods?labelSelector={LABELS[kind]}={name}"
    try:
        until(lambda: len(ada.items(pods)) == 4, "its four pods")
        found = ada.items(pods)
        assert all(pod["spec"]["containers"][0]["image"] == "registry.example.com/mnist:1" for pod in found)
        if "podTemplateOverrides" in item["spec"]:
            (override,) = item["spec"]["podTemplateOverrides"]
            for pod in found:
                assert pod["spec"]["nodeSelector"].items() >= override["spec"]["nodeSelector"].items()
    finally:
        platform.admin.delete(f"{KINDS[kind]}/{name}")
    until(lambda: not platform.admin.items(pods), "its pods' end")


def test_the_pages_have_commands_and_objects() -> None:
    assert len(COMMANDS) > 8
    assert [item["kind"] for item in OBJECTS] == ["TrainJob", "TrainJob", "PyTorchJob"]
    typed_somewhere = [command for page in PAGES for command in typed(page)]
    assert [words for words in ELSEWHERE if not any(begins(each, [words]) for each in typed_somewhere)] == []
