"""The kinds that players read and write, as dictionaries: what they do not know of an object, they keep."""

from __future__ import annotations

from typing import Any

from lightkube.core.resource import NamespacedResource, api_info
from lightkube.generic_resource import create_global_resource, create_namespaced_resource

Object = dict[str, Any]
"""An object of Kubernetes."""

Kind = Any
"""A generic resource of lightkube."""

Key = tuple[str, str]
"""Namespace and name; the namespace of what has none is empty."""

CONFIG_MAP = create_namespaced_resource("", "v1", "ConfigMap", "configmaps")
EVENT = create_namespaced_resource("", "v1", "Event", "events")
NAMESPACE = create_global_resource("", "v1", "Namespace", "namespaces")
CLAIM = create_namespaced_resource("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims")
POD = create_namespaced_resource("", "v1", "Pod", "pods")
QUOTA = create_namespaced_resource("", "v1", "ResourceQuota", "resourcequotas")
SECRET = create_namespaced_resource("", "v1", "Secret", "secrets")
SERVICE = create_namespaced_resource("", "v1", "Service", "services")
SERVICE_ACCOUNT = create_namespaced_resource("", "v1", "ServiceAccount", "serviceaccounts")
DEPLOYMENT = create_namespaced_resource("apps", "v1", "Deployment", "deployments")
STATEFUL_SET = create_namespaced_resource("apps", "v1", "StatefulSet", "statefulsets")
ROLE_BINDING = create_namespaced_resource("rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings")
VIRTUAL_SERVICE = create_namespaced_resource(
    "networking.istio.io", "v1alpha3", "VirtualService", "virtualservices"
)
AUTHORIZATION_POLICY = create_namespaced_resource(
    "security.istio.io", "v1beta1", "AuthorizationPolicy", "authorizationpolicies"
)
PROFILE = create_global_resource("kubeflow.org", "v1", "Profile", "profiles")
NOTEBOOK = create_namespaced_resource("kubeflow.org", "v1beta1", "Notebook", "notebooks")
PVC_VIEWER = create_namespaced_resource("kubeflow.org", "v1alpha1", "PVCViewer", "pvcviewers")
TENSORBOARD = create_namespaced_resource(
    "tensorboard.kubeflow.org", "v1alpha1", "Tensorboard", "tensorboards"
)


def namespaced(kind: Kind) -> bool:
    """Tell whether objects of a kind are in a namespace."""
    return issubclass(kind, NamespacedResource)


def key(item: Object) -> Key:
    """Return namespace and name of an object."""
    return item["metadata"].get("namespace", ""), item["metadata"]["name"]


def reference(kind: Kind, owner: Object) -> Object:
    """Return the owner reference by which an object is controlled by another, and goes with it."""
    resource = api_info(kind).resource
    return {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def controller(kind: Kind, item: Object) -> str | None:
    """Return the name of what controls an object, if that is of this kind, in whatever version."""
    resource = api_info(kind).resource
    for each in item["metadata"].get("ownerReferences", ()):
        group = each["apiVersion"].rpartition("/")[0]
        if each.get("controller") and (group, each["kind"]) == (resource.group, resource.kind):
            return each["name"]
    return None
