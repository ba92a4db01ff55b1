"""What one node says about its GPUs: extended resources, vendors' labels, and taints.

Device plugins say how many a node has as an extended resource; what they are, vendors' discovery says in
labels:

- NVIDIA: k8s-device-plugin v0.18 with GPU feature discovery. `nvidia.com/gpu.product` is the model, with
  `-MIG-1g.5gb` behind it where MIG's strategy is `single`, and `-SHARED` where `nvidia.com/gpu.replicas` is
  above 1. With the strategy `mixed` each profile is a resource of its own, `nvidia.com/mig-1g.5gb`, whose
  labels begin with its name. Shared devices may be a resource of their own, which ends in `.shared`;
  `nvidia.com/gpu.sharing-strategy` is `time-slicing` or `mps`. Memory is in MiB.
- AMD: ROCm/k8s-device-plugin, cmd/k8s-node-labeller: `amd.com/gpu.product-name` and `amd.com/gpu.vram`,
  such as `191G`; in older ones with `beta.` before them. Partitions may be resources such as `cpx_nps4`.
- Intel: intel/intel-device-plugins-for-kubernetes: `gpu.intel.com/i915` or `xe`; `gpu.intel.com/product`.
- Intel Gaudi: `habana.ai/gaudi`, and no more than the label `habana.ai/hpu-present`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Literal

import pydantic
from lightkube.utils.quantity import parse_quantity

from kubeflow_charm.cluster.resources import Manifest
from kubeflow_charm.watch.process import PASSING_TAINTS

Sharing = Literal["none", "time-slicing", "mps", "unknown"]

_VENDORS = {
    r"nvidia\.com/(gpu|mig-[a-z0-9.+]+?)(\.shared)?": "NVIDIA",
    r"amd\.com/(gpu|[a-z]+_nps\d+)": "AMD",
    r"gpu\.intel\.com/(i915|xe)": "Intel",
    r"habana\.ai/gaudi": "Intel Gaudi",
}
"""Resources that are GPUs, and who makes them. Other resources of these domains measure GPUs, no more."""
_DOMAINS = ("nvidia.com", "amd.com", "gpu.intel.com", "habana.ai")

_PRODUCT = {
    "nvidia.com": ("{resource}.product", "nvidia.com/gpu.product"),
    "amd.com": ("amd.com/gpu.product-name", "beta.amd.com/gpu.product-name"),
    "gpu.intel.com": ("gpu.intel.com/product",),
}
_MEMORY = {
    "nvidia.com": ("{resource}.memory", "nvidia.com/gpu.memory"),
    "amd.com": ("amd.com/gpu.vram", "beta.amd.com/gpu.vram"),
}

_CONTROL_PLANE = {"node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master"}


class Taint(pydantic.BaseModel):
    """What keeps pods off a node, unless they tolerate it."""

    model_config = pydantic.ConfigDict(frozen=True)

    key: str
    value: str = ""

    @property
    def toleration(self) -> Manifest:
        """The toleration of a pod that may run there, whatever the effect.

        A vendor's own key is tolerated whatever its value; another one may set teams apart by it. For one key
        and value it is always the same: PodDefaults that differ on a key are in conflict.
        """
        if not self.value or self.key.partition("/")[0] in _DOMAINS:
            return {"key": self.key, "operator": "Exists"}
        return {"key": self.key, "operator": "Equal", "value": self.value}


class Share(pydantic.BaseModel):
    """What one node has of one resource."""

    model_config = pydantic.ConfigDict(frozen=True)

    node: str
    resource: str
    vendor: str
    count: int
    """How many can be asked for."""
    product: str = ""
    """The label's value, or nothing."""
    product_label: str = ""
    memory: int | None = None
    """MiB of each."""
    sharing: Sharing = "none"
    replicas: int = 1
    labels: Mapping[str, str]
    taints: tuple[Taint, ...]


def vendor_of(resource: str) -> str | None:
    """Return who makes the GPUs that a resource stands for, or None if it is not known to stand for any."""
    return next((name for pattern, name in _VENDORS.items() if re.fullmatch(pattern, resource)), None)


def shares(node: Manifest, further: Collection[str], complaints: list[str]) -> Iterator[Share]:
    """Yield what a node has of each resource that stands for GPUs.

    Args:
        node: a Node object.
        further: resources that stand for GPUs, too.
        complaints: gets what makes no sense.
    """
    status = node.get("status") or {}
    capacity, allocatable = status.get("capacity") or {}, status.get("allocatable") or {}
    # A device plugin that starts anew makes all its devices unallocatable for a moment; the capacity stays.
    for resource in sorted({*capacity, *allocatable}):
        vendor = vendor_of(resource)
        if vendor is None and resource in further:
            vendor = resource.partition("/")[0]
        if vendor is None:
            continue
        counts = count(capacity.get(resource, "0")), count(allocatable.get(resource, "0"))
        if None in counts:
            complaints.append(f"{node['metadata']['name']}: {resource} is no number of devices")
        elif any(counts):
            yield _share(node, resource, vendor, counts[1] or 0, complaints)


def _share(node: Manifest, resource: str, vendor: str, devices: int, complaints: list[str]) -> Share:
    name, labels = node["metadata"]["name"], node["metadata"].get("labels") or {}
    own = resource.removesuffix(".shared")
    product_label = _label(_PRODUCT, own, labels)
    memory_label = _label(_MEMORY, own, labels)
    memory = mebibytes(labels[memory_label]) if memory_label else None
    if memory_label and memory is None:
        complaints.append(f"{name}: {memory_label} is no size")
    replicas = count(labels.get(f"{own}.replicas", "1"))
    if replicas is None:
        complaints.append(f"{name}: {own}.replicas is no number")
    return Share(
        node=name,
        resource=resource,
        vendor=vendor,
        count=devices,
        product=labels.get(product_label, ""),
        product_label=product_label,
        memory=memory,
        sharing=_sharing(labels.get(f"{own}.sharing-strategy"), resource, replicas or 1),
        replicas=max(replicas or 1, 1),
        labels=labels,
        taints=taints(node),
    )


def _label(templates: Mapping[str, tuple[str, ...]], resource: str, labels: Mapping[str, str]) -> str:
    """Return the first label that the node has; empty if it has none of them."""
    keys = (each.format(resource=resource) for each in templates.get(resource.partition("/")[0], ()))
    return next((key for key in keys if labels.get(key)), "")


def _sharing(strategy: str | None, resource: str, replicas: int) -> Sharing:
    if strategy == "time-slicing" or strategy == "mps":
        return strategy
    return "unknown" if resource.endswith(".shared") or replicas > 1 else "none"


def taints(node: Manifest) -> tuple[Taint, ...]:
    """Return the taints that a user's pod has to tolerate to run on a node, and may.

    Those that only make a node less preferred are left out, and those of a control plane.
    """
    said = (node.get("spec") or {}).get("taints") or []
    return tuple(
        Taint(key=taint["key"], value=taint.get("value") or "")
        for taint in said
        if taint.get("effect") != "PreferNoSchedule"
        and not PASSING_TAINTS.fullmatch(taint["key"])
        and taint["key"] not in _CONTROL_PLANE
    )


def is_control_plane(node: Manifest) -> bool:
    """Whether a node is kept for the control plane."""
    return any(taint["key"] in _CONTROL_PLANE for taint in (node.get("spec") or {}).get("taints") or [])


def count(said: Any) -> int | None:
    """Return a number of devices as Kubernetes writes quantities, or None for what is none."""
    try:
        quantity = parse_quantity(str(said))
    except ValueError:
        return None
    if quantity is None or quantity < 0 or quantity != quantity.to_integral_value():
        return None
    return int(quantity)


def mebibytes(said: str) -> int | None:
    """Return the MiB of NVIDIA's bare number or of AMD's `191G`; None for what is neither."""
    match = re.fullmatch(r"(\d{1,9})([GM]i?B?)?", said)
    if not match:
        return None
    return int(match[1]) * (1024 if (match[2] or "").startswith("G") else 1)
