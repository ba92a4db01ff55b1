"""What users wait for, timed: `tox -e benchmark`. Nothing here fails on time.

Machines differ by more than two, so times are also given as ratios within one run. The unit is the CPU time that
the libraries of every charm take to import in a fresh process. The bars are in the docstrings, so that a report
can be read beside them.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from benchmarks.importing import LIBRARIES, imported
from pytest_benchmark.fixture import BenchmarkFixture

from kubeflow_charm.cluster.executor import Cluster
from kubeflow_charm.gpu import admission
from kubeflow_charm.gpu.pools import discover
from kubeflow_charm.watch.apiserver import USER_AGENT
from kubeflow_charm.webhooks.pod_policies import POLICY
from rehearsal.cluster import nodes
from rehearsal.cluster.controlplane import ControlPlane
from rehearsal.cluster.gate import Gate
from rehearsal.guardian import Guardian
from rehearsal.juju.controller.engine import Engine
from rehearsal.juju.model import charms, environments
from rehearsal.juju.model.state import Hook
from rehearsal.stage import Stage

ROOT = Path(__file__).parents[2]
CHARMS = sorted(path.parents[1] for path in ROOT.glob("charms/*/src/charm.py"))


@pytest.fixture(scope="module")
def deployed() -> Iterator[tuple[Stage, float]]:
    """The bundle, all active, and the seconds that took from `juju deploy`."""
    with Stage() as stage:
        stage.juju("add-model", "kubeflow")
        began = time.perf_counter()
        stage.juju("deploy", str(ROOT / "bundle.yaml"), "--trust")
        model = stage.engine.models["kubeflow"]
        while any(unit.workload.current != "active" for unit in model.units()):
            time.sleep(0.05)
        yield stage, time.perf_counter() - began


def test_import_of_the_libraries(benchmark: BenchmarkFixture, unit: float) -> None:
    """The unit itself."""
    seconds, mebibytes = benchmark.pedantic(imported, (LIBRARIES,), rounds=5, warmup_rounds=1)
    benchmark.extra_info.update(unit=round(unit, 3), seconds=round(seconds, 3), mebibytes=round(mebibytes))


@pytest.mark.parametrize("charm", CHARMS, ids=lambda path: path.name)
def test_import_of_a_charm(benchmark: BenchmarkFixture, charm: Path, unit: float) -> None:
    """At most 1.2 units and 45 MiB."""
    figures: list[tuple[float, float]] = []
    run: Callable[[], None] = lambda: figures.append(imported("import charm", str(charm / "src")))  # noqa: E731
    benchmark.pedantic(run, rounds=6)
    seconds, mebibytes = min(figures)
    benchmark.extra_info.update(ratio=round(seconds / unit, 2), mebibytes=round(mebibytes))


def test_control_plane_ready(benchmark: BenchmarkFixture, guardian: Guardian, tmp_path: Path) -> None:
    """Under 5 s."""
    folders: Iterator[Path] = (tmp_path / str(number) for number in range(99))

    def started() -> None:
        with ControlPlane(next(folders), guardian):
            pass

    benchmark.pedantic(started, rounds=2)


def test_bundle_from_deploy_to_active(
    benchmark: BenchmarkFixture, deployed: tuple[Stage, float], unit: float
) -> None:
    """At most 45 units on two cores."""
    benchmark.extra_info.update(seconds=round(deployed[1], 1), ratio=round(deployed[1] / unit, 1))
    benchmark.pedantic(lambda: None, rounds=1)


def test_pools_of_200_nodes(
    benchmark: BenchmarkFixture, guardian: Guardian, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under 0.2 s, with one list request."""
    node_file = Path(nodes.__file__).with_name("nodes") / "mixed-200.yaml"
    with (
        ControlPlane(tmp_path / "cluster", guardian, node_file=node_file) as control_plane,
        Gate(control_plane.url, control_plane.tls()) as gate,
    ):
        kubeconfig = tmp_path / "kubeconfig"
        document = control_plane.kubeconfig(control_plane.token, "default", server=gate.url)
        kubeconfig.write_text(json.dumps(document))
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
        cluster = Cluster("bench", "default")
        found = benchmark.pedantic(lambda: discover(cluster.nodes()), rounds=10, warmup_rounds=1)
        cluster.close()
        benchmark.extra_info["requests"] = len(gate.requests()) / 11
        assert found.summary == "6 GPU kinds on 100 nodes"


def test_policies_of_200_nodes(
    benchmark: BenchmarkFixture,
    cluster: ControlPlane,
    gate: Gate,
    namespace: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What two policies for trials and jobs add to a settled hook: under 0.1 s, three lists with the record's, no write."""
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(json.dumps(cluster.kubeconfig(cluster.token, namespace, server=gate.url)))
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    gpus = discover(nodes.load(Path(nodes.__file__).with_name("nodes") / "mixed-200.yaml"))
    ours = Cluster("bench", namespace)

    def hook() -> None:
        served = ours.serves(POLICY)
        policies = [
            policy
            for label in ("jobset.sigs.k8s.io/jobset-name", "training.kubeflow.org/job-name")
            for policy in admission.pod_policies(
                f"{namespace}-{label.partition('.')[0]}",
                gpus,
                {"matchExpressions": [{"key": label, "operator": "Exists"}]},
                served,
            )
        ]
        assert not ours.converge(policies).problems

    hook()
    since = time.monotonic()
    benchmark.pedantic(hook, rounds=10)
    made = gate.requests(since=since)
    benchmark.extra_info["requests"] = len(made) / 10
    benchmark.extra_info["writes"] = len([request for request in made if request.writes]) / 10
    ours.clear()
    ours.close()


def test_status(benchmark: BenchmarkFixture, deployed: tuple[Stage, float]) -> None:
    """Under 0.2 s."""
    benchmark(deployed[0].juju, "status")


def test_a_model_event(benchmark: BenchmarkFixture, guardian: Guardian, tmp_path: Path) -> None:
    """A stand-in's hook without Kubernetes and without the `juju` command: under 15 ms."""
    engine = Engine(tmp_path / "juju", guardian)
    with engine.lock:
        model = engine.add_model("bench")
        charm, origin = charms.find("dex-auth", ROOT)
        unit = engine.add_application(model, "dex-auth", charm, origin=origin).units[0]
    unit.address = "10.1.0.1"
    engine.run_now(model, unit, Hook("install", "lifecycle"))
    benchmark.pedantic(engine.run_now, (model, unit, Hook("update-status", "lifecycle")), rounds=30)
    engine.stop()


SMALL = """
import ops


class Small(ops.CharmBase):
    def __init__(self, framework):
        super().__init__(framework)
        framework.observe(self.on.update_status, self._look)

    def _look(self, event):
        self.unit.status = ops.ActiveStatus()


if __name__ == "__main__":
    ops.main(Small)
"""


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A charm of one class, with requirements of its own."""
    folder = tmp_path / "small"
    (folder / "src").mkdir(parents=True)
    (folder / "metadata.yaml").write_text("name: small\nsummary: s\ndescription: d\n")
    (folder / "requirements.txt").write_text("ops==2.23.1\n")
    (folder / "src" / "charm.py").write_text(SMALL)
    return folder


@pytest.mark.parametrize("way", ["imported", "dispatched"])
def test_a_hook_both_ways(
    benchmark: BenchmarkFixture, guardian: Guardian, tmp_path: Path, small: Path, way: str
) -> None:
    """The same charm as a copy of a process that has imported it, and by a dispatch of its own."""
    engine = Engine(tmp_path / "juju", guardian)
    python = environments.python(small, "24.04")
    charm = charms.load(small, dispatched=True, python=python) if way == "dispatched" else charms.load(small)
    with engine.lock:
        model = engine.add_model("bench")
        unit = engine.add_application(model, "small", charm).units[0]
    unit.address = "10.1.0.1"
    installed = engine.run_now(model, unit, Hook("install", "lifecycle"))
    assert installed["ok"], installed
    benchmark.pedantic(engine.run_now, (model, unit, Hook("update-status", "lifecycle")), rounds=10)
    engine.stop()


def test_making_an_environment(
    benchmark: BenchmarkFixture, tmp_path: Path, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a charm, once: under 30 s."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    benchmark.pedantic(environments.python, (small, "24.04"), rounds=1)


@pytest.mark.parametrize(
    "unit",
    ["dex-auth/0", *(f"kubeflow-{part}/0" for part in ("dashboard", "notebooks", "pipelines", "profiles"))],
)
def test_a_settled_hook(benchmark: BenchmarkFixture, deployed: tuple[Stage, float], unit: str) -> None:
    """By `juju exec`, as a user would. Our charms': T lists and no write."""
    stage, _ = deployed
    application, _, _ = unit.partition("/")
    event = "JUJU_DISPATCH_PATH=hooks/update-status ./dispatch"
    run: Callable[[], str] = lambda: stage.juju("exec", "--unit", unit, event)  # noqa: E731
    run()
    since = time.monotonic()
    benchmark.pedantic(run, rounds=5)
    made = stage.gate.requests(caller=f":{application}", since=since)
    benchmark.extra_info["requests"] = len([r for r in made if r.user_agent != USER_AGENT]) / 5
    benchmark.extra_info["writes"] = len([r for r in made if r.writes]) / 5


def test_memory_of_a_rehearsal(benchmark: BenchmarkFixture, deployed: tuple[Stage, float]) -> None:
    """Under 1.2 GiB, pages that processes share counted once."""
    mine, total = str(deployed[0].folder).encode(), 0
    for each in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            if mine in (each / "cmdline").read_bytes():
                rollup = (each / "smaps_rollup").read_text()
                total += sum(int(row.split()[1]) for row in rollup.splitlines() if row.startswith("Pss:"))
    benchmark.extra_info["mebibytes"] = total // 1024
    benchmark.pedantic(lambda: None, rounds=1)
