"""What one node says about its GPUs: extended resources and vendors' labels.

A device plugin reports how many devices a node has, as an extended resource. The vendor's discovery labels
the node with the model.

- NVIDIA: k8s-device-plugin v0.18 with GPU feature discovery. `nvidia.com/gpu.product` is the model, followed
  by `-MIG-1g.5gb` with MIG's strategy `single`, and by `-SHARED` if `nvidia.com/gpu.replicas` is above 1.
  With the strategy `mixed` each profile is a resource of its own, `nvidia.com/mig-1g.5gb`, and its labels
  begin with that name. Shared devices can be a resource that ends in `.shared`;
  `nvidia.com/gpu.sharing-strategy` is `time-slicing` or `mps`. Memory is in MiB.
- AMD: ROCm/k8s-device-plugin, cmd/k8s-node-labeller: `amd.com/gpu.product-name` and `amd.com/gpu.vram`,
  such as `191G`; older versions put `beta.` before them. Partitions can be resources such as `cpx_nps4`.
- Intel: intel/intel-device-plugins-for-kubernetes: `gpu.intel.com/i915` or `xe`; `gpu.intel.com/product`.
- Intel Gaudi: `habana.ai/gaudi`; the only label is `habana.ai/hpu-present`.
- AWS Neuron (Inferentia, Trainium): aws-neuron/aws-neuron-sdk, containers/kubernetes-getting-started:
  `aws.amazon.com/neuron` counts chips, `aws.amazon.com/neuroncore` their cores. There are no labels.
- Qualcomm Cloud AI: `qualcomm.com/qaic`, as Karpenter's AWS provider knows it. There are no labels.

A device that is not listed here counts as well if an option names it, or if its node has a taint with the
resource's name as the key: then somebody keeps the node for it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Literal

import pydantic
from lightkube.utils.quantity import parse_quantity

from kubeflow_charm.cluster.resources import Manifest
from kubeflow_charm.gpu import tolerations
from kubeflow_charm.gpu.tolerations import Taint

Sharing = Literal["none", "time-slicing", "mps", "unknown"]

_VENDORS = {
    r"nvidia\.com/(gpu|mig-[a-z0-9.+]+?)(\.shared)?": "NVIDIA",
    r"amd\.com/(gpu|[a-z]+_nps\d+)": "AMD",
    r"gpu\.intel\.com/(i915|xe)": "Intel",
    r"habana\.ai/gaudi": "Intel Gaudi",
    r"aws\.amazon\.com/neuron": "AWS Neuron",
    r"aws\.amazon\.com/neuroncore": "AWS Neuron core",
    r"qualcomm\.com/qaic": "Qualcomm Cloud AI",
}
"""Resources that are GPUs, and their vendors. Other resources of these domains only measure GPUs."""

_PRODUCT = {
    "nvidia.com": ("{resource}.product", "nvidia.com/gpu.product"),
    "amd.com": ("amd.com/gpu.product-name", "beta.amd.com/gpu.product-name"),
    "gpu.intel.com": ("gpu.intel.com/product",),
}
_MEMORY = {
    "nvidia.com": ("{resource}.memory", "nvidia.com/gpu.memory"),
    "amd.com": ("amd.com/gpu.vram", "beta.amd.com/gpu.vram"),
}


class Share(pydantic.BaseModel):
    """What one node has of one resource."""

    model_config = pydantic.ConfigDict(frozen=True, defer_build=True)

    node: str
    resource: str
    vendor: str
    count: int
    """How many pods can ask for."""
    product: str = ""
    """The model: the label's value, or empty."""
    product_label: str = ""
    memory: int | None = None
    """MiB of each."""
    sharing: Sharing = "none"
    replicas: int = 1
    labels: Mapping[str, str]
    taints: tuple[Taint, ...]


def vendor_of(resource: str) -> str | None:
    """Return the vendor of the GPUs that a resource counts, or None if it is not known to count any."""
    return next((name for pattern, name in _VENDORS.items() if re.fullmatch(pattern, resource)), None)


def shares(node: Manifest, further: Collection[str], complaints: list[str]) -> Iterator[Share]:
    """Yield what a node has of each resource that counts GPUs.

    Args:
        node: a Node object.
        further: more resources that count GPUs.
        complaints: gets a line for each value that makes no sense.
    """
    status = node.get("status") or {}
    capacity, allocatable = status.get("capacity") or {}, status.get("allocatable") or {}
    dedicated = {taint.key for taint in tolerations.taints(node) if "/" in taint.key}
    # A device plugin that restarts makes its devices unallocatable for a moment; the capacity stays.
    for resource in sorted({*capacity, *allocatable}):
        vendor = vendor_of(resource)
        if vendor is None and (resource in further or resource in dedicated):
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
    product_label = _first_label(_PRODUCT, own, labels)
    memory_label = _first_label(_MEMORY, own, labels)
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
        taints=tuple(tolerations.taints(node)),
    )


def _first_label(templates: Mapping[str, tuple[str, ...]], resource: str, labels: Mapping[str, str]) -> str:
    """Return the first of a vendor's label keys that the node has; empty if it has none of them."""
    keys = (each.format(resource=resource) for each in templates.get(resource.partition("/")[0], ()))
    return next((key for key in keys if labels.get(key)), "")


def _sharing(strategy: str | None, resource: str, replicas: int) -> Sharing:
    if strategy == "time-slicing" or strategy == "mps":
        return strategy
    return "unknown" if resource.endswith(".shared") or replicas > 1 else "none"


def count(quantity: Any) -> int | None:
    """Return a number of devices, written as a Kubernetes quantity; None if it is no such number."""
    try:
        parsed = parse_quantity(str(quantity))
    except ValueError:
        return None
    if parsed is None or parsed < 0 or parsed != parsed.to_integral_value():
        return None
    return int(parsed)


def mebibytes(size: str) -> int | None:
    """Return the MiB that NVIDIA's bare number or AMD's `191G` stands for; None if it is neither."""
    match = re.fullmatch(r"(\d{1,9})([GM]i?B?)?", size)
    if not match:
        return None
    return int(match[1]) * (1024 if (match[2] or "").startswith("G") else 1)
