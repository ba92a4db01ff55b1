"""The charm against a real API server: what only shows there."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any

import lightkube
import ops
import pytest
from charm_harness import deployed as deploy
from lightkube.core.exceptions import ApiError
from lightkube.generic_resource import create_namespaced_resource
from lightkube.resources.apps_v1 import Deployment
from lightkube.resources.core_v1 import ConfigMap, Node
from ops import testing

from rehearsal.cluster.controlplane import ControlPlane

NOTEBOOKS = {
    version: create_namespaced_resource("kubeflow.org", version, "Notebook", "notebooks")
    for version in ("v1", "v1beta1", "v1alpha1")
}
VIEWER = create_namespaced_resource("kubeflow.org", "v1alpha1", "PVCViewer", "pvcviewers")
BOARD = create_namespaced_resource("tensorboard.kubeflow.org", "v1alpha1", "Tensorboard", "tensorboards")
WORKLOADS = (
    "jupyter-web-app-deployment",
    "notebook-controller-deployment",
    "pvcviewer-controller-manager",
    "tensorboard-controller-deployment",
    "tensorboards-web-app-deployment",
    "volumes-web-app-deployment",
)

_NUMBERS = itertools.count(3026)


@pytest.fixture(scope="module")
def model() -> str:
    """A model of its own. Juju lets its name be a number, which YAML must not take for one."""
    return str(next(_NUMBERS))


@pytest.fixture(scope="module")
def deployed(
    notebooks: Any, cluster: ControlPlane, client: lightkube.Client, model: str
) -> Iterator[testing.State]:
    """The state after one hook; all is removed in the end."""
    with deploy(notebooks, cluster, client, model) as state:
        yield state


@pytest.fixture
def generations(client: lightkube.Client, model: str) -> Callable[[], dict[str, int]]:
    """Return how often the spec of each Deployment was changed."""

    def count() -> dict[str, int]:
        metadata = [item.to_dict()["metadata"] for item in client.list(Deployment, namespace=model)]
        found = {each["name"]: each["generation"] for each in metadata}
        assert set(found) == set(WORKLOADS)
        return found

    return count


def test_everything_is_taken_by_the_api_server(deployed):
    assert isinstance(deployed.unit_status, ops.WaitingStatus)


@pytest.mark.parametrize(
    ("config", "restarted"),
    [
        ({}, set()),
        ({"cpu-default": "2", "gpu-number-default": 4, "jupyter-images": "[a:1]"}, set()),
        ({"enable-culling": True}, {"notebook-controller-deployment"}),
        ({"cull-idle-time": 30}, {"notebook-controller-deployment"}),
        ({"idleness-check-period": 5}, {"notebook-controller-deployment"}),
        ({"notebook-security-policy": "privileged"}, {"jupyter-web-app-deployment"}),
        ({"secure-cookies": True}, {name for name in WORKLOADS if "web-app" in name}),
        ({"userid-header": "x-user"}, {name for name in WORKLOADS if "web-app" in name}),
        ({"istio-gateway-namespace": "elsewhere"}, set()),
    ],
    ids=lambda value: ",".join(sorted(value)),
)
def test_an_option_restarts_the_workloads_that_read_it_and_no_other(
    notebooks, deployed, model, generations, config, restarted
):
    notebooks.run(model)
    before = generations()
    notebooks.run(model, config)
    after = generations()
    assert {name for name in after if after[name] != before[name]} == restarted


def test_nodes_that_come_and_go_change_the_form_and_restart_nothing(
    notebooks, deployed, model, client, generations
):
    def vendors() -> list[str]:
        data = client.get(ConfigMap, "jupyter-web-app-config", namespace=model).data
        assert data
        return [part for part in ("NVIDIA", "AMD") if f"uiName: {part}\n" in data["spawner_ui_config.yaml"]]

    notebooks.run(model)
    before = generations()
    assert vendors() == ["NVIDIA"]
    labels = {"metadata": {"name": "amd-1", "labels": {"kubernetes.io/hostname": "amd-1"}}}
    client.create(Node.from_dict(labels))
    try:
        client.patch(Node.Status, "amd-1", {"status": {"capacity": {"amd.com/gpu": "1"}}})
        state = notebooks.run(model, dispatcher=True)
        assert vendors() == ["NVIDIA", "AMD"]
        (relation,) = state.get_relations("pod-defaults")
        offered = json.loads(relation.local_app_data["kubernetes_manifests"])
        assert [each["metadata"]["name"] for each in offered] == ["gpu-amd", "gpu-nvidia-h100-80gb-hbm3"]
    finally:
        client.delete(Node, "amd-1")
    notebooks.run(model)
    assert vendors() == ["NVIDIA"]
    assert generations() == before


def test_discovery_that_is_switched_off_asks_for_no_nodes(
    notebooks, deployed, model, cluster, gate, monkeypatch
):
    configuration = notebooks.folder / "gate.yaml"
    configuration.write_text(json.dumps(cluster.kubeconfig(cluster.token, model, server=gate.url)))
    monkeypatch.setenv("KUBECONFIG", str(configuration))
    notebooks.run(model, {"gpu-discovery": False})
    assert "nodes" not in {request.resource for request in gate.requests()}
    notebooks.run(model)
    assert [request.resource for request in gate.requests()].count("nodes") == 1


def test_a_blocked_option_changes_nothing_in_the_cluster(notebooks, deployed, model, client):
    def versions() -> dict[str, str]:
        found = [item.to_dict()["metadata"] for item in client.list(ConfigMap, namespace=model)]
        return {each["name"]: each["resourceVersion"] for each in found}

    before = versions()
    state = notebooks.run(model, {"gpu-vendors": "[1]", "cpu-default": "9"})
    assert isinstance(state.unit_status, testing.BlockedStatus)
    assert versions() == before


def test_what_is_published(notebooks, deployed, model):
    state = notebooks.run(model, dispatcher=True, dashboard=True)
    (relation,) = state.get_relations("dashboard-links")
    links = json.loads(relation.local_app_data["dashboard_links"])
    assert [(link["text"], link["link"], link["location"]) for link in links] == [
        ("Notebooks", "/jupyter/", "menu"),
        ("TensorBoards", "/tensorboards/", "menu"),
        ("Volumes", "/volumes/", "menu"),
        ("Create a new Notebook", "/jupyter/new", "quick"),
    ]


def notebook(version: str, *containers: dict[str, Any], **spec: Any) -> Any:
    pod = {"containers": list(containers), **spec}
    return NOTEBOOKS[version].from_dict(
        {
            "metadata": {"name": f"a-{version}", "namespace": "default"},
            "spec": {"template": {"spec": pod}},
        }
    )


@pytest.mark.parametrize("version", NOTEBOOKS)
def test_a_notebook_of_every_version_is_read_in_every_version_with_all_its_fields(deployed, client, version):
    pod = {"tolerations": [{"operator": "Exists"}], "affinity": {"nodeAffinity": {}}, "hostname": "h"}
    container = {"name": "a", "image": "i", "resources": {"limits": {"nvidia.com/gpu": "1"}}}
    client.create(notebook(version, container, **pod))
    try:
        for other in NOTEBOOKS.values():
            read = client.get(other, f"a-{version}", namespace="default")
            assert read["spec"]["template"]["spec"] == {"containers": [container], **pod}
    finally:
        client.delete(NOTEBOOKS[version], f"a-{version}", namespace="default")


@pytest.mark.parametrize("containers", [[], [{"name": "a"}], [{"image": "i"}]], ids=str)
def test_a_notebook_needs_a_container_with_name_and_image(deployed, client, containers):
    with pytest.raises(ApiError, match="containers"):
        client.create(notebook("v1beta1", *containers))


def test_a_viewer_needs_a_claim_and_a_board_its_logs(deployed, client):
    metadata = {"name": "a", "namespace": "default"}
    with pytest.raises(ApiError, match=r"spec\.pvc"):
        client.create(VIEWER.from_dict({"metadata": metadata, "spec": {}}))
    with pytest.raises(ApiError, match=r"spec\.logspath"):
        client.create(BOARD.from_dict({"metadata": metadata, "spec": {}}))
    made = client.create(VIEWER.from_dict({"metadata": metadata, "spec": {"pvc": "p"}}))
    assert made["spec"]["rwoScheduling"] is False
    client.delete(VIEWER, "a", namespace="default")


def test_gpus_are_listed_with_what_is_free(notebooks, deployed, model):
    context = notebooks.context()
    context.run(context.on.action("list-gpus"), notebooks.state(model))
    assert context.action_results == {
        "nvidia-h100-80gb-hbm3": "nvidia.com/gpu: NVIDIA H100 80GB HBM3, 8 of 8 free, on 1 node, "
        "at most 8 on one, 80 GiB each"
    }


def test_every_image_is_listed(notebooks, deployed, model):
    context = notebooks.context()
    registry = {"image-registry": "r.example.com"}
    context.run(context.on.action("list-images"), notebooks.state(model, registry))
    images = context.action_results["images"].split("\n")
    assert len(images) == 8 + 8
    assert all(image.startswith("r.example.com/") for image in images)
