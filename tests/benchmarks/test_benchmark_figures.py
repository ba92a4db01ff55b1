"""What users wait for, timed: `tox -e benchmark`. Nothing here fails on time.

The figures that issues name are in the docstrings, so that a report can be read beside them.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from kubeflow_charm.cluster.executor import Cluster
from kubeflow_charm.gpu.pools import discover
from kubeflow_charm.watch import process
from rehearsal.cluster import nodes
from rehearsal.cluster.controlplane import ControlPlane
from rehearsal.cluster.gate import Gate
from rehearsal.guardian import Guardian
from rehearsal.juju import charms
from rehearsal.juju.engine import Engine
from rehearsal.juju.state import Hook
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


@pytest.mark.parametrize("charm", CHARMS, ids=lambda path: path.name)
def test_import_of_a_charm(benchmark: BenchmarkFixture, charm: Path) -> None:
    """Under 0.3 s and 45 MiB, the interpreter's start not counted."""
    # What getrusage tells has that of the process that started it.
    program = (
        "import json, re, time; t = time.perf_counter(); import charm; "
        "peak = re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1]; "
        "print(json.dumps([time.perf_counter() - t, int(peak)]))"
    )

    def imported() -> list[float]:
        environment = os.environ | {"PYTHONPATH": str(charm / "src"), "PYTHONDONTWRITEBYTECODE": ""}
        command = [sys.executable, "-c", program]
        done = subprocess.run(command, env=environment, check=True, capture_output=True)
        return json.loads(done.stdout)

    seconds, kibibytes = benchmark.pedantic(imported, rounds=5, warmup_rounds=1)
    benchmark.extra_info.update(seconds=round(seconds, 3), mebibytes=round(kibibytes / 1024))


def test_control_plane_ready(benchmark: BenchmarkFixture, guardian: Guardian, tmp_path: Path) -> None:
    """Under 5 s."""
    folders: Iterator[Path] = (tmp_path / str(number) for number in range(99))

    def started() -> None:
        with ControlPlane(next(folders), guardian):
            pass

    benchmark.pedantic(started, rounds=2)


def test_bundle_from_deploy_to_active(benchmark: BenchmarkFixture, deployed: tuple[Stage, float]) -> None:
    """Under 20 s on two cores."""
    benchmark.extra_info["seconds"] = round(deployed[1], 1)
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
    benchmark.extra_info["requests"] = len([r for r in made if r.user_agent != process.USER_AGENT]) / 5
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
