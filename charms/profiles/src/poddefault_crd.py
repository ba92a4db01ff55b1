"""The custom resource PodDefault: what pods with certain labels get beyond what they ask for.

Fields and validations are those of kubeflow/kubeflow v1.10.0,
components/admission-webhook/manifests/base/crd.yaml. Where upstream freezes the Kubernetes API of its day
(the kinds of volumes, everything in a container), the name is checked and the rest is kept as it is: the
API server checks it when the pod is made.
"""

from __future__ import annotations

import pydantic

from kubeflow_charm import Manifest
from kubeflow_charm.definitions.crds import Embedded, Names, Schema, Version, definition


class LabelRequirement(Schema):
    """One condition on labels."""

    key: str
    operator: str
    values: list[str] | None = None


class LabelSelector(Schema):
    """The pods that get the defaults (meta/v1 LabelSelector)."""

    match_expressions: list[LabelRequirement] | None = None
    match_labels: dict[str, str] | None = None


class NamedPiece(Schema):
    """A container or a volume: a name, and all else that core/v1 gives it."""

    model_config = pydantic.ConfigDict(json_schema_extra={"x-kubernetes-preserve-unknown-fields": True})

    name: str


class EnvVar(Schema):
    """An environment variable; `valueFrom` may name any source (core/v1 EnvVar)."""

    name: str
    value: str | None = None
    value_from: Embedded | None = None


class ObjectName(Schema):
    """The name of an object in the pod's namespace (core/v1 LocalObjectReference)."""

    name: str | None = None


class EnvSource(ObjectName):
    """A ConfigMap or a Secret, each key of which becomes a variable."""

    optional: bool | None = None


class EnvFrom(Schema):
    """Variables by the lot (core/v1 EnvFromSource)."""

    config_map_ref: EnvSource | None = None
    prefix: str | None = None
    secret_ref: EnvSource | None = None


class VolumeMount(Schema):
    """Where a volume is seen in the containers (core/v1 VolumeMount)."""

    mount_path: str
    mount_propagation: str | None = None
    name: str
    read_only: bool | None = None
    recursive_read_only: str | None = None
    sub_path: str | None = None
    sub_path_expr: str | None = None


class Toleration(Schema):
    """A taint that the pods put up with (core/v1 Toleration)."""

    effect: str | None = None
    key: str | None = None
    operator: str | None = None
    toleration_seconds: int | None = None
    value: str | None = None


class PodDefaultSpec(Schema):
    """What the webhook adds, and to which pods."""

    annotations: dict[str, str] | None = None
    args: list[str] | None = None
    automount_service_account_token: bool | None = None
    command: list[str] | None = None
    desc: str | None = None
    env: list[EnvVar] | None = None
    env_from: list[EnvFrom] | None = None
    image_pull_secrets: list[ObjectName] | None = None
    init_containers: list[NamedPiece] | None = None
    labels: dict[str, str] | None = None
    selector: LabelSelector
    service_account_name: str | None = None
    sidecars: list[NamedPiece] | None = None
    tolerations: list[Toleration] | None = None
    volume_mounts: list[VolumeMount] | None = None
    volumes: list[NamedPiece] | None = None


class PodDefault(Schema):
    """What pods with certain labels get; users tick it when they make a notebook."""

    spec: PodDefaultSpec | None = None
    status: Embedded | None = None


def poddefault_definition() -> Manifest:
    """Return the CustomResourceDefinition of PodDefault."""
    names = Names("PodDefault", "poddefaults", "kubeflow.org")
    return definition(names, [Version("v1alpha1", PodDefault, storage=True, status=False)])
