"""The objects that Juju itself makes in Kubernetes: for a model, and for each application.

They are there so that collisions show, and so that a charm has exactly the rights that Juju gives it. Facts:
juju/juju, internal/provider/kubernetes/application/application.go and the objects of a Juju 3.6 model.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Protocol

import yaml

from rehearsal.cluster.existing import Refused
from rehearsal.juju.state import Application, Model

_FOREVER = 10 * 365 * 24 * 3600


class Cluster(Protocol):
    """What is needed of a cluster (`rehearsal.cluster.controlplane.ControlPlane`)."""

    def request(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """Send a request as the administrator."""
        ...

    def apply(self, path: str, body: bytes) -> bytes:
        """Apply an object on the server side."""
        ...

    def kubeconfig(self, token: str, namespace: str, *, server: str | None = None) -> dict[str, Any]:
        """Return a kubeconfig for the bearer of a token."""
        ...


class Namespace:
    """The namespaces of the models, and what Juju keeps in them.

    Args:
        cluster: where; None for models without Kubernetes, whose units have an address at once.
        server: the address by which charms reach the API server: the gate.
    """

    def __init__(self, cluster: Cluster | None, server: str | None):
        self._cluster = cluster
        self._server = server
        self._addresses = 0

    def add_model(self, model: Model) -> None:
        """Make the model's namespace."""
        labels = {
            "app.kubernetes.io/managed-by": "juju",
            "model.juju.is/id": model.uuid,
            "model.juju.is/name": model.name,
        }
        self._apply("/api/v1/namespaces", _object("v1", "Namespace", model.name, None, labels))

    def remove_model(self, model: Model) -> bool:
        """Delete the namespace; return whether it is gone."""
        return self._delete(f"/api/v1/namespaces/{model.name}")

    def add_application(self, model: Model, application: Application, kubeconfig: Path) -> None:
        """Make the application's objects, and the kubeconfig that its charm has."""
        if self._cluster is None:
            return
        for path, item in self._objects(model, application):
            self._apply(path, item)
        name, account = application.name, f"/api/v1/namespaces/{model.name}/serviceaccounts"
        body = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"expirationSeconds": _FOREVER},
        }
        answer = self._cluster.request("POST", f"{account}/{name}/token", json.dumps(body).encode())
        token = json.loads(answer)["status"]["token"]
        kubeconfig.parent.mkdir(parents=True, exist_ok=True)
        kubeconfig.write_text(
            yaml.safe_dump(self._cluster.kubeconfig(token, model.name, server=self._server))
        )
        kubeconfig.chmod(0o600)

    def update_application(self, model: Model, application: Application) -> None:
        """Bring scale and rights up to date."""
        for path, item in self._objects(model, application) if self._cluster else ():
            self._apply(path, item)

    def remove_application(self, model: Model, application: Application) -> None:
        """Delete the application's objects."""
        for path, item in reversed(self._objects(model, application)):
            self._delete(f"{path}/{item['metadata']['name']}")

    def addresses(self, model: Model) -> dict[str, str]:
        """Return pod name to address of the running pods of a model."""
        if self._cluster is None:
            names = [unit.pod for unit in model.units() if not unit.address]
            self._addresses += len(names)
            return {name: f"10.1.{self._addresses // 250}.{1 + self._addresses % 250}" for name in names}
        answer = self._cluster.request("GET", f"/api/v1/namespaces/{model.name}/pods")
        return {
            pod["metadata"]["name"]: pod["status"]["podIP"]
            for pod in json.loads(answer)["items"]
            if pod["status"].get("phase") == "Running" and pod["status"].get("podIP")
        }

    def service_address(self, model: Model, application: Application) -> str:
        """Return the cluster address of the application's Service."""
        if self._cluster is None:
            return ""
        path = f"/api/v1/namespaces/{model.name}/services/{application.name}"
        return json.loads(self._cluster.request("GET", path))["spec"].get("clusterIP", "")

    def _objects(self, model: Model, application: Application) -> list[tuple[str, dict[str, Any]]]:
        name, space = application.name, model.name
        labels = {"app.kubernetes.io/managed-by": "juju", "app.kubernetes.io/name": name}
        core, rbac = f"/api/v1/namespaces/{space}", "/apis/rbac.authorization.k8s.io/v1"
        local, wide = _rules(application.trust)
        subject = [{"kind": "ServiceAccount", "name": name, "namespace": space}]
        rbac_api, wide_name = "rbac.authorization.k8s.io/v1", f"{space}-{name}"

        def bound(kind: str, role: str, target: str, where: str | None) -> dict[str, Any]:
            item = _object(rbac_api, kind, target, where, labels)
            reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": role, "name": target}
            return item | {"roleRef": reference, "subjects": subject}

        return [
            (f"{core}/serviceaccounts", _object("v1", "ServiceAccount", name, space, labels)),
            (f"{rbac}/namespaces/{space}/roles", _object(rbac_api, "Role", name, space, labels)
             | {"rules": local}),
            (f"{rbac}/namespaces/{space}/rolebindings", bound("RoleBinding", "Role", name, space)),
            (f"{rbac}/clusterroles", _object(rbac_api, "ClusterRole", wide_name, None, labels)
             | {"rules": wide}),
            (f"{rbac}/clusterrolebindings",
             bound("ClusterRoleBinding", "ClusterRole", wide_name, None)),
            (f"{core}/secrets",
             _object("v1", "Secret", f"{name}-application-config", space, labels)),
            (f"{core}/services", _service(name, space, labels, headless=False)),
            (f"{core}/services", _service(f"{name}-endpoints", space, labels, headless=True)),
            (f"/apis/apps/v1/namespaces/{space}/statefulsets",
             _stateful_set(application, space, labels)),
        ]  # fmt: skip

    def _apply(self, path: str, item: dict[str, Any]) -> None:
        if self._cluster is None:
            return
        name = item["metadata"]["name"]
        self._cluster.apply(f"{path}/{name}?fieldManager=juju&force=true", json.dumps(item).encode())

    def _delete(self, path: str) -> bool:
        """Delete an object; return whether it is gone already."""
        if self._cluster is not None:
            try:
                self._cluster.request("DELETE", path)
            except Refused as refusal:
                return refusal.status == 404
            return False
        return True


def _rules(trust: bool) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the rules in the namespace and in the cluster, with and without `juju trust`."""
    everything = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]
    if trust:
        return everything, everything
    local = [
        {"apiGroups": [""], "resources": ["pods", "services"], "verbs": ["get", "list", "patch"]},
        {"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["create"]},
    ]
    return local, [{"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get", "list"]}]


def _object(
    api_version: str, kind: str, name: str, namespace: str | None, labels: dict[str, str]
) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": name, "labels": labels}
    if namespace:
        metadata["namespace"] = namespace
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata}


def _service(name: str, space: str, labels: dict[str, str], *, headless: bool) -> dict[str, Any]:
    spec: dict[str, Any] = {"selector": {"app.kubernetes.io/name": labels["app.kubernetes.io/name"]}}
    if headless:
        spec |= {"clusterIP": "None", "publishNotReadyAddresses": True}
    else:
        spec["ports"] = [{"name": "placeholder", "port": 65535, "protocol": "TCP"}]
    return _object("v1", "Service", name, space, labels) | {"spec": spec}


def _stateful_set(application: Application, space: str, labels: dict[str, str]) -> dict[str, Any]:
    name = application.name
    containers = [{"name": "charm", "image": "docker.io/jujusolutions/charm-base:ubuntu-24.04"}]
    containers += [{"name": each, "image": "rehearsal"} for each in application.charm.containers]
    pod = {
        "metadata": {"labels": {"app.kubernetes.io/name": name}},
        "spec": {
            "serviceAccountName": name,
            "automountServiceAccountToken": True,
            "containers": containers,
            # Juju's own pods do not compete for the nodes' resources here.
            "terminationGracePeriodSeconds": 0,
        },
    }
    spec = {
        "serviceName": f"{name}-endpoints",
        "replicas": application.scale,
        "podManagementPolicy": "Parallel",
        "selector": {"matchLabels": {"app.kubernetes.io/name": name}},
        "template": pod,
    }
    return _object("apps/v1", "StatefulSet", name, space, labels) | {"spec": spec}
