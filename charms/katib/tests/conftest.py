"""The Katib charm on the charms' harness."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from charm_harness import DATABASE, GATEWAY, Harness, unwatched
from ops import testing

from kubeflow_charm.cluster.executor import Cluster

USER = {"username": "relation-9", "password": "it's"}
KNOWN = {
    "tfjobs.kubeflow.org",
    "pytorchjobs.kubeflow.org",
    "trainjobs.trainer.kubeflow.org",
    "rayjobs.ray.io",
}


class Katib(Harness):
    """The charm, and the applications that it is related to."""

    def relations(
        self,
        *,
        gateway: dict[str, str] | None = GATEWAY,
        database: dict[str, str] | None = DATABASE | {"database": "katib"},
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
        return [
            testing.Relation(endpoint, remote_app_name=name, remote_app_data=data)
            for endpoint, name, data in relations
        ]

    def state(
        self,
        model: str,
        config: dict[str, Any] | None = None,
        *,
        user: dict[str, str] | None = None,
        tls: dict[str, str] | None = None,
        **said: Any,
    ) -> testing.State:
        """Return the state before a hook.

        Args:
            model: its name.
            config: options.
            user: what MySQL's secret with the user holds.
            tls: what its secret about TLS holds; None if there is none.
            said: for `relations`.
        """
        secrets = [testing.Secret(user or USER, id="secret:user")]
        if tls is not None:
            secrets.append(testing.Secret(tls, id="secret:tls"))
            said = said | {"database": DATABASE | {"database": "katib", "secret-tls": "secret:tls"}}
        return dataclasses.replace(
            super().state(model, config, **said), secrets=frozenset([*secrets, *self._certificates])
        )

    _certificates: tuple[testing.Secret, ...] = ()

    def run(self, model: str, config: dict[str, Any] | None = None, **said: Any) -> testing.State:
        """Run one hook and return the state after it; what Juju keeps of certificates, the next one finds."""
        after = super().run(model, config, **said)
        prefix = "webhook-certificate-"
        self._certificates = tuple(each for each in after.secrets if (each.label or "").startswith(prefix))
        return after

    def settings(self, config: dict[str, Any] | None = None, **said: Any) -> dict[str, Any]:
        """Return Katib's configuration."""
        data = self.render(config, **said)["ConfigMap/katib-config"]["data"]
        return yaml.safe_load(data["katib-config.yaml"])

    def blocked(self, config: dict[str, Any]) -> str:
        """Return the text of the status with which the charm refuses these options."""
        state = self.run("mlops", config)
        assert isinstance(state.unit_status, testing.BlockedStatus), state.unit_status
        assert len(state.unit_status.message) <= 120
        return state.unit_status.message


@pytest.fixture(scope="session")
def katib(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Katib]:
    """The charm."""
    with unwatched():
        yield Katib(Path(__file__).parents[1], tmp_path_factory.mktemp("katib"))


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> Callable[[set[str]], None]:
    """Have the charm see no nodes, and some types, without any cluster."""

    def see(types: set[str]) -> None:
        monkeypatch.setattr(Cluster, "definitions", lambda _: types)

    monkeypatch.setattr(Cluster, "nodes", lambda _: [])
    see(KNOWN)
    return see
