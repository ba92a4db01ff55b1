"""Marks of the bundle's tests, and the platform that some of them share: the bundle, active, and two users."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from cluster_policies import keep_on_nodes
from kubeflow_platform import MODEL, NOTEBOOKS, Outside, Platform
from kubeflow_users import Requests

from kubeflow_charm.cluster.resources import Manifest
from rehearsal.patience import until
from rehearsal.stage import Stage

ROOT = Path(__file__).parents[2]
OWN = ("example.com/nodes", "platform")
"""The label of the platform's own nodes."""
PLATFORM_NODES = {"name": "platform", "count": 14, "labels": dict([OWN]), "allocatable": {"cpu": "400m"}}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option to try each pair of overlays."""
    parser.addoption("--every-pair", action="store_true", help="try each pair of overlays, not only one")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "pack: packs a charm with the real charmcraft")


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """The bundle and two profiles, on nodes that have no room for a notebook.

    The platform's pods stay there, as tests take away all other nodes.
    """
    file = tmp_path_factory.mktemp("nodes") / "platform.yaml"
    file.write_text(yaml.safe_dump({"nodes": [PLATFORM_NODES]}))
    outside = Outside()
    with Stage(
        node_file=file,
        kernels=lambda _, name: outside.kernels.get(name),
        clock=outside.now,
    ) as stage:
        stage.juju("add-model", MODEL)
        keep_on_nodes(stage.cluster, MODEL, OWN)
        platform = Platform(stage, ROOT, Requests(stage.cluster), outside)
        platform.deploy()
        platform.settle()
        _make_profile(platform.admin, "ada")
        _make_profile(platform.admin, "bob", {"hard": {"requests.nvidia.com/gpu": "1", "cpu": "4"}})
        yield platform
        platform.admin.close()


def _make_profile(admin: Requests, name: str, quota: Manifest | None = None) -> None:
    spec: Manifest = {"owner": {"kind": "User", "name": f"{name}@example.com"}}
    if quota:
        spec["resourceQuotaSpec"] = quota
    profile = {"apiVersion": "kubeflow.org/v1", "kind": "Profile", "metadata": {"name": name}, "spec": spec}
    admin.create("/apis/kubeflow.org/v1/profiles", profile)
    until(lambda: admin.find(f"/api/v1/namespaces/{name}/serviceaccounts/default-editor"))
    if quota:
        until(lambda: admin.find(f"/api/v1/namespaces/{name}/resourcequotas/kf-resource-quota"))


@pytest.fixture(scope="session")
def ada(platform: Platform) -> Iterator[Requests]:
    """A user with a profile."""
    yield from _user(platform, "ada")


@pytest.fixture(scope="session")
def bob(platform: Platform) -> Iterator[Requests]:
    """A user with a profile that has a quota."""
    yield from _user(platform, "bob")


def _user(platform: Platform, name: str) -> Iterator[Requests]:
    requests = Requests(platform.stage.cluster, f"{name}@example.com")
    # What kubeflow-edit says is put together by Kubernetes, in its own time.
    until(lambda: requests.may_list(f"{NOTEBOOKS}/namespaces/{name}/notebooks"))
    yield requests
    requests.close()


@pytest.fixture
def cleared(platform: Platform) -> Iterator[None]:
    """What users made in a test is gone after it."""
    yield
    for name in ("ada", "bob"):
        for kinds in (
            f"{NOTEBOOKS}/namespaces/{name}/notebooks",
            f"/apis/kubeflow.org/v1alpha1/namespaces/{name}/pvcviewers",
            f"/apis/tensorboard.kubeflow.org/v1alpha1/namespaces/{name}/tensorboards",
            f"/api/v1/namespaces/{name}/persistentvolumeclaims",
        ):
            platform.admin.delete(kinds)
        # The garbage collector looks for new types, such as Notebook, every half minute only.
        until(lambda name=name: not platform.admin.items(f"/api/v1/namespaces/{name}/pods"))
