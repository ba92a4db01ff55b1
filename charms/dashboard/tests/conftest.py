"""The dashboard on the charms' harness."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import lightkube
import pytest
from charm_harness import GATEWAY, Harness, applying, deployed, unwatched
from ops import testing

from kubeflow_charm.cluster.resources import Manifest
from rehearsal.cluster.controlplane import ControlPlane

KFAM = {"_supported_versions": "- v1\n", "data": "service-name: profiles-kfam\nservice-port: '8081'\n"}


class Dashboard(Harness):
    """The charm, and the applications that it is related to."""

    def relations(
        self,
        *,
        profiles: dict[str, str] | None = KFAM,
        gateway: dict[str, str] | None = GATEWAY,
        offered: dict[str, Any] | None = None,
    ) -> list[testing.Relation]:
        """Return the relations.

        Args:
            profiles: what the provider of access management wrote; None if none is related.
            gateway: what the gateway's charm wrote; None if none is related.
            offered: application to its `dashboard_links`: text, what becomes JSON, None for nothing yet.
        """
        relations = []
        if profiles is not None:
            relations.append(
                testing.Relation("kubeflow-profiles", remote_app_name="profiles", remote_app_data=profiles)
            )
        if gateway is not None:
            relations.append(
                testing.Relation("gateway-info", remote_app_name="istio-pilot", remote_app_data=gateway)
            )
        for name, links in (offered or {}).items():
            text = links if isinstance(links, str) else json.dumps(links)
            data = {} if links is None else {"dashboard_links": text}
            relations.append(testing.Relation("links", remote_app_name=name, remote_app_data=data))
        return relations

    def unrelate(self, model: str, application: str, **said: Any) -> testing.State:
        """Run the hook that says that the relation with an application's links is no more."""
        context = self.context()
        state = self.state(model, **said)
        (relation,) = (
            relation
            for relation in state.get_relations("links")
            if isinstance(relation, testing.Relation) and relation.remote_app_name == application
        )
        return context.run(context.on.relation_broken(relation), state)

    def menus(self, config: dict[str, Any] | None = None, **said: Any) -> dict[str, list[dict[str, str]]]:
        """Return the menus that upstream's ConfigMap has under `links`."""
        return json.loads(self.render(config, **said)["ConfigMap/centraldashboard-config"]["data"]["links"])


@pytest.fixture(scope="module")
def dashboard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    """The charm."""
    with unwatched():
        yield Dashboard(Path(__file__).parents[1], tmp_path_factory.mktemp("dashboard"))


@pytest.fixture(scope="module")
def apply(client: lightkube.Client) -> Callable[[Manifest], Any]:
    """Write an object; the API server checks every field."""
    return applying(client)


@pytest.fixture(name="deployed")
def _deployed(
    dashboard: Dashboard, cluster: ControlPlane, client: lightkube.Client, model: str
) -> Iterator[testing.State]:
    """The state after one hook, in a cluster with Istio's types; all is removed in the end."""
    with deployed(dashboard, cluster, client, model) as state:
        yield state
