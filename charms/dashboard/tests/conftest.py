"""The charm of this folder, run by ops' testing framework, with or without a real API server."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import lightkube
import pytest
import tenacity
import yaml
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.core_v1 import Namespace
from ops import testing

from kubeflow_charm import watcher
from kubeflow_charm.resources import KINDS, Kind, Manifest, kind_of
from rehearsal.cluster import crds
from rehearsal.cluster.controlplane import ControlPlane

ROOT = Path(__file__).parents[1]
ISTIO = ("networking.istio.io", "security.istio.io")

GATEWAY = {"gateway_name": "kubeflow-gateway", "gateway_namespace": "istio", "gateway_up": "true"}
KFAM = {"_supported_versions": "- v1\n", "data": "service-name: profiles-kfam\nservice-port: '8081'\n"}


def _charm_type() -> Any:
    """Import `src/charm.py` under a name that no other charm's module has."""
    name = "dashboard_charm"
    if name not in sys.modules:
        sys.path.insert(0, str(ROOT / "src"))
        spec = importlib.util.spec_from_file_location(name, ROOT / "src" / "charm.py")
        assert spec and spec.loader
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name].Dashboard


@dataclasses.dataclass
class Harness:
    """The charm in a model of some name."""

    folder: Path

    def context(self) -> testing.Context[Any]:
        document = yaml.safe_load((ROOT / "charmcraft.yaml").read_text())
        config, actions = document.pop("config"), document.pop("actions")
        root = self.folder / "charm"
        if not root.exists():
            root.mkdir()
            (root / "src").symlink_to(ROOT / "src")
        return testing.Context(_charm_type(), meta=document, config=config, actions=actions, charm_root=root)

    def state(
        self,
        model: str,
        config: dict[str, Any],
        *,
        profiles: dict[str, str] | None = KFAM,
        gateway: dict[str, str] | None = GATEWAY,
        offered: dict[str, Any] | None = None,
        leader: bool = True,
    ) -> testing.State:
        """Return the state before a hook.

        Args:
            model: the model's name.
            config: the options that are set.
            profiles: what the provider of access management wrote; None if none is related.
            gateway: what the gateway's charm wrote; None if none is related.
            offered: application to its `dashboard_links`: text, what becomes JSON, None for nothing yet.
            leader: whether the unit is the leader.
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
        return testing.State(
            leader=leader,
            model=testing.Model(name=model, type="kubernetes"),
            config=config,
            relations=relations,
            resources=[testing.Resource(name="oci-image", path=self._image())],
        )

    def run(self, model: str, config: dict[str, Any] | None = None, **others: Any) -> testing.State:
        """Run a hook and return the state after it."""
        context = self.context()
        with closing_clients():
            return context.run(context.on.config_changed(), self.state(model, config or {}, **others))

    def unrelate(self, model: str, application: str, **others: Any) -> testing.State:
        """Run the hook that says that the relation with an application's links is no more."""
        context = self.context()
        state = self.state(model, {}, **others)
        (relation,) = (
            relation
            for relation in state.get_relations("links")
            if isinstance(relation, testing.Relation) and relation.remote_app_name == application
        )
        with closing_clients():
            return context.run(context.on.relation_broken(relation), state)

    def render(
        self, config: dict[str, Any] | None = None, model: str = "mlops", **others: Any
    ) -> dict[str, Manifest]:
        """Return what the charm wants there to be, by kind and name."""
        context = self.context()
        state = self.state(model, config or {}, **others)
        with context(context.on.action("list-images"), state) as manager:
            documents = manager.charm.manifests()
        return {f"{item['kind']}/{item['metadata']['name']}": item for item in documents}

    def menus(self, config: dict[str, Any] | None = None, **others: Any) -> dict[str, list[dict[str, str]]]:
        """Return the menus that upstream's ConfigMap has under `links`."""
        return json.loads(self.render(config, **others)["ConfigMap/centraldashboard-config"]["data"]["links"])

    def _image(self) -> Path:
        resource = yaml.safe_load((ROOT / "charmcraft.yaml").read_text())["resources"]["oci-image"]
        path = self.folder / "oci-image.yaml"
        path.write_text(yaml.safe_dump({"registrypath": resource["upstream-source"]}))
        return path


@pytest.fixture(scope="module")
def dashboard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harness]:
    """The charm, without the process that would ask Juju for hooks: there is no Juju."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(watcher.Watcher, "ensure", lambda *_: None)
        yield Harness(tmp_path_factory.mktemp("dashboard"))


@pytest.fixture(scope="module")
def apply(client: lightkube.Client) -> Callable[[Manifest], Any]:
    """Write an object; the API server checks every field."""

    def apply(manifest: Manifest) -> Any:
        namespace = manifest["metadata"].get("namespace")
        where = {"namespace": namespace} if namespace else {}
        resource = kind_of(manifest).resource(manifest)
        return client.apply(resource, manifest["metadata"]["name"], force=True, **where)

    return apply


@pytest.fixture
def deployed(
    dashboard: Harness,
    cluster: ControlPlane,
    client: lightkube.Client,
    apply: Callable[[Manifest], Any],
    model: str,
) -> Iterator[testing.State]:
    """The state after one hook, in a cluster with Istio's types; all is removed in the end."""
    for definition in crds.read("istio", ISTIO):
        apply(definition)
    for kind in KINDS:
        if kind.group in ISTIO:
            _served(client, kind)
    client.create(Namespace(metadata=ObjectMeta(name=model)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBECONFIG", str(cluster.admin_kubeconfig))
        yield dashboard.run(model)
        context = dashboard.context()
        state = dataclasses.replace(dashboard.state(model, {}), planned_units=0)
        with closing_clients():
            context.run(context.on.remove(), state)
    client.delete(Namespace, model)


@tenacity.retry(stop=tenacity.stop_after_delay(20), wait=tenacity.wait_fixed(0.1))
def _served(client: lightkube.Client, kind: Kind) -> None:
    """Return when objects of a kind can be listed, which is a moment after its definition is there."""
    list(client.list(kind.resource, namespace="default"))


@contextlib.contextmanager
def closing_clients() -> Iterator[None]:
    """Close the connections that a hook's process would close by its end."""
    made: list[lightkube.Client] = []

    class Closed(lightkube.Client):
        def __init__(self, *positional: Any, **named: Any):
            super().__init__(*positional, **named)
            made.append(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lightkube, "Client", Closed)
        yield
    for client in made:
        client.close()
