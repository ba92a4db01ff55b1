"""The platform with MLflow, Feast and the observability stack: how long it takes, and how much it says of itself.

Nothing fails on time or size.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from conformance import observers, s3_server
from conformance.alert_trials import trials, tried
from conformance.observers import Promtool
from kubeflow_users import Requests
from observed import SEEN
from pytest_benchmark.fixture import BenchmarkFixture

from rehearsal.patience import until
from rehearsal.stage import Stage

ROOT = Path(__file__).parents[2]
MODEL = "kubeflow"
OVERLAYS = ("mlflow", "feast", "cos")
PROFILES = 200
LABELS = {"user.kubeflow.org/enabled": "", "app.kubernetes.io/part-of": "kubeflow-profile"}
"""What the profile controller gives to a namespace."""


def active(stage: Stage, model: str) -> bool:
    """Return whether every unit of a model is active."""
    return all(unit.workload.current == "active" for unit in stage.engine.models[model].units())


@pytest.fixture(scope="module")
def deployed() -> Iterator[tuple[Stage, float]]:
    """The platform, all active, and the seconds that took from `juju deploy`; the stack was there before."""
    with Stage() as stage:
        stage.juju("add-model", "cos")
        stage.juju("deploy", ROOT / "models" / "cos.yaml", "--trust")
        until(lambda: active(stage, "cos"), within=240)
        stage.juju("add-model", MODEL)
        overlays = [word for name in OVERLAYS for word in ("--overlay", ROOT / "overlays" / f"{name}.yaml")]
        began = time.perf_counter()
        stage.juju("deploy", ROOT / "bundle.yaml", *overlays, "--trust")
        until(lambda: active(stage, MODEL), within=600, every=0.05)
        yield stage, time.perf_counter() - began


def test_bundle_with_mlflow_feast_and_cos_from_deploy_to_active(
    benchmark: BenchmarkFixture, deployed: tuple[Stage, float], unit: float
) -> None:
    """At most 180 units on two cores: 45 s where a unit is 0.25 s."""
    benchmark.extra_info.update(seconds=round(deployed[1], 1), ratio=round(deployed[1] / unit, 1))
    benchmark.pedantic(lambda: None, rounds=1)


def written(stage: Stage) -> dict[str, int]:
    """Return the bytes that our charms have written on each endpoint, of its longest relation."""
    model = stage.engine.models[MODEL]
    ours = {name for name, each in model.applications.items() if each.origin == "local"}
    found: dict[str, int] = {}
    for relation in model.relations.values():
        for end in relation.endpoints:
            bags = [relation.application_data.get(end.application)]
            bags += [
                bag for unit, bag in relation.unit_data.items() if unit.startswith(f"{end.application}/")
            ]
            size = sum(
                len(f"{key}{value}".encode()) for bag in bags if bag for key, value in bag.data.items()
            )
            if end.application in ours:
                name = f"{end.application}:{end.name}"
                found[name] = max(size, found.get(name, 0))
    return found


def test_what_is_published_with_200_profiles(
    benchmark: BenchmarkFixture, deployed: tuple[Stage, float]
) -> None:
    """The bytes of each relation bag that a profile makes longer, and of those for Prometheus, Grafana and Loki."""
    stage, _ = deployed
    before, admin = written(stage), Requests(stage.cluster)
    for number in range(PROFILES):
        metadata = {"name": f"team-{number}", "labels": LABELS}
        admin.create("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    admin.close()
    units = {unit.name: unit for unit in stage.engine.models[MODEL].units()}
    dispatcher = units["resource-dispatcher/0"].workload
    until(
        lambda: dispatcher.message.endswith(f" in {PROFILES} profiles") and stage.engine.idle(5.0),
        lambda: dispatcher.message,
        within=600,
        every=1,
    )
    after = written(stage)
    observed = {"metrics-endpoint", "grafana-dashboard", "logging"}
    told = {
        name: size
        for name, size in sorted(after.items())
        if size != before.get(name) or name.partition(":")[2] in observed
    }
    assert len(told) >= len(observed) * len(SEEN)
    benchmark.extra_info.update(told, all=sum(after.values()), before=sum(before.values()))
    benchmark.pedantic(lambda: None, rounds=1)


def test_promtool_suite(
    benchmark: BenchmarkFixture, request: pytest.FixtureRequest, tmp_path: Path, unit: float
) -> None:
    """All cases of all alerts of all charms: at most 80 units, 20 s where a unit is 0.25 s."""
    promtool = Promtool(observers.compiled([observers.PROMTOOL], s3_server.told(request.config))["promtool"])

    def suite() -> None:
        for charm in SEEN:
            tests = [test for rule in charm.rules for test in trials(charm, rule.alert)]
            assert tried(charm, promtool, tmp_path, tests) == ""

    began = time.perf_counter()
    benchmark.pedantic(suite, rounds=1)
    benchmark.extra_info["ratio"] = round((time.perf_counter() - began) / unit, 1)
