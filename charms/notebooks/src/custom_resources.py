"""The custom resources of the notebooks component: Notebook, PVCViewer and Tensorboard.

Fields and validations are those of kubeflow/kubeflow v1.10.0, config/crd of components/notebook-controller,
components/pvcviewer-controller and components/tensorboard-controller, as kubeflow/manifests 26.03 has them.
Upstream froze the pods of the Kubernetes of its day; here they are those of the newest one.

Beyond upstream, a name is refused that its controller can make nothing of. A Notebook becomes a StatefulSet,
whose pods carry `<name>-<ten characters>` in a label of 63, and a Service. A Tensorboard becomes a Service
with a port `http-<name>`, a PVCViewer a Service `pvcviewer-<name>`. A Service's name has no dot and at most
63 characters. Kubernetes before 1.36 also wants it to begin with a letter; 1.36 does not
(kubernetes/kubernetes v1.36.3, feature RelaxedServiceNameValidation), so no rule here forbids it. Objects
that were there before the rule stay usable. The notebook controller crashes on a Notebook without containers.
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
"""A field that is required, and false where it is not given: the API server's default comes first."""
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
    """What the notebook should be."""

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
    """The container has ended."""

    container_id: Annotated[str | None, pydantic.Field(alias="containerID")] = None
    exit_code: Int32
    finished_at: datetime.datetime | None = None
    message: str | None = None
    reason: str | None = None
    signal: Int32 | None = None
    started_at: datetime.datetime | None = None


class Waiting(Schema):
    """The container has not begun."""

    message: str | None = None
    reason: str | None = None


class ContainerState(Schema):
    """One of three (core/v1 ContainerState)."""

    running: Running | None = None
    terminated: Terminated | None = None
    waiting: Waiting | None = None


class NotebookStatus(Schema):
    """What the notebook is."""

    conditions: list[NotebookCondition]
    ready_replicas: Int32
    container_state: ContainerState


class Notebook(Schema, keywords=object_rules(_HAS_POD)):
    """A server in a pod of its own that a user works in by the browser."""

    spec: NotebookSpec | None = None
    status: NotebookStatus | None = None


class Networking(Schema):
    """How the viewer is reached."""

    target_port: IntOrString | None = None
    base_prefix: str | None = None
    rewrite: str | None = None
    timeout: str | None = None


class PvcViewerSpec(Schema):
    """What is to be viewed, and by what; the webhook fills in a pod that is not given."""

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
    """Whether the viewer can be used, and where."""

    conditions: list[DeploymentCondition] | None = None
    ready: FalseAtFirst
    url: str | None = None


class PvcViewer(Schema, keywords=object_rules(_HAS_SPEC)):
    """A file browser on a volume."""

    spec: PvcViewerSpec | None = None
    status: PvcViewerStatus | None = None


class TensorboardSpec(Schema):
    """Where the logs are: `pvc://<claim>/<path>`, or the address of a bucket."""

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
    """What the board is."""

    conditions: list[TensorboardCondition]
    ready_replicas: Int32


class Tensorboard(Schema, keywords=object_rules(_HAS_SPEC)):
    """A TensorBoard server on some logs."""

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
