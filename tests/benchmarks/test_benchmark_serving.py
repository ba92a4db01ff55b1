"""KServe in a cluster with many models. Nothing fails on time; what must hold is asserted."""

from __future__ import annotations

import concurrent.futures
import contextlib
import importlib
import json
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import serving_examples as examples
from bench import Bench, have_knative
from charm_harness import charm_type, without_webhooks
from kubeflow_users import Requests
from pytest_benchmark.fixture import BenchmarkFixture

from kubeflow_charm.cluster.executor import Cluster
from rehearsal.cluster import crds
from rehearsal.cluster.controlplane import ControlPlane
from rehearsal.cluster.gate import Gate
from rehearsal.guardian import Guardian
from rehearsal.patience import until

ROOT = Path(__file__).parents[2]
CHARM = ROOT / "charms" / "kserve"
PROFILES, SERVICES_EACH = 200, 10
LABELS = {"user.kubeflow.org/enabled": "", "app.kubernetes.io/part-of": "kubeflow-profile"}
API = "/apis/serving.kserve.io/v1beta1"
FINALIZER = "inferenceservice.finalizers"
"""As KServe's controller puts it on (kserve v0.16.0, pkg/controller/v1beta1/inferenceservice/controller.go)."""


@pytest.fixture
def kserve(cluster: ControlPlane, gate: Gate, guardian: Guardian, tmp_path: Path) -> Iterator[Bench]:
    """KServe, related to Knative. Its controllers do not run, so that services only lie there."""
    crds.install(cluster, crds.read("istio", ("security.istio.io", "networking.istio.io")))
    have_knative(cluster)
    bench = Bench(CHARM, "serving", cluster=cluster, gate=gate, guardian=guardian, folder=tmp_path)
    yield bench
    bench.close()


def service(number: int) -> dict[str, object]:
    """Return a service as the controller holds it; its user has said no mode."""
    made = examples.service(f"model-{number}", examples.SERVICES[0]["spec"]["predictor"])
    made["metadata"]["finalizers"] = [FINALIZER]
    return made


def each_profile(bench: Bench, work: Callable[[Requests, str], None]) -> None:
    """Do something for each profile, in a few threads."""

    def one(number: int) -> None:
        with contextlib.closing(Requests(bench.cluster)) as user:
            work(user, f"team-{number}")

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(one, range(PROFILES)))


def make_profile(user: Requests, name: str) -> None:
    """Make a namespace as the profile controller labels it."""
    user.create("/api/v1/namespaces", {"metadata": {"name": name, "labels": LABELS}})


def make_services(user: Requests, profile: str) -> None:
    """Make the services of a profile."""
    for number in range(SERVICES_EACH):
        user.create(f"{API}/namespaces/{profile}/inferenceservices", service(number))


def hook(bench: Bench) -> tuple[float, int, int]:
    """Run a hook; return its seconds, its requests and its writes."""
    began = time.perf_counter()
    made = bench.hook("update-status")
    return time.perf_counter() - began, len(made), sum(request.writes for request in made)


def settled(bench: Bench) -> tuple[float, int]:
    """Return the median of seconds that a settled hook takes, and its requests; it writes nothing."""
    until(lambda: hook(bench)[2] == 0 and bench.status[0] == "active", lambda: bench.status, every=0.5)
    found = [hook(bench) for _ in range(10)]
    assert {each[2] for each in found} == {0}
    assert bench.status[0] == "active"
    assert len({each[1] for each in found}) == 1
    return statistics.median(each[0] for each in found), found[0][1]


def switched(bench: Bench) -> float:
    """Note the mode at all services, as the first hook in the other mode does; return the seconds."""
    charm_type(CHARM)
    kept = importlib.import_module("serving_modes").kept
    without_webhooks(bench.cluster)  # nobody answers them; the charm brings them back
    with contextlib.closing(Cluster("kserve", bench.model.name)) as cluster:
        began = time.perf_counter()
        kept(cluster, "kserve")
        return time.perf_counter() - began


def test_a_settled_hook_and_the_removal_with_2000_services_in_200_profiles(
    benchmark: BenchmarkFixture, kserve: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A settled hook reads no service on Knative; with plain Deployments as usual, one list says all modes."""
    began = time.perf_counter()
    kserve.converge()
    first = time.perf_counter() - began
    types = sum(
        len(json.dumps(each["spec"]))
        for each in kserve.definitions()
        if each["spec"]["group"].endswith(("kserve.io", "inference.networking.x-k8s.io"))
    )
    each_profile(kserve, make_profile)
    profiles = settled(kserve)
    without_webhooks(kserve.cluster)
    each_profile(kserve, make_services)
    on_knative = settled(kserve)
    assert on_knative[1] == profiles[1]
    document = kserve.cluster.kubeconfig(kserve.cluster.token, kserve.model.name, server=kserve.gate.url)
    (tmp_path / "admin").write_text(json.dumps(document))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "admin"))
    switch = switched(kserve)
    kserve.application.config["deployment-mode"] = "standard"
    plain = settled(kserve)
    assert plain[1] <= on_knative[1] + 1
    began = time.perf_counter()
    kserve.remove()
    removal = time.perf_counter() - began
    with contextlib.closing(Requests(kserve.cluster)) as admin:
        services = admin.items(f"{API}/inferenceservices")
    assert len(services) == PROFILES * SERVICES_EACH
    assert not [each for each in services if each["metadata"].get("finalizers")]
    benchmark.extra_info.update(
        types_kib=types // 1024,
        until_active=round(first, 1),
        requests=(profiles[1], on_knative[1], plain[1]),
        profiles_only=round(profiles[0], 2),
        on_knative=round(on_knative[0], 2),
        plain=round(plain[0], 2),
        switch=round(switch, 1),
        removal=round(removal, 1),
    )
    benchmark.pedantic(lambda: None, rounds=1)
