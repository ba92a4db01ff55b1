"""What a hook of KServe knows after it has read everything."""

from __future__ import annotations

import dataclasses

from kserve_options import KServeOptions
from model_access import Users

from kubeflow_charm import Manifest, Problem
from kubeflow_charm.gpu.pools import Gpus
from kubeflow_charm.images import pull_secret_name
from kubeflow_charm.minio.keys import Keys
from kubeflow_charm.relations.gateway_info import Gateway
from kubeflow_charm.relations.object_store import ObjectStore


@dataclasses.dataclass(frozen=True)
class Models:
    """The store of models, and its keys.

    Args:
        store: the store, with its bucket and region.
        keys: who has which key to it.
        unasked: the problem that the store did not answer in this hook; profiles then get nothing new.
    """

    store: ObjectStore
    keys: Keys
    unasked: Problem | None


@dataclasses.dataclass(frozen=True)
class Facts:
    """What a hook of KServe knows.

    Args:
        config: the options.
        images: the images of users' pods, by what they are for.
        gateway: the Istio gateway in front of models.
        local_gateway: Knative's gateway for calls within the cluster, if Knative is related.
        kinds: the definitions that exist, of those that KServe's controller looks for when it starts.
        note: what the operator may want to change at Knative.
        profiles: the namespaces of profiles.
        callers: whom each profile lets in through the gateway; nobody if no model runs on Knative.
        models: the store of models; None if none is related.
        gpus: the cluster's GPUs; none if the operator has switched discovery off.
        pull_secret: what profiles pull our images with; None where no registry asks.
        policies: what the API server does to the pods of models; PodDefaults where it can do nothing.
        served: whether these are objects of the API server.
    """

    config: KServeOptions
    images: dict[str, str]
    gateway: Gateway
    local_gateway: Gateway | None
    kinds: list[str]
    note: str
    profiles: list[str]
    callers: Users
    models: Models | None
    gpus: Gpus
    pull_secret: Manifest | None
    policies: list[Manifest]
    served: bool

    @property
    def knative(self) -> str:
        """The namespace of Knative; empty if none is related."""
        return self.local_gateway.gateway_namespace if self.local_gateway else ""

    @property
    def gateway_namespace(self) -> str:
        """The namespace of the gateway's pods."""
        return self.config.gateway_namespace(self.gateway)

    def pull_secret_name(self, application: str) -> str:
        """Return the name of the pull secret of profiles; empty where no registry asks."""
        return pull_secret_name(application) if self.pull_secret else ""
