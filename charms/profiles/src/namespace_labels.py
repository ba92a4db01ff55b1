"""The labels of profile namespaces: which they are, and that the Pod Security Standard is the one configured.

The profile controller reads labels from a file. It adds one that a namespace lacks, takes off one whose value
is empty, and never changes one that is there (kubeflow/kubeflow v1.10.0,
components/profile-controller/controllers/profile_controller.go, setNamespaceLabels).
"""

from __future__ import annotations

import re
from typing import Annotated

import pydantic
from lightkube import operators
from lightkube.types import PatchType

from kubeflow_charm import YAML
from kubeflow_charm.cluster.errors import explained
from kubeflow_charm.cluster.executor import Cluster
from kubeflow_charm.cluster.resources import kind_of

PROFILE = {"app.kubernetes.io/part-of": "kubeflow-profile"}
"""What a profile namespace is known by: the PodDefaults webhook is called for these only."""
ENFORCE = "pod-security.kubernetes.io/enforce"

DEFAULTS = {
    **PROFILE,
    "katib.kubeflow.org/metrics-collector-injection": "enabled",
    "pipelines.kubeflow.org/enabled": "true",
    "serving.kubeflow.org/inferenceservice": "enabled",
    # What resource-dispatcher looks for (canonical/kubeflow-profiles-operator, namespace-labels.yaml.j2).
    "user.kubeflow.org/enabled": "true",
}
"""Upstream's (kubeflow/manifests 26.03, applications/profiles/pss/namespace-labels.yaml), and one more."""

_PART = r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?"
_KEY = re.compile(rf"([a-z0-9]([a-z0-9.-]{{0,251}}[a-z0-9])?/)?{_PART}")
_VALUE = re.compile(rf"({_PART})?")


def _checked(labels: dict[str, str]) -> dict[str, str]:
    for key, value in labels.items():
        if key == ENFORCE:
            raise ValueError(f"{key} is set by the option security-policy")
        if key in PROFILE:
            raise ValueError(f"{key} is how profile namespaces are known, so it stays")
        if not _KEY.fullmatch(key):
            raise ValueError(f"{key} is not the key of a label")
        if not _VALUE.fullmatch(value):
            raise ValueError(f"{key}: {value} is not the value of a label")
    return labels


Labels = Annotated[
    dict[str, str],
    pydantic.AfterValidator(_checked),
    pydantic.BeforeValidator(lambda value: {} if value is None else value),
    YAML,
]
"""The option `default-namespace-labels`: key to value, an empty value to take the label off."""


def labels(policy: str, further: dict[str, str]) -> dict[str, str]:
    """Return all labels for the controller's file; `further` come last and win."""
    return DEFAULTS | {ENFORCE: policy} | further


def enforce(policy: str, application: str, cluster: Cluster) -> None:
    """Bring the Pod Security Standard to the profile namespaces that have another, or none.

    The controller leaves a label that is there alone, so `juju config` would have no effect on the profiles
    of today. Where nothing is to do, this is one list request with an empty answer.

    Args:
        policy: the standard.
        application: name of this application, for the command in a status.
        cluster: of this application; the platform's own namespace is left alone.

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
