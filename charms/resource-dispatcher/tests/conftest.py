"""The resource dispatcher on the charms' harness, with profiles in a real cluster."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightkube
import pytest
from charm_harness import Harness, unwatched
from kubeflow_users import Requests
from ops import testing

from rehearsal.cluster.controlplane import ControlPlane
from rehearsal.patience import until

KINDS = {
    "secrets": ("v1", "Secret"),
    "config-maps": ("v1", "ConfigMap"),
    "service-accounts": ("v1", "ServiceAccount"),
    "roles": ("rbac.authorization.k8s.io/v1", "Role"),
}


def document(endpoint: str, name: str, **fields: Any) -> dict[str, Any]:
    """Return an object of the kind that an endpoint takes."""
    version, kind = KINDS[endpoint]
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name}, **fields}


class Dispatcher(Harness):
    """The charm, and the applications that offer something."""

    def relations(self, *, offers: dict[tuple[str, str], Any] | None = None) -> list[testing.Relation]:
        """Return the relations.

        Args:
            offers: endpoint and application to what it writes: a list, or the text itself.
        """
        return [
            testing.Relation(
                endpoint,
                remote_app_name=name,
                remote_app_data={"kubernetes_manifests": said if isinstance(said, str) else json.dumps(said)},
            )
            for (endpoint, name), said in (offers or {}).items()
        ]


class Profiles:
    """Namespaces of users, and what is in them."""

    def __init__(self, dispatcher: Dispatcher, admin: Requests, model: str):
        self.admin, self.model = admin, model
        self._dispatcher = dispatcher
        self.names: list[str] = []

    def make(self, name: str) -> str:
        """Make a profile's namespace, which only this test's dispatcher looks for."""
        full = f"{self.model}-{name}"
        namespace = {"metadata": {"name": full, "labels": {f"{self.model}/profile": ""}}}
        self.admin.create("/api/v1/namespaces", namespace)
        until(lambda: self.admin.find(f"/api/v1/namespaces/{full}/serviceaccounts/default"))
        self.names.append(full)
        return full

    def dispatch(self, offers: dict[tuple[str, str], Any] | None = None) -> testing.State:
        """Run a hook."""
        config = {"target_namespace_label": f"{self.model}/profile"}
        return self._dispatcher.run(self.model, config, offers=offers)

    def data(self, name: str, secret: str, key: str = "k") -> str | None:
        """Return a value of a Secret in a profile, as it is encoded; None if there is no such Secret."""
        found = self.admin.find(f"/api/v1/namespaces/{self.model}-{name}/secrets/{secret}")
        return found.get("data", {}).get(key) if found else None


@pytest.fixture(scope="module")
def dispatcher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dispatcher]:
    """The charm."""
    with unwatched():
        yield Dispatcher(Path(__file__).parents[1], tmp_path_factory.mktemp("dispatcher"))


@pytest.fixture
def profiles(
    dispatcher: Dispatcher,
    cluster: ControlPlane,
    client: lightkube.Client,
    namespace: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Profiles]:
    """Two profiles, and a model for the charm."""
    monkeypatch.setenv("KUBECONFIG", str(cluster.admin_kubeconfig))
    made = Profiles(dispatcher, Requests(cluster), namespace)
    made.make("ada")
    made.make("bob")
    yield made
    dispatcher.remove(namespace)
    for name in made.names:
        made.admin.delete(f"/api/v1/namespaces/{name}")
    made.admin.close()
