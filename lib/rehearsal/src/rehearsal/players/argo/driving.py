"""Play KFP's driver: return its patch of a step's pod, and whether and how often the step runs.

Facts: kubeflow/pipelines 2.17.0, backend/src/v2/driver (driver.go and k8s.go: the patch of the pod; dag.go:
the number of iterations). Only a real run knows other steps' outputs, the cache and conditions. So nothing is
cached, every condition holds, and a loop over items from another step runs once.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from rehearsal.players.argo.notation import Document

_UNKNOWN = "1"
"""An output that only a real program knows; drivers' identifiers are numbers."""


def outputs(template: Document, inputs: Mapping[str, str]) -> dict[str, str]:
    """Return the outputs of a succeeded pod: a driver's outputs, or the defaults.

    Args:
        template: the pod's template.
        inputs: the values of its parameters.
    """
    values = {}
    for output in (template.get("outputs") or {}).get("parameters") or []:
        default = (output.get("valueFrom") or {}).get("default", output.get("default"))
        values[output["name"]] = _UNKNOWN if default is None else default
    if "pod-spec-patch" in values and inputs.get("container"):
        platform = json.loads(inputs.get("kubernetes-config") or "{}")
        values["pod-spec-patch"] = json.dumps(patch(json.loads(inputs["container"]), platform))
    if "iteration-count" in values and inputs.get("task"):
        values["iteration-count"] = str(_iterations(json.loads(inputs["task"])))
    return values


def _iterations(task: Document) -> int:
    """Return the number of a loop's iterations; 0 if the task is no loop."""
    iterator = task.get("parameterIterator")
    if iterator is None:
        return 0
    raw = (iterator.get("items") or {}).get("raw")
    return 1 if raw is None else len(json.loads(raw))


def patch(container: Document, platform: Document) -> Document:
    """Return the patch of a step's pod.

    Args:
        container: the pipeline's document of the user's container.
        platform: the pipeline's Kubernetes settings of the step.
    """
    main: Document = {
        "name": "main",
        "image": container.get("image", ""),
        "command": ["/kfp-launcher/launch"],
        "args": [*container.get("command", []), *container.get("args", [])],
        "env": [*container.get("env", []), *_secret_env(platform)],
        "resources": _resources(container.get("resources") or {}),
    }
    result: Document = {"containers": [main]}
    claims = [name for each in platform.get("pvcMount", []) if (name := _constant(each))]
    mounts = [each["mountPath"] for each in platform.get("pvcMount", []) if _constant(each)]
    main["volumeMounts"] = [
        {"name": name, "mountPath": path} for name, path in zip(claims, mounts, strict=True)
    ]
    volumes: list[Document] = [
        {"name": name, "persistentVolumeClaim": {"claimName": name}} for name in claims
    ]
    for secret in platform.get("secretAsVolume", []):
        name = secret.get("secretName") or _constant({"pvcNameParameter": secret.get("secretNameParameter")})
        main["volumeMounts"].append({"name": name, "mountPath": secret["mountPath"]})
        source = {"secretName": name, "optional": secret.get("optional", False)}
        volumes.append({"name": name, "secret": source})
    if volumes:
        result["volumes"] = volumes
    if labels := (platform.get("nodeSelector") or {}).get("labels"):
        result["nodeSelector"] = labels
    if tolerations := platform.get("tolerations"):
        result["tolerations"] = [_toleration(each) for each in tolerations]
    return result


def _toleration(config: Document) -> Document:
    values: dict[str, Any] = {
        key: config[key] for key in ("key", "operator", "value", "effect") if config.get(key)
    }
    if "tolerationSeconds" in config:
        values["tolerationSeconds"] = int(config["tolerationSeconds"])
    return values


def _constant(config: Document) -> str:
    """Return a claim's name if the pipeline itself states it."""
    parameter = config.get("pvcNameParameter") or {}
    return config.get("constant") or (parameter.get("runtimeValue") or {}).get("constant") or ""


def _secret_env(platform: Document) -> list[Document]:
    found = []
    for secret in platform.get("secretAsEnv", []):
        parameter = secret.get("secretNameParameter") or {}
        name = secret.get("secretName") or (parameter.get("runtimeValue") or {}).get("constant", "")
        for each in secret.get("keyToEnv", []):
            reference = {"name": name, "key": each["secretKey"]}
            found.append({"name": each["envVar"], "valueFrom": {"secretKeyRef": reference}})
    return found


def _resources(config: Document) -> Document:
    """Return requests and limits; memory numbers are in units of 10^9 bytes."""
    limits: Document = {}
    requests: Document = {}
    for group, kind in ((limits, "Limit"), (requests, "Request")):
        for resource, unit in (("cpu", ""), ("memory", "G")):
            text = config.get(f"resource{resource.capitalize()}{kind}")
            number = config.get(f"{resource}{kind}")
            if text or number:
                group[resource] = str(text or f"{number}{unit}")
    accelerator = config.get("accelerator") or {}
    kind = accelerator.get("resourceType") or accelerator.get("type")
    count = accelerator.get("resourceCount") or accelerator.get("count")
    if kind and count:
        limits[kind] = str(count)
    return {"limits": limits, "requests": requests}
