"""The options. `charmcraft.yaml` says what each is for.

Names are those of canonical/kfp-operators, charms/{kfp-api,kfp-profile-controller,kfp-ui,kfp-schedwf} and
their config.yaml, as far as there is one.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

import pydantic

from kubeflow_charm import YAML, if_empty
from kubeflow_charm.gateway import GatewayConfig
from kubeflow_charm.images import ImageReference, redirected
from kubeflow_charm.relations.kubernetes_names import DnsName

_GO_DURATION = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"
_BUCKET = r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$"
_ROOT = r"^(minio|s3|gs)://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9._/=-]*)?(\?[!-~]*)?$"
_FOLDER = r"^/?[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*$"
"""The characters that upstream's frontend takes in the key of a log (frontend/server/workflow-helper.ts)."""

PRIVATE = "private-artifacts"
"""The folder with one for each profile, as upstream has it."""
_NUMBER = r"^[0-9]{1,10}$"
_ZONE = r"^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$"


class CustomImages(pydantic.BaseModel):
    """What Charmhub's kfp-profile-controller takes in its option of this name; empty values say nothing."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    visualization_server: Annotated[ImageReference | None, if_empty(None)] = None
    frontend: Annotated[ImageReference | None, if_empty(None)] = None


class RunImages(pydantic.BaseModel):
    """The images that options may choose, as pods take them."""

    driver: str
    launcher: str
    cache: str
    frontend: str
    visualization_server: str


class PipelinesConfig(GatewayConfig):
    """The options of the charm."""

    object_store_bucket_name: Annotated[str, pydantic.Field(pattern=_BUCKET)]
    default_pipeline_root: Annotated[
        Annotated[str, pydantic.Field(pattern=_ROOT)] | None,
        if_empty(None),
        pydantic.Field(alias="default_pipeline_root"),
    ]
    object_store_keys: Literal["shared", "per-profile"]
    archive_logs: bool
    log_archive_prefix: Annotated[str, pydantic.Field(pattern=_FOLDER)]
    log_archive_filename: Annotated[str, pydantic.Field(pattern=r"^[A-Za-z0-9._-]+$")]
    run_retention_hours: Annotated[int, pydantic.Field(ge=1, le=24 * 3650)]
    runner_sa: DnsName
    cache_enabled: bool
    cache_image: ImageReference
    driver_image: Annotated[ImageReference | None, if_empty(None)]
    launcher_image: Annotated[ImageReference | None, if_empty(None)]
    custom_images: Annotated[CustomImages, YAML, if_empty("{}"), pydantic.Field(alias="custom_images")]
    default_pipeline_user_id: Annotated[str, pydantic.Field(pattern=f"{_NUMBER}|^$")]
    default_pipeline_group_id: Annotated[str, pydantic.Field(pattern=f"{_NUMBER}|^$")]
    default_pipeline_non_root: Literal["", "true", "false"]
    auto_update_default_version: bool
    pipeline_store: Literal["database", "kubernetes"]
    init_connection_timeout: Annotated[str, pydantic.Field(pattern=_GO_DURATION)]
    timezone: Annotated[str, pydantic.Field(pattern=_ZONE)]
    allow_custom_visualizations: bool
    log_level: Literal["debug", "info", "warning", "error"]
    gpu_discovery: bool

    def run_images(self, resources: dict[str, str]) -> RunImages:
        """Return the images that options may choose, where they do not from the charm's resources."""
        chosen = {
            "driver": (self.driver_image, "kfp-driver"),
            "launcher": (self.launcher_image, "kfp-launcher"),
            "cache": (self.cache_image, ""),
            "frontend": (self.custom_images.frontend, "kfp-frontend"),
            "visualization_server": (self.custom_images.visualization_server, "kfp-visualization-server"),
        }
        return RunImages(
            **{
                name: redirected(option, self.image_registry) if option else resources[resource]
                for name, (option, resource) in chosen.items()
            }
        )

    @property
    def own_keys(self) -> bool:
        """Whether each profile is to have a key of its own."""
        return self.object_store_keys == "per-profile"

    def log_key(self, folder: str) -> str:
        """Return the key of a step's log in the bucket, without its file, as Argo's `keyFormat`.

        Argo and the frontend fill in the same names (argo-workflows v3.7.3, docs/variables.md;
        kubeflow/pipelines 2.16.0, frontend/server/workflow-helper.ts).
        """
        shared = self.log_archive_prefix.removeprefix("/")
        prefix = folder + (PRIVATE if self.own_keys else shared)
        day = "/".join(f"{{{{workflow.creationTimestamp.{part}}}}}" for part in "Ymd")
        return f"{prefix}/{{{{workflow.namespace}}}}/{{{{workflow.name}}}}/{day}/{{{{pod.name}}}}"

    def pipeline_root(self, bucket: str, folder: str) -> str:
        """Return where artifacts of runs go that say nothing else."""
        return self.default_pipeline_root or f"minio://{bucket}/{folder}v2/artifacts"

    @pydantic.model_validator(mode="after")
    def _check(self) -> Self:
        if self.own_keys and self.default_pipeline_root:
            raise ValueError("object-store-keys=per-profile and default_pipeline_root exclude each other")
        return self
