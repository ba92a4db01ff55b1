"""The charm of this folder, run by ops' testing framework, with or without a real API server."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
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
GATEWAY = {"gateway_name": "kubeflow-gateway", "gateway_namespace": "istio", "gateway_up": "true"}


def _charm_type() -> Any:
    """Import `src/charm.py` under a name that no other charm's module has."""
    name = "profiles_charm"
    if name not in sys.modules:
        sys.path.insert(0, str(ROOT / "src"))
        spec = importlib.util.spec_from_file_location(name, ROOT / "src" / "charm.py")
        assert spec and spec.loader
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name].Profiles


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
        gateway: dict[str, str] | None = GATEWAY,
        dashboards: tuple[str, ...] = ("kubeflow-dashboard",),
    ) -> testing.State:
        relations = [testing.Relation("kubeflow-profiles", remote_app_name=name) for name in dashboards]
        if gateway is not None:
            relations.append(testing.Relation("gateway-info", remote_app_data=gateway))
        return testing.State(
            leader=True,
            model=testing.Model(name=model, type="kubernetes"),
            config=config,
            relations=relations,
            resources=[testing.Resource(name=n, path=self._image(n)) for n in self._images()],
        )

    def run(self, model: str, config: dict[str, Any] | None = None, **others: Any) -> testing.State:
        """Run one hook and return the state after it."""
        context = self.context()
        with closing_clients():
            return context.run(context.on.config_changed(), self.state(model, config or {}, **others))

    def render(self, config: dict[str, Any] | None = None, **others: Any) -> dict[str, Manifest]:
        """Return what the charm wants there to be in the model `mlops`, by kind and name."""
        context = self.context()
        state = self.state("mlops", config or {}, **others)
        with context(context.on.action("list-images"), state) as manager:
            documents = manager.charm.manifests()
        return {f"{item['kind']}/{item['metadata']['name']}": item for item in documents}

    def _images(self) -> dict[str, str]:
        resources = yaml.safe_load((ROOT / "charmcraft.yaml").read_text())["resources"]
        return {name: resource["upstream-source"] for name, resource in resources.items()}

    def _image(self, name: str) -> Path:
        path = self.folder / f"{name}.yaml"
        path.write_text(yaml.safe_dump({"registrypath": self._images()[name]}))
        return path


@pytest.fixture(scope="module")
def profiles(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harness]:
    """The charm, without the process that would ask Juju for hooks: there is no Juju."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(watcher.Watcher, "ensure", lambda *_: None)
        yield Harness(tmp_path_factory.mktemp("profiles"))


def where(manifest: Manifest) -> dict[str, Any]:
    """Return lightkube's arguments that say in which namespace an object is, if in any."""
    namespace = manifest["metadata"].get("namespace")
    return {"namespace": namespace} if namespace else {}


@pytest.fixture(scope="module")
def apply(client: lightkube.Client) -> Callable[[Manifest], Any]:
    """Write an object; the API server checks every field."""

    def apply(manifest: Manifest) -> Any:
        resource = kind_of(manifest).resource(manifest)
        return client.apply(resource, manifest["metadata"]["name"], force=True, **where(manifest))

    return apply


@pytest.fixture(scope="module")
def model(request: pytest.FixtureRequest) -> str:
    """A model of its own for each file, which may be called anything."""
    return request.path.stem.removeprefix("test_").replace("_", "-")


@pytest.fixture(scope="module")
def served(client: lightkube.Client) -> Callable[[Kind], None]:
    """Return when objects of a kind can be listed, which is a moment after its definition is there."""

    @tenacity.retry(stop=tenacity.stop_after_delay(20), wait=tenacity.wait_fixed(0.1), reraise=True)
    def served(kind: Kind) -> None:
        everywhere: dict[str, Any] = {"namespace": lightkube.ALL_NS} if kind.namespaced else {}
        list(client.list(kind.resource, **everywhere))

    return served


@pytest.fixture(scope="module")
def deployed(
    profiles: Harness,
    cluster: ControlPlane,
    client: lightkube.Client,
    apply: Callable[[Manifest], Any],
    served: Callable[[Kind], None],
    model: str,
) -> Iterator[testing.State]:
    """The state after one hook, in a cluster with Istio's types; all is removed in the end."""
    for definition in crds.read("istio", ["networking.istio.io", "security.istio.io"]):
        apply(definition)
    for kind in KINDS:
        if kind.group in ("networking.istio.io", "security.istio.io"):
            served(kind)
    client.create(Namespace(metadata=ObjectMeta(name=model)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBECONFIG", str(cluster.admin_kubeconfig))
        yield profiles.run(model)
        context = profiles.context()
        state = dataclasses.replace(profiles.state(model, {}), planned_units=0)
        with closing_clients():
            context.run(context.on.remove(), state)
    client.delete(Namespace, model)


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
