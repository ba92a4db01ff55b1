"""Fixtures for every test that needs a real API server."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import lightkube
import pytest
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.core_v1 import Namespace

from rehearsal.cluster.controlplane import ControlPlane
from rehearsal.cluster.gate import Gate
from rehearsal.guardian import Guardian

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def guardian() -> Iterator[Guardian]:
    """The process that owns what the tests start."""
    with Guardian() as guardian:
        yield guardian


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory, guardian: Guardian) -> Iterator[ControlPlane]:
    """A control plane for the whole run."""
    folder: Path = tmp_path_factory.mktemp("cluster")
    with ControlPlane(folder, guardian) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def client(cluster: ControlPlane) -> Iterator[lightkube.Client]:
    """The administrator's client."""
    config = lightkube.KubeConfig.from_dict(cluster.kubeconfig(cluster.token, "default"))
    with lightkube.Client(config=config, field_manager="test", trust_env=False) as client:
        yield client


@pytest.fixture
def namespace(client: lightkube.Client) -> Iterator[str]:
    """A namespace of its own for a test."""
    name = f"test-{next(_numbers)}"
    client.create(Namespace(metadata=ObjectMeta(name=name)))
    yield name
    client.delete(Namespace, name)


@pytest.fixture
def gate(cluster: ControlPlane) -> Iterator[Gate]:
    """A gate of its own for a test: counts requests, puts in faults."""
    with Gate(cluster.url, cluster.tls()) as gate:
        yield gate
