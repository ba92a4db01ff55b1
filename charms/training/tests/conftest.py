"""The training charm on the charms' harness."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from charm_harness import Harness, charm_type, unwatched
from ops import testing

from kubeflow_charm import config


class Training(Harness):
    """The charm, and the applications that it is related to."""

    def relations(self, *, dashboard: bool = False, dispatcher: bool = False) -> list[testing.Relation]:
        """Return the relations: to a dashboard, and to a resource dispatcher."""
        relations = []
        if dashboard:
            relations.append(testing.Relation("dashboard-links", remote_app_name="kubeflow-dashboard"))
        if dispatcher:
            relations.append(testing.Relation("secrets", remote_app_name="resource-dispatcher"))
        return relations

    def state(self, model: str, config: dict[str, Any] | None = None, **said: Any) -> testing.State:
        """Return the state before a hook that asks no cluster for its nodes, unless the test says so."""
        return super().state(model, {"gpu-discovery": False} | (config or {}), **said)

    def config(self, options: dict[str, Any] | None = None) -> Any:
        """Return the options as the charm reads them."""
        usual = {name: option["default"] for name, option in self._metadata["config"]["options"].items()}
        return config.read(usual | (options or {}), charm_type(self.source).config_type)


@pytest.fixture(scope="module")
def training(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Training]:
    """The charm."""
    with unwatched():
        harness = Training(Path(__file__).parents[1], tmp_path_factory.mktemp("training"))
        charm_type(harness.source)  # tests import the modules beside it
        yield harness
