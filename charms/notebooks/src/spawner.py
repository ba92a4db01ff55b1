"""The configuration of the form for a new notebook, made from the options and the GPUs of the nodes.

The document is the one that the Jupyter web app of kubeflow/kubeflow v1.10.0 reads
(components/crud-web-apps/jupyter: backend/apps/common/form.py and utils.py, frontend/src/app/types/config.ts;
kubeflow/manifests 26.03, applications/jupyter/jupyter-web-app/upstream/base/configs/spawner_ui_config.yaml).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import yaml
from spawner_options import SpawnerOptions

from kubeflow_charm import blocked
from kubeflow_charm.gpu import placement
from kubeflow_charm.gpu.nodes import vendor_of
from kubeflow_charm.gpu.pod_scheduling import document
from kubeflow_charm.gpu.pools import Gpus
from kubeflow_charm.images import redirected

NONE = "none"
"""The value of an option that preselects nothing; with an empty value, the charm decides."""
CPU_NODES = "prefer-cpu-nodes"
GPU_NODES = "gpu-nodes"


def text(options: SpawnerOptions, gpus: Gpus) -> str:
    """Return the document as readable YAML.

    Raises:
        Problem: if an option preselects something that the form does not offer.
    """
    return yaml.safe_dump({"spawnerFormDefaults": form(options, gpus)}, sort_keys=False)


def form(options: SpawnerOptions, gpus: Gpus) -> dict[str, Any]:
    """Return the fields of the form, each with its preselected value and its choices."""
    fields: dict[str, dict[str, Any]] = {
        "imagePullPolicy": {"value": options.image_pull_policy},
        "image": _images(options.jupyter_images, options.image_registry),
        "imageGroupOne": _images(options.vscode_images, options.image_registry),
        "imageGroupTwo": _images(options.rstudio_images, options.image_registry),
        "cpu": {"value": options.cpu_default, "limitFactor": options.cpu_limit_factor},
        "memory": {"value": options.memory_default, "limitFactor": options.memory_limit_factor},
        "gpus": {"value": _gpus(options, gpus)},
        "workspaceVolume": {"value": _workspace(options)},
        "dataVolumes": {"value": [each.model_dump(exclude_none=True) for each in options.data_volumes]},
        "affinityConfig": _affinities(options, gpus),
        "tolerationGroup": _tolerations(options, gpus),
        "shm": {"value": options.shared_memory},
        "configurations": {"value": options.default_poddefaults},
        "environment": {"value": {}},
    }
    for name, field in fields.items():
        if not name.startswith("image") or name == "imagePullPolicy":
            field["readOnly"] = name in options.read_only_fields
    return {
        "allowCustomImage": options.allow_custom_image,
        "hideRegistry": options.hide_registry,
        "hideTag": options.hide_tag,
        **fields,
    }


def images(options: SpawnerOptions) -> list[str]:
    """Return every image that users can choose."""
    every = (*options.jupyter_images, *options.vscode_images, *options.rstudio_images)
    return [redirected(image, options.image_registry) for image in every]


def _images(references: Iterable[str], registry: str) -> dict[str, Any]:
    offered = [redirected(reference, registry) for reference in references]
    return {"value": offered[0], "options": offered}


def _gpus(options: SpawnerOptions, gpus: Gpus) -> dict[str, Any]:
    """Return the vendors: one entry for each resource, because a notebook asks for a resource."""
    found = {pool.resource: pool.kind for pool in gpus.pools}
    names = found | {vendor.limitsKey: vendor.uiName for vendor in options.gpu_vendors}
    chosen = options.gpu_vendors_default
    if not chosen:
        totals = {key: sum(pool.total for pool in gpus.pools if pool.resource == key) for key in found}
        chosen = max(totals, key=lambda key: (totals[key], key), default="")
    elif chosen == NONE:
        chosen = ""
    elif chosen not in names and vendor_of(chosen) is None:
        raise _not_offered("gpu-vendors-default", chosen, names)
    return {
        "vendor": chosen,
        "vendors": [{"limitsKey": key, "uiName": name} for key, name in names.items()],
        "num": str(options.gpu_number_default) if options.gpu_number_default else NONE,
    }


def _affinities(options: SpawnerOptions, gpus: Gpus) -> dict[str, Any]:
    offered: dict[str, dict[str, Any]] = {}
    if gpus.pools:
        offered[CPU_NODES] = _affinity(
            CPU_NODES, "Nodes without GPU, if they have room", placement.away_from(gpus)
        )
    for pool in gpus.pools:
        offered[pool.name] = _affinity(pool.name, pool.title, placement.onto(pool))
    for option in options.affinity_options:
        offered[option.configKey] = _affinity(option.configKey, option.displayName, document(option.affinity))
    automatic = CPU_NODES if gpus.pools and options.prefer_cpu_nodes else ""
    chosen = _chosen("affinity-options-default", options.affinity_options_default, automatic, offered)
    return {"value": chosen, "options": list(offered.values())}


def _affinity(key: str, name: str, affinity: Mapping[str, Any]) -> dict[str, Any]:
    return {"configKey": key, "displayName": name, "affinity": dict(affinity)}


def _tolerations(options: SpawnerOptions, gpus: Gpus) -> dict[str, Any]:
    offered: dict[str, dict[str, Any]] = {}
    if gpus.tolerated:
        name = "Nodes with GPUs" if gpus.pools else "Nodes with taints"
        offered[GPU_NODES] = _group(GPU_NODES, name, gpus.tolerations)
    for pool in gpus.pools:
        if pool.tolerated:
            offered[pool.name] = _group(pool.name, pool.title, pool.tolerations)
    for option in options.tolerations_options:
        tolerations = [document(each) for each in option.tolerations]
        offered[option.groupKey] = _group(option.groupKey, option.displayName, tolerations)
    automatic = GPU_NODES if gpus.tolerated else ""
    chosen = _chosen("tolerations-options-default", options.tolerations_options_default, automatic, offered)
    return {"value": chosen, "options": list(offered.values())}


def _group(key: str, name: str, tolerations: list[Any]) -> dict[str, Any]:
    return {"groupKey": key, "displayName": name, "tolerations": tolerations}


def _chosen(option: str, value: str, automatic: str, offered: Mapping[str, Any]) -> str:
    """Return the key that the form preselects; upstream's key for none is empty."""
    if not value:
        return automatic
    if value == NONE:
        return ""
    if value not in offered:
        raise _not_offered(option, value, offered)
    return value


def _not_offered(option: str, value: str, offered: Iterable[str]) -> Exception:
    choices = ", ".join(offered) or "nothing is offered"
    return blocked(f"option {option}", f"{value[:30]!r} is not offered: {choices}")


def _workspace(options: SpawnerOptions) -> dict[str, Any] | None:
    if not options.workspace_volume:
        return None
    spec: dict[str, Any] = {
        "resources": {"requests": {"storage": options.workspace_volume_size}},
        "accessModes": [options.workspace_volume_access_mode],
    }
    if options.workspace_volume_storage_class:
        spec["storageClassName"] = options.workspace_volume_storage_class
    # The frontend replaces the word in braces by the notebook's name.
    claim = {"metadata": {"name": "{notebook-name}-workspace"}, "spec": spec}
    return {"mount": options.workspace_volume_mount, "newPvc": claim}
