"""The options; `charmcraft.yaml` describes each.

`deployment-mode`, `domain-name`, the proxies and `custom_images` are those of Charmed Kubeflow's
kserve-controller (canonical/kserve-operators 2026-06, charms/kserve-controller/config.yaml).
"""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Any, Literal, get_args
from urllib.parse import urlsplit

import pydantic

from kubeflow_charm import YAML, if_empty
from kubeflow_charm.config import chosen_of
from kubeflow_charm.gateway import GatewayConfig
from kubeflow_charm.gpu_options import GpuConfig
from kubeflow_charm.images import ImageReference, redirected
from kubeflow_charm.relations.kubernetes_names import DnsName

Mode = Literal["Knative", "Standard"]
"""How a model runs, as KServe writes it (v0.16.0, pkg/constants/constants.go)."""
MODES: dict[str, Mode] = {
    "serverless": "Knative",
    "knative": "Knative",
    "rawdeployment": "Standard",
    "standard": "Standard",
}
"""The words of the option, of which KServe has given up the first of each pair."""

RuntimeName = Literal[
    "huggingfaceserver",
    "huggingfaceserver-multinode",
    "lgbserver",
    "mlserver",
    "paddleserver",
    "pmmlserver",
    "sklearnserver",
    "tensorflow-serving",
    "torchserve",
    "tritonserver",
    "xgbserver",
]
"""A runtime of upstream's, without `kserve-` (kserve v0.16.0, config/runtimes)."""
RUNTIMES: tuple[RuntimeName, ...] = get_args(RuntimeName)

_HOST = r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\]"
_BUCKET = r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$"


def _mode(value: str) -> str:
    word = value.strip().lower()
    if word not in MODES:
        raise ValueError(f"{value[:40]!r} is none of {', '.join(MODES)}")
    return word


def _domain(value: str) -> str:
    if "." not in value or value.replace(".", "").isdigit():
        raise ValueError(f"{value[:40]!r} is no domain, such as models.example.com")
    return value


def _proxy(value: str) -> str:
    """Check the URL of a proxy; KServe's fetcher takes it as it is."""
    problem = f"{_without_password(value)[:60]!r} is no URL, such as http://proxy.example.com:3128"
    try:
        url = urlsplit(value)
        sound = (
            url.scheme in ("http", "https")
            and re.fullmatch(
                _HOST, f"[{url.hostname}]" if ":" in (url.hostname or "") else url.hostname or ""
            )
            and (url.port is None or url.port > 0)
            and not (url.path.strip("/") or url.query or url.fragment or re.search(r"\s", value))
        )
    except ValueError:
        sound = False
    if not sound:
        raise ValueError(problem)
    return value


def _without_password(url: str) -> str:
    """Return the text without what may be a user's name and password."""
    return re.sub(r"//[^/@]*@", "//…@", url)


def _exceptions(value: str) -> str:
    """Check the hosts, domains and networks that need no proxy."""
    for entry in filter(None, (part.strip() for part in value.split(","))):
        if entry != "*" and not _is_exception(entry):
            raise ValueError(f"{entry[:40]!r} is no host, domain or network")
    return ",".join(filter(None, (part.strip() for part in value.split(","))))


def _is_exception(entry: str) -> bool:
    try:
        ipaddress.ip_network(entry, strict=False)
    except ValueError:
        name = entry.removeprefix("*").removeprefix(".")
        return re.fullmatch(rf"({_HOST})(:[0-9]{{1,5}})?", name) is not None
    return True


def _sections(value: dict[str, Any]) -> dict[str, Any]:
    """Check the changes of KServe's configuration; few have any, and most hooks need no models of them."""
    if not value:
        return value
    from serving_sections import checked

    return checked(value)


def _buckets(value: str) -> str:
    for name in filter(None, (part.strip() for part in value.split(","))):
        if not re.fullmatch(_BUCKET, name):
            raise ValueError(f"{name[:40]!r} is no name of a bucket")
    return value


Bucket = Annotated[str, pydantic.Field(pattern=_BUCKET)]
Proxy = Annotated[Annotated[str, pydantic.AfterValidator(_proxy)] | None, if_empty(None)]
CustomImage = Annotated[ImageReference | None, if_empty(None)]


class CustomImages(pydantic.BaseModel):
    """The option `custom_images`, as in Charmhub's kserve-controller; empty values have no effect."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, defer_build=True)

    configmap__agent: CustomImage = None
    configmap__batcher: CustomImage = None
    configmap__explainers__art: CustomImage = None
    configmap__logger: CustomImage = None
    configmap__router: CustomImage = None
    configmap__storageInitializer: CustomImage = None  # noqa: N815 (kserve-controller's key)
    serving_runtimes__huggingfaceserver: CustomImage = None
    serving_runtimes__huggingfaceserver__multinode: CustomImage = None
    serving_runtimes__lgbserver: CustomImage = None
    serving_runtimes__kserve_mlserver: CustomImage = None
    serving_runtimes__paddleserver: CustomImage = None
    serving_runtimes__pmmlserver: CustomImage = None
    serving_runtimes__predictiveserver: Annotated[None, if_empty(None)] = None
    """A runtime of a later KServe: its key is known, and has no effect."""
    serving_runtimes__sklearnserver: CustomImage = None
    serving_runtimes__tensorflow_serving: CustomImage = None
    serving_runtimes__torchserve: CustomImage = None
    serving_runtimes__tritonserver: CustomImage = None
    serving_runtimes__xgbserver: CustomImage = None


_CUSTOM = {
    "agent": "configmap__agent",
    "batcher": "configmap__batcher",
    "logger": "configmap__logger",
    "art-explainer": "configmap__explainers__art",
    "router": "configmap__router",
    "storage-initializer": "configmap__storageInitializer",
    "huggingfaceserver": "serving_runtimes__huggingfaceserver",
    "huggingfaceserver-gpu": "serving_runtimes__huggingfaceserver__multinode",
    "lgbserver": "serving_runtimes__lgbserver",
    "mlserver": "serving_runtimes__kserve_mlserver",
    "paddleserver": "serving_runtimes__paddleserver",
    "pmmlserver": "serving_runtimes__pmmlserver",
    "sklearnserver": "serving_runtimes__sklearnserver",
    "tensorflow-serving": "serving_runtimes__tensorflow_serving",
    "torchserve": "serving_runtimes__torchserve",
    "tritonserver": "serving_runtimes__tritonserver",
    "xgbserver": "serving_runtimes__xgbserver",
}
"""What an image is for, to the key of `custom_images`; `batcher` and `logger` run the resource `agent`."""


class KServeOptions(GatewayConfig, GpuConfig):
    """The options of the charm."""

    deployment_mode: Annotated[str, pydantic.AfterValidator(_mode)]
    domain_name: Annotated[DnsName, pydantic.AfterValidator(_domain)]
    http_proxy: Proxy
    https_proxy: Proxy
    no_proxy: Annotated[str, pydantic.AfterValidator(_exceptions)]
    runtimes: Annotated[list[RuntimeName], *chosen_of(RUNTIMES)]
    inferenceservice_config: Annotated[dict[str, Any], pydantic.AfterValidator(_sections), if_empty({}), YAML]
    custom_images: Annotated[CustomImages, YAML, if_empty("{}"), pydantic.Field(alias="custom_images")]
    llm_inference: bool
    local_models: bool
    object_store_keys: Literal["auto", "per-profile", "shared"]
    object_store_bucket_name: Bucket
    object_store_shared_buckets: Annotated[str, pydantic.AfterValidator(_buckets)]
    secure_cookies: bool
    grafana_prefix: Annotated[str, pydantic.Field(pattern=r"^/[!-~]*$", max_length=255)]

    @property
    def mode(self) -> Mode:
        """How models run unless an InferenceService says otherwise."""
        return MODES[self.deployment_mode]

    @property
    def serverless(self) -> bool:
        """Whether models run on Knative unless an InferenceService says otherwise."""
        return self.mode == "Knative"

    @property
    def webhook_services(self) -> list[str]:
        """The Services of the controllers that the API server asks."""
        return ["kserve-webhook-server-service"] + self.llm_inference * ["llmisvc-webhook-server-service"]

    @property
    def shared_buckets(self) -> list[str]:
        """The buckets from which every profile may serve models."""
        return [*filter(None, (part.strip() for part in self.object_store_shared_buckets.split(",")))]

    def serving_images(self, resources: dict[str, str]) -> dict[str, str]:
        """Return the images of users' pods: of servers, and of what runs beside them.

        Args:
            resources: the charm's images, as pods take them.
        """
        images = {name: resources["agent" if name in ("batcher", "logger") else name] for name in _CUSTOM}
        for name, key in _CUSTOM.items():
            if chosen := getattr(self.custom_images, key):
                images[name] = redirected(chosen, self.image_registry)
        llm = {name: image for name, image in resources.items() if name.startswith("llm-d")}
        return images | llm
