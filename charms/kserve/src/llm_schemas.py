"""LLMInferenceService and LLMInferenceServiceConfig: a language model on one node or several.

Fields, columns and validations are those of kserve v0.16.0, config/crd/full/llmisvc. A configuration has the
fields of a service, in which Go's variables may stand.
"""

from __future__ import annotations

# Models have no instances, so that a field may become another type.
# pyright: reportIncompatibleVariableOverride=false
from typing import Annotated, Any, Literal

import pydantic
from http_route_schemas import FreeHttpRouteSpec, HttpRouteSpec, Namespace
from inference_pool_schemas import ObjectName, PoolSpec, Port
from lightkube.models import core_v1
from serving_types import AGE, GROUP, REACHED, Address, Reached

from kubeflow_charm import Manifest
from kubeflow_charm.definitions.crds import Column, Names, Version, at_most, definition
from kubeflow_charm.definitions.embedded import Int32, Kubernetes
from kubeflow_charm.definitions.embedded import ObjectName as LocalObject
from kubeflow_charm.definitions.schemas import ANYTHING, Schema

Pod = Annotated[dict[str, Any], Kubernetes(core_v1.PodSpec, ((("required",), None),))]
"""A pod, or the part of one that differs from a configuration's."""
Count = Annotated[Int32, pydantic.Field(ge=1)]
Replicas = Annotated[Int32, pydantic.Field(ge=0)]


class Lora(Schema):
    """Adapters of the model."""

    adapters: Annotated[Any, pydantic.WithJsonSchema(ANYTHING)] = None


class Model(Schema):
    """The model."""

    criticality: Literal["Critical", "Standard", "Sheddable"] | None = None
    lora: Lora | None = None
    name: str | None = None
    uri: str


class Parallelism(Schema):
    """How many GPUs share the model, and in which way."""

    data: Count | None = None
    data_local: Count | None = None
    data_rpc_port: Annotated[Port | None, pydantic.Field(alias="dataRPCPort")] = None
    expert: bool | None = None
    pipeline: Count | None = None
    tensor: Count | None = None


class Workload(Schema):
    """Pods that have the model."""

    parallelism: Parallelism | None = None
    replicas: Replicas | None = None
    template: Pod | None = None
    worker: Pod | None = None


class NamespacedRef(Schema):
    """An object of some namespace."""

    name: ObjectName | None = None
    namespace: Namespace | None = None


class References(Schema):
    """Objects that others made."""

    refs: list[NamespacedRef] | None = None


class Http(Schema):
    """The route: one that others made, or what it is."""

    refs: list[LocalObject] | None = None
    spec: HttpRouteSpec | None = None


class FreeHttp(Http):
    """The route, as a template."""

    spec: FreeHttpRouteSpec | None = None


class Route(Schema):
    """How requests come to the model."""

    http: Http | None = None


class FreeRoute(Schema):
    """How requests come to the model, as a template."""

    http: FreeHttp | None = None


class Pool(Schema):
    """The pool: one that others made, or what it is."""

    ref: LocalObject | None = None
    spec: PoolSpec | None = None


class Scheduler(Schema):
    """What chooses the pod for a request."""

    pool: Pool | None = None
    template: Pod | None = None


class Router(Schema):
    """How requests come to a pod."""

    gateway: References | None = None
    ingress: References | None = None
    route: Route | None = None
    scheduler: Scheduler | None = None


class FreeRouter(Router):
    """How requests come to a pod, as a template."""

    route: FreeRoute | None = None


class LlmSpec(Workload):
    """The wanted service."""

    base_refs: list[LocalObject] | None = None
    model: Model | None = None
    prefill: Workload | None = None
    router: Router | None = None


class ConfigSpec(LlmSpec):
    """The wanted services, as far as they are alike."""

    router: FreeRouter | None = None


class LlmStatus(Reached):
    """The state of the service."""

    addresses: list[Address] | None = None


class LLMInferenceService(Schema):
    """A language model behind an address."""

    spec: LlmSpec | None = None
    status: LlmStatus | None = None


class LLMInferenceServiceConfig(Schema):
    """What several LLMInferenceServices have in common."""

    spec: ConfigSpec | None = None


_COLUMNS = (
    *REACHED,
    Column("Reason", "string", ".status.conditions[?(@.type=='Ready')].reason"),
    AGE,
    Column("URLs", "string", ".status.addresses[*].url", priority=1),
)


def definitions() -> list[Manifest]:
    """Return the CustomResourceDefinitions. A service's name becomes that of pods."""
    return [
        definition(
            Names(
                "LLMInferenceService", "llminferenceservices", GROUP, short=("llmisvc",), objects=at_most(63)
            ),
            [Version("v1alpha1", LLMInferenceService, storage=True, columns=_COLUMNS)],
        ),
        definition(
            Names("LLMInferenceServiceConfig", "llminferenceserviceconfigs", GROUP),
            [Version("v1alpha1", LLMInferenceServiceConfig, storage=True, status=False)],
        ),
    ]
