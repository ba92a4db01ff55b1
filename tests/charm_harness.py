"""One charm under ops' testing framework, for the tests in its own folder: with or without an API server."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import json
import sys
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import lightkube
import pytest
import yaml
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.core_v1 import Namespace
from ops import testing

from kubeflow_charm import ComponentCharm
from kubeflow_charm.cluster.resources import Manifest, kind_of
from kubeflow_charm.watch import watcher
from rehearsal.cluster import crds
from rehearsal.cluster.controlplane import ControlPlane
from rehearsal.cluster.existing import Refused
from rehearsal.patience import until

GATEWAY = {"gateway_name": "kubeflow-gateway", "gateway_namespace": "istio", "gateway_up": "true"}
DATABASE = {
    "data": "{}",
    "database": "mlpipeline",
    "endpoints": "mysql-k8s-primary.mlops.svc.cluster.local.:3306",
    "version": "8.0.41",
}
"""What mysql-k8s writes, beside the URI of its secret."""
MINIO = {
    "access-key": "minio",
    "secret-key": "minio123",
    "service": "minio",
    "port": 9000,
    "secure": False,
    "namespace": "mlops",
}
"""What minio writes under `data`."""


class Harness:
    """The charm of a source folder, in a model of some name.

    Args:
        source: the charm's folder.
        folder: for scratch.
    """

    credentials: Mapping[str, tuple[str, str]] = {}
    """Resource to user and password, for those whose registry asks."""
    relations: Callable[..., list[testing.Relation]]
    """Returns the charm's relations; called with nothing, all that it needs."""

    def __init__(self, source: Path, folder: Path):
        self.source, self.folder = source, folder
        self._metadata = yaml.safe_load((source / "charmcraft.yaml").read_text())
        (folder / "charm").mkdir()
        (folder / "charm" / "src").symlink_to(source / "src")

    def context(self) -> testing.Context[Any]:
        """Return a context of its own for a hook."""
        document = {key: said for key, said in self._metadata.items() if key not in ("config", "actions")}
        if str(self.source / "src") not in sys.path:  # the charm imports some of its modules in a hook
            sys.path.insert(0, str(self.source / "src"))
        return testing.Context(
            charm_type(self.source),
            meta=document,
            config=self._metadata["config"],
            actions=self._metadata["actions"],
            charm_root=self.folder / "charm",
        )

    def state(self, model: str, config: dict[str, Any] | None = None, **said: Any) -> testing.State:
        """Return the state before a hook of the leader; `said` goes to `relations`."""
        return testing.State(
            leader=True,
            model=testing.Model(
                name=model, uuid=str(uuid.uuid5(uuid.NAMESPACE_DNS, model)), type="kubernetes"
            ),
            config=config or {},
            relations=self.relations(**said),
            resources=[
                testing.Resource(name=name, path=self._image(name, resource["upstream-source"]))
                for name, resource in self._metadata.get("resources", {}).items()
            ],
        )

    def run(self, model: str, config: dict[str, Any] | None = None, **said: Any) -> testing.State:
        """Run one hook and return the state after it."""
        context = self.context()
        return context.run(context.on.config_changed(), self.state(model, config, **said))

    def render(
        self, config: dict[str, Any] | None = None, model: str = "mlops", **said: Any
    ) -> dict[str, Manifest]:
        """Return what the charm wants there to be, by kind and name."""
        context = self.context()
        with context(context.on.action("list-images"), self.state(model, config, **said)) as manager:
            documents = manager.charm.manifests(manager.charm.gather())
        return {f"{item['kind']}/{item['metadata']['name']}": item for item in documents}

    def blocked(self, config: dict[str, Any]) -> str:
        """Return the text of the status with which the charm refuses these options."""
        state = self.run("mlops", config)
        assert isinstance(state.unit_status, testing.BlockedStatus), state.unit_status
        assert len(state.unit_status.message) <= 120
        return state.unit_status.message

    def remove(self, model: str) -> None:
        """Run the last hook of the last unit."""
        context = self.context()
        context.run(context.on.remove(), dataclasses.replace(self.state(model), planned_units=0))

    def _image(self, name: str, reference: str) -> Path:
        path = self.folder / f"{name}.yaml"
        content = {"registrypath": reference}
        if name in self.credentials:
            content["username"], content["password"] = self.credentials[name]
        path.write_text(yaml.safe_dump(content))
        return path


class DatabaseHarness(Harness):
    """A charm that needs MySQL, and makes certificates, which the next hook finds as it does under Juju."""

    database: Mapping[str, str] = DATABASE
    """What mysql-k8s writes to this charm."""
    _certificates: tuple[testing.Secret, ...] = ()

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
        secrets = [testing.Secret(user or {"username": "relation-7", "password": "it's"}, id="secret:user")]
        if tls is not None:
            secrets.append(testing.Secret(tls, id="secret:tls"))
            written = {**self.database, **said.get("database", {}), "secret-tls": "secret:tls"}
            said = said | {"database": written}
        before = super().state(model, config, **said)
        return dataclasses.replace(before, secrets=frozenset([*secrets, *self._certificates]))

    def run(self, model: str, config: dict[str, Any] | None = None, **said: Any) -> testing.State:
        """Run one hook and return the state after it."""
        after = super().run(model, config, **said)
        prefix = "webhook-certificate-"
        self._certificates = tuple(each for each in after.secrets if (each.label or "").startswith(prefix))
        return after


def related(rows: Iterable[tuple[str, str, Mapping[str, str]]]) -> list[testing.Relation]:
    """Return relations: each row has the endpoint, the other application and what that has written."""
    return [
        testing.Relation(endpoint, remote_app_name=name, remote_app_data=dict(data))
        for endpoint, name, data in rows
    ]


def in_order(value: object) -> str:
    """Return a value for the name of a test: a set has one order in all processes."""
    return str(sorted(value)) if isinstance(value, set) else str(value)


def charm_type(source: Path) -> type[ComponentCharm[Any]]:
    """Import `src/charm.py` under a name that no other charm's module has."""
    name = f"{source.name}_charm".replace("-", "_")
    if name not in sys.modules:
        sys.path.insert(0, str(source / "src"))
        spec = importlib.util.spec_from_file_location(name, source / "src" / "charm.py")
        assert spec and spec.loader
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    own = [each for each in vars(sys.modules[name]).values() if getattr(each, "__module__", "") == name]
    (found,) = (each for each in own if isinstance(each, type) and issubclass(each, ComponentCharm))
    return found


@contextlib.contextmanager
def unwatched() -> Iterator[None]:
    """Have charms start no process that would ask Juju for hooks: there is no Juju."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(watcher.Watcher, "ensure", lambda *_: None)
        yield


@contextlib.contextmanager
def deployed(
    harness: Harness, cluster: ControlPlane, client: lightkube.Client, model: str
) -> Iterator[testing.State]:
    """Run a hook in a cluster with Istio's types, and yield the state after it; all is removed in the end.

    An API server with much to do may not answer in time: then the hook runs again, as it would under Juju.
    """
    crds.install(cluster, crds.read("istio", ("networking.istio.io", "security.istio.io")))
    client.create(Namespace(metadata=ObjectMeta(name=model)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBECONFIG", str(cluster.admin_kubeconfig))
        yield until(lambda: _answered(harness.run(model)), every=0.3)
        harness.remove(model)
    client.delete(Namespace, model)


def _answered(state: testing.State) -> testing.State | None:
    """Return the state, unless the API server did not answer the hook."""
    return None if "Kubernetes API" in state.unit_status.message else state


def names(cluster: ControlPlane, path: str) -> set[str]:
    """Return the names of the objects there; none if the type is not."""
    try:
        items = json.loads(cluster.request("GET", path))["items"]
    except Refused:
        return set()
    return {each["metadata"]["name"] for each in items}


def without_webhooks(cluster: ControlPlane) -> None:
    """Have no webhook called: no pod answers them here. The next hook brings them back."""
    for kind in ("validating", "mutating"):
        path = f"/apis/admissionregistration.k8s.io/v1/{kind}webhookconfigurations"
        for name in names(cluster, path):
            cluster.request("DELETE", f"{path}/{name}")


def applying(client: lightkube.Client) -> Callable[[Manifest], Any]:
    """Return what writes an object; the API server checks every field."""

    def apply(manifest: Manifest) -> Any:
        namespace = manifest["metadata"].get("namespace")
        where: dict[str, Any] = {"namespace": namespace} if namespace else {}
        resource = kind_of(manifest).resource(manifest)
        return client.apply(resource, manifest["metadata"]["name"], force=True, **where)

    return apply
