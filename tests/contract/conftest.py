"""Benches for the contract: one for each charm in `charms/`."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from bench import CHARMS, Bench, have_knative

from rehearsal.cluster import crds
from rehearsal.cluster.controlplane import ControlPlane
from rehearsal.cluster.gate import Gate
from rehearsal.guardian import Guardian

_models = map(str, itertools.count(2026))
"""Juju lets a model's name be a number, which YAML must not take for one."""
REPRESENTATIVES = ("profiles", "resource-dispatcher", "training")
"""Charms that together use all of the library: webhooks, pods, types, objects in profiles, and objects of types that
the charm brings itself."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option to prove of every charm what the library does alike for all."""
    parser.addoption(
        "--every-charm", action="store_true", help="try what is marked with `library` on all charms"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Declare the mark."""
    config.addinivalue_line(
        "markers",
        "library: slow, and about the library; by default on three charms, by `tox -e proofs` on all",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave slow tests of the library to a few charms, unless every charm is asked for."""
    if config.getoption("--every-charm", False):
        return

    left_out = [
        item
        for item in items
        if isinstance(item, pytest.Function)
        and item.get_closest_marker("library")
        and Path(str(item.callspec.params["source"])).name not in REPRESENTATIVES
    ]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


@pytest.fixture(scope="session")
def istio(cluster: ControlPlane) -> None:
    """The types that a mesh brings."""
    crds.install(cluster, crds.read("istio", ("networking.istio.io", "security.istio.io")))


@pytest.fixture(scope="session")
def knative(cluster: ControlPlane) -> None:
    """Knative's kind Service, and its settings as Charmhub's knative-serving makes them."""
    have_knative(cluster)


@pytest.fixture(params=CHARMS, ids=lambda path: path.name)
def source(request: pytest.FixtureRequest) -> Path:
    """The source folder of a charm: each in its turn."""
    return request.param


@pytest.fixture
def make_bench(
    source: Path,
    cluster: ControlPlane,
    gate: Gate,
    guardian: Guardian,
    tmp_path: Path,
    istio: None,
    knative: None,
) -> Iterator[Callable[..., Bench]]:
    """Make benches for the charm in its turn."""
    made: list[Bench] = []

    def make(**options: bool) -> Bench:
        bench = Bench(
            source, next(_models), cluster=cluster, gate=gate, guardian=guardian, folder=tmp_path, **options
        )
        made.append(bench)
        return bench

    yield make
    gate.faults.clear()
    for bench in made:
        bench.close()


@pytest.fixture
def bench(make_bench: Callable[..., Bench]) -> Bench:
    """The charm in its turn, deployed and related to nothing."""
    return make_bench()


@pytest.fixture(scope="module", params=CHARMS, ids=lambda path: path.name)
def settled(
    request: pytest.FixtureRequest,
    cluster: ControlPlane,
    guardian: Guardian,
    tmp_path_factory: pytest.TempPathFactory,
    istio: None,
    knative: None,
) -> Iterator[Bench]:
    """The charm in its turn, active: one bench for all tests of a module.

    A test that disturbs the charm lets it settle again. No other bench may be in such a module: it would find
    the types and rights of this one.
    """
    folder = tmp_path_factory.mktemp("settled")
    with Gate(cluster.url, cluster.tls()) as gate:
        bench = Bench(
            request.param, next(_models), cluster=cluster, gate=gate, guardian=guardian, folder=folder
        )
        bench.converge()
        yield bench
        gate.faults.clear()
        bench.close()
