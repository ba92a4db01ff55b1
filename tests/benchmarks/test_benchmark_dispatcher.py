"""The resource dispatcher with 1,000 profiles, by the means people have, the watcher's time included.

Nothing fails on time; what must hold in the end is asserted. The steps build on one another, in their order.
"""

from __future__ import annotations

import base64
import concurrent.futures
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kubeflow_users import Requests
from pytest_benchmark.fixture import BenchmarkFixture

from kubeflow_charm.watch.apiserver import USER_AGENT
from rehearsal.cluster import nodes
from rehearsal.stage import Stage

ROOT = Path(__file__).parents[2]
TWO_KINDS = Path(nodes.__file__).with_name("nodes") / "mig.yaml"
"""Nodes with which notebooks offer two PodDefaults, and all together ten objects or more."""
PROFILES = 1000
UNIT = "resource-dispatcher/0"
OWN = "labelSelector=app.kubernetes.io%2Finstance%3Dkubeflow.resource-dispatcher"
KINDS = ("/api/v1/secrets", "/api/v1/configmaps", "/apis/kubeflow.org/v1alpha1/poddefaults")
PROFILE = {"user.kubeflow.org/enabled": "", "app.kubernetes.io/part-of": "kubeflow-profile"}


class Platform:
    """The bundle with MLflow, and its 1,000 profiles."""

    def __init__(self, stage: Stage):
        self.stage = stage
        self.admin = Requests(stage.cluster)

    @property
    def unit(self) -> Any:
        """The dispatcher's unit."""
        return {unit.name: unit for unit in self.stage.engine.models["kubeflow"].units()}[UNIT]

    def settled(self) -> bool:
        """Whether every unit is active, and Juju has nothing to do."""
        units = self.stage.engine.models["kubeflow"].units()
        return all(unit.workload.current == "active" for unit in units)

    def objects(self) -> int:
        """How many objects of the dispatcher's there are in profiles."""
        return sum(len(self.admin.items(f"{path}?{OWN}")) for path in KINDS) - 1  # its own record

    def profile(self, name: object) -> None:
        """Make a namespace as the profile controller labels it."""
        metadata = {"name": f"team-{name}", "labels": PROFILE}
        self.admin.create(
            "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}
        )

    def until(self, condition: Callable[[], bool], within: float = 300, every: float = 0.1) -> float:
        """Wait for a condition; return the seconds that took."""
        began = time.perf_counter()
        while not condition():
            assert time.perf_counter() - began < within, self.unit.workload.message
            time.sleep(every)
        return time.perf_counter() - began


@pytest.fixture(scope="module")
def platform() -> Iterator[Platform]:
    """The bundle with MLflow, active, without profiles."""
    with Stage(node_file=TWO_KINDS) as stage:
        platform = Platform(stage)
        stage.juju("add-model", "kubeflow")
        overlay = str(ROOT / "overlays/mlflow.yaml")
        stage.juju("deploy", str(ROOT / "bundle.yaml"), "--overlay", overlay, "--trust")
        platform.until(platform.settled)
        yield platform
        platform.admin.close()


@pytest.fixture(scope="module")
def manifests(platform: Platform) -> int:
    """How many objects are offered for each profile: those of a first one, of its own key too."""

    def offered() -> int:
        count, _, where = platform.unit.workload.message.partition(" manifests in ")
        return int(count) if where == "1 profile" else 0

    platform.profile("first")
    platform.until(lambda: offered() >= 12 and platform.stage.engine.idle(5))
    return offered()


def once(benchmark: BenchmarkFixture, work: Callable[[], float], **info: Any) -> None:
    """Report what `work` measured, which is done once."""
    seconds = work()
    benchmark.extra_info.update(seconds=round(seconds, 2), **info)
    benchmark.pedantic(lambda: None, rounds=1)


def test_bundle_with_mlflow_from_deploy_to_active(benchmark: BenchmarkFixture) -> None:
    """Under 40 s on two cores."""

    def work() -> float:
        with Stage() as stage:
            platform = Platform(stage)
            stage.juju("add-model", "kubeflow")
            began = time.perf_counter()
            overlay = str(ROOT / "overlays/mlflow.yaml")
            stage.juju("deploy", str(ROOT / "bundle.yaml"), "--overlay", overlay, "--trust")
            platform.until(platform.settled)
            return time.perf_counter() - began

    once(benchmark, work)


def test_first_dispatch(benchmark: BenchmarkFixture, platform: Platform, manifests: int) -> None:
    """1,000 profiles with 10 objects each: under 90 s on two cores; the hook's memory under 200 MiB."""
    peak = _Peak(platform)

    def work() -> float:
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(platform.profile, range(PROFILES)))
        wanted = manifests * (PROFILES + 1)
        return platform.until(lambda: platform.objects() == wanted, every=2)

    with peak:
        once(benchmark, work, objects=manifests * PROFILES)
        said = f"{manifests} manifests in {PROFILES + 1} profiles"
        platform.until(lambda: platform.unit.workload.message == said)
    benchmark.extra_info["mebibytes"] = peak.mebibytes


def test_a_new_profile(benchmark: BenchmarkFixture, platform: Platform, manifests: int) -> None:
    """From the namespace to all of its objects: under 2 s."""

    def served() -> bool:
        paths = [path.replace("/v1", "/v1/namespaces/team-new", 1) for path in KINDS[:2]]
        paths.append("/apis/kubeflow.org/v1alpha1/namespaces/team-new/poddefaults")
        return sum(len(platform.admin.items(f"{path}?{OWN}")) for path in paths) == manifests

    def work() -> float:
        platform.profile("new")
        return platform.until(served)

    once(benchmark, work)


def test_a_deleted_secret(benchmark: BenchmarkFixture, platform: Platform) -> None:
    """From its deletion until it is back: under 5 s."""
    path = "/api/v1/namespaces/team-500/secrets/mlpipeline-minio-artifact"

    def work() -> float:
        platform.admin.delete(path)
        return platform.until(lambda: platform.admin.find(path) is not None)

    once(benchmark, work)


@pytest.mark.parametrize("key", ["rotated-key"])
def test_rotation_of_one_key(benchmark: BenchmarkFixture, platform: Platform, key: str) -> None:
    """From `juju config` until all profiles have it in MLflow's two Secrets, and another key of their own."""
    encoded = base64.b64encode(key.encode()).decode()

    def held() -> list[dict[str, str]]:
        return [item["data"] for item in platform.admin.items(f"/api/v1/secrets?{OWN}")]

    before = {data.get("secretkey") for data in held()} - {None}
    assert len(before) == PROFILES + 2

    def rotated() -> bool:
        now = held()
        own = {data.get("secretkey") for data in now} - {None}
        shared = sum(encoded in data.values() for data in now)
        return (len(own - before), shared) == (PROFILES + 2, 2 * (PROFILES + 2))

    def work() -> float:
        platform.stage.juju("config", "minio", f"secret-key={key}")
        return platform.until(rotated, every=2)

    once(benchmark, work)


def test_a_settled_hook(benchmark: BenchmarkFixture, platform: Platform) -> None:
    """No write, and as many requests as with no profile: one list of each kind."""
    stage = platform.stage
    assert stage.engine.idle(60)
    event = "JUJU_DISPATCH_PATH=hooks/update-status ./dispatch"
    stage.juju("exec", "--unit", UNIT, event)
    since = time.monotonic()
    benchmark.pedantic(lambda: stage.juju("exec", "--unit", UNIT, event), rounds=3)
    every = stage.gate.requests(caller=":resource-dispatcher", since=since)
    made = [request for request in every if request.user_agent != USER_AGENT]
    benchmark.extra_info["requests"] = len(made) / 3
    assert [request for request in made if request.writes] == []


def test_an_application_that_goes(benchmark: BenchmarkFixture, platform: Platform, manifests: int) -> None:
    """From `juju remove-application` until all profiles are without its four objects."""
    wanted = (manifests - 4) * (PROFILES + 2)

    def work() -> float:
        platform.stage.juju("remove-application", "mlflow-server", "--no-prompt")
        return platform.until(lambda: platform.objects() == wanted, every=2)

    once(benchmark, work, objects=4 * (PROFILES + 2))


class _Peak(threading.Thread):
    """Watches how much memory the dispatcher's hooks take at most."""

    def __init__(self, platform: Platform):
        super().__init__(daemon=True)
        self._marks = (b"resource-dispatcher", b"rehearsal.juju.charm_process.worker")
        self._over = threading.Event()
        self.mebibytes = 0

    def run(self) -> None:
        """Look at every process, until it is over."""
        while not self._over.wait(0.2):
            for folder in Path("/proc").glob("[0-9]*"):
                try:
                    command = (folder / "cmdline").read_bytes()
                    if any(mark in command for mark in self._marks):
                        status = (folder / "status").read_text()
                        high = next(line for line in status.splitlines() if line.startswith("VmHWM"))
                        self.mebibytes = max(self.mebibytes, int(high.split()[1]) // 1024)
                except (OSError, StopIteration):
                    continue  # it has ended

    def __enter__(self) -> _Peak:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.join()
