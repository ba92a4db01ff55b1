"""The kinds that players read and write, as dictionaries: what they do not know of an object, they keep."""

from __future__ import annotations

from typing import Any

from lightkube.core.resource import NamespacedResource, api_info

from rehearsal import documents

Object = dict[str, Any]
"""An object of Kubernetes."""

Kind = Any
"""A generic resource of lightkube."""

Key = tuple[str, str]
"""Namespace and name; the namespace of what has none is empty."""

CONFIG_MAP = documents.namespaced("", "v1", "ConfigMap", "configmaps")
ENDPOINTS = documents.namespaced("", "v1", "Endpoints", "endpoints")
EVENT = documents.namespaced("", "v1", "Event", "events")
NAMESPACE = documents.cluster_wide("", "v1", "Namespace", "namespaces")
NODE = documents.cluster_wide("", "v1", "Node", "nodes")
CLAIM = documents.namespaced("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims")
VOLUME = documents.cluster_wide("", "v1", "PersistentVolume", "persistentvolumes")
POD = documents.namespaced("", "v1", "Pod", "pods")
QUOTA = documents.namespaced("", "v1", "ResourceQuota", "resourcequotas")
SECRET = documents.namespaced("", "v1", "Secret", "secrets")
SERVICE = documents.namespaced("", "v1", "Service", "services")
SERVICE_ACCOUNT = documents.namespaced("", "v1", "ServiceAccount", "serviceaccounts")
DEPLOYMENT = documents.namespaced("apps", "v1", "Deployment", "deployments")
STATEFUL_SET = documents.namespaced("apps", "v1", "StatefulSet", "statefulsets")
AUTOSCALER = documents.namespaced("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers")
JOB = documents.namespaced("batch", "v1", "Job", "jobs")
PRIORITY_CLASS = documents.cluster_wide("scheduling.k8s.io", "v1", "PriorityClass", "priorityclasses")
ROLE = documents.namespaced("rbac.authorization.k8s.io", "v1", "Role", "roles")
ROLE_BINDING = documents.namespaced("rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings")
VIRTUAL_SERVICE = documents.namespaced("networking.istio.io", "v1alpha3", "VirtualService", "virtualservices")
AUTHORIZATION_POLICY = documents.namespaced(
    "security.istio.io", "v1beta1", "AuthorizationPolicy", "authorizationpolicies"
)
INGRESS = documents.namespaced("networking.k8s.io", "v1", "Ingress", "ingresses")
HTTP_ROUTE = documents.namespaced("gateway.networking.k8s.io", "v1", "HTTPRoute", "httproutes")
MUTATING_WEBHOOKS = documents.cluster_wide(
    "admissionregistration.k8s.io", "v1", "MutatingWebhookConfiguration", "mutatingwebhookconfigurations"
)
VALIDATING_WEBHOOKS = documents.cluster_wide(
    "admissionregistration.k8s.io", "v1", "ValidatingWebhookConfiguration", "validatingwebhookconfigurations"
)
PROFILE = documents.cluster_wide("kubeflow.org", "v1", "Profile", "profiles")
NOTEBOOK = documents.namespaced("kubeflow.org", "v1beta1", "Notebook", "notebooks")
PVC_VIEWER = documents.namespaced("kubeflow.org", "v1alpha1", "PVCViewer", "pvcviewers")
TENSORBOARD = documents.namespaced("tensorboard.kubeflow.org", "v1alpha1", "Tensorboard", "tensorboards")
WORKFLOW = documents.namespaced("argoproj.io", "v1alpha1", "Workflow", "workflows")
EXPERIMENT = documents.namespaced("kubeflow.org", "v1beta1", "Experiment", "experiments")
SUGGESTION = documents.namespaced("kubeflow.org", "v1beta1", "Suggestion", "suggestions")
TRIAL = documents.namespaced("kubeflow.org", "v1beta1", "Trial", "trials")
PYTORCH_JOB = documents.namespaced("kubeflow.org", "v1", "PyTorchJob", "pytorchjobs")
TF_JOB = documents.namespaced("kubeflow.org", "v1", "TFJob", "tfjobs")
MPI_JOB = documents.namespaced("kubeflow.org", "v1", "MPIJob", "mpijobs")
XGBOOST_JOB = documents.namespaced("kubeflow.org", "v1", "XGBoostJob", "xgboostjobs")
PADDLE_JOB = documents.namespaced("kubeflow.org", "v1", "PaddleJob", "paddlejobs")
JAX_JOB = documents.namespaced("kubeflow.org", "v1", "JAXJob", "jaxjobs")
JOB_SET = documents.namespaced("jobset.x-k8s.io", "v1alpha2", "JobSet", "jobsets")
TRAIN_JOB = documents.namespaced("trainer.kubeflow.org", "v1alpha1", "TrainJob", "trainjobs")
TRAINING_RUNTIME = documents.namespaced(
    "trainer.kubeflow.org", "v1alpha1", "TrainingRuntime", "trainingruntimes"
)
CLUSTER_TRAINING_RUNTIME = documents.cluster_wide(
    "trainer.kubeflow.org", "v1alpha1", "ClusterTrainingRuntime", "clustertrainingruntimes"
)
INFERENCE_SERVICE = documents.namespaced(
    "serving.kserve.io", "v1beta1", "InferenceService", "inferenceservices"
)
INFERENCE_GRAPH = documents.namespaced("serving.kserve.io", "v1alpha1", "InferenceGraph", "inferencegraphs")
TRAINED_MODEL = documents.namespaced("serving.kserve.io", "v1alpha1", "TrainedModel", "trainedmodels")
SERVING_RUNTIME = documents.namespaced("serving.kserve.io", "v1alpha1", "ServingRuntime", "servingruntimes")
CLUSTER_SERVING_RUNTIME = documents.cluster_wide(
    "serving.kserve.io", "v1alpha1", "ClusterServingRuntime", "clusterservingruntimes"
)
CLUSTER_STORAGE_CONTAINER = documents.cluster_wide(
    "serving.kserve.io", "v1alpha1", "ClusterStorageContainer", "clusterstoragecontainers"
)
LOCAL_MODEL_CACHE = documents.cluster_wide(
    "serving.kserve.io", "v1alpha1", "LocalModelCache", "localmodelcaches"
)
LLM_SERVICE = documents.namespaced(
    "serving.kserve.io", "v1alpha1", "LLMInferenceService", "llminferenceservices"
)
LLM_CONFIG = documents.namespaced(
    "serving.kserve.io", "v1alpha1", "LLMInferenceServiceConfig", "llminferenceserviceconfigs"
)
KNATIVE_SERVICE = documents.namespaced("serving.knative.dev", "v1", "Service", "services")
KNATIVE_CONFIGURATION = documents.namespaced("serving.knative.dev", "v1", "Configuration", "configurations")
KNATIVE_ROUTE = documents.namespaced("serving.knative.dev", "v1", "Route", "routes")
KNATIVE_REVISION = documents.namespaced("serving.knative.dev", "v1", "Revision", "revisions")
POD_AUTOSCALER = documents.namespaced(
    "autoscaling.internal.knative.dev", "v1alpha1", "PodAutoscaler", "podautoscalers"
)
SERVERLESS_SERVICE = documents.namespaced(
    "networking.internal.knative.dev", "v1alpha1", "ServerlessService", "serverlessservices"
)
KNATIVE_INGRESS = documents.namespaced("networking.internal.knative.dev", "v1alpha1", "Ingress", "ingresses")
VOLCANO_POD_GROUP = documents.namespaced("scheduling.volcano.sh", "v1beta1", "PodGroup", "podgroups")
COSCHEDULING_POD_GROUP = documents.namespaced("scheduling.x-k8s.io", "v1alpha1", "PodGroup", "podgroups")


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
