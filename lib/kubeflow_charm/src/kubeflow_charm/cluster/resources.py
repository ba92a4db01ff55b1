"""Every kind of object a charm may own, declared once.

Objects are plain documents (lightkube's generic resources are dicts). Typed models would silently drop
unknown fields, and the API server's strict validation could not refuse them.
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
    """One kind: its address, its place in the order of writing, and what we may do to its objects.

    Args:
        api_version: `apps/v1`.
        kind: `Deployment`.
        plural: `deployments`.
        rank: the place in the order of writing.
        namespaced: whether its objects are in namespaces.
        shared: whether several installations use one object. This is true of CRDs only: an object of any
            other kind belongs to its creator.
        replaceable: whether we can delete and create an object again without loss of data.
        status: whether we read complete live objects, not only their metadata.
        pods: whether `spec.template` is that of pods.
    """

    api_version: str
    kind: str
    plural: str
    rank: int
    namespaced: bool = True
    shared: bool = False
    replaceable: bool = False
    status: bool = False
    pods: bool = False

    @functools.cached_property
    def group(self) -> str:
        """The API group; empty for the core group."""
        return self.api_version.rpartition("/")[0]

    @functools.cached_property
    def group_kind(self) -> str:
        """The name in an ApplySet's parent: `Deployment.apps`, `ConfigMap`."""
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
"""The order of writing: first what others refer to, last what calls a workload."""

CUSTOM_RESOURCE_DEFINITION = Kind(
    "apiextensions.k8s.io/v1",
    "CustomResourceDefinition",
    "customresourcedefinitions",
    DEFINITION,
    namespaced=False,
    shared=True,
    status=True,
)

MUTATING_POLICY = Kind(
    "admissionregistration.k8s.io/v1",
    "MutatingAdmissionPolicy",
    "mutatingadmissionpolicies",
    WEBHOOK,
    namespaced=False,
)
"""Since Kubernetes 1.36; ask `cluster.serves` before it is used."""
VALIDATING_POLICY = Kind(
    "admissionregistration.k8s.io/v1",
    "ValidatingAdmissionPolicy",
    "validatingadmissionpolicies",
    WEBHOOK,
    namespaced=False,
)
"""Since Kubernetes 1.30; likewise."""

KINDS: tuple[Kind, ...] = (
    Kind("v1", "Namespace", "namespaces", NAMESPACE, namespaced=False),
    CUSTOM_RESOURCE_DEFINITION,
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
    # Before its pods, which believe the headers of any caller.
    Kind("security.istio.io/v1", "AuthorizationPolicy", "authorizationpolicies", NETWORK),
    Kind("apps/v1", "Deployment", "deployments", WORKLOAD, replaceable=True, status=True, pods=True),
    Kind("apps/v1", "StatefulSet", "statefulsets", WORKLOAD, status=True, pods=True),
    Kind("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets", WORKLOAD),
    Kind("networking.istio.io/v1", "Gateway", "gateways", CUSTOM),
    Kind("networking.istio.io/v1", "VirtualService", "virtualservices", CUSTOM),
    Kind("networking.istio.io/v1", "DestinationRule", "destinationrules", CUSTOM),
    Kind("kubeflow.org/v1alpha1", "PodDefault", "poddefaults", CUSTOM),
    Kind(
        "trainer.kubeflow.org/v1alpha1",
        "ClusterTrainingRuntime",
        "clustertrainingruntimes",
        CUSTOM,
        namespaced=False,
        replaceable=True,
    ),
    Kind(
        "serving.kserve.io/v1alpha1",
        "ClusterServingRuntime",
        "clusterservingruntimes",
        CUSTOM,
        namespaced=False,
        replaceable=True,
    ),
    Kind(
        "serving.kserve.io/v1alpha1",
        "ClusterStorageContainer",
        "clusterstoragecontainers",
        CUSTOM,
        namespaced=False,
        replaceable=True,
    ),
    Kind(
        "serving.kserve.io/v1alpha1",
        "LLMInferenceServiceConfig",
        "llminferenceserviceconfigs",
        CUSTOM,
        replaceable=True,
    ),
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
    MUTATING_POLICY,
    Kind(
        "admissionregistration.k8s.io/v1",
        "MutatingAdmissionPolicyBinding",
        "mutatingadmissionpolicybindings",
        WEBHOOK,
        namespaced=False,
    ),
    VALIDATING_POLICY,
    Kind(
        "admissionregistration.k8s.io/v1",
        "ValidatingAdmissionPolicyBinding",
        "validatingadmissionpolicybindings",
        WEBHOOK,
        namespaced=False,
    ),
)
"""A kind stays here when no template has it any more, so that an upgrade can still delete its objects."""

_BY_NAME = {(kind.api_version, kind.kind): kind for kind in KINDS}
_BY_GROUP_KIND = {kind.group_kind: kind for kind in KINDS}


def kind_of(manifest: Manifest) -> Kind:
    """Return the kind of a document.

    Raises:
        LookupError: if this module does not declare the kind; a bug of the charm.
    """
    key = (str(manifest.get("apiVersion")), str(manifest.get("kind")))
    if key not in _BY_NAME:
        raise LookupError(f"{key[1]} of {key[0]} is not declared in kubeflow_charm.cluster.resources")
    return _BY_NAME[key]


def by_group_kind(name: str) -> Kind | None:
    """Return the kind with a name such as `Deployment.apps`, or None if it is not declared."""
    return _BY_GROUP_KIND.get(name)


def identity(manifest: Manifest) -> Key:
    """Return the identity of an object: group and kind, namespace, name. The version may change."""
    metadata = manifest["metadata"]
    return kind_of(manifest).group_kind, metadata.get("namespace", ""), metadata["name"]


def described(manifest: Manifest) -> str:
    """Return a name for people, such as `Deployment kubeflow/centraldashboard`."""
    metadata = manifest["metadata"]
    return f"{manifest['kind']} " + "/".join(filter(None, (metadata.get("namespace"), metadata["name"])))
