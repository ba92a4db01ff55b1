"""The options; `charmcraft.yaml` describes each.

`katib-config` has the structure of Katib's own configuration, with every field that Katib reads
(kubeflow/katib v0.19.0, pkg/apis/config/v1beta1/types.go). Left out are `certGenerator`, whose task is the
charm's, and `init.controller.trialResources`, which is the option `trial-resources`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import katib_defaults
import pydantic
import trial_kinds
import trial_templates
from lightkube.models import core_v1

from kubeflow_charm import YAML, if_empty
from kubeflow_charm.config import Changes
from kubeflow_charm.definitions import conformity, embedded
from kubeflow_charm.gateway import GatewayConfig
from kubeflow_charm.gpu.kubernetes_labels import LabelKey, LabelValue
from kubeflow_charm.gpu_options import GpuConfig, differing
from kubeflow_charm.images import ImageReference
from kubeflow_charm.relations.kubernetes_names import DnsName

Port = Annotated[int, pydantic.Field(ge=1, le=65535)]
HighPort = Annotated[int, pydantic.Field(ge=1024, le=65535)]
"""A port that a program without root's rights may listen on."""
Address = Annotated[str, pydantic.Field(pattern=r"^:[1-9][0-9]{3,4}$")]
"""`:<port>`; the Service reaches no program that listens on one address only."""
Name = Annotated[str, pydantic.Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")]
Folder = Annotated[str, pydantic.Field(pattern=r"^/[^\s:]*$", max_length=255)]
PullPolicy = Literal["Always", "IfNotPresent", "Never"]
HEALTHZ = 18080
"""The port of the Service katib-controller for its health."""


def kubernetes(model: type) -> pydantic.AfterValidator:
    """Return a validator: a value conforms to a type of Kubernetes."""

    def check(value: Any) -> Any:
        if fault := conformity.fault(value, embedded.schema(model)):
            raise ValueError(fault)
        return value

    return pydantic.AfterValidator(check)


Resources = Annotated[dict[str, Any], kubernetes(core_v1.ResourceRequirements)]


class _Entry(Changes):
    """An entry of a list: it changes the entry with its name, or is a new one."""

    image: ImageReference | None = None
    image_pull_policy: PullPolicy | None = None
    resources: Resources | None = None

    def _needs_image(self, name: str, known: Any) -> None:
        if self.image is None and name not in known:
            raise ValueError(f"{name} has no image, and is none of Katib's own")


class Suggestion(_Entry):
    """An algorithm; other fields are those of its container."""

    model_config = pydantic.ConfigDict(extra="allow")

    algorithm_name: Name
    service_account_name: DnsName | None = None
    volume_mount_path: Folder | None = None
    persistent_volume_claim_spec: (
        Annotated[dict[str, Any], kubernetes(core_v1.PersistentVolumeClaimSpec)] | None
    ) = None
    persistent_volume_spec: Annotated[dict[str, Any], kubernetes(core_v1.PersistentVolumeSpec)] | None = None
    persistent_volume_labels: dict[LabelKey, LabelValue] | None = None

    @pydantic.model_validator(mode="after")
    def _is_complete(self) -> Suggestion:
        self._needs_image(self.algorithm_name, katib_defaults.ALGORITHMS)
        container = {"name": "suggestion"} | (self.model_extra or {})
        if fault := conformity.fault(container, embedded.schema(core_v1.Container)):
            raise ValueError(fault)
        return self


class EarlyStopping(_Entry):
    """An algorithm that stops trials early."""

    algorithm_name: Name

    @pydantic.model_validator(mode="after")
    def _is_complete(self) -> EarlyStopping:
        self._needs_image(self.algorithm_name, katib_defaults.EARLY_STOPPINGS)
        return self


class MetricsCollector(_Entry):
    """A collector of metrics beside a trial."""

    kind: Literal["StdOut", "File", "TensorFlowEvent", "PrometheusMetric"]
    wait_all_processes: bool | None = None

    @pydantic.model_validator(mode="after")
    def _is_complete(self) -> MetricsCollector:
        self._needs_image(self.kind, katib_defaults.COLLECTORS)
        return self


class Runtime(Changes):
    """What the controller reads when it needs it."""

    suggestions: Annotated[list[Suggestion], differing("algorithm_name")] = pydantic.Field(
        default_factory=list
    )
    early_stoppings: Annotated[list[EarlyStopping], differing("algorithm_name")] = pydantic.Field(
        default_factory=list
    )
    metrics_collectors: Annotated[list[MetricsCollector], differing("kind")] = pydantic.Field(
        default_factory=list
    )


class Controller(Changes):
    """What the controller reads when it starts."""

    experiment_suggestion_name: Literal["default"] = "default"
    metrics_addr: Address = ":8080"
    healthz_addr: Address = ":18080"
    inject_security_context: bool = False
    enable_grpc_probe: Annotated[bool, pydantic.Field(alias="enableGRPCProbeInSuggestion")] = True
    webhook_port: HighPort = 8443
    enable_leader_election: bool = False
    leader_election_id: Annotated[DnsName, pydantic.Field(alias="leaderElectionID")] = (
        "3fbc96e9.katib.kubeflow.org"
    )

    @pydantic.model_validator(mode="before")
    @classmethod
    def _kinds_are_elsewhere(cls, value: Any) -> Any:
        if isinstance(value, dict) and "trialResources" in value:
            raise ValueError("trialResources is the option trial-resources of its own")
        return value

    @pydantic.model_validator(mode="after")
    def _ports_differ(self) -> Controller:
        if len({self.webhook_port, self.metrics_port, self.healthz_port}) < 3:
            raise ValueError("webhookPort, metricsAddr and healthzAddr need three ports")
        return self

    @property
    def metrics_port(self) -> int:
        """The port of its metrics."""
        return int(self.metrics_addr[1:])

    @property
    def healthz_port(self) -> int:
        """The port of its health."""
        return int(self.healthz_addr[1:])


class Init(Changes):
    """The part that is read once."""

    controller: Controller = Controller()


class KatibConfig(Changes):
    """The option `katib-config`."""

    api_version: Literal["config.kubeflow.org/v1beta1"] = "config.kubeflow.org/v1beta1"
    kind: Literal["KatibConfig"] = "KatibConfig"
    init: Init = Init()
    runtime: Runtime = Runtime()


CustomImage = Annotated[ImageReference | None, if_empty(None)]


class CustomImages(pydantic.BaseModel):
    """The option `custom_images`, as in Charmhub's katib-controller; empty values have no effect."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, defer_build=True)

    default_trial_template: CustomImage = None
    default_trial_template_enas: CustomImage = None
    default_trial_template_pytorch: CustomImage = None
    early_stopping__medianstop: CustomImage = None
    metrics_collector_sidecar__stdout: CustomImage = None
    metrics_collector_sidecar__file: CustomImage = None
    metrics_collector_sidecar__tensorflow_event: CustomImage = None
    suggestion__random: CustomImage = None
    suggestion__tpe: CustomImage = None
    suggestion__grid: CustomImage = None
    suggestion__hyperband: CustomImage = None
    suggestion__bayesianoptimization: CustomImage = None
    suggestion__cmaes: CustomImage = None
    suggestion__sobol: CustomImage = None
    suggestion__multivariate_tpe: CustomImage = None
    suggestion__enas: CustomImage = None
    suggestion__darts: CustomImage = None
    suggestion__pbt: CustomImage = None


class KatibOptions(GatewayConfig, GpuConfig):
    """The options of the charm."""

    katib_config: Annotated[KatibConfig, if_empty({}), YAML]
    trial_resources: trial_kinds.TrialResources
    trial_templates: trial_templates.Templates
    custom_images: Annotated[CustomImages, YAML, if_empty("{}"), pydantic.Field(alias="custom_images")]
    webhook_port: Port
    metrics_port: Port
    port: HighPort

    @pydantic.field_validator("metrics_port")
    @classmethod
    def _ports_of_the_service_differ(cls, value: int, info: pydantic.ValidationInfo) -> int:
        if HEALTHZ in (value, info.data.get("webhook_port")) or value == info.data.get("webhook_port"):
            raise ValueError(f"webhook-port, metrics-port and {HEALTHZ} are ports of one Service")
        return value
