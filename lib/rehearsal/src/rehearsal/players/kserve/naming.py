"""Names, labels and annotations of KServe, and hosts that are made of them.

kserve/kserve v0.16.0, pkg/constants/constants.go and reconcilers/ingress/{domain,path}.go.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from rehearsal.players.kinds import Object

GROUP = "serving.kserve.io"
INTERNAL = f"internal.{GROUP}"
MODE = f"{GROUP}/deploymentMode"
STOP = f"{GROUP}/stop"
AUTOSCALER = f"{GROUP}/autoscalerClass"
SERVICE_LABEL = f"{GROUP}/inferenceservice"
SOURCE = f"{INTERNAL}/storage-initializer-sourceuri"
CONTAINER = "kserve-container"
TRANSFORMER = "transformer-container"
WORKER = "worker-container"
COMPONENTS = ("predictor", "transformer", "explainer")
MODELS = "/mnt/models"
HTTP_PORT = 8080
AGENT_PORT = 9081
DOMAIN = "cluster.local"
STANDARD, KNATIVE, MESH = "Standard", "Knative", "ModelMesh"

_LEGACY = {"RawDeployment": STANDARD, "Serverless": KNATIVE}
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


def mode(status: Object, annotations: Mapping[str, str], default: str) -> str:
    """Return how an inference service is deployed: as before, as it says, or as is usual."""
    if before := status.get("deploymentMode"):
        return before
    said = annotations.get(MODE, "")
    said = _LEGACY.get(said, said)
    return said if said in (STANDARD, KNATIVE, MESH) else default


def modern(said: str) -> str:
    """Return a mode by its present name."""
    return _LEGACY.get(said, said)


def stopped(item: Object) -> bool:
    """Tell whether an inference service is not to run."""
    return (item["metadata"].get("annotations") or {}).get(STOP, "").lower() == "true"


def hostname(service: str, namespace: str) -> str:
    """Return a Service's name in the cluster's DNS."""
    return f"{service}.{namespace}.svc.{DOMAIN}"


def domain(template: str, name: str, metadata: Object, ingress_domain: str) -> str:
    """Return the host that a Go template makes.

    Raises:
        ValueError: if it makes none.
    """
    values = {
        "Name": name,
        "Namespace": metadata["namespace"],
        "IngressDomain": ingress_domain,
        "Annotations": metadata.get("annotations") or {},
        "Labels": metadata.get("labels") or {},
    }
    host = fill(template, values)
    if len(host) > 253 or not all(_LABEL.fullmatch(each) for each in host.split(".")) or "." not in host:
        raise ValueError(f'invalid domain name "{host}"')
    return host


def fill(template: str, values: Mapping[str, Any]) -> str:
    """Fill in a Go template that only names fields, or keys of them by `index`.

    Raises:
        ValueError: if it has anything else.
    """

    def replacement(match: re.Match[str]) -> str:
        said = match[1].strip()
        if found := re.fullmatch(r'index\s+\.(\w+)\s+"([^"]*)"', said):
            names = list(found.groups())
        elif re.fullmatch(r"\.\w+(\.\w+)*", said):
            names = said[1:].split(".")
        else:
            raise ValueError(f"template: unexpected {said!r}")
        if names[0] not in values:
            raise ValueError(f"template: can't evaluate field {names[0]}")
        value: Any = values[names[0]]
        for name in names[1:]:
            value = value.get(name, "<no value>" if said.startswith(".") else "")
        return str(value)

    return re.sub(r"\{\{-?(.*?)-?\}\}", replacement, template)


def host_pattern(host: str) -> str:
    """Return the regular expression that matches a host with or without a port.

    Upstream means to match a Service's short names, too, but looks for a suffix that no host has.
    """
    return rf"^{quoted(host)}(?::\d{{1,5}})?$"


def quoted(text: str) -> str:
    """Return a text as Go's regexp.QuoteMeta writes it."""
    return re.sub(r"([\\.+*?()|\[\]{}^$])", r"\\\1", text)
