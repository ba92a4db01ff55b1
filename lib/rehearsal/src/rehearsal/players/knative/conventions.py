"""Names, settings and conditions of Knative's serving.

knative.dev/serving v0.42.2 (Knative 1.15.2), pkg/apis and pkg/deployment; knative.dev/pkg, kmeta/names.go.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from rehearsal.players import kinds
from rehearsal.players.api import Api
from rehearsal.players.kinds import Object
from rehearsal.players.kserve.naming import fill
from rehearsal.players.living import LivingSet
from rehearsal.players.program import Program

SERVING = "serving.knative.dev"
AUTOSCALING = "autoscaling.knative.dev"
NETWORKING = "networking.knative.dev"
INTERNAL = "networking.internal.knative.dev"
LOCAL_DOMAIN = "svc.cluster.local"
CONCURRENCY = "rehearsal/concurrency"
"""The annotation of a PodAutoscaler that tells how many requests there are at a time; without it, some."""

SERVICE = LivingSet(("ConfigurationsReady", "RoutesReady"))
CONFIGURATION = LivingSet(())
ROUTE = LivingSet(("AllTrafficAssigned", "IngressReady", "CertificateProvisioned"))
REVISION = LivingSet(("ResourcesAvailable", "ContainerHealthy"))
AUTOSCALER = LivingSet(("Active", "ScaleTargetInitialized", "SKSReady"))
EXPOSURE = LivingSet(("EndpointsPopulated",))
INGRESS = LivingSet(("NetworkConfigured", "LoadBalancerReady"))

_LONGEST, _DIGEST = 63, 32


class Settings:
    """The ConfigMaps of Knative's namespace.

    Args:
        api: reads them.
        namespace: whose.
    """

    def __init__(self, api: Api, namespace: str):
        self._api = api
        self.namespace = namespace

    @classmethod
    def of(cls, program: Program) -> Settings:
        """Return those of a program."""
        return cls(program.api, program.settings.variable("SYSTEM_NAMESPACE", "knative-serving"))

    def data(self, name: str) -> dict[str, str]:
        """Return what a ConfigMap says; nothing if there is none."""
        found = self._api.get(kinds.CONFIG_MAP, (self.namespace, f"config-{name}"))
        said = (found or {}).get("data") or {}
        return {key: value for key, value in said.items() if key != "_example"}

    def domain(self, labels: Mapping[str, str]) -> str:
        """Return the domain of a route; those with a selector are not looked at."""
        if labels.get(f"{NETWORKING}/visibility") == "cluster-local":
            return LOCAL_DOMAIN
        domains = [name for name, selector in self.data("domain").items() if not selector.strip()]
        return domains[0] if domains else LOCAL_DOMAIN

    def host(self, name: str, metadata: Object) -> str:
        """Return the host of a route, or of one of its tags."""
        domain = self.domain(metadata.get("labels") or {})
        if domain == LOCAL_DOMAIN:
            return f"{name}.{metadata['namespace']}.{domain}"
        template = self.data("network").get("domain-template") or "{{.Name}}.{{.Namespace}}.{{.Domain}}"
        values = {"Name": name, "Namespace": metadata["namespace"], "Domain": domain, "Annotations": {}}
        return fill(template, values)


def child_name(parent: str, suffix: str) -> str:
    """Return a name that is made of another one, and short enough for a Service."""
    if len(parent) <= _LONGEST - len(suffix):
        return parent + suffix
    head = _LONGEST - _DIGEST
    if head - len(suffix) <= 0:
        return parent[:head] + _hash(parent + suffix)
    return parent[: head - len(suffix)] + _hash(parent) + suffix


def _hash(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def scale(annotations: Mapping[str, str], name: str) -> int | None:
    """Return a number of an annotation of the autoscaler's, in either spelling."""
    head, _, tail = name.partition("-")
    for key in (f"{AUTOSCALING}/{name}", f"{AUTOSCALING}/{head}{tail.capitalize()}"):
        if (said := annotations.get(key)) is not None:
            return int(float(said))
    return None


def observed(item: Object, status: Object) -> None:
    """Say that an object has been seen as it is now."""
    status["observedGeneration"] = item["metadata"].get("generation", 1)


def owned(kind: Any, owner: Object, name: str, **more: Any) -> Object:
    """Return the metadata of what an object controls."""
    namespace = owner["metadata"]["namespace"]
    return {"name": name, "namespace": namespace, "ownerReferences": [kinds.reference(kind, owner)], **more}
