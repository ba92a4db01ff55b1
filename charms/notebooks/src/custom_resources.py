"""The custom resources of the notebooks component: Notebook, PVCViewer and Tensorboard.

Fields and validations are those of kubeflow/kubeflow v1.10.0, config/crd of components/notebook-controller,
components/pvcviewer-controller and components/tensorboard-controller, as in kubeflow/manifests 26.03.
Upstream's pods have the fields of an old Kubernetes; ours have those of the newest one.

Unlike upstream, the definitions refuse names that the controller cannot use. A Notebook becomes a
StatefulSet, whose pods have `<name>-<ten characters>` in a label of at most 63, and a Service. A Tensorboard
becomes a Service with a port `http-<name>`, a PVCViewer a Service `pvcviewer-<name>`. A Service's name has no
dot and at most 63 characters. Before 1.36, Kubernetes also required a letter at its beginning
(kubernetes/kubernetes v1.36.3, feature RelaxedServiceNameValidation); no rule here does. Older objects that
break a rule stay usable. The notebook controller crashes on a Notebook without containers, so one is
required.
"""

from __future__ import annotations

import datetime
from typing import Annotated, Any

import pydantic
from lightkube.models import core_v1

from kubeflow_charm import Manifest
from kubeflow_charm.definitions.crds import Names, Version, at_most, definition, object_rules, rules
from kubeflow_charm.definitions.embedded import Int32, IntOrString, Kubernetes, PodSpec
from kubeflow_charm.definitions.schemas import Schema

FalseAtFirst = Annotated[bool, pydantic.WithJsonSchema({"type": "boolean", "default": False})]
"""A required field with the default false: the API server applies the default before it checks."""
_HAS_SPEC = ("has(self.spec)", "spec must be there")
_HAS_POD = (
    "has(self.spec) && has(self.spec.template) && has(self.spec.template.spec)",
    "spec.template.spec, the notebook's pod, must be there",
)

_CONTAINERS = ("properties", "containers")
NotebookPod = Annotated[
    dict[str, Any],
    Kubernetes(
        core_v1.PodSpec,
        (
            ((*_CONTAINERS, "minItems"), 1),
            ((*_CONTAINERS, "items", "required"), ["name", "image"]),
        ),
    ),
]
"""The notebook's pod; its first container is the notebook (config/crd/patches/validation_patches.yaml)."""


class NotebookTemplate(Schema):
    """The template of the notebook's pod."""

    spec: NotebookPod | None = None


class NotebookSpec(Schema):
    """The wanted notebook."""

    template: NotebookTemplate | None = None


class NotebookCondition(Schema):
    """A condition of the notebook's pod."""

    type: str
    status: str
    last_probe_time: datetime.datetime | None = None
    last_transition_time: datetime.datetime | None = None
    reason: str | None = None
    message: str | None = None


class Running(Schema):
    """The container runs."""

    started_at: datetime.datetime | None = None


class Terminated(Schema):
    """The container has terminated."""

    container_id: Annotated[str | None, pydantic.Field(alias="containerID")] = None
    exit_code: Int32
    finished_at: datetime.datetime | None = None
    message: str | None = None
    reason: str | None = None
    signal: Int32 | None = None
    started_at: datetime.datetime | None = None


class Waiting(Schema):
    """The container has not started."""

    message: str | None = None
    reason: str | None = None


class ContainerState(Schema):
    """The state of the container: one of three (core/v1 ContainerState)."""

    running: Running | None = None
    terminated: Terminated | None = None
    waiting: Waiting | None = None


class NotebookStatus(Schema):
    """The state of the notebook."""

    conditions: list[NotebookCondition]
    ready_replicas: Int32
    container_state: ContainerState


class Notebook(Schema, keywords=object_rules(_HAS_POD)):
    """A server in its own pod, which a user opens in the browser."""

    spec: NotebookSpec | None = None
    status: NotebookStatus | None = None


class Networking(Schema):
    """The address of the viewer."""

    target_port: IntOrString | None = None
    base_prefix: str | None = None
    rewrite: str | None = None
    timeout: str | None = None


class PvcViewerSpec(Schema):
    """The volume to view, and the viewer's pod; the webhook provides a default pod."""

    networking: Networking | None = None
    pod_spec: PodSpec | None = None
    pvc: str
    rwo_scheduling: FalseAtFirst


class DeploymentCondition(Schema):
    """A condition of the viewer's Deployment."""

    type: str
    status: str
    last_transition_time: datetime.datetime | None = None
    last_update_time: datetime.datetime | None = None
    reason: str | None = None
    message: str | None = None


class PvcViewerStatus(Schema):
    """Whether the viewer is ready, and its address."""

    conditions: list[DeploymentCondition] | None = None
    ready: FalseAtFirst
    url: str | None = None


class PvcViewer(Schema, keywords=object_rules(_HAS_SPEC)):
    """A file browser on a volume."""

    spec: PvcViewerSpec | None = None
    status: PvcViewerStatus | None = None


class TensorboardSpec(Schema):
    """The address of the logs: `pvc://<claim>/<path>`, or a bucket's address."""

    logspath: Annotated[
        str,
        pydantic.Field(
            max_length=4096,
            json_schema_extra=rules(
                (
                    "!self.startsWith('pvc://') || self.matches('^pvc://[a-z0-9]([-a-z0-9.]*[a-z0-9])?(/|$)')",
                    "pvc:// must be followed by the name of a claim",
                )
            ),
        ),
    ]


class TensorboardCondition(Schema):
    """A condition of the board's Deployment."""

    deployment_state: str
    last_probe_time: datetime.datetime | None = None


class TensorboardStatus(Schema):
    """The state of the board."""

    conditions: list[TensorboardCondition]
    ready_replicas: Int32


class Tensorboard(Schema, keywords=object_rules(_HAS_SPEC)):
    """A TensorBoard server for logs."""

    spec: TensorboardSpec | None = None
    status: TensorboardStatus | None = None


def definitions() -> list[Manifest]:
    """Return the CustomResourceDefinitions."""
    notebook = [
        Version("v1", Notebook, storage=True),
        Version("v1beta1", Notebook),
        Version("v1alpha1", Notebook),
    ]
    return [
        definition(Names("Notebook", "notebooks", "kubeflow.org", objects=at_most(52)), notebook),
        definition(
            Names("PVCViewer", "pvcviewers", "kubeflow.org", objects=at_most(53)),
            [Version("v1alpha1", PvcViewer, storage=True)],
        ),
        definition(
            Names("Tensorboard", "tensorboards", "tensorboard.kubeflow.org", objects=at_most(58)),
            [Version("v1alpha1", Tensorboard, storage=True)],
        ),
    ]
