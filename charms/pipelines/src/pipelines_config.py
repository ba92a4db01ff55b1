"""The options; `charmcraft.yaml` describes each.

Their names are those in config.yaml of canonical/kfp-operators,
charms/{kfp-api,kfp-profile-controller,kfp-ui,kfp-schedwf}, if these charms have the option.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

import pydantic
from bucket_retention import Rules

from kubeflow_charm import YAML, blocked, if_empty
from kubeflow_charm.gateway import GatewayConfig
from kubeflow_charm.gpu_options import GpuConfig
from kubeflow_charm.images import ImageReference, redirected
from kubeflow_charm.relations.kubernetes_names import DnsName
from kubeflow_charm.relations.object_store import ObjectStore

_GO_DURATION = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"
_BUCKET = r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$"
_ROOT = r"^(minio|s3|gs)://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9._/=-]*)?(\?[!-~]*)?$"
_FOLDER = r"^/?[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*$"
"""The characters that upstream's frontend accepts in a log's key (frontend/server/workflow-helper.ts)."""

PRIVATE = "private-artifacts"
"""The folder with a folder for each profile's artifacts, as upstream names it."""
SHARED = "v2/artifacts"
"""The folder for the artifacts of all profiles, which is upstream's default."""
_TAKEN = (PRIVATE, "private", "v2", "pipelines")
"""Folders of the bucket that are not for logs."""
_NUMBER = r"^[0-9]{1,10}$"
_DOMAINS = r"^([a-z0-9*.-]+(,[a-z0-9*.-]+)*)?$"
_ZONE = r"^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$"


class CustomImages(pydantic.BaseModel):
    """The option `custom_images`, as in Charmhub's kfp-profile-controller; empty values have no effect."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, defer_build=True)

    visualization_server: Annotated[ImageReference | None, if_empty(None)] = None
    frontend: Annotated[ImageReference | None, if_empty(None)] = None


class RunImages(pydantic.BaseModel):
    """The images that options may choose, as pods take them."""

    model_config = pydantic.ConfigDict(defer_build=True)

    driver: str
    launcher: str
    cache: str
    frontend: str
    visualization_server: str


class PipelinesConfig(GatewayConfig, GpuConfig):
    """The options of the charm."""

    object_store_bucket_name: Annotated[str, pydantic.Field(pattern=_BUCKET)]
    default_pipeline_root: Annotated[
        Annotated[str, pydantic.Field(pattern=_ROOT)] | None,
        if_empty(None),
        pydantic.Field(alias="default_pipeline_root"),
    ]
    object_store_keys: Literal["auto", "per-profile", "shared"]
    archive_logs: bool
    log_archive_prefix: Annotated[str, pydantic.Field(pattern=_FOLDER)]
    log_archive_filename: Annotated[str, pydantic.Field(pattern=r"^[A-Za-z0-9._-]+$")]
    run_retention_hours: Annotated[int, pydantic.Field(ge=1, le=24 * 3650)]
    artifact_retention_days: Annotated[int, pydantic.Field(ge=0, le=3650)]
    log_retention_days: Annotated[int, pydantic.Field(ge=0, le=3650)]
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
    pipeline_url_domains: Annotated[str, pydantic.Field(pattern=_DOMAINS)]
    init_connection_timeout: Annotated[str, pydantic.Field(pattern=_GO_DURATION)]
    timezone: Annotated[str, pydantic.Field(pattern=_ZONE)]
    allow_custom_visualizations: bool
    log_level: Literal["debug", "info", "warning", "error"]

    def run_images(self, resources: dict[str, str]) -> RunImages:
        """Return the images that options may choose; the default is the charm's resource."""
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

    def images_of_runs(self, resources: dict[str, str]) -> list[str]:
        """Return the images that pods of runs have beside those of their steps.

        Web app and visualization server are not among them: they run in the model.
        """
        images = self.run_images(resources)
        return [resources["argoexec"], images.driver, images.launcher, images.cache]

    def own_keys(self, store: ObjectStore) -> bool:
        """Return whether each profile should have its own key."""
        if self.object_store_keys == "auto":
            # The operator's root is one folder for all.
            return store.root and not self.default_pipeline_root
        return self.object_store_keys == "per-profile"

    def buckets(self, store: ObjectStore) -> list[str]:
        """Return the buckets of a store that our own programs use."""
        scheme, _, root = (self.default_pipeline_root or "").partition("://")
        other = re.split(r"[/?]", root)[0] if scheme in ("minio", "s3") else ""
        return sorted({store.bucket, other} - {""})

    @property
    def log_folder(self) -> str:
        """The folder with a folder for each profile's logs."""
        return self.log_archive_prefix.removeprefix("/")

    def log_key(self, folder: str) -> str:
        """Return the folder of a step's log in the bucket, as Argo's `keyFormat`.

        Argo and the frontend replace the same variables (argo-workflows v3.7.14, docs/variables.md;
        kubeflow/pipelines 2.17.0, frontend/server/workflow-helper.ts).
        """
        day = "/".join(f"{{{{workflow.creationTimestamp.{part}}}}}" for part in "Ymd")
        run = f"{{{{workflow.namespace}}}}/{{{{workflow.name}}}}/{day}/{{{{pod.name}}}}"
        return f"{folder}{self.log_folder}/{run}"

    def pipeline_root(self, bucket: str, folder: str) -> str:
        """Return the default place of artifacts."""
        return self.default_pipeline_root or f"minio://{bucket}/{folder}{SHARED}"

    def retention(self, application: str, store: ObjectStore) -> Rules:
        """Return the rules for a store's bucket.

        Args:
            application: our application's name.
            store: the store of artifacts and logs.

        Raises:
            Problem: if there are rules, and we do not have the store administrator's key.
        """
        days = {
            "artifacts": (SHARED, self.artifact_retention_days),
            "private-artifacts": (PRIVATE, self.artifact_retention_days),
            "logs": (self.log_folder, self.log_retention_days),
        }
        rules = {name: (f"{store.folder}{where}/", kept) for name, (where, kept) in days.items() if kept}
        if rules and not store.root:
            ever = f"juju config {application} artifact-retention-days=0 log-retention-days=0"
            raise blocked(f"{store.application} has bucket rules of its own", ever)
        return rules

    @pydantic.model_validator(mode="after")
    def _check(self) -> Self:
        if self.default_pipeline_root:
            if self.object_store_keys == "per-profile":
                raise ValueError("object-store-keys=per-profile and default_pipeline_root exclude each other")
            if self.artifact_retention_days:
                raise ValueError("artifact-retention-days and default_pipeline_root exclude each other")
        top, _, further = self.log_folder.partition("/")
        if top in _TAKEN and (further or top != PRIVATE):
            raise ValueError(f"log-archive-prefix: {top} is for other things than logs")
        if top == PRIVATE and self.artifact_retention_days != self.log_retention_days:
            raise ValueError(f"artifact-retention-days and log-retention-days differ, and share {PRIVATE}")
        return self
