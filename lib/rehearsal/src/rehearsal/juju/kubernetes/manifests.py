"""The Kubernetes objects that Juju itself makes for a model and for each application.

Facts: juju/juju 3.6, caas/kubernetes/provider/application/application.go (Ensure, ApplicationPodSpec) and
trust.go, caas/kubernetes/provider/utils/labels.go and annotations.go.
"""

from __future__ import annotations

import base64
from typing import Any

from rehearsal.juju.model.attaching import claim_template
from rehearsal.juju.model.state import Application, Model
from rehearsal.juju.model.version import JUJU_VERSION

Manifest = dict[str, Any]

CHARM_VERSION = "--charm-modified-version"
"""Argument of the init container; a new value makes Kubernetes replace the pod."""

_CONTROLLER = "deadbeef-0bad-400d-8000-4b1d0d06f00d"
_AGENT = f"docker.io/jujusolutions/jujud-operator:{JUJU_VERSION}"
_CHARM = "docker.io/jujusolutions/charm-base:ubuntu-24.04"
_RBAC = "rbac.authorization.k8s.io"
_PROGRAM_RULES: list[Manifest] = [
    {"apiGroups": [""], "resources": ["secrets"], "verbs": ["*"]},
    {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["*"]},
    {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["*"]},
]
"""What a stand-in needs to run its program, which the real charm does without."""


def namespace(model: Model) -> Manifest:
    """Return the namespace of a model."""
    labels = {
        "app.kubernetes.io/managed-by": "juju",
        "model.juju.is/id": model.uuid,
        "model.juju.is/name": model.name,
    }
    metadata = {"name": model.name, "labels": labels, "annotations": _annotations(model)}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


def application(
    model: Model, application: Application, scale: int, program: str = ""
) -> list[tuple[str, Manifest]]:
    """Return path and manifest of each object of an application, in the order of creation.

    `program` is as in `service`.
    """
    core = f"/api/v1/namespaces/{model.name}"
    return [
        (f"{core}/secrets", _configuration(model, application)),
        (f"{core}/serviceaccounts", _service_account(model, application)),
        *rights(model, application, program),
        *_bindings(model, application),
        service(model, application, application.opened, program),
        (f"{core}/services", _headless_service(model, application)),
        workload(model, application, scale),
    ]


def rights(model: Model, application: Application, program: str = "") -> list[tuple[str, Manifest]]:
    """Return the roles; `juju trust` changes them. With a `program`, the stand-in may make its pods."""
    local, wide = _rules(model, application)
    if program and not application.trust:
        local = [*local, *_PROGRAM_RULES]
    role = _object(model, application, f"{_RBAC}/v1", "Role") | {"rules": local}
    cluster_role = _object(model, application, f"{_RBAC}/v1", "ClusterRole", _wide(model, application), "")
    return [
        (f"/apis/{_RBAC}/v1/namespaces/{model.name}/roles", role),
        (f"/apis/{_RBAC}/v1/clusterroles", cluster_role | {"rules": wide}),
    ]


def workload(model: Model, application: Application, scale: int) -> tuple[str, Manifest]:
    """Return the StatefulSet whose pods are the units."""
    name = application.name
    labels = {"app.kubernetes.io/name": name}
    template = {
        "metadata": {"labels": labels, "annotations": _annotations(model)},
        "spec": _pod(application),
    }
    spec: Manifest = {
        "replicas": scale,
        "serviceName": f"{name}-endpoints",
        "podManagementPolicy": "Parallel",
        "selector": {"matchLabels": labels},
        "template": template,
    }
    if application.storage:
        spec["volumeClaimTemplates"] = [_claim(application, each) for each in application.storage]
    item = _object(model, application, "apps/v1", "StatefulSet") | {"spec": spec}
    return f"/apis/apps/v1/namespaces/{model.name}/statefulsets", item


def _claim(application: Application, name: str) -> Manifest:
    """Return the template of the claims for a storage (application.go, configureStorage)."""
    labels = {
        "app.juju.is/created-by": application.name,
        "app.kubernetes.io/managed-by": "juju",
        "storage.juju.is/name": name,
    }
    annotations = {"storage.juju.is/name": name}
    metadata = {"name": claim_template(application, name), "labels": labels, "annotations": annotations}
    spec = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": f"{application.storage[name].size}Mi"}},
    }
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec}


def _mounts(application: Application, container: str = "") -> Manifest:
    """Return the mounts of a workload container, or of the charm's."""
    specs = {name: application.charm.storage[name] for name in application.storage}
    if container:
        said = ((application.charm.metadata["containers"] or {})[container] or {}).get("mounts") or ()
        places = [(each["storage"], each.get("location")) for each in said if each["storage"] in specs]
    else:
        places = [(name, None) for name in specs]
    mounts = [
        {
            "name": claim_template(application, name),
            "mountPath": location or specs[name].mount_point,
            **({"readOnly": True} if specs[name].read_only else {}),
        }
        for name, location in places
    ]
    return {"volumeMounts": mounts} if mounts else {}


def _annotations(model: Model) -> dict[str, str]:
    return {
        "controller.juju.is/id": _CONTROLLER,
        "juju.is/version": JUJU_VERSION,
        "model.juju.is/id": model.uuid,
    }


def _object(
    model: Model,
    application: Application,
    api_version: str,
    kind: str,
    name: str = "",
    namespace: str | None = None,
) -> Manifest:
    """Return an object without its spec; name and namespace default to the application's and the model's."""
    labels = {"app.kubernetes.io/managed-by": "juju", "app.kubernetes.io/name": application.name}
    metadata = {
        "name": name or application.name,
        "labels": labels,
        "annotations": _annotations(model),
        "namespace": model.name if namespace is None else namespace,
    }
    metadata = {key: value for key, value in metadata.items() if value}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata}


def _wide(model: Model, application: Application) -> str:
    return f"{model.name}-{application.name}"


def _configuration(model: Model, application: Application) -> Manifest:
    said = {
        "JUJU_K8S_APPLICATION": application.name,
        "JUJU_K8S_MODEL": model.uuid,
        "JUJU_K8S_APPLICATION_PASSWORD": "rehearsal",
        "JUJU_K8S_CONTROLLER_ADDRESSES": "127.0.0.1:17070",
        "JUJU_K8S_CONTROLLER_CA_CERT": "",
    }
    data = {key: base64.b64encode(value.encode()).decode() for key, value in said.items()}
    name = f"{application.name}-application-config"
    return _object(model, application, "v1", "Secret", name) | {"data": data}


def _service_account(model: Model, application: Application) -> Manifest:
    return _object(model, application, "v1", "ServiceAccount") | {"automountServiceAccountToken": False}


def _bindings(model: Model, application: Application) -> list[tuple[str, Manifest]]:
    subjects = [{"kind": "ServiceAccount", "name": application.name, "namespace": model.name}]

    def bound(kind: str, role: str, name: str, namespace: str | None) -> Manifest:
        item = _object(model, application, f"{_RBAC}/v1", kind, name, namespace)
        reference = {"apiGroup": _RBAC, "kind": role, "name": name}
        return item | {"roleRef": reference, "subjects": subjects}

    return [
        (
            f"/apis/{_RBAC}/v1/namespaces/{model.name}/rolebindings",
            bound("RoleBinding", "Role", application.name, None),
        ),
        (
            f"/apis/{_RBAC}/v1/clusterrolebindings",
            bound("ClusterRoleBinding", "ClusterRole", _wide(model, application), ""),
        ),
    ]


def _rules(model: Model, application: Application) -> tuple[list[Manifest], list[Manifest]]:
    """Return the rules in the namespace and in the cluster, with and without `juju trust`."""
    everything = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]
    if application.trust:
        return everything, everything
    reading = ["get", "list"]
    local: list[Manifest] = [
        {"apiGroups": [""], "resources": ["namespaces"], "resourceNames": [model.name], "verbs": reading},
        {"apiGroups": [""], "resources": ["pods", "services"], "verbs": [*reading, "patch"]},
        {"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["create"]},
    ]
    return local, [{"apiGroups": [""], "resources": ["namespaces"], "verbs": reading}]


def service(
    model: Model, application: Application, opened: list[str], program: str = ""
) -> tuple[str, Manifest]:
    """Return path and manifest of the application's Service, with ports such as `8080/tcp`.

    `program` is the name by which the Service selects its pods, where a stand-in's program runs in pods of
    its own, and not in the unit's.

    Facts: juju/juju 3.6, internal/worker/caasfirewaller (toServicePorts), application.go (UpdatePorts).
    """
    ports = [
        {
            "name": f"juju-{number}-{protocol}",
            "port": int(number),
            "targetPort": int(number),
            "protocol": protocol.upper(),
        }
        for number, protocol in (each.split("/") for each in opened)
    ]
    spec: Manifest = {
        "selector": {"app.kubernetes.io/name": program or application.name},
        "ports": ports or [{"name": "placeholder", "port": 65535, "protocol": "TCP"}],
    }
    item = _object(model, application, "v1", "Service") | {"spec": spec}
    return f"/api/v1/namespaces/{model.name}/services", item


def _headless_service(model: Model, application: Application) -> Manifest:
    spec: Manifest = {
        "selector": {"app.kubernetes.io/name": application.name},
        "clusterIP": "None",
        "publishNotReadyAddresses": True,
    }
    return _object(model, application, "v1", "Service", f"{application.name}-endpoints") | {"spec": spec}


def _pod(application: Application) -> Manifest:
    names = ",".join(sorted(application.charm.containers))
    agent = {
        "name": "charm-init",
        "image": _AGENT,
        "command": ["/opt/containeragent"],
        "args": ["init", CHARM_VERSION, str(application.charm_version)],
        "env": [{"name": "JUJU_CONTAINER_NAMES", "value": names}],
        "envFrom": [{"secretRef": {"name": f"{application.name}-application-config"}}],
    }
    charm = {
        "name": "charm",
        "image": _CHARM,
        "command": ["/charm/bin/pebble"],
        "args": ["run", "--http", ":38812", "--verbose"],
        "env": [{"name": "JUJU_CONTAINER_NAMES", "value": names}],
        "resources": {"requests": {"memory": "64Mi"}, "limits": {"memory": "256Mi"}},
        **_mounts(application),
    }
    metadata = application.charm.metadata.get("containers") or {}
    others = [
        {
            "name": name,
            "image": application.resources.get((metadata[name] or {}).get("resource", ""), _CHARM),
            "command": ["/charm/bin/pebble"],
            "env": [{"name": "JUJU_CONTAINER_NAME", "value": name}],
            **_mounts(application, name),
        }
        for name in sorted(application.charm.containers)
    ]
    return {
        "serviceAccountName": application.name,
        "automountServiceAccountToken": True,
        "terminationGracePeriodSeconds": 30,
        "initContainers": [agent],
        "containers": [charm, *others],
    }
