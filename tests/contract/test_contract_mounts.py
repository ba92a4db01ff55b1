"""What pods mount reaches them when it changes."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from charm_harness import unwatched
from rendering import COMPONENTS, Related, everything

from kubeflow_charm.cluster.resources import Manifest


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> list[Manifest]:
    return everything(tmp_path_factory.mktemp("charms"))


def files(workload: Manifest) -> Iterator[str]:
    """Yield the volumes of which a workload mounts a single file: Kubernetes never brings that up to date."""
    containers = workload["spec"]["template"]["spec"]["containers"]
    for mount in itertools.chain.from_iterable(each.get("volumeMounts", ()) for each in containers):
        if "subPath" in mount:
            yield mount["name"]


def test_a_pod_that_mounts_a_single_file_says_which(objects: list[Manifest]) -> None:
    mounting = [item for item in objects if item["kind"] == "Deployment" and any(files(item))]
    for workload in mounting:
        assert workload["spec"]["template"]["metadata"]["annotations"]["kubeflow.org/settings"]
    assert [item["metadata"]["name"] for item in mounting] == [
        "katib-controller",
        "jupyter-web-app-deployment",
        "volumes-web-app-deployment",
        "jobset-controller-manager",
        "kubeflow-trainer-controller-manager",
    ]


@pytest.mark.parametrize(
    ("template", "text", "restarted"),
    [
        ("jupyter-web-app.yaml.j2", 'memory: "0.1Gi"', "jupyter-web-app-deployment"),
        ("volumes-web-app.yaml.j2", "memory: 512Mi", "volumes-web-app-deployment"),
    ],
)
def test_another_release_of_the_file_makes_its_pods_new_and_no_others(
    tmp_path: Path, template: str, text: str, restarted: str
) -> None:
    (source,) = (path for path in COMPONENTS if path.name == "notebooks")
    release = tmp_path / "notebooks"
    shutil.copytree(source, release)
    file = release / "src" / "templates" / template
    assert text in file.read_text()
    file.write_text(file.read_text().replace(text, text.replace("1", "2")))
    made = []
    with unwatched():
        for folder in (source, release):
            scratch = tmp_path / f"scratch-{folder is source}"
            scratch.mkdir()
            made.append(Related(folder, scratch).render())
    before, after = made
    changed = [key for key in before if before[key] != after[key] and key.startswith("Deployment/")]
    assert changed == [f"Deployment/{restarted}"]
