"""Profiles on the charms' harness."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import lightkube
import pytest
import tenacity
from charm_harness import GATEWAY, Harness, applying, deployed, unwatched
from ops import testing

from kubeflow_charm.cluster.resources import Kind, Manifest
from rehearsal.cluster.controlplane import ControlPlane
from rehearsal.patience import PATIENCE


class Profiles(Harness):
    """The charm, and the applications that it is related to."""

    def relations(
        self,
        *,
        gateway: dict[str, str] | None = GATEWAY,
        dashboards: tuple[str, ...] = ("kubeflow-dashboard",),
    ) -> list[testing.Relation]:
        """Return the relations: what the gateway's charm wrote, None if none is related; the dashboards."""
        relations = [testing.Relation("kubeflow-profiles", remote_app_name=name) for name in dashboards]
        if gateway is not None:
            relations.append(testing.Relation("gateway-info", remote_app_data=gateway))
        return relations


@pytest.fixture(scope="module")
def profiles(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Profiles]:
    """The charm."""
    with unwatched():
        yield Profiles(Path(__file__).parents[1], tmp_path_factory.mktemp("profiles"))


@pytest.fixture(scope="module")
def apply(client: lightkube.Client) -> Callable[[Manifest], Any]:
    """Write an object; the API server checks every field."""
    return applying(client)


@pytest.fixture(scope="module")
def model(request: pytest.FixtureRequest) -> str:
    """A model of its own for each file, which may be called anything."""
    return request.path.stem.removeprefix("test_").replace("_", "-")


@pytest.fixture(scope="module")
def served(client: lightkube.Client) -> Callable[[Kind], None]:
    """Return when objects of a kind can be listed, which is a moment after its definition is there."""

    @tenacity.retry(stop=tenacity.stop_after_delay(PATIENCE), wait=tenacity.wait_fixed(0.1), reraise=True)
    def served(kind: Kind) -> None:
        everywhere: dict[str, Any] = {"namespace": lightkube.ALL_NS} if kind.namespaced else {}
        list(client.list(kind.resource, **everywhere))

    return served


@pytest.fixture(scope="module", name="deployed")
def _deployed(
    profiles: Profiles, cluster: ControlPlane, client: lightkube.Client, model: str
) -> Iterator[testing.State]:
    """The state after one hook, in a cluster with Istio's types; all is removed in the end."""
    with deployed(profiles, cluster, client, model) as state:
        yield state
