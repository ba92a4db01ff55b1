"""The labels of profile namespaces, among them the Pod Security Standard.

The profile controller reads labels from a file. It adds missing labels, removes labels whose value in the
file is empty, and never changes existing labels (kubeflow/kubeflow v1.10.0,
components/profile-controller/controllers/profile_controller.go, setNamespaceLabels).
"""

from __future__ import annotations

from typing import Annotated

import pydantic
from lightkube import operators
from lightkube.types import PatchType

from kubeflow_charm import YAML
from kubeflow_charm.cluster.errors import explained
from kubeflow_charm.cluster.executor import Cluster
from kubeflow_charm.cluster.resources import kind_of
from kubeflow_charm.gpu.kubernetes_labels import LabelKey, LabelValue

PROFILE = {"app.kubernetes.io/part-of": "kubeflow-profile"}
"""The label of profile namespaces: the API server calls the PodDefaults webhook for these only."""
ENFORCE = "pod-security.kubernetes.io/enforce"

DEFAULTS = {
    **PROFILE,
    "katib.kubeflow.org/metrics-collector-injection": "enabled",
    "pipelines.kubeflow.org/enabled": "true",
    "serving.kubeflow.org/inferenceservice": "enabled",
    # resource-dispatcher selects it (canonical/kubeflow-profiles-operator, namespace-labels.yaml.j2).
    "user.kubeflow.org/enabled": "true",
}
"""Upstream's (kubeflow/manifests 26.03, applications/profiles/pss/namespace-labels.yaml), and one more."""


def _checked(labels: dict[str, str]) -> dict[str, str]:
    for key in labels:
        if key == ENFORCE:
            raise ValueError(f"{key} is set by the option security-policy")
        if key in PROFILE:
            raise ValueError(f"{key} is how profile namespaces are known, so it stays")
    return labels


Labels = Annotated[
    dict[LabelKey, LabelValue],
    pydantic.AfterValidator(_checked),
    pydantic.BeforeValidator(lambda value: {} if value is None else value),
    YAML,
]
"""The option `default-namespace-labels`: key to value; an empty value removes the label."""


def labels(policy: str, further: dict[str, str]) -> dict[str, str]:
    """Return all labels for the controller's file; labels in `further` win."""
    return DEFAULTS | {ENFORCE: policy} | further


def enforce(policy: str, application: str, cluster: Cluster) -> None:
    """Set the Pod Security Standard on the profile namespaces that have another one, or none.

    The controller never changes an existing label, so `juju config` would not affect existing profiles. If
    there is nothing to do, this costs one list request with an empty answer.

    Args:
        policy: the standard.
        application: name of this application, for the command in a status.
        cluster: this application's cluster; the platform's own namespace never changes.

    Raises:
        Problem: if the API server does not answer or refuses.
    """
    kind = kind_of({"apiVersion": "v1", "kind": "Namespace"})
    others = {**PROFILE, ENFORCE: operators.not_equal(policy)}
    patch = {"metadata": {"labels": {ENFORCE: policy}}}
    with explained("profile namespaces", application):
        names = [item["metadata"]["name"] for item in cluster.client.list(kind.resource, labels=others)]
    for name in names:
        if name != cluster.own.namespace:
            with explained(f"Namespace {name}", application):
                cluster.client.patch(kind.resource, name, patch, patch_type=PatchType.MERGE)
