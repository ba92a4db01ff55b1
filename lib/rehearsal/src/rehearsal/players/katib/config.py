"""The ConfigMap `katib-config`: how the controller is set up, and the images that it makes others run.

kubeflow/katib v0.19.0, pkg/apis/config/v1beta1/{types,defaults}.go and pkg/util/v1beta1/katibconfig. The file
is read at the start for the part `init`, and the ConfigMap again and again for the part `runtime`. A value of
a wrong type makes the whole of it unreadable; a key that Katib does not know is nothing.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml
from lightkube.models import core_v1

from rehearsal.players import decoding, quantities
from rehearsal.players.kinds import Object

NAME, FILE = "katib-config", "katib-config.yaml"
_HEAD = ("config.kubeflow.org/v1beta1", "KatibConfig")
_CONTAINER: Any = core_v1.Container
_INIT: Any = {
    "controller": {
        "experimentSuggestionName": "str",
        "metricsAddr": "str",
        "healthzAddr": "str",
        "injectSecurityContext": "bool",
        "enableGRPCProbeInSuggestion": "bool",
        "trialResources": ["str"],
        "webhookPort": "int32",
        "enableLeaderElection": "bool",
        "leaderElectionID": "str",
    },
    "certGenerator": {"enable": "bool", "webhookServiceName": "str", "webhookSecretName": "str"},
}
_OTHERS: Any = {"image": "str", "imagePullPolicy": "str", "resources": core_v1.ResourceRequirements}
_SUGGESTION: Any = {
    "algorithmName": "str",
    "serviceAccountName": "str",
    "volumeMountPath": "str",
    "persistentVolumeClaimSpec": core_v1.PersistentVolumeClaimSpec,
    "persistentVolumeSpec": core_v1.PersistentVolumeSpec,
    "persistentVolumeLabels": "dict",
}
_RUNTIME: Any = {
    "suggestions": [_SUGGESTION],
    "earlyStoppings": [{"algorithmName": "str", **_OTHERS}],
    "metricsCollectors": [{"kind": "str", "waitAllProcesses": "bool", **_OTHERS}],
}
_REQUESTS = {"cpu": "50m", "memory": "10Mi", "ephemeral-storage": "500Mi"}
_LIMITS = {"cpu": "500m", "memory": "100Mi", "ephemeral-storage": "5Gi"}
_PULLS = ("Always", "IfNotPresent", "Never")


class Unreadable(Exception):
    """The configuration does not say what is asked for, in Katib's words."""


@dataclass(frozen=True)
class Config:
    """What the ConfigMap says, with the defaults.

    Attributes:
        init: the part that counts at the start.
        runtime: lists of suggestions, early stoppings and metrics collectors.
    """

    init: Object
    runtime: Object

    @property
    def probes(self) -> bool:
        """Whether suggestions are given probes."""
        said = self.init["controller"].get("enableGRPCProbeInSuggestion")
        return said is None or said

    @property
    def trial_resources(self) -> list[tuple[str, str]]:
        """The apiVersions and kinds of jobs that trials are followed by.

        Raises:
            Unreadable: if one is not written as `Kind.version.group`.
        """
        found = []
        for text in self.init["controller"].get("trialResources") or ["Job.v1.batch"]:
            kind, _, rest = text.partition(".")
            version, _, group = rest.partition(".")
            if not (kind and version and group):
                raise Unreadable("invalid GroupVersionKinds")
            found.append((f"{group}/{version}", kind))
        return found

    def suggestion(self, algorithm: str) -> Object:
        """Return how an algorithm runs."""
        return self._found(
            "suggestions", "algorithmName", algorithm, "suggestion", "algorithm", "algorithm name"
        )

    def early_stopping(self, algorithm: str) -> Object:
        """Return how an algorithm that stops trials runs."""
        key = "algorithmName"
        return self._found("earlyStoppings", key, algorithm, "early stopping", "algorithm", "algorithm name")

    def collector(self, kind: str) -> Object:
        """Return how a metrics collector runs."""
        called = "metrics collector kind"
        return self._found("metricsCollectors", "kind", kind, "metrics collector", "kind", called)

    def _found(self, part: str, key: str, name: str, what: str, by: str, called: str) -> Object:
        """Return the last entry of a name; raises `Unreadable` if there is none, or if it has no image."""
        entries = [each for each in self.runtime.get(part) or () if each.get(key) == name]
        if not entries:
            raise Unreadable(f"failed to find {what} config for {by}: {name} in ConfigMap: {NAME}")
        if not (entries[-1].get("image") or "").strip():
            raise Unreadable(f"required value for image configuration of {called}: {name}")
        return entries[-1]


def of_map(found: Object | None) -> Config:
    """Return what a ConfigMap says.

    Raises:
        Unreadable: if there is none, or it says nothing that Katib could read.
    """
    if found is None:
        raise Unreadable(f'configmaps "{NAME}" not found')
    text = (found.get("data") or {}).get(FILE)
    if text is None:
        raise Unreadable(f"failed to find {FILE} in ConfigMap: {NAME}")
    return parse(text)


def parse(text: str) -> Config:
    """Return what the file says; raises `Unreadable`."""
    try:
        said = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise Unreadable(f"couldn't get version/kind; json parse error: {error}") from None
    if not isinstance(said, dict):
        raise Unreadable("couldn't get version/kind; json parse error: no object")
    head = (said.get("apiVersion"), said.get("kind"))
    if head != _HEAD:
        raise Unreadable(f'no kind "{head[1]}" is registered for version "{head[0]}" in scheme')
    init, runtime = said.get("init") or {}, copy.deepcopy(said.get("runtime") or {})
    try:
        decoding.read({"init": init, "runtime": runtime}, {"init": _INIT, "runtime": _RUNTIME}, "KatibConfig")
        for each in runtime.get("suggestions") or ():
            decoding.read(_container(each), _CONTAINER, "Container")
    except decoding.Undecodable as error:
        raise Unreadable(str(error)) from None
    _default(runtime)
    return Config({"controller": {}, **init}, runtime)


def container(suggestion: Mapping[str, Any]) -> Object:
    """Return the container that an algorithm's entry describes."""
    return copy.deepcopy(_container(suggestion))


def _container(entry: Mapping[str, Any]) -> Object:
    return {name: value for name, value in entry.items() if name not in _SUGGESTION}


def _default(runtime: Object) -> None:
    for part in ("suggestions", "earlyStoppings", "metricsCollectors"):
        for each in runtime.get(part) or ():
            if each.get("imagePullPolicy") not in _PULLS:
                each["imagePullPolicy"] = "IfNotPresent"
            each["resources"] = _resources(each.get("resources") or {})
    for each in runtime.get("suggestions") or ():
        each["volumeMountPath"] = each.get("volumeMountPath") or "/opt/katib/data"
        claim = each["persistentVolumeClaimSpec"] = each.get("persistentVolumeClaimSpec") or {}
        claim["accessModes"] = claim.get("accessModes") or ["ReadWriteOnce"]
        asked = claim["resources"] = claim.get("resources") or {}
        asked["requests"] = asked.get("requests") or {"storage": "1Gi"}
        if each.get("persistentVolumeSpec"):
            each["persistentVolumeSpec"]["persistentVolumeReclaimPolicy"] = "Delete"


def _resources(said: Object) -> Object:
    """Return resources with defaults; what is negative is left out."""
    found = dict(said)
    for part, defaults in (("requests", _REQUESTS), ("limits", _LIMITS)):
        amounts = dict(said.get(part) or {})
        for name, default in defaults.items():
            value = quantities.amount(amounts.get(name, 0))
            if value == 0:
                amounts[name] = default
            elif value < 0:
                del amounts[name]
        found[part] = amounts
    return found
