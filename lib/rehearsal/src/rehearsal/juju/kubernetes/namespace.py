"""Juju's objects in Kubernetes for the models: `Namespace`, or `NoNamespace` without a cluster."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import yaml

from rehearsal.cluster.existing import Refused
from rehearsal.juju.kubernetes import manifests
from rehearsal.juju.model.errors import JujuError
from rehearsal.juju.model.state import Application, Model, Pod
from rehearsal.stand_ins import serving

if TYPE_CHECKING:
    from rehearsal.juju.kubernetes.pods import Watch

_FOREVER = 10 * 365 * 24 * 3600


class Cluster(Protocol):
    """The required methods of a cluster (`rehearsal.cluster.controlplane.ControlPlane`)."""

    @property
    def admin_kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        ...

    def request(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """Send a request as the administrator; raises Refused."""
        ...

    def apply(self, path: str, body: bytes) -> bytes:
        """Apply an object on the server side."""
        ...

    def kubeconfig(self, token: str, namespace: str, *, server: str | None = None) -> dict[str, Any]:
        """Return a kubeconfig for the bearer of a token."""
        ...


class NoNamespace:
    """Models without Kubernetes: every unit has a pod and an address at once."""

    def __init__(self) -> None:
        self._pods: dict[str, Pod] = {}

    @property
    def version(self) -> str:
        """The cluster's version; empty without a cluster, where charms may assume one all the same."""
        return ""

    def add_model(self, model: Model) -> None:
        """Make the model's namespace."""

    def remove_model(self, model: Model) -> bool:
        """Delete the namespace; return whether it is gone."""
        return True

    def add_application(self, model: Model, application: Application, kubeconfig: Path) -> None:
        """Make the application's objects, and its charm's kubeconfig."""

    def scale(self, model: Model, application: Application, scale: int) -> None:
        """Set the number of pods, and run the charm's present version in them."""

    def trust(self, model: Model, application: Application) -> None:
        """Set the application's rights as `juju trust` says."""

    def open_ports(self, model: Model, application: Application, opened: list[str]) -> None:
        """Put the ports that units have opened on the application's Service."""

    def remove_application(self, model: Model, application: Application) -> None:
        """Delete the application's objects."""

    def delete_claim(self, model: Model, name: str) -> None:
        """Delete the claim of a unit's storage."""

    def pods(self, model: Model) -> Mapping[str, Pod]:
        """Return the running pods of a model by name."""
        running = {}
        for unit in model.units():
            uid = f"{model.uuid}-{unit.name}-{unit.code}"
            if uid not in self._pods:
                high, low = divmod(len(self._pods), 250)
                self._pods[uid] = Pod(uid, f"10.1.{high}.{1 + low}", unit.code)
            running[unit.pod] = self._pods[uid]
        return running

    def close(self) -> None:
        """Stop following pods."""


class Namespace(NoNamespace):
    """Models as namespaces of a cluster.

    Args:
        cluster: the cluster.
        server: the address of the API server for charms, which is the gate's.
        changed: called when pods have changed.
        served: the charms whose stand-ins run the real program in pods of their own.
    """

    def __init__(
        self,
        cluster: Cluster,
        server: str | None,
        changed: Callable[[], None],
        served: Collection[str] = (),
    ):
        super().__init__()
        self._cluster = cluster
        self._server = server
        self._changed = changed
        self._served = served
        self._watches: dict[str, Watch] = {}
        self._version = ""

    @property
    def version(self) -> str:
        """The cluster's version, such as `1.36.0`."""
        if not self._version:
            said = json.loads(self._cluster.request("GET", "/version"))
            self._version = said["gitVersion"].removeprefix("v")
        return self._version

    def add_model(self, model: Model) -> None:
        """Make the namespace, and follow its pods; raises JujuError if the namespace exists already."""
        from rehearsal.juju.kubernetes.pods import Watch  # lightkube takes long to import

        if self._exists(f"/api/v1/namespaces/{model.name}"):
            # destroy-model would delete somebody else's namespace.
            raise JujuError(
                f'failed to create model: namespace "{model.name}" already exists, '
                "may be use a different model name"
            )
        self._apply("/api/v1/namespaces", manifests.namespace(model))
        self._watches[model.name] = Watch(self._cluster.admin_kubeconfig, model.name, self._changed)

    def remove_model(self, model: Model) -> bool:
        """Delete the namespace; return whether it is gone."""
        if watch := self._watches.pop(model.name, None):
            watch.stop()
        return self._delete(f"/api/v1/namespaces/{model.name}")

    def add_application(self, model: Model, application: Application, kubeconfig: Path) -> None:
        """Make the application's objects, and its charm's kubeconfig."""
        for path, item in manifests.application(
            model, application, application.scale, self._program(application)
        ):
            answer = self._apply(path, item)
            if item["kind"] == "Service" and item["metadata"]["name"] == application.name:
                application.address = answer["spec"].get("clusterIP", "")
        path = f"/api/v1/namespaces/{model.name}/serviceaccounts/{application.name}/token"
        asked = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"expirationSeconds": _FOREVER},
        }
        answer = json.loads(self._cluster.request("POST", path, json.dumps(asked).encode()))
        # Programs that a hook starts, such as kubectl, send no token without TLS, which the gate has not.
        token, server = answer["status"]["token"], None if application.charm.dispatched else self._server
        document = self._cluster.kubeconfig(token, model.name, server=server)
        kubeconfig.parent.mkdir(parents=True, exist_ok=True)
        kubeconfig.touch(mode=0o600)
        kubeconfig.write_text(yaml.safe_dump(document))
        self._write_account(kubeconfig.with_name("serviceaccount"), document, model)

    def _write_account(self, folder: Path, document: dict[str, Any], model: Model) -> None:
        """Write what a pod finds of its service account."""
        folder.mkdir(mode=0o700, exist_ok=True)
        authority = document["clusters"][0]["cluster"].get("certificate-authority-data", "")
        files = {
            "token": document["users"][0]["user"]["token"].encode(),
            "namespace": model.name.encode(),
            "ca.crt": base64.b64decode(authority),
        }
        for name, content in files.items():
            (folder / name).write_bytes(content)

    def scale(self, model: Model, application: Application, scale: int) -> None:
        """Set the number of pods, and run the charm's present version in them."""
        self._apply(*manifests.workload(model, application, scale))

    def trust(self, model: Model, application: Application) -> None:
        """Set the application's rights as `juju trust` says."""
        for path, item in manifests.rights(model, application, self._program(application)):
            self._apply(path, item)

    def open_ports(self, model: Model, application: Application, opened: list[str]) -> None:
        """Put the ports that units have opened on the application's Service."""
        self._apply(*manifests.service(model, application, opened, self._program(application)))

    def _program(self, application: Application) -> str:
        """Return how a stand-in labels the pods of its program; nothing where it runs none."""
        served = application.charm.name in self._served
        return serving.program_name(application.name) if served else ""

    def remove_application(self, model: Model, application: Application) -> None:
        """Delete the application's objects."""
        for path, item in reversed(manifests.application(model, application, 0)):
            self._delete(f"{path}/{item['metadata']['name']}")

    def delete_claim(self, model: Model, name: str) -> None:
        """Delete the claim of a unit's storage."""
        self._delete(f"/api/v1/namespaces/{model.name}/persistentvolumeclaims/{name}")

    def pods(self, model: Model) -> Mapping[str, Pod]:
        """Return the running pods of a model by name."""
        watch = self._watches.get(model.name)
        return watch.running if watch else {}

    def close(self) -> None:
        """Stop following pods."""
        for watch in self._watches.values():
            watch.stop()

    def _apply(self, path: str, item: manifests.Manifest) -> dict[str, Any]:
        name = item["metadata"]["name"]
        body = json.dumps(item).encode()
        return json.loads(self._cluster.apply(f"{path}/{name}?fieldManager=juju&force=true", body))

    def _exists(self, path: str) -> bool:
        try:
            self._cluster.request("GET", path)
        except Refused as refusal:
            if refusal.status == 404:
                return False
            raise
        return True

    def _delete(self, path: str) -> bool:
        """Delete an object; return whether it was gone already."""
        try:
            self._cluster.request("DELETE", path)
        except Refused as refusal:
            # 409: its deletion is under way.
            if refusal.status not in (404, 409):
                raise
            return refusal.status == 404
        return False
