"""The charm against a real API server: what only shows there."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import lightkube
import ops
import pytest
from charm_harness import deployed as deploy
from charm_harness import in_order, names, without_webhooks
from lightkube.resources.apps_v1 import Deployment
from lightkube.resources.core_v1 import Pod
from open_types import open_definition
from ops import testing
from training_examples import Object, job, runtime, trainjob

from kubeflow_charm.cluster import finalizers
from kubeflow_charm.watch import watcher
from rehearsal.cluster.controlplane import ControlPlane
from rehearsal.patience import PATIENCE, until

MODEL = "training-3026"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
TRAINER = "/apis/trainer.kubeflow.org/v1alpha1"
RUNTIMES = f"{TRAINER}/clustertrainingruntimes"
TRAINJOBS = f"{TRAINER}/namespaces/default/trainjobs"
PYTORCHJOBS = "/apis/kubeflow.org/v1/namespaces/default/pytorchjobs"
FINALIZER = "trainer.kubeflow.org/resource-in-use"
WORKLOADS = ("jobset-controller-manager", "kubeflow-trainer-controller-manager", "training-operator")


@pytest.fixture(scope="module")
def deployed(training: Any, cluster: ControlPlane, client: lightkube.Client) -> Iterator[testing.State]:
    """The state after the hooks that it takes for the types to be there; all is removed in the end."""
    with deploy(training, cluster, client, MODEL) as state:
        until(lambda: "established" not in training.run(MODEL).unit_status.message, every=0.5)
        until(lambda: (training.run(MODEL), len(names(cluster, RUNTIMES)) == 6)[1], every=0.5)
        yield state


def write(cluster: ControlPlane, path: str, body: Object, method: str = "POST") -> Object:
    """Create or change an object as a user would, without the webhooks, which nobody answers here."""
    return json.loads(cluster.request(method, path, json.dumps(body).encode()))


@pytest.fixture
def unchecked(cluster: ControlPlane, deployed: testing.State) -> None:
    """No webhook is called."""
    without_webhooks(cluster)


def test_everything_is_taken_and_becomes_active(training, deployed):
    until(lambda: isinstance(training.run(MODEL).unit_status, ops.ActiveStatus), every=0.5)


@pytest.mark.parametrize(
    ("config", "restarted"),
    [
        ({"runtimes": "[torch-distributed]"}, set()),
        ({"job-kinds": "[PyTorchJob]"}, {"training-operator"}),
        ({"image-registry": "mirror.example.com"}, set(WORKLOADS)),
    ],
    ids=in_order,
)
def test_an_option_restarts_the_workloads_that_read_it_and_no_other(
    training, deployed, client, config, restarted
):
    def generations() -> dict[str, int]:
        metadata = [item.to_dict()["metadata"] for item in client.list(Deployment, namespace=MODEL)]
        return {each["name"]: each["generation"] for each in metadata}

    training.run(MODEL)
    before = generations()
    training.run(MODEL, config)
    after = generations()
    training.run(MODEL)
    assert {name for name in after if after[name] != before[name]} == restarted


def test_ours_are_kept_true_and_an_administrators_own_runtime_stays(training, deployed, cluster, unchecked):
    own = runtime("ClusterTrainingRuntime", 1)
    write(cluster, RUNTIMES, own)
    path = f"{RUNTIMES}/torch-distributed"
    true = json.loads(cluster.request("GET", path))
    write(cluster, path, wrong_nodes(true), "PUT")
    until(
        lambda: (training.run(MODEL), json.loads(cluster.request("GET", path))["spec"] == true["spec"])[1],
        every=0.5,
    )
    assert "e1" in names(cluster, RUNTIMES)
    training.run(MODEL, {"runtimes": "[]"})
    assert names(cluster, RUNTIMES) == {"e1"}
    until(lambda: (training.run(MODEL), len(names(cluster, RUNTIMES)) == 7)[1], every=0.5)
    cluster.request("DELETE", f"{RUNTIMES}/e1")


def wrong_nodes(found: Object) -> Object:
    """Return a runtime that somebody has changed."""
    changed = json.loads(json.dumps(found))
    changed["spec"]["mlPolicy"]["numNodes"] = 7
    return changed


def test_a_runtime_whose_name_somebody_has_taken_is_named_and_left_alone(
    training, deployed, cluster, unchecked, monkeypatch
):
    watched: list[watcher.WatchSpec] = []
    monkeypatch.setattr(watcher.Watcher, "ensure", lambda _, spec: watched.append(spec))
    training.run(MODEL, {"runtimes": "[torch-distributed]"})
    theirs = runtime("ClusterTrainingRuntime", 0)
    theirs["metadata"]["name"] = "mlx-distributed"
    for kind in ("validating",):
        hooks = f"/apis/admissionregistration.k8s.io/v1/{kind}webhookconfigurations"
        cluster.request("DELETE", f"{hooks}/validator.trainer.kubeflow.org")
    write(cluster, RUNTIMES, theirs)
    state = training.run(MODEL)
    texts = [state.unit_status.message]
    assert isinstance(state.unit_status, ops.BlockedStatus), texts
    assert "ClusterTrainingRuntime mlx-distributed belongs to" in texts[0]
    assert texts[0].endswith(": remove or rename it")
    assert watched[-1].retry_after, "Juju sends no event when the runtime goes"
    assert len(names(cluster, RUNTIMES)) == 6
    spec = json.loads(cluster.request("GET", f"{RUNTIMES}/mlx-distributed"))["spec"]
    assert "mlPolicy" not in spec
    cluster.request("DELETE", f"{RUNTIMES}/mlx-distributed")
    training.run(MODEL)
    spec = json.loads(cluster.request("GET", f"{RUNTIMES}/mlx-distributed"))["spec"]
    assert "mpi" in spec["mlPolicy"]


@pytest.mark.parametrize(
    ("scheduler", "group"),
    [("volcano", "scheduling.volcano.sh"), ("scheduler-plugins", "scheduling.x-k8s.io")],
)
def test_a_gang_scheduler_must_be_there(training, deployed, cluster, scheduler, group):
    status = training.run(MODEL, {"gang-scheduler": scheduler}).unit_status
    assert status == ops.BlockedStatus(
        f"option gang-scheduler: no CRD podgroups.{group}: install {scheduler}, or set none"
    )
    write(cluster, CRDS, open_definition(group, "PodGroup", "podgroups", ["v1beta1"]))
    try:
        status = training.run(MODEL, {"gang-scheduler": scheduler}).unit_status
        assert isinstance(status, ops.WaitingStatus), status
        spec = json.loads(cluster.request("GET", f"{RUNTIMES}/torch-distributed"))["spec"]
        assert set(spec["podGroupPolicy"]) <= {"volcano", "coscheduling"}
    finally:
        cluster.request("DELETE", f"{CRDS}/podgroups.{group}")
        training.run(MODEL)


def test_without_trainer_no_hook_waits_for_pods_that_stay(training, deployed, client, cluster, monkeypatch):
    """Runtimes are released at once, though the training operator goes on running."""
    until(
        lambda: any("training-operator" in each.metadata.name for each in client.list(Pod, namespace=MODEL))
    )
    monkeypatch.setattr(finalizers, "WITHIN", PATIENCE)
    own = runtime("ClusterTrainingRuntime", 1)
    own["metadata"]["finalizers"] = [FINALIZER]
    write(cluster, RUNTIMES, own)
    began = time.monotonic()
    training.run(MODEL, {"trainer": False})
    assert time.monotonic() - began < PATIENCE
    found = json.loads(cluster.request("GET", f"{RUNTIMES}/e1"))
    assert not found["metadata"].get("finalizers")
    cluster.request("DELETE", f"{RUNTIMES}/e1")
    until(lambda: (training.run(MODEL), len(names(cluster, RUNTIMES)) == 6)[1], every=0.5)


def test_without_trainer_its_jobs_stay_and_come_back_to_it(training, deployed, cluster, unchecked):
    """Types without objects go; TrainJobs and the runtimes in use do not hold up anything."""
    write(cluster, TRAINJOBS, trainjob(0))
    in_use = {"metadata": {"finalizers": [FINALIZER]}}
    cluster.request(
        "PATCH",
        f"{RUNTIMES}/torch-distributed",
        json.dumps(in_use).encode(),
        "application/merge-patch+json",
    )
    off = {"trainer": False}
    until(lambda: (training.run(MODEL, off), not names(cluster, RUNTIMES))[1], every=0.5)
    until(lambda: "jobsets.jobset.x-k8s.io" not in names(cluster, CRDS), every=0.5)
    assert names(cluster, TRAINJOBS) == {"e0"}
    assert "trainjobs.trainer.kubeflow.org" in names(cluster, CRDS)
    until(lambda: (training.run(MODEL), len(names(cluster, RUNTIMES)) == 6)[1], every=0.5)
    assert names(cluster, TRAINJOBS) == {"e0"}
    cluster.request("DELETE", f"{TRAINJOBS}/e0")


def test_removal_leaves_jobs_and_their_types_and_coming_back_takes_them_up(
    training, deployed, cluster, unchecked
):
    write(cluster, PYTORCHJOBS, job("PyTorchJob", 1))
    own = runtime("ClusterTrainingRuntime", 1)
    own["metadata"]["finalizers"] = [FINALIZER]
    write(cluster, RUNTIMES, own)
    training.remove(MODEL)
    assert names(cluster, PYTORCHJOBS) == {"e1"}
    assert names(cluster, RUNTIMES) == {"e1"}
    found = json.loads(cluster.request("GET", f"{RUNTIMES}/e1"))
    assert not found["metadata"].get("finalizers")
    left = {name for name in names(cluster, CRDS) if name.endswith(".kubeflow.org")}
    assert {"pytorchjobs.kubeflow.org", "clustertrainingruntimes.trainer.kubeflow.org"} <= left
    until(lambda: (training.run(MODEL), len(names(cluster, RUNTIMES)) == 7)[1], every=0.5)
    assert names(cluster, PYTORCHJOBS) == {"e1"}
    cluster.request("DELETE", f"{PYTORCHJOBS}/e1")
    cluster.request("DELETE", f"{RUNTIMES}/e1")
