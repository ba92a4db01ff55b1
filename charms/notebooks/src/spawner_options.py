"""The options of the form for a new notebook: its choices, and what it preselects.

Names and meanings are those of canonical/notebook-operators, charms/jupyter-ui/config.yaml, if it has the
option. Together they reach every key of upstream's form (`spawner.py`).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import notebook_images
import pydantic

from kubeflow_charm import YAML, if_empty
from kubeflow_charm.gpu.pod_scheduling import Affinity, Toleration
from kubeflow_charm.gpu_options import GpuConfig, differing
from kubeflow_charm.images import ImageReference
from kubeflow_charm.relations.kubernetes_names import DnsName

ImageList = Annotated[list[ImageReference], pydantic.Field(min_length=1)]
Text = Annotated[str, pydantic.Field(min_length=1, max_length=200)]
Number = Annotated[str, pydantic.Field(pattern=r"^\d{1,6}(\.\d{1,3})?$")]
Factor = Annotated[str, pydantic.Field(pattern=r"^(none|\d{1,3}(\.\d{1,3})?)$")]
Gibibytes = Annotated[str, pydantic.Field(pattern=r"^\d{1,6}(\.\d{1,3})?Gi$")]
Size = Annotated[str, pydantic.Field(pattern=r"^\d{1,9}(\.\d{1,3})?(k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$")]
Folder = Annotated[str, pydantic.Field(pattern=r"^/[^\s:]*$", max_length=255)]
AccessMode = Literal["ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod"]

Field = Literal[
    "imagePullPolicy",
    "cpu",
    "memory",
    "gpus",
    "workspaceVolume",
    "dataVolumes",
    "affinityConfig",
    "tolerationGroup",
    "shm",
    "configurations",
    "environment",
]
"""A field of the form that an option can make read-only."""


class _Entry(pydantic.BaseModel):
    """An entry of an option's list, with only upstream's keys."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, defer_build=True)


class AffinityOption(_Entry):
    """An affinity that users can choose."""

    configKey: Text  # noqa: N815 (upstream's key)
    displayName: Text  # noqa: N815
    affinity: Affinity


class TolerationGroup(_Entry):
    """Tolerations that users can choose."""

    groupKey: Text  # noqa: N815
    displayName: Text  # noqa: N815
    tolerations: list[Toleration]


class DataVolume(_Entry):
    """One more volume of every new notebook: a new claim, or an existing volume."""

    mount: Folder
    newPvc: dict[str, Any] | None = None  # noqa: N815
    existingSource: dict[str, Any] | None = None  # noqa: N815

    @pydantic.model_validator(mode="after")
    def _one_source(self) -> DataVolume:
        if (self.newPvc is None) == (self.existingSource is None):
            raise ValueError("has either newPvc or existingSource")
        if self.newPvc is not None and not {"metadata", "spec"} <= self.newPvc.keys():
            raise ValueError("newPvc has metadata and spec")
        return self


class SpawnerOptions(GpuConfig):
    """The options of the form; it inherits those about GPUs."""

    jupyter_images: Annotated[ImageList, if_empty(notebook_images.JUPYTER), YAML]
    vscode_images: Annotated[ImageList, if_empty(notebook_images.VSCODE), YAML]
    rstudio_images: Annotated[ImageList, if_empty(notebook_images.RSTUDIO), YAML]
    allow_custom_image: bool
    hide_registry: bool
    hide_tag: bool
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"]

    cpu_default: Number
    cpu_limit_factor: Factor
    memory_default: Gibibytes
    memory_limit_factor: Factor

    gpu_vendors_default: str
    gpu_number_default: Literal[0, 1, 2, 4, 8]
    prefer_cpu_nodes: bool
    affinity_options: Annotated[list[AffinityOption], differing("configKey"), if_empty([]), YAML]
    affinity_options_default: str
    tolerations_options: Annotated[list[TolerationGroup], differing("groupKey"), if_empty([]), YAML]
    tolerations_options_default: str

    workspace_volume: bool
    workspace_volume_size: Size
    workspace_volume_mount: Folder
    workspace_volume_access_mode: AccessMode
    workspace_volume_storage_class: Annotated[DnsName | None, if_empty(None)]
    data_volumes: Annotated[list[DataVolume], if_empty([]), YAML]
    shared_memory: bool
    default_poddefaults: Annotated[list[DnsName], if_empty([]), YAML]
    read_only_fields: Annotated[list[Field], if_empty([]), YAML]
