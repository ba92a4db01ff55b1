"""What a program in a Deployment's pods would find there: its arguments, environment and mounted files.

Reading ConfigMaps and Secrets into a pod is the kubelet's work, so it takes none of the program's rights.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from rehearsal.network.playing import image_name
from rehearsal.players import kinds
from rehearsal.players.kinds import Kind, Object
from rehearsal.players.refusals import Unstartable

Look = Callable[[Kind, str], Object | None]
"""Returns an object of the Deployment's namespace by its kind and name."""

_SOURCES = {
    "configMapKeyRef": kinds.CONFIG_MAP,
    "secretKeyRef": kinds.SECRET,
    "configMapRef": kinds.CONFIG_MAP,
    "secretRef": kinds.SECRET,
}
_VARIABLE = re.compile(r"\$\$|\$\(([-._a-zA-Z0-9]+)\)")


@dataclass(frozen=True)
class Settings:
    """How a program is set up.

    Attributes:
        words: its command line without the program itself.
        environment: its variables.
        namespace: where its pods are.
        pod: the pod's spec.
        container: the program's own.
    """

    words: tuple[str, ...]
    environment: Mapping[str, str]
    namespace: str
    pod: Object
    container: Object

    def variable(self, name: str, default: str = "") -> str:
        """Return a variable's value; the default if it is not there or empty."""
        return self.environment.get(name) or default

    def config_file(self, path: str) -> tuple[str, str] | None:
        """Return the ConfigMap that a file is mounted from and the key in it; None if there is no file."""
        maps = {
            each["name"]: each["configMap"] for each in self.pod.get("volumes", ()) if "configMap" in each
        }
        for mount in self.container.get("volumeMounts", ()):
            place, source = PurePosixPath(mount["mountPath"]), maps.get(mount["name"])
            if source is None or not PurePosixPath(path).is_relative_to(place):
                continue
            inside = PurePosixPath(
                mount.get("subPath", ""), PurePosixPath(path).relative_to(place)
            ).as_posix()
            keys = {item["path"]: item["key"] for item in source.get("items", ())} or {inside: inside}
            return (source["name"], keys[inside]) if inside in keys else None
        return None


def program(container: Object) -> str:
    """Return what a container runs: the last part of its image's path, so from whatever registry."""
    return image_name(container["image"])


def available(deployment: Object) -> bool:
    """Tell whether at least one pod does its work."""
    return deployment.get("status", {}).get("availableReplicas", 0) >= 1


def rolled_out(deployment: Object) -> bool:
    """Tell whether no pod is left of an earlier template."""
    status = deployment.get("status", {})
    seen = status.get("observedGeneration") == deployment["metadata"].get("generation")
    return seen and status.get("updatedReplicas", 0) == status.get("replicas", 0)


def read(deployment: Object, container: Object, look: Look) -> Settings:
    """Return how a container's program is set up.

    Raises:
        Unstartable: if the kubelet could not start the container.
    """
    pod, namespace = deployment["spec"]["template"]["spec"], deployment["metadata"]["namespace"]
    environment: dict[str, str] = {}
    for source in container.get("envFrom", ()):
        for name, value in _all(source, look).items():
            environment[source.get("prefix", "") + name] = value
    for variable in container.get("env", ()):
        if "valueFrom" not in variable:
            environment[variable["name"]] = _expanded(variable.get("value", ""), environment)
        elif (value := _value(variable["valueFrom"], look, namespace, pod)) is not None:
            environment[variable["name"]] = value
    words = [*container.get("command", ())[1:], *container.get("args", ())]
    return Settings(
        tuple(_expanded(word, environment) for word in words), environment, namespace, pod, container
    )


def _all(source: Object, look: Look) -> Mapping[str, str]:
    """Return what an `envFrom` entry holds."""
    which = next(name for name in ("configMapRef", "secretRef") if name in source)
    reference = source[which]
    found = look(_SOURCES[which], reference["name"])
    if found is None:
        if reference.get("optional"):
            return {}
        raise Unstartable(f'{_SOURCES[which].__name__} "{reference["name"]}" not found')
    return _data(found)


def _value(source: Object, look: Look, namespace: str, pod: Object) -> str | None:
    """Return what a `valueFrom` leads to; None for what only a real pod knows, and for what is optional."""
    which = next(iter(source))
    if which == "fieldRef":
        known = {
            "metadata.namespace": namespace,
            "spec.serviceAccountName": pod.get("serviceAccountName", "default"),
        }
        return known.get(source[which]["fieldPath"])
    if which not in _SOURCES:
        return None
    reference, kind = source[which], _SOURCES[which].__name__
    name, key = reference["name"], reference["key"]
    found = look(_SOURCES[which], name)
    if found is not None and key in _data(found):
        return _data(found)[key]
    if reference.get("optional"):
        return None
    raise Unstartable(f'{kind} "{name}" {"not found" if found is None else f"has no key {key}"}')


def _data(item: Object) -> dict[str, str]:
    data = item.get("data") or {}
    if item["kind"] == "ConfigMap":
        return data
    return {name: base64.b64decode(value).decode(errors="replace") for name, value in data.items()}


def _expanded(text: str, environment: Mapping[str, str]) -> str:
    """Return a text with `$(NAME)` replaced; a name that is not known stays, and `$$` is a dollar sign."""

    def replacement(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        return environment.get(match[1], match[0])

    return _VARIABLE.sub(replacement, text)
