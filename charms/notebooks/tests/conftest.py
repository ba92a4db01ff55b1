"""The notebooks charm on the charms' harness."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from charm_harness import GATEWAY, Harness, unwatched
from ops import testing

from kubeflow_charm.cluster.executor import Cluster
from kubeflow_charm.cluster.resources import Manifest
from rehearsal.cluster import nodes

NODE_FILES = Path(nodes.__file__).with_name("nodes")


class Notebooks(Harness):
    """The charm, and the applications that it is related to."""

    def relations(
        self, *, gateway: dict[str, str] | None = GATEWAY, dispatcher: bool = False, dashboard: bool = False
    ) -> list[testing.Relation]:
        """Return the relations.

        Args:
            gateway: what the gateway's charm wrote; None if none is related.
            dispatcher: whether a resource dispatcher is related.
            dashboard: whether a dashboard is.
        """
        relations = []
        if gateway is not None:
            relations.append(
                testing.Relation("gateway-info", remote_app_name="istio-pilot", remote_app_data=gateway)
            )
        if dispatcher:
            relations += [
                testing.Relation(endpoint, remote_app_name="resource-dispatcher")
                for endpoint in ("pod-defaults", "secrets")
            ]
        if dashboard:
            relations.append(testing.Relation("dashboard-links", remote_app_name="kubeflow-dashboard"))
        return relations

    def form(self, config: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the form for a new notebook."""
        data = self.render(config)["ConfigMap/jupyter-web-app-config"]["data"]
        return yaml.safe_load(data["spawner_ui_config.yaml"])["spawnerFormDefaults"]


@pytest.fixture(scope="module")
def notebooks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Notebooks]:
    """The charm."""
    with unwatched():
        yield Notebooks(Path(__file__).parents[1], tmp_path_factory.mktemp("notebooks"))


@pytest.fixture
def on_nodes(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[Manifest]]:
    """Have the charm see the nodes of a node file, without any cluster."""

    def see(name: str) -> list[Manifest]:
        found = nodes.load(NODE_FILES / f"{name}.yaml")
        monkeypatch.setattr(Cluster, "nodes", lambda _: found)
        return found

    return see
