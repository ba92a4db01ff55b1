"""ServingRuntime, ClusterServingRuntime and ClusterStorageContainer: how models are served and fetched.

Fields and columns are those of kserve v0.16.0, config/crd/full.
"""

from __future__ import annotations

from typing import Annotated

import pydantic
from serving_types import AGE, GROUP, Labels, Parallelism

from kubeflow_charm import Manifest
from kubeflow_charm.definitions.crds import Column, Names, Version, definition
from kubeflow_charm.definitions.embedded import (
    Affinity,
    Container,
    EnvVar,
    Int32,
    ObjectName,
    Toleration,
    Volume,
)
from kubeflow_charm.definitions.schemas import Schema


class BuiltInAdapter(Schema):
    """How ModelMesh adapts to a server."""

    env: list[EnvVar] | None = None
    mem_buffer_bytes: int | None = None
    model_loading_timeout_millis: int | None = None
    runtime_management_port: int | None = None
    server_type: str | None = None


class StorageHelper(Schema):
    """What fetches models for ModelMesh."""

    disabled: bool | None = None


class SupportedFormat(Schema):
    """A format of models that a runtime serves."""

    auto_select: bool | None = None
    name: str
    priority: Annotated[Int32 | None, pydantic.Field(ge=1)] = None
    version: str | None = None


class _Pod(Schema):
    """The pod of a runtime: not all fields of Kubernetes' pods."""

    affinity: Affinity | None = None
    annotations: Labels = None
    containers: list[Container]
    host_ipc: Annotated[bool | None, pydantic.Field(alias="hostIPC")] = None
    image_pull_secrets: list[ObjectName] | None = None
    labels: Labels = None
    node_selector: Labels = None
    tolerations: list[Toleration] | None = None
    volumes: list[Volume] | None = None


class Worker(Parallelism, _Pod):
    """The pods beside the first, if a model needs several nodes."""


class RuntimeSpec(_Pod):
    """How a model is served."""

    built_in_adapter: BuiltInAdapter | None = None
    disabled: bool | None = None
    grpc_data_endpoint: str | None = None
    grpc_endpoint: str | None = None
    http_data_endpoint: str | None = None
    multi_model: bool | None = None
    protocol_versions: list[str] | None = None
    replicas: int | None = None
    storage_helper: StorageHelper | None = None
    supported_model_formats: list[SupportedFormat] | None = None
    worker_spec: Worker | None = None


class Nothing(Schema):
    """The state of a runtime: there is none."""


class ServingRuntime(Schema):
    """A server of models, for a namespace or the cluster."""

    spec: RuntimeSpec | None = None
    status: Nothing | None = None


class UriFormat(Schema):
    """Addresses that a container fetches from."""

    prefix: str | None = None
    regex: str | None = None


class StorageContainerSpec(Schema):
    """What fetches a model."""

    container: Container
    supported_uri_formats: list[UriFormat]
    supports_multi_model_download: bool = False
    workload_type: str = "initContainer"


class ClusterStorageContainer(Schema):
    """A container that fetches models."""

    disabled: bool | None = None
    spec: StorageContainerSpec | None = None


_COLUMNS = (
    Column("Disabled", "boolean", ".spec.disabled"),
    Column("ModelType", "string", ".spec.supportedModelFormats[*].name"),
    Column("Containers", "string", ".spec.containers[*].name"),
    AGE,
)


def definitions() -> list[Manifest]:
    """Return the CustomResourceDefinitions."""
    runtime = [Version("v1alpha1", ServingRuntime, storage=True, status=False, columns=_COLUMNS)]
    storage = [Version("v1alpha1", ClusterStorageContainer, storage=True, status=False)]
    return [
        definition(Names("ServingRuntime", "servingruntimes", GROUP), runtime),
        definition(
            Names("ClusterServingRuntime", "clusterservingruntimes", GROUP), runtime, namespaced=False
        ),
        definition(
            Names("ClusterStorageContainer", "clusterstoragecontainers", GROUP), storage, namespaced=False
        ),
    ]
