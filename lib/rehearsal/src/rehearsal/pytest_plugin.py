"""Fixtures for every test that needs a real API server.

`REHEARSAL_TEST_KUBECONFIG` names a cluster to use instead of starting one: that of a rehearsal which stays
up, say, to save the start when the same tests are run again and again.
"""

from __future__ import annotations

import os
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


@pytest.fixture(scope="session")
def guardian() -> Iterator[Guardian]:
    """The process that owns what the tests start."""
    with Guardian() as guardian:
        yield guardian


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory, guardian: Guardian) -> Iterator[ControlPlane]:
    """A control plane for the whole run; for tests that are about it."""
    with ControlPlane(tmp_path_factory.mktemp("cluster"), guardian) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest) -> Iterator[ControlPlane | ExistingCluster]:
    """The control plane of the whole run, or the cluster to use in its place."""
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
    """A namespace of its own for a test, in which pods can be made."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    client.create(Namespace(metadata=ObjectMeta(name=name)))
    _await_default_account(client, name)
    yield name
    client.delete(Namespace, name)


def _await_default_account(client: lightkube.Client, namespace: str) -> None:
    """Wait for the account that every pod needs, which the controller manager makes."""
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
    """A gate of its own for a test: counts requests, puts in faults."""
    with Gate(cluster.url, cluster.tls()) as gate:
        yield gate
