"""Katib in a cluster with many experiments. Nothing fails on time; what must hold is asserted."""

from __future__ import annotations

import concurrent.futures
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import katib_experiments as experiments
import pytest
from bench import Bench
from kubeflow_users import Requests
from pytest_benchmark.fixture import BenchmarkFixture

from kubeflow_charm.cluster.resources import Manifest
from rehearsal.cluster import crds
from rehearsal.cluster.controlplane import ControlPlane
from rehearsal.cluster.gate import Gate
from rehearsal.guardian import Guardian
from rehearsal.patience import until

ROOT = Path(__file__).parents[2]
EXPERIMENTS, TRIALS_EACH = 500, 10
WEBHOOKS = "/apis/admissionregistration.k8s.io/v1"
API = "/apis/kubeflow.org/v1beta1"
FINALIZERS = {"experiments": "update-prometheus-metrics", "trials": "clean-metrics-in-db"}
"""As Katib's controller puts them on (kubeflow/katib v0.19.0, pkg/controller.v1beta1, experiment and trial)."""


@pytest.fixture
def katib(cluster: ControlPlane, gate: Gate, guardian: Guardian, tmp_path: Path) -> Iterator[Bench]:
    """Katib, active. Its controller does not run, so that experiments only lie there."""
    crds.install(cluster, crds.read("istio", ("security.istio.io", "networking.istio.io")))
    folder = ROOT / "charms" / "katib"
    bench = Bench(folder, "tuning", cluster=cluster, gate=gate, guardian=guardian, folder=tmp_path)
    bench.converge()
    yield bench
    bench.close()


def experiment(name: str) -> Manifest:
    """Return an experiment as the controller holds it."""
    about = {"name": name, "finalizers": [FINALIZERS["experiments"]]}
    spec = experiments.EXPERIMENTS["random"]
    return {"apiVersion": "kubeflow.org/v1beta1", "kind": "Experiment", "metadata": about, "spec": spec}


def trial(experiment: str, name: str) -> Manifest:
    """Return a trial as the controller makes it."""
    about = {
        "name": name,
        "labels": {"katib.kubeflow.org/experiment": experiment},
        "finalizers": [FINALIZERS["trials"]],
    }
    spec = experiments.trial(experiments.EXPERIMENTS["random"])
    return {"apiVersion": "kubeflow.org/v1beta1", "kind": "Trial", "metadata": about, "spec": spec}


def fill(bench: Bench) -> None:
    """Make the experiments and their trials in one profile."""
    admin = Requests(bench.cluster)
    for kind in ("mutatingwebhookconfigurations", "validatingwebhookconfigurations"):
        for each in admin.items(f"{WEBHOOKS}/{kind}"):
            # Nobody answers it; the charm brings it back.
            admin.delete(f"{WEBHOOKS}/{kind}/{each['metadata']['name']}")
    admin.close()

    def make(number: int) -> None:
        user = Requests(bench.cluster)
        path = f"{API}/namespaces/{bench.model.name}-profile"
        name = f"search-{number}"
        user.create(f"{path}/experiments", experiment(name))
        for index in range(TRIALS_EACH):
            user.create(f"{path}/trials", trial(name, f"{name}-{index}"))
        user.close()

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(make, range(EXPERIMENTS)))


def hook(bench: Bench) -> tuple[float, int, int]:
    """Run a hook; return its seconds, its requests and its writes."""
    began = time.perf_counter()
    made = bench.hook("update-status")
    return time.perf_counter() - began, len(made), sum(request.writes for request in made)


def test_a_settled_hook_and_the_removal_with_500_experiments_and_5000_trials(
    benchmark: BenchmarkFixture, katib: Bench
) -> None:
    """A settled hook is no slower than with none; the removal lets all objects be deleted."""
    before = [hook(katib) for _ in range(10)]
    fill(katib)
    katib.converge()
    until(lambda: hook(katib)[2] == 0)
    after = [hook(katib) for _ in range(10)]
    assert {each[1:] for each in after} == {each[1:] for each in before}
    assert after[0][2] == 0
    began = time.perf_counter()
    katib.remove()
    removal = time.perf_counter() - began
    admin = Requests(katib.cluster)
    held = [
        item["metadata"]["name"]
        for kinds in FINALIZERS
        for item in admin.items(f"{API}/{kinds}")
        if item["metadata"].get("finalizers")
    ]
    for kinds in FINALIZERS:
        admin.delete(f"{API}/namespaces/{katib.model.name}-profile/{kinds}")
        admin.delete(f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{kinds}.kubeflow.org")
    admin.close()
    assert held == []
    benchmark.extra_info.update(
        requests=after[0][1],
        without=round(statistics.median(each[0] for each in before), 2),
        with_them=round(statistics.median(each[0] for each in after), 2),
        removal=round(removal, 1),
    )
    benchmark.pedantic(lambda: None, rounds=1)
