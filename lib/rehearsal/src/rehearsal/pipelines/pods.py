"""The pods of a run: what Argo makes of a Workflow's templates, with the driver's patch for the steps.

Facts: argo-workflows v3.7.3, workflow/controller/workflowpod.go (containers beside the main one, metadata,
and that a template's affinity and tolerations come before the Workflow's) and docs/default-workflow-specs.md;
kubeflow/pipelines 2.16.0, backend/src/v2/driver (what of a pipeline becomes the patch).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import yaml

from rehearsal.pipelines.compiling import Compiled, Step

Document = dict[str, Any]

_EXECUTOR = "quay.io/argoproj/argoexec:v3.7.3"
_ARGO = {"name": "var-run-argo", "mountPath": "/var/run/argo"}


def with_defaults(workflow: Document, controller: Mapping[str, str]) -> Document:
    """Return a Workflow with the defaults of its controller: it comes first, in each field it has.

    Args:
        workflow: the Workflow.
        controller: the data of `workflow-controller-configmap`.
    """
    defaults = yaml.safe_load(controller.get("workflowDefaults", "")) or {}
    return _merged(defaults, workflow)


def pod(workflow: Document, step: Step, controller: Mapping[str, str], run: str) -> Document:
    """Return the pod of a step.

    Args:
        workflow: the Workflow, with its defaults.
        step: one of its steps.
        controller: the data of `workflow-controller-configmap`.
        run: the Workflow's name.
    """
    spec = workflow["spec"]
    template = next(each for each in spec["templates"] if each["name"] == step.template)
    executor = yaml.safe_load(controller.get("executor", "")) or {}
    beside = {"image": _EXECUTOR, "command": ["argoexec"], "volumeMounts": [_ARGO], **executor}
    first = [{"name": "init", "args": ["init"], **beside}, *template.get("initContainers", [])]
    main = {"name": "main", **template["container"]}
    main["volumeMounts"] = [*main.get("volumeMounts", []), _ARGO]
    made: Document = {
        "serviceAccountName": spec["serviceAccountName"],
        "restartPolicy": "Never",
        "initContainers": copy.deepcopy(first),
        "containers": [{"name": "wait", "args": ["wait"], **beside}, copy.deepcopy(main)],
        "volumes": [{"name": "var-run-argo", "emptyDir": {}}, *template.get("volumes", [])],
    }
    for field in ("affinity", "tolerations", "nodeSelector", "securityContext"):
        if said := template.get(field) or spec.get(field):
            made[field] = said
    if template.get("podSpecPatch"):
        made = _patched(made, patch(step))
    labels = {"workflows.argoproj.io/workflow": run, "workflows.argoproj.io/completed": "false"}
    own, common = template.get("metadata", {}), spec.get("podMetadata", {})
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"{run}-{step.name}"[:63].rstrip("-"),
            "labels": labels | common.get("labels", {}) | own.get("labels", {}),
            "annotations": common.get("annotations", {}) | own.get("annotations", {}),
        },
        "spec": made,
    }


def pods(compiled: Compiled, controller: Mapping[str, str], run: str) -> list[Document]:
    """Return a pod for every step of a run."""
    workflow = with_defaults(compiled.workflow, controller)
    return [pod(workflow, step, controller, run) for step in compiled.steps]


def patch(step: Step) -> Document:
    """Return what a step's driver says of its pod, as far as that is known before there is a run."""
    container, platform = step.container or {}, step.platform
    main: Document = {
        "name": "main",
        "image": container.get("image", ""),
        "command": ["/kfp-launcher/launch"],
    }
    main["args"] = [*container.get("command", []), *container.get("args", [])]
    main["env"] = [*container.get("env", []), *_secret_env(platform)]
    main["resources"] = _resources(container.get("resources") or {})
    result: Document = {"containers": [main]}
    claims = [each for each in platform.get("pvcMount", []) if _constant(each)]
    main["volumeMounts"] = [{"name": _constant(each), "mountPath": each["mountPath"]} for each in claims]
    volumes = [
        {"name": _constant(each), "persistentVolumeClaim": {"claimName": _constant(each)}} for each in claims
    ]
    for secret in platform.get("secretAsVolume", []):
        name = secret.get("secretName") or _constant({"pvcNameParameter": secret.get("secretNameParameter")})
        main["volumeMounts"].append({"name": name, "mountPath": secret["mountPath"]})
        volumes.append(
            {"name": name, "secret": {"secretName": name, "optional": secret.get("optional", False)}}
        )
    if volumes:
        result["volumes"] = volumes
    if labels := (platform.get("nodeSelector") or {}).get("labels"):
        result["nodeSelector"] = labels
    if tolerations := platform.get("tolerations"):
        result["tolerations"] = [_toleration(each) for each in tolerations]
    return result


def _toleration(said: Document) -> Document:
    values = {key: said[key] for key in ("key", "operator", "value", "effect") if said.get(key)}
    return values | (
        {"tolerationSeconds": int(said["tolerationSeconds"])} if "tolerationSeconds" in said else {}
    )


def _constant(said: Document) -> str:
    """Return the name of a claim that the pipeline knows beforehand."""
    parameter = said.get("pvcNameParameter") or {}
    return said.get("constant") or (parameter.get("runtimeValue") or {}).get("constant") or ""


def _secret_env(platform: Document) -> list[Document]:
    found = []
    for secret in platform.get("secretAsEnv", []):
        parameter = secret.get("secretNameParameter") or {}
        name = secret.get("secretName") or (parameter.get("runtimeValue") or {}).get("constant", "")
        for each in secret.get("keyToEnv", []):
            reference = {"name": name, "key": each["secretKey"]}
            found.append({"name": each["envVar"], "valueFrom": {"secretKeyRef": reference}})
    return found


def _resources(said: Document) -> Document:
    """Return requests and limits; a number of bytes is in units of a thousand million."""
    limits: Document = {}
    requests: Document = {}
    for group, kind in ((limits, "Limit"), (requests, "Request")):
        for resource, unit in (("cpu", ""), ("memory", "G")):
            text = said.get(f"resource{resource.capitalize()}{kind}")
            number = said.get(f"{resource}{kind}")
            if text or number:
                group[resource] = str(text or f"{number}{unit}")
    accelerator = said.get("accelerator") or {}
    kind = accelerator.get("resourceType") or accelerator.get("type")
    count = accelerator.get("resourceCount") or accelerator.get("count")
    if kind and count:
        limits[kind] = str(count)
    return {"limits": limits, "requests": requests}


def _patched(made: Document, patch: Document) -> Document:
    """Return a pod with a strategic merge patch: containers and volumes by name, other lists replaced."""
    result = made | {key: value for key, value in patch.items() if key not in ("containers", "volumes")}
    result["volumes"] = [*made["volumes"], *patch.get("volumes", [])]
    said = {each["name"]: each for each in patch["containers"]}
    result["containers"] = []
    for container in made["containers"]:
        own = said.get(container["name"], {})
        merged = container | own
        for key in ("env", "volumeMounts"):
            if container.get(key) or own.get(key):
                merged[key] = [*container.get(key, []), *own.get(key, [])]
        result["containers"].append(merged)
    return result


def _merged(defaults: Any, said: Any) -> Any:
    """Return what is said, on top of defaults: mappings key by key, anything else as a whole."""
    if isinstance(defaults, dict) and isinstance(said, dict):
        keys = [*defaults, *(key for key in said if key not in defaults)]
        return {key: _merged(defaults.get(key), said[key]) if key in said else defaults[key] for key in keys}
    return said
