"""Webhooks as a charm would deploy them, on a control plane that calls them."""

from __future__ import annotations

import base64
import datetime
import importlib.util
import json
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from kubeflow_charm.webhooks import issuing
from rehearsal.cluster.controlplane import ControlPlane
from rehearsal.cluster.existing import Refused
from rehearsal.errors import RehearsalError
from rehearsal.patience import PATIENCE

Object = dict[str, Any]
T = TypeVar("T")

_PROFILES = Path(__file__).parents[3] / "charms" / "profiles" / "src"
_GROUPS = {
    "Namespace": ("v1", "namespaces"),
    "Secret": ("v1", "secrets"),
    "ConfigMap": ("v1", "configmaps"),
    "Service": ("v1", "services"),
    "ServiceAccount": ("v1", "serviceaccounts"),
    "Pod": ("v1", "pods"),
    "Node": ("v1", "nodes"),
    "Deployment": ("apps/v1", "deployments"),
    "EndpointSlice": ("discovery.k8s.io/v1", "endpointslices"),
    "ClusterRole": ("rbac.authorization.k8s.io/v1", "clusterroles"),
    "ClusterRoleBinding": ("rbac.authorization.k8s.io/v1", "clusterrolebindings"),
    "CustomResourceDefinition": ("apiextensions.k8s.io/v1", "customresourcedefinitions"),
    "MutatingWebhookConfiguration": ("admissionregistration.k8s.io/v1", "mutatingwebhookconfigurations"),
    "ValidatingWebhookConfiguration": ("admissionregistration.k8s.io/v1", "validatingwebhookconfigurations"),
    "PodDefault": ("kubeflow.org/v1alpha1", "poddefaults"),
    "PVCViewer": ("kubeflow.org/v1alpha1", "pvcviewers"),
    "Job": ("batch/v1", "jobs"),
    "Experiment": ("kubeflow.org/v1beta1", "experiments"),
    "Suggestion": ("kubeflow.org/v1beta1", "suggestions"),
    "Trial": ("kubeflow.org/v1beta1", "trials"),
    "PyTorchJob": ("kubeflow.org/v1", "pytorchjobs"),
    "JobSet": ("jobset.x-k8s.io/v1alpha2", "jobsets"),
    "TrainJob": ("trainer.kubeflow.org/v1alpha1", "trainjobs"),
    "InferenceService": ("serving.kserve.io/v1beta1", "inferenceservices"),
    "ServingRuntime": ("serving.kserve.io/v1alpha1", "servingruntimes"),
    "InferenceGraph": ("serving.kserve.io/v1alpha1", "inferencegraphs"),
    "TrainingRuntime": ("trainer.kubeflow.org/v1alpha1", "trainingruntimes"),
}


def eventually(condition: Callable[[], T], within: float = PATIENCE) -> T:
    """Return what the condition returns once that is something."""
    deadline = time.monotonic() + within
    while not (result := condition()):
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.05)
    return result


class Kube:
    """Objects of a cluster, as its administrator has them."""

    def __init__(self, cluster: ControlPlane):
        self.cluster = cluster

    def create(
        self, kind: str, name: str, namespace: str = "", *, dry: bool = False, **fields: Any
    ) -> Object:
        """Create an object; raises Refused."""
        document = self._document(kind, name, fields)
        path = self._path(kind, "", namespace) + ("?dryRun=All" if dry else "")
        return json.loads(
            self.cluster.request("POST", path, json.dumps(document).encode(), "application/json")
        )

    def apply(self, kind: str, name: str, namespace: str = "", **fields: Any) -> Object:
        """Create an object, or have it say this."""
        document = self._document(kind, name, fields)
        path = self._path(kind, name, namespace) + "?fieldManager=test&force=true"
        return json.loads(self.cluster.apply(path, json.dumps(document).encode()))

    def get(self, kind: str, name: str = "", namespace: str = "") -> Object:
        """Return an object, or the list of all."""
        return json.loads(self.cluster.request("GET", self._path(kind, name, namespace)))

    def delete(self, kind: str, name: str, namespace: str = "") -> None:
        """Delete an object."""
        self.cluster.request("DELETE", self._path(kind, name, namespace))

    def namespace(self, prefix: str) -> str:
        """Make a namespace in which pods can be made, and return its name."""
        name = f"{prefix}-{uuid.uuid4().hex[:6]}"
        self.create("Namespace", name)
        eventually(lambda: self._found("ServiceAccount", "default", name))
        return name

    def _found(self, kind: str, name: str, namespace: str) -> bool:
        try:
            return bool(self.get(kind, name, namespace))
        except Refused:
            return False

    def _document(self, kind: str, name: str, fields: Object) -> Object:
        metadata = {"name": name} | fields.pop("metadata", {})
        return {"apiVersion": _GROUPS[kind][0], "kind": kind, "metadata": metadata, **fields}

    def _path(self, kind: str, name: str, namespace: str) -> str:
        version, plural = _GROUPS[kind]
        within = f"/namespaces/{namespace}" if namespace else ""
        return f"/api{'' if version == 'v1' else 's'}/{version}{within}/{plural}/{name}".rstrip("/")


def denial(call: Callable[[], Any]) -> str:
    """Return why a request is refused, or nothing if it is not."""
    try:
        call()
    except Refused as refusal:
        text = str(refusal)
        return json.loads(text[text.index("{") :])["message"]
    return ""


class Certificate:
    """An authority of its own, and what it signs."""

    def __init__(self, *names: str):
        now = datetime.datetime.now(datetime.UTC)
        until = now + datetime.timedelta(days=30)
        authority = issuing.authority("test", now, until)
        self.pair = issuing.serving(list(names), now, until, authority)
        self.ca = base64.b64encode(authority.certificate.encode()).decode()

    @property
    def data(self) -> dict[str, str]:
        """Of a Secret of type kubernetes.io/tls."""
        texts = {"tls.crt": self.pair.certificate, "tls.key": self.pair.key}
        return {key: base64.b64encode(text.encode()).decode() for key, text in texts.items()}


class Webhook:
    """A program's Deployment, Service and Secret in a namespace of its own; its configurations come later.

    Args:
        kube: where.
        image: of the program.
        port: on which it listens.
        mount: where it has its certificate.
        container: what else its container says.
        volumes: volumes besides that of the certificate.
    """

    def __init__(
        self,
        kube: Kube,
        image: str,
        port: int,
        mount: str,
        container: Object | None = None,
        volumes: tuple[Object, ...] = (),
    ):
        self.kube = kube
        self.namespace = kube.namespace("hooks")
        self.certificate = Certificate(f"webhook.{self.namespace}.svc")
        self._configurations: dict[str, str] = {}
        kube.create("ServiceAccount", "webhook", self.namespace)
        self.renew(self.certificate)
        target = {"port": 443, "targetPort": "hook", "name": "https"}
        kube.create(
            "Service", "webhook", self.namespace, spec={"selector": {"app": "hook"}, "ports": [target]}
        )
        said = dict(container or {})
        mounts = [{"name": "certificate", "mountPath": mount}, *said.pop("volumeMounts", [])]
        ports = [{"name": "hook", "containerPort": port}]
        whole = {"name": "hook", "image": image, "ports": ports, "volumeMounts": mounts, **said}
        secret = {"name": "certificate", "secret": {"secretName": "certificate"}}
        pod = {"serviceAccountName": "webhook", "containers": [whole], "volumes": [secret, *volumes]}
        template = {"metadata": {"labels": {"app": "hook"}}, "spec": pod}
        selector = {"matchLabels": {"app": "hook"}}
        self.spec = {"replicas": 1, "selector": selector, "template": template}
        self.scale(1)

    def renew(self, certificate: Certificate) -> None:
        """Have the pod's Secret hold a certificate."""
        self.kube.apply(
            "Secret", "certificate", self.namespace, type="kubernetes.io/tls", data=certificate.data
        )

    def scale(self, replicas: int) -> None:
        """Have as many pods, ready ones; return when the Service's endpoints are those."""
        self.kube.apply("Deployment", "webhook", self.namespace, spec=self.spec | {"replicas": replicas})
        eventually(lambda: len(self.ready()) == replicas)

    def ready(self) -> list[Object]:
        """Return the ready endpoints."""
        return [
            endpoint
            for each in self.kube.get("EndpointSlice", namespace=self.namespace)["items"]
            for endpoint in each["endpoints"] or []
            if endpoint["conditions"]["ready"]
        ]

    def may(self, verbs: list[str], *resources: tuple[str, str]) -> None:
        """Give the webhook's account rights to resources of groups, PodDefaults if none are said."""
        rules = [
            {"apiGroups": [group], "resources": [plural], "verbs": verbs}
            for group, plural in resources or [("kubeflow.org", "poddefaults")]
        ]
        self.kube.apply("ClusterRole", self.namespace, rules=rules)
        subject = {"kind": "ServiceAccount", "name": "webhook", "namespace": self.namespace}
        role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": self.namespace}
        self.kube.apply("ClusterRoleBinding", self.namespace, roleRef=role, subjects=[subject])

    def configure(
        self,
        users: str,
        *,
        path: str,
        resource: tuple[str, str],
        kind: str = "MutatingWebhookConfiguration",
        policy: str = "Fail",
        ca: str = "",
        versions: tuple[str, ...] = ("v1beta1", "v1"),
    ) -> None:
        """Have the API server call it, for a namespace of users only; or have it called otherwise."""
        service = {"name": "webhook", "namespace": self.namespace, "path": path}
        group, plural = resource
        rule = {"apiGroups": [group], "apiVersions": ["*"], "operations": ["CREATE"], "resources": [plural]}
        hook = {
            "name": "hook.example.com",
            "clientConfig": {"service": service, "caBundle": ca or self.certificate.ca},
            "rules": [rule],
            "failurePolicy": policy,
            "sideEffects": "None",
            "admissionReviewVersions": list(versions),
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": users}},
            "timeoutSeconds": 10,
        }
        self.kube.apply(kind, self.namespace, webhooks=[hook])
        self._configurations[kind] = self.namespace

    def close(self) -> None:
        """Take back what other tests would see."""
        for kind, name in self._configurations.items():
            self.kube.delete(kind, name)
        self.kube.delete("Deployment", "webhook", self.namespace)


def poddefault_definition() -> Object:
    """Return the charm's own definition of PodDefault."""
    spec = importlib.util.spec_from_file_location(
        "poddefault_crd_of_profiles", _PROFILES / "poddefault_crd.py"
    )
    assert spec and spec.loader
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.poddefault_definition()


def define(kube: Kube, definition: Object) -> None:
    """Have a kind of objects; return when they can be made."""
    name = definition["metadata"]["name"]
    kube.apply("CustomResourceDefinition", name, spec=definition["spec"])
    version = next(each["name"] for each in definition["spec"]["versions"])
    path = f"/apis/{definition['spec']['group']}/{version}/{definition['spec']['names']['plural']}"

    def served() -> bool:
        try:
            return bool(kube.cluster.request("GET", path))
        except (OSError, RehearsalError):
            return False

    eventually(served)
