"""The custom resource PodDefault: additions to pods with certain labels.

Fields and validations are those of kubeflow/kubeflow v1.10.0,
components/admission-webhook/manifests/base/crd.yaml, with containers, volumes and variables of the newest
Kubernetes. Unlike upstream, it refuses a name that the webhook cannot use in an
annotation: the webhook would refuse every pod that the labels select.
"""

from __future__ import annotations

from kubeflow_charm import Manifest
from kubeflow_charm.definitions.crds import Embedded, Names, Version, at_most, definition
from kubeflow_charm.definitions.embedded import (
    Container,
    EnvFrom,
    EnvVar,
    LabelSelector,
    ObjectName,
    Toleration,
    Volume,
    VolumeMount,
)
from kubeflow_charm.definitions.schemas import Schema


class PodDefaultSpec(Schema):
    """The webhook's additions, and the pods that get them."""

    annotations: dict[str, str] | None = None
    args: list[str] | None = None
    automount_service_account_token: bool | None = None
    command: list[str] | None = None
    desc: str | None = None
    env: list[EnvVar] | None = None
    env_from: list[EnvFrom] | None = None
    image_pull_secrets: list[ObjectName] | None = None
    init_containers: list[Container] | None = None
    labels: dict[str, str] | None = None
    selector: LabelSelector
    service_account_name: str | None = None
    sidecars: list[Container] | None = None
    tolerations: list[Toleration] | None = None
    volume_mounts: list[VolumeMount] | None = None
    volumes: list[Volume] | None = None


class PodDefault(Schema):
    """Additions to pods with certain labels; users tick it when they create a notebook."""

    spec: PodDefaultSpec | None = None
    status: Embedded | None = None


def poddefault_definition() -> Manifest:
    """Return the CustomResourceDefinition of PodDefault."""
    # The webhook annotates pods with `<group>/poddefault-<name>`, and 63 characters may follow the slash.
    names = Names("PodDefault", "poddefaults", "kubeflow.org", objects=at_most(52, dots=True))
    return definition(names, [Version("v1alpha1", PodDefault, storage=True, status=False)])
