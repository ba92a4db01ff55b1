"""Every kind of object a charm may own, declared once.

Objects travel as plain documents (lightkube's generic resources are dicts), because typed models drop a
field they do not know without a word, and then the API server's strict validation has nothing to refuse.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

from lightkube import generic_resource
from lightkube.core import resource as lightkube_resource

Manifest = dict[str, Any]
"""A Kubernetes object as a document."""

Key = tuple[str, str, str]
"""Identifies an object: group and kind, namespace, name."""


@dataclass(frozen=True)
class Kind:
    """How one kind is addressed, when its objects are written, and what may be done to them.

    Args:
        api_version: `apps/v1`.
        kind: `Deployment`.
        plural: `deployments`.
        rank: the place in the order of writing.
        namespaced: whether its objects are in namespaces.
        shared: whether several installations use one object. That is true of CRDs only: an object of any
            other kind belongs to whoever made it.
        replaceable: whether an object can be deleted and made again without losing anything but moments.
        status: whether we read more of live objects than their metadata.
    """

    api_version: str
    kind: str
    plural: str
    rank: int
    namespaced: bool = True
    shared: bool = False
    replaceable: bool = False
    status: bool = False

    @functools.cached_property
    def group(self) -> str:
        """The API group; empty for the core group."""
        return self.api_version.rpartition("/")[0]

    @functools.cached_property
    def group_kind(self) -> str:
        """`Deployment.apps`, `ConfigMap`: the form that ApplySet parents record."""
        return f"{self.kind}.{self.group}" if self.group else self.kind

    @functools.cached_property
    def resource(self) -> type[Any]:
        """The lightkube class that reads and writes objects of this kind as documents."""
        version = self.api_version.rpartition("/")[2]
        definition = lightkube_resource.ResourceDef(self.group, version, self.kind)
        base = (
            generic_resource.GenericNamespacedResource
            if self.namespaced
            else generic_resource.GenericGlobalResource
        )
        verbs = ["delete", "get", "list", "patch", "watch"]
        info = lightkube_resource.ApiInfo(
            resource=definition,
            plural=self.plural,
            verbs=verbs + (["global_list", "global_watch"] if self.namespaced else []),
        )
        return type(self.kind, (base,), {"_api_info": info})


NAMESPACE, DEFINITION, RIGHTS, DATA, NETWORK, WORKLOAD, CUSTOM, WEBHOOK = range(8)
"""The order of writing: what others refer to comes first, what calls a workload last."""

KINDS: tuple[Kind, ...] = (
    Kind("v1", "Namespace", "namespaces", NAMESPACE, namespaced=False),
    Kind(
        "apiextensions.k8s.io/v1",
        "CustomResourceDefinition",
        "customresourcedefinitions",
        DEFINITION,
        namespaced=False,
        shared=True,
        status=True,
    ),
    Kind(
        "scheduling.k8s.io/v1",
        "PriorityClass",
        "priorityclasses",
        DEFINITION,
        namespaced=False,
        replaceable=True,
    ),
    Kind("v1", "ServiceAccount", "serviceaccounts", RIGHTS),
    Kind("rbac.authorization.k8s.io/v1", "Role", "roles", RIGHTS),
    Kind("rbac.authorization.k8s.io/v1", "RoleBinding", "rolebindings", RIGHTS, replaceable=True),
    Kind("rbac.authorization.k8s.io/v1", "ClusterRole", "clusterroles", RIGHTS, namespaced=False),
    Kind(
        "rbac.authorization.k8s.io/v1",
        "ClusterRoleBinding",
        "clusterrolebindings",
        RIGHTS,
        namespaced=False,
        replaceable=True,
    ),
    Kind("v1", "ConfigMap", "configmaps", DATA, replaceable=True),
    Kind("v1", "Secret", "secrets", DATA, replaceable=True),
    Kind("v1", "LimitRange", "limitranges", DATA),
    Kind("v1", "PersistentVolumeClaim", "persistentvolumeclaims", DATA),
    Kind("v1", "Service", "services", NETWORK),
    Kind("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies", NETWORK),
    # Before the pods it guards, which believe the headers of whoever reaches them.
    Kind("security.istio.io/v1", "AuthorizationPolicy", "authorizationpolicies", NETWORK),
    Kind("apps/v1", "Deployment", "deployments", WORKLOAD, replaceable=True, status=True),
    Kind("apps/v1", "StatefulSet", "statefulsets", WORKLOAD, status=True),
    Kind("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets", WORKLOAD),
    Kind("networking.istio.io/v1", "Gateway", "gateways", CUSTOM),
    Kind("networking.istio.io/v1", "VirtualService", "virtualservices", CUSTOM),
    Kind("networking.istio.io/v1", "DestinationRule", "destinationrules", CUSTOM),
    Kind("kubeflow.org/v1alpha1", "PodDefault", "poddefaults", CUSTOM),
    Kind(
        "admissionregistration.k8s.io/v1",
        "MutatingWebhookConfiguration",
        "mutatingwebhookconfigurations",
        WEBHOOK,
        namespaced=False,
    ),
    Kind(
        "admissionregistration.k8s.io/v1",
        "ValidatingWebhookConfiguration",
        "validatingwebhookconfigurations",
        WEBHOOK,
        namespaced=False,
    ),
)
"""A kind stays here when the last template with it goes, so that an upgrade can still prune it."""

_BY_NAME = {(kind.api_version, kind.kind): kind for kind in KINDS}
_BY_GROUP_KIND = {kind.group_kind: kind for kind in KINDS}


def kind_of(manifest: Manifest) -> Kind:
    """Return the kind of a document.

    Raises:
        LookupError: if no such kind is declared here; a bug of the charm.
    """
    key = (str(manifest.get("apiVersion")), str(manifest.get("kind")))
    if key not in _BY_NAME:
        raise LookupError(f"{key[1]} of {key[0]} is not declared in kubeflow_charm.cluster.resources")
    return _BY_NAME[key]


def by_group_kind(name: str) -> Kind | None:
    """Return the kind that an ApplySet parent recorded as `Deployment.apps`, if it is declared."""
    return _BY_GROUP_KIND.get(name)


def identity(manifest: Manifest) -> Key:
    """Return what identifies an object: group and kind, namespace, name. Not the version, which may move."""
    metadata = manifest["metadata"]
    return kind_of(manifest).group_kind, metadata.get("namespace", ""), metadata["name"]


def described(manifest: Manifest) -> str:
    """Return `Deployment kubeflow/centraldashboard`, for people."""
    metadata = manifest["metadata"]
    return f"{manifest['kind']} " + "/".join(filter(None, (metadata.get("namespace"), metadata["name"])))
