"""Models that nodes keep: LocalModelCache, LocalModelNode and LocalModelNodeGroup.

Fields and validations are those of kserve v0.16.0, config/crd/full.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pydantic
from lightkube.models import core_v1

from kubeflow_charm import Manifest
from kubeflow_charm.definitions.crds import Names, Version, definition, rules
from kubeflow_charm.definitions.embedded import Kubernetes, Quantity
from kubeflow_charm.definitions.schemas import Schema

Claim = Annotated[dict[str, Any], Kubernetes(core_v1.PersistentVolumeClaimSpec)]
PersistentVolume = Annotated[dict[str, Any], Kubernetes(core_v1.PersistentVolumeSpec)]
_FIXED = rules(("self == oldSelf", "StorageUri is immutable"))


class CacheSpec(Schema):
    """A model, and the nodes that keep it."""

    model_size: Quantity
    node_groups: Annotated[list[str], pydantic.Field(min_length=1)]
    source_model_uri: Annotated[str, pydantic.Field(json_schema_extra=_FIXED)]


class Copies(Schema):
    """How many nodes have the model."""

    available: int | None = None
    failed: int | None = None
    total: int | None = None


class Service(Schema):
    """An InferenceService that uses the copies."""

    name: str | None = None
    namespace: str | None = None


class CacheStatus(Schema):
    """The state of a model on its nodes."""

    copies: Copies | None = None
    inference_services: list[Service] | None = None
    node_status: (
        dict[
            str,
            Literal[
                "",
                "NodeNotReady",
                "NodeDownloadPending",
                "NodeDownloading",
                "NodeDownloaded",
                "NodeDownloadError",
            ],
        ]
        | None
    ) = None


class LocalModelCache(Schema):
    """A model that nodes keep."""

    spec: CacheSpec | None = None
    status: CacheStatus | None = None


class LocalModel(Schema):
    """A model on a node."""

    model_name: str
    source_model_uri: str


class NodeSpec(Schema):
    """What a node keeps."""

    local_models: list[LocalModel]


class NodeStatus(Schema):
    """The state of models on a node."""

    model_status: (
        dict[
            str,
            Literal["", "ModelDownloadPending", "ModelDownloading", "ModelDownloaded", "ModelDownloadError"],
        ]
        | None
    ) = None


class LocalModelNode(Schema):
    """The models that one node keeps."""

    spec: NodeSpec | None = None
    status: NodeStatus | None = None


class GroupSpec(Schema):
    """Nodes that keep the same models, and where."""

    persistent_volume_claim_spec: Claim
    persistent_volume_spec: PersistentVolume
    storage_limit: Quantity


class GroupStatus(Schema):
    """How full the nodes are."""

    available: Quantity | None = None
    used: Quantity | None = None


class LocalModelNodeGroup(Schema):
    """Nodes that keep the same models."""

    spec: GroupSpec | None = None
    status: GroupStatus | None = None


def definitions() -> list[Manifest]:
    """Return the CustomResourceDefinitions."""
    made: list[tuple[type[Schema], bool]] = [
        (LocalModelCache, True),
        (LocalModelNode, True),
        (LocalModelNodeGroup, False),
    ]
    return [
        definition(
            Names(model.__name__, f"{model.__name__.lower()}s", "serving.kserve.io"),
            [Version("v1alpha1", model, storage=True, status=status)],
            namespaced=False,
        )
        for model, status in made
    ]
