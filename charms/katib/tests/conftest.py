"""The Katib charm on the charms' harness."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from charm_harness import DATABASE, GATEWAY, DatabaseHarness, related, unwatched
from ops import testing

from kubeflow_charm.cluster.executor import Cluster

KNOWN = {
    "tfjobs.kubeflow.org",
    "pytorchjobs.kubeflow.org",
    "trainjobs.trainer.kubeflow.org",
    "rayjobs.ray.io",
}


class Katib(DatabaseHarness):
    """The charm, and the applications that it is related to."""

    database = DATABASE | {"database": "katib"}

    def relations(
        self,
        *,
        gateway: dict[str, str] | None = GATEWAY,
        database: dict[str, str] | None = database,
        dispatcher: bool = False,
        dashboard: bool = False,
        **_: Any,
    ) -> list[testing.Relation]:
        """Return the relations.

        Args:
            gateway: what the gateway's charm wrote; None if none is related.
            database: what MySQL's charm wrote beside its secrets.
            dispatcher: whether a resource dispatcher is related.
            dashboard: whether a dashboard is.
        """
        relations = []
        if gateway is not None:
            relations.append(("gateway-info", "istio-pilot", gateway))
        if database is not None:
            relations.append(("relational-db", "mysql-k8s", {"secret-user": "secret:user"} | database))
        if dispatcher:
            relations.append(("secrets", "resource-dispatcher", {}))
        if dashboard:
            relations.append(("dashboard-links", "kubeflow-dashboard", {}))
        return related(relations)

    def settings(self, config: dict[str, Any] | None = None, **said: Any) -> dict[str, Any]:
        """Return Katib's configuration."""
        data = self.render(config, **said)["ConfigMap/katib-config"]["data"]
        return yaml.safe_load(data["katib-config.yaml"])


@pytest.fixture(scope="module")
def katib(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Katib]:
    """The charm."""
    with unwatched():
        yield Katib(Path(__file__).parents[1], tmp_path_factory.mktemp("katib"))


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> Callable[[set[str]], None]:
    """Have the charm see no nodes, and some types, without any cluster."""

    def see(types: set[str]) -> None:
        monkeypatch.setattr(Cluster, "definitions", lambda _: types)
        monkeypatch.setattr(Cluster, "serves", lambda _, kind: f"{kind.plural}.{kind.group}" in types)

    monkeypatch.setattr(Cluster, "nodes", lambda _: [])
    see(KNOWN)
    return see
