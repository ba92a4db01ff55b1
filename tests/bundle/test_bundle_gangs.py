"""Training jobs under a gang scheduler, on GPUs, as a user of a profile makes them.

The charm has the option of the day. Real are the charm and the API server with its policies; the training operator
and the gang scheduler are played, the latter with the rights that it has in its own installations.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest
from kubeflow_platform import Platform
from kubeflow_users import Requests
from open_types import open_definition

from kubeflow_charm.cluster.resources import Manifest
from rehearsal.patience import until

NVIDIA = "nvidia.com/gpu"
NAMESPACE = "gang-scheduler"
JOBS = "/apis/kubeflow.org/v1/namespaces/ada/pytorchjobs"
PODS = "/api/v1/namespaces/ada/pods"
RBAC = "rbac.authorization.k8s.io"


@dataclasses.dataclass(frozen=True)
class Scheduler:
    """A gang scheduler.

    Args:
        option: the value of the option `gang-scheduler`.
        name: what its pods have as `schedulerName`.
        image: of its program.
        group: of its kind PodGroup.
        version: of the kind.
        lets_pods_wait: whether a job's pods are there before all fit; otherwise they are not even made.
    """

    option: str
    name: str
    image: str
    group: str
    version: str
    lets_pods_wait: bool

    @property
    def groups(self) -> str:
        """The path of the pod groups of the profile."""
        return f"/apis/{self.group}/{self.version}/namespaces/ada/podgroups"


VOLCANO = Scheduler(
    "volcano", "volcano", "docker.io/volcanosh/vc-scheduler:v1.9.0", "scheduling.volcano.sh", "v1beta1", False
)
PLUGINS = Scheduler(
    "scheduler-plugins",
    "scheduler-plugins-scheduler",
    "registry.k8s.io/scheduler-plugins/kube-scheduler:v0.28.9",
    "scheduling.x-k8s.io",
    "v1alpha1",
    True,
)


def installation(scheduler: Scheduler) -> list[tuple[str, Manifest]]:
    """Return what its own installation brings, each with where to create it."""
    name = "gang-scheduler"
    rules = [
        {"apiGroups": [""], "resources": ["nodes", "pods"], "verbs": ["get", "list", "watch"]},
        {"apiGroups": [""], "resources": ["pods/binding", "events"], "verbs": ["create"]},
        {
            "apiGroups": [scheduler.group],
            "resources": ["podgroups", "podgroups/status"],
            "verbs": ["get", "list", "watch", "update"],
        },
    ]
    labels = {"app": name}
    resources = {"requests": {"cpu": "10m"}}
    container = {"name": name, "image": scheduler.image, "resources": resources}
    template = {
        "metadata": {"labels": labels},
        "spec": {"serviceAccountName": name, "containers": [container]},
    }
    subject = {"kind": "ServiceAccount", "name": name, "namespace": NAMESPACE}
    about = {"metadata": {"name": name}}
    role = {"apiGroup": RBAC, "kind": "ClusterRole", "name": name}
    return [
        ("/api/v1/namespaces", {"metadata": {"name": NAMESPACE}}),
        (f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts", about),
        (f"/apis/{RBAC}/v1/clusterroles", about | {"rules": rules}),
        (f"/apis/{RBAC}/v1/clusterrolebindings", about | {"roleRef": role, "subjects": [subject]}),
        (
            f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments",
            about | {"spec": {"selector": {"matchLabels": labels}, "template": template}},
        ),
    ]


@pytest.fixture(scope="module", params=[VOLCANO, PLUGINS], ids=lambda each: each.option)
def scheduler(platform: Platform, request: pytest.FixtureRequest) -> Iterator[Scheduler]:
    """A gang scheduler is in the cluster, and the charm has been told so."""
    chosen: Scheduler = request.param
    admin, juju = platform.admin, platform.stage.juju
    platform.have_nodes("default")
    definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    juju("config", "kubeflow-training", f"gang-scheduler={chosen.option}")
    said = f"option gang-scheduler: no CRD podgroups.{chosen.group}: install {chosen.option}, or set none"
    until(lambda: platform.unit("kubeflow-training/0").message == said)
    group, version = chosen.group, chosen.version
    admin.create(definitions, open_definition(group, "PodGroup", "podgroups", [version]))
    for path, document in installation(chosen):
        admin.create(path, document)
    platform.settle()
    yield chosen
    juju("config", "kubeflow-training", "gang-scheduler=none")
    admin.delete(f"/api/v1/namespaces/{NAMESPACE}")
    until(lambda: admin.find(f"/api/v1/namespaces/{NAMESPACE}") is None)
    for path in (
        f"/apis/{RBAC}/v1/clusterroles/gang-scheduler",
        f"/apis/{RBAC}/v1/clusterrolebindings/gang-scheduler",
        f"{definitions}/podgroups.{chosen.group}",
    ):
        admin.delete(path)
    platform.settle()


@pytest.fixture(autouse=True)
def cleared(platform: Platform) -> Iterator[None]:
    """Jobs go with each test, and their pods."""
    yield
    platform.admin.delete(JOBS)
    until(lambda: not platform.admin.items(PODS))


def job(workers: int, gpus: int) -> Manifest:
    """Return a job of a master and some workers, each of which asks for GPUs."""

    def replica(count: int) -> dict[str, Any]:
        container = {
            "name": "pytorch",
            "image": "example.com/train:1",
            "resources": {"limits": {"cpu": "1", NVIDIA: gpus}},
        }
        return {"replicas": count, "template": {"spec": {"containers": [container]}}}

    replicas = {"Master": replica(1), "Worker": replica(workers)}
    return {
        "apiVersion": "kubeflow.org/v1",
        "kind": "PyTorchJob",
        "metadata": {"name": "gang"},
        "spec": {"pytorchReplicaSpecs": replicas},
    }


def test_a_gang_that_fits_runs_on_gpus_to_its_end(ada: Requests, scheduler: Scheduler) -> None:
    ada.create(JOBS, job(workers=2, gpus=2))
    conditions = until(lambda: _ended(ada))
    assert conditions["Succeeded"] == "True"
    pods = ada.items(PODS)
    assert len(pods) == 3
    for pod in pods:
        assert pod["spec"]["nodeName"] == "gpu-0"
        assert pod["spec"]["schedulerName"] == scheduler.name
        assert NVIDIA in [each.get("key") for each in pod["spec"]["tolerations"]]


def _ended(user: Requests) -> dict[str, str]:
    found = user.get(f"{JOBS}/gang").get("status", {}).get("conditions", [])
    conditions = {each["type"]: each["status"] for each in found}
    return conditions if conditions.keys() & {"Succeeded", "Failed"} else {}


def _group(platform: Platform, scheduler: Scheduler, made: Manifest) -> Manifest | None:
    """Return the pod group of a job: one of an earlier job of that name may be there still."""
    found = platform.admin.find(f"{scheduler.groups}/gang")
    owners = found["metadata"]["ownerReferences"] if found else []
    return found if made["metadata"]["uid"] in [each["uid"] for each in owners] else None


def test_of_a_gang_of_which_only_part_fits_nothing_starts(
    platform: Platform, ada: Requests, scheduler: Scheduler
) -> None:
    """The node has eight GPUs: for two of the three pods there is room."""
    made = ada.create(JOBS, job(workers=2, gpus=4))
    group = until(lambda: _group(platform, scheduler, made))
    assert group["spec"]["minMember"] == 3
    if scheduler.lets_pods_wait:
        path = f"/api/v1/namespaces/ada/events?fieldSelector=involvedObject.uid={group['metadata']['uid']}"
        said = "3 of 3 tasks in gang unschedulable"
        until(lambda: said in [each["message"] for each in platform.admin.items(path)])
    else:
        until(lambda: platform.admin.get(f"{scheduler.groups}/gang").get("status", {}).get("phase"))
        assert platform.admin.get(f"{scheduler.groups}/gang")["status"]["phase"] == "Pending"
    assert [pod for pod in ada.items(PODS) if pod["spec"].get("nodeName")] == []
    # It starts as soon as there is room for all of it.
    platform.admin.delete(f"{JOBS}/gang")
    until(lambda: platform.admin.find(f"{JOBS}/gang") is None)
    ada.create(JOBS, job(workers=1, gpus=4))
    assert until(lambda: _ended(ada))["Succeeded"] == "True"


def test_what_was_played_had_every_right_it_needed(platform: Platform) -> None:
    assert platform.stage.players is not None
    assert platform.stage.players.refusals() == []
