"""The custom resources of the notebooks component: Notebook, PVCViewer and Tensorboard.

Fields and validations are those of kubeflow/kubeflow v1.10.0, config/crd of components/notebook-controller,
components/pvcviewer-controller and components/tensorboard-controller, as kubeflow/manifests 26.03 has them.
Where upstream freezes the pods of the Kubernetes of its day, what it requires of a container is required, and
the rest is kept as it is: the API server checks it when the pod is made.
"""

from __future__ import annotations

import datetime
from typing import Annotated

import pydantic

from kubeflow_charm import Manifest
from kubeflow_charm.definitions.crds import IntOrString, Names, Schema, Version, definition

_REST_KEPT = pydantic.ConfigDict(json_schema_extra={"x-kubernetes-preserve-unknown-fields": True})

Int32 = Annotated[int, pydantic.WithJsonSchema({"type": "integer", "format": "int32"})]
FalseAtFirst = Annotated[bool, pydantic.WithJsonSchema({"type": "boolean", "default": False})]
"""A field that is required, and false where it is not given: the API server's default comes first."""


class Container(Schema):
    """A container, with all else that core/v1 gives it."""

    model_config = _REST_KEPT

    name: str
    image: str


class NotebookPod(Schema):
    """The notebook's pod (core/v1 PodSpec); its first container is the notebook."""

    model_config = _REST_KEPT

    containers: Annotated[list[Container], pydantic.Field(min_length=1)]


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


class Notebook(Schema):
    """A server in a pod of its own that a user works in by the browser."""

    spec: NotebookSpec | None = None
    status: NotebookStatus | None = None


class Networking(Schema):
    """How the viewer is reached."""

    target_port: IntOrString | None = None
    base_prefix: str | None = None
    rewrite: str | None = None
    timeout: str | None = None


class ViewerContainer(Schema):
    """A container of a viewer, with all else that core/v1 gives it."""

    model_config = _REST_KEPT

    name: str


class ViewerPod(Schema):
    """The viewer's pod (core/v1 PodSpec)."""

    model_config = _REST_KEPT

    containers: list[ViewerContainer]


class PvcViewerSpec(Schema):
    """What is to be viewed, and by what; the webhook fills in a pod that is not given."""

    networking: Networking | None = None
    pod_spec: ViewerPod | None = None
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


class PvcViewer(Schema):
    """A file browser on a volume."""

    spec: PvcViewerSpec | None = None
    status: PvcViewerStatus | None = None


class TensorboardSpec(Schema):
    """Where the logs are: `pvc://<claim>/<path>`, or the address of a bucket."""

    logspath: str


class TensorboardCondition(Schema):
    """A condition of the board's Deployment."""

    deployment_state: str
    last_probe_time: datetime.datetime | None = None


class TensorboardStatus(Schema):
    """What the board is."""

    conditions: list[TensorboardCondition]
    ready_replicas: Int32


class Tensorboard(Schema):
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
        definition(Names("Notebook", "notebooks", "kubeflow.org"), notebook),
        definition(
            Names("PVCViewer", "pvcviewers", "kubeflow.org"), [Version("v1alpha1", PvcViewer, storage=True)]
        ),
        definition(
            Names("Tensorboard", "tensorboards", "tensorboard.kubeflow.org"),
            [Version("v1alpha1", Tensorboard, storage=True)],
        ),
    ]
