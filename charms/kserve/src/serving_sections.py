"""The option `inferenceservice-config`: changes of KServe's configuration, section by section.

Sections and fields are those that KServe v0.16.0 reads: pkg/apis/serving/v1beta1/configmap.go,
pkg/webhook/admission/pod/{agent,batcher}_injector.go and metrics_aggregate_injector.go,
pkg/controller/v1alpha1/inferencegraph/controller.go, pkg/credentials, pkg/types. Left out are those that are
options, resources or relations of their own: images, modes, the domain and the gateways.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pydantic

from kubeflow_charm.config import Changes
from kubeflow_charm.definitions import embedded
from kubeflow_charm.option_words import words
from kubeflow_charm.relations.kubernetes_names import DnsName, Namespace

Quantity = Annotated[str, pydantic.Field(pattern=embedded.QUANTITY["pattern"])]
MaybeQuantity = Annotated[str, pydantic.Field(pattern=rf"{embedded.QUANTITY['pattern']}|^$")] | None
"""An amount, or nothing for no limit."""
Switch = Literal["true", "false"]
Seconds = Annotated[str, pydantic.Field(pattern=r"^[0-9]{1,6}$")]
Count = Annotated[str, pydantic.Field(pattern=r"^[1-9][0-9]{0,8}$")]
Share = Annotated[str, pydantic.Field(pattern=r"^[0-9]{1,9}%?$")]
Template = Annotated[str, pydantic.Field(pattern=r"^[!-~ ]*$", max_length=512)]
"""A text with Go's templates in it."""
Path = Annotated[str, pydantic.Field(pattern=r"^/[^\s:]*$", max_length=255)]
Text = Annotated[str, pydantic.Field(max_length=1024)]
Key = Annotated[str, pydantic.Field(pattern=r"^[A-Za-z0-9._-]{1,253}$")]
"""A key of a Secret."""

_ELSEWHERE = {
    "image": "images are resources of the charm",
    "defaultJobImage": "images are resources of the charm",
    "defaultImageVersion": "images are resources of the charm",
    "defaultDeploymentMode": "it is the option deployment-mode",
    "ingressDomain": "it is the option domain-name",
    "ingressGateway": "it comes from the relation ingress-gateway",
    "localGateway": "it comes from the relation local-gateway",
}
"""Fields that something else sets."""


class _Section(Changes):
    """A section, with its field names; only what is given counts."""

    @pydantic.model_validator(mode="before")
    @classmethod
    def _is_elsewhere(cls, value: Any) -> Any:
        for field in value if isinstance(value, dict) else ():
            if field in _ELSEWHERE:
                raise ValueError(f"{field}: {_ELSEWHERE[field]}")
        return value


class Container(_Section):
    """What a container of KServe's own asks for and gets at most."""

    cpu_request: Quantity | None = None
    cpu_limit: Quantity | None = None
    memory_request: Quantity | None = None
    memory_limit: Quantity | None = None


class Agent(Container):
    """What logs and batches beside a server."""


class Storage(_Section):
    """Where a logger stores what it logs."""

    path: Text | None = None
    key: Text | None = None
    parameters: dict[str, Text] | None = None
    service_account_name: DnsName | None = None


class Logger(Container):
    """What logs requests."""

    default_url: Text | None = None
    ca_bundle: DnsName | None = None
    ca_cert_file: Key | None = None
    tls_skip_verify: bool | None = None
    storage: Storage | None = None


class Batcher(Container):
    """What collects requests."""

    max_batch_size: Count | None = None
    max_latency: Count | None = None


class Headers(_Section):
    """What a graph hands on from a request."""

    propagate: list[Text] | None = None


class Router(Container):
    """What runs a graph."""

    headers: Headers | None = None
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = None
    image_pull_secrets: list[DnsName] | None = None


class StorageInitializer(Container):
    """What fetches models."""

    ca_bundle_config_map_name: Annotated[str, pydantic.Field(pattern=r"^([a-z0-9.-]{1,253})?$")] | None = None
    ca_bundle_volume_mount_path: Path | None = None
    enable_modelcar: bool | None = None
    cpu_modelcar: Quantity | None = None
    memory_modelcar: Quantity | None = None
    uid_modelcar: Annotated[int, pydantic.Field(ge=0)] | None = None


class Gcs(_Section):
    """Google's store."""

    gcs_credential_file_name: Key | None = None


class S3(_Section):
    """How S3 is reached where a Secret does not say so; texts, as KServe reads them."""

    model_config = pydantic.ConfigDict(alias_generator=None)

    s3_access_key_id_name: Annotated[Key | None, pydantic.Field(alias="s3AccessKeyIDName")] = None
    s3_secret_access_key_name: Annotated[Key | None, pydantic.Field(alias="s3SecretAccessKeyName")] = None
    s3_endpoint: Annotated[Text | None, pydantic.Field(alias="s3Endpoint")] = None
    s3_use_https: Annotated[Literal["", "0", "1"] | None, pydantic.Field(alias="s3UseHttps")] = None
    s3_region: Annotated[Text | None, pydantic.Field(alias="s3Region")] = None
    s3_verify_ssl: Annotated[Literal["", "0", "1"] | None, pydantic.Field(alias="s3VerifySSL")] = None
    s3_use_virtual_bucket: Annotated[Text | None, pydantic.Field(alias="s3UseVirtualBucket")] = None
    s3_use_accelerate: Annotated[Text | None, pydantic.Field(alias="s3UseAccelerate")] = None
    s3_use_anonymous_credential: Annotated[Text | None, pydantic.Field(alias="s3UseAnonymousCredential")] = (
        None
    )
    s3_ca_bundle: Annotated[Text | None, pydantic.Field(alias="s3CABundle")] = None
    s3_ca_bundle_config_map: Annotated[Text | None, pydantic.Field(alias="s3CABundleConfigMap")] = None


class Credentials(_Section):
    """Which keys of which Secrets have credentials."""

    storage_spec_secret_name: DnsName | None = None
    storage_secret_name_annotation: Text | None = None
    gcs: Gcs | None = None
    s3: S3 | None = None


class Ingress(_Section):
    """How models are reached from outside."""

    enable_gateway_api: bool | None = None
    kserve_ingress_gateway: (
        Annotated[str, pydantic.Field(pattern=r"^[a-z0-9-]{1,63}/[a-z0-9-]{1,63}$")] | None
    ) = None
    knative_local_gateway_service: DnsName | None = None
    local_gateway_service: DnsName | None = None
    ingress_class_name: DnsName | None = None
    additional_ingress_domains: list[DnsName] | None = None
    domain_template: Template | None = None
    path_template: Template | None = None
    url_scheme: Literal["http", "https"] | None = None
    disable_istio_virtual_host: bool | None = None
    disable_ingress_creation: bool | None = None


class Rollout(_Section):
    """How many pods more or fewer there may be during an update."""

    max_surge: Share
    max_unavailable: Share


class RolloutStrategy(_Section):
    """How plain Deployments are updated."""

    default_rollout: Rollout | None = None


class Deploy(_Section):
    """How models run."""

    deployment_rollout_strategy: RolloutStrategy | None = None


class MetricsAggregator(_Section):
    """Whether a server's metrics join those of Knative, and are scraped."""

    enable_metric_aggregation: Switch | None = None
    enable_prometheus_scraping: Switch | None = None


class LocalModel(_Section):
    """How nodes keep models."""

    enabled: bool | None = None
    job_namespace: Namespace | None = None
    fs_group: Annotated[int, pydantic.Field(ge=0)] | None = None
    job_ttl_seconds_after_finished: Annotated[
        Annotated[int, pydantic.Field(ge=0)] | None, pydantic.Field(alias="jobTTLSecondsAfterFinished")
    ] = None
    reconcilation_frequency_in_secs: Annotated[int, pydantic.Field(ge=1)] | None = None
    disable_volume_management: bool | None = None


class Security(_Section):
    """Whether servers may call Kubernetes."""

    auto_mount_service_account_token: bool | None = None


class Resource(_Section):
    """What a server asks for and gets at most, if its user does not say."""

    cpu_limit: MaybeQuantity = None
    memory_limit: MaybeQuantity = None
    cpu_request: MaybeQuantity = None
    memory_request: MaybeQuantity = None


class InferenceService(_Section):
    """What holds for all InferenceServices."""

    resource: Resource | None = None
    service_annotation_disallowed_list: list[Text] | None = None
    service_label_disallowed_list: list[Text] | None = None


class MultiNode(_Section):
    """Which resources are GPUs, beside the usual ones."""

    custom_gpu_resource_type_list: Annotated[
        list[Text] | None, pydantic.Field(alias="customGPUResourceTypeList")
    ] = None


class OpenTelemetryCollector(_Section):
    """How metrics for KEDA are collected."""

    scrape_interval: Annotated[str, pydantic.Field(pattern=r"^[0-9]+(ms|s|m|h)$")] | None = None
    metric_receiver_endpoint: Text | None = None
    metric_scaler_endpoint: Text | None = None
    resource: Resource | None = None


class Autoscaler(_Section):
    """How long plain Deployments wait before they scale."""

    scale_up_stabilization_window_seconds: Seconds | None = None
    scale_down_stabilization_window_seconds: Seconds | None = None


class Service(_Section):
    """The Services of plain Deployments."""

    service_cluster_ip_none: Annotated[bool | None, pydantic.Field(alias="serviceClusterIPNone")] = None


class Sections(_Section):
    """The option `inferenceservice-config`."""

    agent: Agent = Agent()
    autoscaler: Autoscaler = Autoscaler()
    batcher: Batcher = Batcher()
    credentials: Credentials = Credentials()
    deploy: Deploy = Deploy()
    inference_service: InferenceService = InferenceService()
    ingress: Ingress = Ingress()
    local_model: LocalModel = LocalModel()
    logger: Logger = Logger()
    metrics_aggregator: MetricsAggregator = MetricsAggregator()
    multi_node: MultiNode = MultiNode()
    opentelemetry_collector: Annotated[
        OpenTelemetryCollector, pydantic.Field(alias="opentelemetryCollector")
    ] = OpenTelemetryCollector()
    router: Router = Router()
    security: Security = Security()
    service: Service = Service()
    storage_initializer: StorageInitializer = StorageInitializer()


def checked(value: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of the option that are given, as KServe writes them.

    Raises:
        ValueError: with the place, for the first that is wrong.
    """
    try:
        return Sections.model_validate(value).given()
    except pydantic.ValidationError as error:
        detail = error.errors(include_url=False)[0]
        place = ".".join(str(step) for step in detail["loc"])
        raise ValueError(f"{place}: {words(detail)}") from None
