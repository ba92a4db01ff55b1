"""The ConfigMap inferenceservice-config as KServe's programs read it, whenever they need it.

kserve/kserve v0.16.0, pkg/apis/serving/v1beta1/configmap.go and pkg/credentials.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from rehearsal.players import kinds
from rehearsal.players.api import Api
from rehearsal.players.kinds import Object
from rehearsal.players.kserve import naming

NAME = "inferenceservice-config"

_DISALLOWED_ANNOTATIONS = (
    "autoscaling.knative.dev/min-scale",
    "autoscaling.knative.dev/minScale",
    "autoscaling.knative.dev/max-scale",
    "autoscaling.knative.dev/maxScale",
    naming.SOURCE,
    "kubectl.kubernetes.io/last-applied-configuration",
)
_DISALLOWED_LABELS = ("networking.knative.dev/visibility",)
_GATEWAY = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?/[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


class Settings:
    """What the ConfigMap says.

    Args:
        data: its data.
    """

    def __init__(self, data: Mapping[str, str]):
        self._data = data

    def section(self, name: str) -> Object:
        """Return a key's JSON; nothing if it is not there; raise ValueError if it is no object."""
        if name not in self._data:
            return {}
        try:
            found = json.loads(self._data[name])
        except ValueError as error:
            raise ValueError(f"unable to parse {name} config json: {error}") from None
        if not isinstance(found, dict):
            raise ValueError(f"unable to parse {name} config json: no object")
        return found

    @property
    def mode(self) -> str:
        """How inference services are deployed that do not say it."""
        if "deploy" not in self._data:
            return ""
        said = naming.modern(self.section("deploy").get("defaultDeploymentMode", ""))
        if not said:
            raise ValueError("invalid deploy config, defaultDeploymentMode is required")
        if said not in (naming.STANDARD, naming.KNATIVE, naming.MESH):
            raise ValueError("invalid deployment mode. Supported modes are Knative, Standard and ModelMesh")
        return said

    @property
    def rollout(self) -> Object:
        """The strategy by which Deployments are rolled out, if it is set."""
        if self.mode != naming.STANDARD:
            return {}
        strategy = self.section("deploy").get("deploymentRolloutStrategy") or {}
        return strategy.get("defaultRollout") or {}

    @property
    def ingress(self) -> Object:
        """The section on ingress, with its defaults."""
        said: dict[str, Any] = self.section("ingress")
        if "ingress" in self._data:
            if said.get("enableGatewayApi") and not _GATEWAY.fullmatch(said.get("kserveIngressGateway", "")):
                raise ValueError("invalid ingress config - kserveIngressGateway is required")
            if not said.get("ingressGateway"):
                raise ValueError("invalid ingress config - ingressGateway is required")
            if said.get("pathTemplate") and not said.get("ingressDomain"):
                raise ValueError(
                    "invalid ingress config - ingressDomain is required if pathTemplate is given"
                )
            if not said.get("knativeLocalGatewayService"):
                said["knativeLocalGatewayService"] = said.get("localGatewayService", "")
        defaults = {
            "domainTemplate": "{{ .Name }}-{{ .Namespace }}.{{ .IngressDomain }}",
            "ingressDomain": "example.com",
            "urlScheme": "http",
        }
        return {**said, **{name: said.get(name) or value for name, value in defaults.items()}}

    def annotations(self, of: Mapping[str, str] | None) -> dict[str, str]:
        """Return the annotations that are passed on to what is made."""
        more = self.section("inferenceService").get("serviceAnnotationDisallowedList") or ()
        kept = "inferenceService" in self._data
        left_out = {*_DISALLOWED_ANNOTATIONS, *more} if kept else set()
        return {name: value for name, value in (of or {}).items() if name not in left_out}

    def labels(self, of: Mapping[str, str] | None) -> dict[str, str]:
        """Return the labels that are passed on to revisions and routes."""
        more = self.section("inferenceService").get("serviceLabelDisallowedList") or ()
        kept = "inferenceService" in self._data
        left_out = {*_DISALLOWED_LABELS, *more} if kept else set()
        return {name: value for name, value in (of or {}).items() if name not in left_out}

    def resources(self) -> dict[str, dict[str, str]]:
        """Return the requests and limits of containers that say none."""
        said = self.section("inferenceService").get("resource") or {}
        found: dict[str, dict[str, str]] = {"requests": {}, "limits": {}}
        for part, word in (("requests", "Request"), ("limits", "Limit")):
            for resource in ("cpu", "memory"):
                if value := said.get(f"{resource}{word}"):
                    found[part][resource] = value
        return found


def read(api: Api, namespace: str) -> Settings:
    """Ask for the ConfigMap; raise LookupError if there is none."""
    found = api.read(kinds.CONFIG_MAP, (namespace, NAME))
    if found is None:
        raise LookupError(f'configmaps "{NAME}" not found')
    return Settings(found.get("data") or {})
