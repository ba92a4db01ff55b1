"""What the real SDK compiles: KFP's Workflow of it is taken by our type, and its pods find nodes.

The SDK runs in an environment of its own, which uv makes and keeps: it wants other versions than we do. No run is
carried out; what becomes of a pipeline up to its pods is in `rehearsal.players.argo`, with its sources.
"""

from __future__ import annotations

import copy
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uv
import yaml
from kubeflow_platform import MODEL, Platform
from kubeflow_users import Requests
from pipeline_compiling import compiled
from pipeline_templates import Settings

from rehearsal.cluster.existing import Refused
from rehearsal.patience import until
from rehearsal.players.argo.pods import Argo
from rehearsal.players.argo.running import pods

ROOT = Path(__file__).parents[2]
PIPELINES = ROOT / "tests/conformance/kfp_pipelines.py"
SDK = ("kfp==2.17.0", "kfp-kubernetes==2.17.0")
NAMES = re.findall(r"^@dsl\.pipeline\ndef (\w+)", PIPELINES.read_text(), re.MULTILINE)
RUNS = "/apis/argoproj.io/v1alpha1/namespaces/ada/workflows"
TAINTED = "dgx-h100"
"""A file of nodes of which each has a taint."""


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with all pipelines, as the SDK has written them."""
    folder = tmp_path_factory.mktemp("pipelines")
    wanted = [word for package in SDK for word in ("--with", package)]
    command = [
        uv.find_uv_bin(),
        "run",
        "--quiet",
        "--no-project",
        *wanted,
        "python",
        str(PIPELINES),
        str(folder),
    ]
    subprocess.run(command, check=True, timeout=300, env=_without_our_environment())
    return folder


def _without_our_environment() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if key not in ("VIRTUAL_ENV", "PYTHONPATH")}


def argo(platform: Platform) -> Argo:
    """Return how the platform's workflow controller is set up."""
    path = f"/api/v1/namespaces/{MODEL}/configmaps/workflow-controller-configmap"
    return Argo.configured(platform.admin.get(path)["data"])


def pipeline(platform: Platform, written: Path, name: str) -> dict[str, Any]:
    """Return the Workflow that the API server would submit, as its environment says."""
    path = f"/apis/apps/v1/namespaces/{MODEL}/deployments/ml-pipeline"
    (container,) = platform.admin.get(path)["spec"]["template"]["spec"]["containers"]
    environment = {each["name"]: each.get("value", "") for each in container["env"]}
    settings = Settings(
        driver=environment["V2_DRIVER_IMAGE"],
        launcher=environment["V2_LAUNCHER_IMAGE"],
        service_account=environment["DEFAULTPIPELINERUNNERSERVICEACCOUNT"],
        ca_bundle=environment.get("CABUNDLE_SECRET_NAME", ""),
    )
    spec, *platforms = yaml.safe_load_all((written / f"{name.replace('_', '-')}.yaml").read_text())
    return compiled(spec, platforms[0] if platforms else None, settings)


@pytest.fixture
def run(platform: Platform) -> Iterator[list[str]]:
    """Names of pods that the test has made; they go when it is over."""
    made: list[str] = []
    yield made
    for name in made:
        platform.admin.delete(f"/api/v1/namespaces/ada/pods/{name}")
    # The garbage collector, which takes the pods of runs, looks for new types every half minute only.
    until(lambda: not platform.admin.items("/api/v1/namespaces/ada/pods"))


def scheduled(platform: Platform, document: dict[str, Any], made: list[str]) -> dict[str, Any]:
    """Make a pod as Argo's controller would, and return it as soon as a node has it."""
    path = "/api/v1/namespaces/ada/pods"
    name = document["metadata"]["name"]
    platform.admin.create(path, document)
    made.append(name)

    def placed() -> dict[str, Any] | None:
        pod = platform.admin.get(f"{path}/{name}")
        return pod if pod["spec"].get("nodeName") else None

    return until(placed)


def of_the_user(platform: Platform, written: Path, name: str) -> dict[str, Any]:
    """Return the pod of the one step that is the user's own."""
    every = pods(pipeline(platform, written, name), argo(platform), "run")
    (found,) = [pod for pod in every if len(pod["spec"]["initContainers"]) > 1]
    return found


def has_gpus(platform: Platform, pod: dict[str, Any]) -> bool:
    node = platform.admin.get(f"/api/v1/nodes/{pod['spec']['nodeName']}")
    return any("gpu" in resource for resource in node["status"]["allocatable"])


def test_there_are_ten_pipelines_and_more(written: Path) -> None:
    assert {path.stem.replace("-", "_") for path in written.iterdir()} == {*NAMES} - {"inner"}
    assert len(NAMES) > 10


@pytest.mark.parametrize("name", [name for name in NAMES if name != "inner"])
def test_a_user_may_submit_it_and_our_type_takes_every_field(
    platform: Platform, ada: Requests, written: Path, name: str
) -> None:
    made = pipeline(platform, written, name)
    made["metadata"] |= {"name": name.replace("_", "-")}
    kept = ada.create(f"{RUNS}?fieldValidation=Strict", made)
    try:
        assert kept["spec"] == made["spec"]
        wrong = copy.deepcopy(made)
        wrong["metadata"]["name"] += "-wrong"
        wrong["spec"]["templates"][0]["no_such_field"] = {}
        with pytest.raises(Refused, match="no_such_field"):
            ada.create(f"{RUNS}?fieldValidation=Strict", wrong)
    finally:
        ada.delete(f"{RUNS}/{made['metadata']['name']}")


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("inner", "on_a_volume")])
def test_the_pods_of_its_steps_find_nodes(
    platform: Platform, ada: Requests, written: Path, run: list[str], name: str
) -> None:
    platform.have_nodes("default")
    for document in pods(pipeline(platform, written, name), argo(platform), f"{name.replace('_', '-')}-run"):
        scheduled(platform, document, run)


@pytest.mark.parametrize("nodes", ["default", TAINTED])
def test_a_step_gets_its_gpu_without_a_toleration_and_drivers_have_a_place(
    platform: Platform, ada: Requests, written: Path, run: list[str], nodes: str
) -> None:
    platform.have_nodes(nodes)
    until(lambda: "tolerations" in argo(platform).defaults.get("spec", {}))
    made = pipeline(platform, written, "on_gpus")
    assert "toleration" not in (written / "on-gpus.yaml").read_text()
    for document in pods(made, argo(platform), "on-gpus"):
        asks = any(
            "nvidia.com/gpu" in (c.get("resources") or {}).get("limits", {})
            for c in document["spec"]["containers"]
        )
        pod = scheduled(platform, document, run)
        if asks or nodes == TAINTED:
            assert has_gpus(platform, pod)
        else:
            assert not has_gpus(platform, pod)


def test_an_importer_has_a_place_among_tainted_nodes_only(
    platform: Platform, ada: Requests, written: Path, run: list[str]
) -> None:
    platform.have_nodes(TAINTED)
    found = pods(pipeline(platform, written, "imported"), argo(platform), "imported")
    importers = [each for each in found if "importer" in str(each["spec"]["containers"][-1].get("args"))]
    assert importers
    for document in importers:
        assert has_gpus(platform, scheduled(platform, document, run))


def test_without_the_charms_defaults_nothing_runs_there(
    platform: Platform, ada: Requests, written: Path, run: list[str]
) -> None:
    platform.have_nodes(TAINTED)
    (document, *_) = pods(pipeline(platform, written, "on_gpus"), Argo(), "bare")
    path = "/api/v1/namespaces/ada/pods"
    platform.admin.create(path, document)
    run.append(document["metadata"]["name"])

    def refused() -> bool:
        pod = platform.admin.get(f"{path}/{document['metadata']['name']}")
        conditions = pod.get("status", {}).get("conditions", [])
        return any(each["type"] == "PodScheduled" and each["status"] == "False" for each in conditions)

    until(refused)


def test_a_step_that_names_its_own_toleration_keeps_it(platform: Platform, written: Path) -> None:
    step = of_the_user(platform, written, "placed")
    assert step["spec"]["tolerations"] == [
        {"key": "team", "operator": "Equal", "value": "a", "effect": "NoSchedule"}
    ]
    assert step["metadata"]["labels"]["team"] == "a"
    assert step["spec"]["nodeSelector"] == {"kubernetes.io/os": "linux"}


def test_what_a_step_asks_of_kubernetes_is_in_its_pod(platform: Platform, written: Path) -> None:
    step = of_the_user(platform, written, "on_a_volume")
    main = next(each for each in step["spec"]["containers"] if each["name"] == "main")
    assert {"name": "team-data", "mountPath": "/data"} in main["volumeMounts"]
    reference = {"secretKeyRef": {"name": "token", "key": "token"}}
    assert {"name": "TOKEN", "valueFrom": reference} in main["env"]
