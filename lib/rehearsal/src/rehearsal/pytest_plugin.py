"""Fixtures for every test that needs a real API server.

`REHEARSAL_TEST_KUBECONFIG` names an existing cluster to use instead of starting one. Point it at a rehearsal
that stays up to save the start when you run the same tests repeatedly.
"""

from __future__ import annotations

import os
import signal
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import lightkube
import pytest
from lightkube.core.exceptions import ApiError
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.core_v1 import Namespace, ServiceAccount

from rehearsal.cluster.controlplane import ControlPlane
from rehearsal.cluster.existing import ExistingCluster
from rehearsal.cluster.gate import Gate
from rehearsal.guardian import Guardian
from rehearsal.patience import PATIENCE


def pytest_configure() -> None:
    """Let the programs that tests start hear Ctrl-C, which a shell has its background jobs ignore."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def guardian() -> Iterator[Guardian]:
    """The guardian of all processes that tests start."""
    with Guardian() as guardian:
        yield guardian


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory, guardian: Guardian) -> Iterator[ControlPlane]:
    """A control plane for the whole test run, for tests of the control plane itself."""
    with ControlPlane(tmp_path_factory.mktemp("cluster"), guardian) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest) -> Iterator[ControlPlane | ExistingCluster]:
    """The control plane of the whole test run, or the existing cluster that replaces it."""
    shared = os.environ.get("REHEARSAL_TEST_KUBECONFIG")
    if not shared:
        yield request.getfixturevalue("control_plane")
        return
    existing = ExistingCluster(Path(shared))
    existing.start()
    yield existing
    existing.stop()


@pytest.fixture(scope="session")
def client(cluster: ControlPlane | ExistingCluster) -> Iterator[lightkube.Client]:
    """The administrator's client."""
    config = lightkube.KubeConfig.from_file(cluster.admin_kubeconfig)
    with lightkube.Client(config=config, field_manager="test", trust_env=False) as client:
        yield client


@pytest.fixture
def namespace(client: lightkube.Client) -> Iterator[str]:
    """A namespace for one test, ready for pods."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    client.create(Namespace(metadata=ObjectMeta(name=name)))
    _await_default_account(client, name)
    yield name
    client.delete(Namespace, name)


def _await_default_account(client: lightkube.Client, namespace: str) -> None:
    """Wait until the controller manager has made the account that every pod needs."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            client.get(ServiceAccount, "default", namespace=namespace)
            return
        except ApiError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


@pytest.fixture
def gate(cluster: ControlPlane | ExistingCluster) -> Iterator[Gate]:
    """A gate for one test: it records requests and injects faults."""
    with Gate(cluster.url, cluster.tls()) as gate:
        yield gate
