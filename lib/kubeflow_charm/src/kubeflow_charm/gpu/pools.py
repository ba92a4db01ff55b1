"""What GPUs the cluster has: pools of alike ones, read from its nodes.

Everything that a user or an operator may choose by is here, and everything a pod needs to get there. How it
gets there is `placement.py`.
"""

from __future__ import annotations

import logging
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping

import pydantic

from kubeflow_charm.cluster.resources import Manifest
from kubeflow_charm.gpu import nodes as gpu_nodes
from kubeflow_charm.gpu.nodes import Share, Sharing, Taint

logger = logging.getLogger(__name__)

_PRESENT = (
    "nvidia.com/gpu.present",
    "habana.ai/hpu-present",
    "cloud.google.com/gke-accelerator",
    "k8s.amazonaws.com/accelerator",
    "accelerator",
    "node.kubernetes.io/instance-type",
)
"""Labels that may tell nodes with GPUs from others where no model is known: the first one that does."""
_HOSTNAME = "kubernetes.io/hostname"

_SHARED: dict[Sharing, str] = {"none": "", "time-slicing": "time-sliced", "mps": "MPS", "unknown": "shared"}
"""What people call GPUs that are shared so."""

_NAME_LIMIT = 50
"""Characters of a pool's name, which goes into labels of at most 63."""
_SHOWN = 3
"""Complaints that a log line shows."""


class NodeLabel(pydantic.BaseModel):
    """How a pool's nodes are told from others: a label, and the values that it has on them."""

    model_config = pydantic.ConfigDict(frozen=True)

    key: str
    values: tuple[str, ...]


class GpuPool(pydantic.BaseModel):
    """GPUs that are alike, on one node or several."""

    model_config = pydantic.ConfigDict(frozen=True)

    name: str
    """Lower case letters, digits and dashes: `nvidia-h100-80gb-hbm3`."""
    resource: str
    """What pods ask for: `nvidia.com/gpu`."""
    vendor: str
    """`NVIDIA`; the domain of a resource that is not known here."""
    product: str = ""
    """The model, as people write it: `H100 80GB HBM3`. Empty where nothing says it."""
    memory: int | None = None
    """MiB of each; of the smallest if they differ."""
    sharing: Sharing = "none"
    replicas: int = 1
    """How many pods share one GPU."""
    node_names: frozenset[str]
    """Which nodes have them."""
    total: int
    """How many can be asked for, all nodes together."""
    largest: int
    """How many one node has at most: a pod that asks for more is never scheduled."""
    labels: tuple[NodeLabel, ...]
    """What its nodes have, and no node without GPUs has the first."""
    taints: tuple[Taint, ...] = ()
    """What a pod must tolerate to run on every node of the pool."""

    @property
    def nodes(self) -> int:
        """How many nodes have them."""
        return len(self.node_names)

    @property
    def kind(self) -> str:
        """The resource's name for people: `NVIDIA`, `NVIDIA MIG 1g.5gb`, `NVIDIA (shared)`."""
        return kind_of(self.resource)

    @property
    def title(self) -> str:
        """The pool's name for people: `NVIDIA H100 80GB HBM3`, `NVIDIA Tesla T4, time-sliced`."""
        name = f"{self.vendor} {self.product}" if self.product else self.kind.removesuffix(" (shared)")
        if shared := _SHARED[self.sharing]:
            name += f", {shared}"
        return f"{name} ({self.resource})" if _is_variant(self.resource) else name

    @property
    def tolerations(self) -> list[Manifest]:
        """The tolerations of a pod that may run there."""
        return tolerations(self.taints)

    def described(self, pods: Iterable[Manifest]) -> str:
        """Return all there is to say in one line; the pods are those of the whole cluster.

        Pods hold a resource on a node; so what is free of a pool is counted on its nodes.
        """
        mine = [pod for pod in pods if (pod.get("spec") or {}).get("nodeName") in self.node_names]
        words = [self.title, f"{self.total - used(mine, self.resource)} of {self.total} free"]
        words.append(f"on {self.nodes} node{'s' * (self.nodes > 1)}, at most {self.largest} on one")
        if self.memory:
            words.append(f"{self.memory / 1024:.0f} GiB each")
        return f"{self.resource}: {', '.join(words)}"


class Gpus(pydantic.BaseModel):
    """All GPUs of a cluster."""

    model_config = pydantic.ConfigDict(frozen=True)

    pools: tuple[GpuPool, ...] = ()
    """In the order of their resources and models."""
    nodes: int = 0
    """How many nodes have any."""
    taints: tuple[Taint, ...] = ()
    """What a pod must tolerate to run on every node with GPUs; and where no node is without taints, on every
    other node as well, so that a pod without a GPU has a place, too."""

    @property
    def summary(self) -> str:
        """`2 GPU kinds on 4 nodes`; empty if there are none."""
        kinds, nodes = len(self.pools), self.nodes
        if not kinds:
            return ""
        return f"{kinds} GPU kind{'s' * (kinds > 1)} on {nodes} node{'s' * (nodes > 1)}"

    @property
    def tolerations(self) -> list[Manifest]:
        """The tolerations of a pod that may run on every node with GPUs."""
        return tolerations(self.taints)


def kind_of(resource: str) -> str:
    """Return the name for people of a resource, known here or not."""
    vendor = gpu_nodes.vendor_of(resource)
    if vendor is None:
        return resource
    name = resource.partition("/")[2]
    words = [vendor]
    if name.startswith("mig-"):
        words.append(f"MIG {name.removeprefix('mig-').removesuffix('.shared')}")
    elif "_" in name:  # a partition of AMD's
        words.append(name.upper().replace("_", "/"))
    if name.endswith(".shared"):
        words.append("(shared)")
    return " ".join(words)


def tolerations(taints: Iterable[Taint]) -> list[Manifest]:
    """Return the tolerations of taints, each once."""
    found: list[Manifest] = []
    for taint in taints:
        if taint.toleration not in found:
            found.append(taint.toleration)
    return found


def discover(nodes: Iterable[Manifest], further: Collection[str] = ()) -> Gpus:
    """Return the pools of a cluster's GPUs.

    The health of nodes does not count: one that is away for a moment changes nothing, and one that is
    cordoned still has its GPUs. What makes no sense is left out, and the log says so in one line.

    Args:
        nodes: Node objects.
        further: extended resources that are GPUs as well, although nobody here knows them.
    """
    pools: dict[tuple[str, ...], list[Share]] = defaultdict(list)
    complaints: list[str] = []
    with_gpus: list[Manifest] = []
    without: list[Manifest] = []
    for node in nodes:
        found = list(gpu_nodes.shares(node, further, complaints))
        for share in found:
            pools[share.resource, share.product, share.sharing, str(share.replicas)].append(share)
        (with_gpus if found else without).append(node)
    if complaints:
        more = f" and {len(complaints) - _SHOWN} more" if len(complaints) > _SHOWN else ""
        logger.info("nodes with nonsense about GPUs: %s%s", "; ".join(complaints[:_SHOWN]), more)
    return Gpus(
        pools=_pools(pools, [node["metadata"].get("labels") or {} for node in without]),
        nodes=len(with_gpus),
        taints=_taints_on_the_way(with_gpus, without),
    )


def used(pods: Iterable[Manifest], resource: str) -> int:
    """Return how many of a resource are held by pods that are on a node and have not ended."""
    held = 0
    for pod in pods:
        spec = pod.get("spec") or {}
        if spec.get("nodeName") and (pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed"):
            at_once = sum(_asked(each, resource) for each in spec.get("containers") or [])
            before = (_asked(each, resource) for each in spec.get("initContainers") or [])
            held += max(at_once, max(before, default=0))
    return held


def _asked(container: Manifest, resource: str) -> int:
    limits = (container.get("resources") or {}).get("limits") or {}
    return gpu_nodes.count(limits.get(resource, "0")) or 0


def _taints_on_the_way(with_gpus: list[Manifest], without: list[Manifest]) -> tuple[Taint, ...]:
    usable = [node for node in (*with_gpus, *without) if not gpu_nodes.is_control_plane(node)]
    none_free = all(gpu_nodes.taints(node) for node in usable)
    nodes = usable if none_free else with_gpus
    return _ordered(taint for node in nodes for taint in gpu_nodes.taints(node))


def _ordered(taints: Iterable[Taint]) -> tuple[Taint, ...]:
    return tuple(sorted(set(taints), key=lambda taint: (taint.key, taint.value)))


def _pools(
    found: Mapping[tuple[str, ...], list[Share]], without: list[Mapping[str, str]]
) -> tuple[GpuPool, ...]:
    pools: dict[str, GpuPool] = {}
    for key in sorted(found):
        name = _new_name(found[key][0], pools)
        pools[name] = _pool(name, found[key], without)
    return tuple(pools.values())


def _pool(name: str, shares: list[Share], without: list[Mapping[str, str]]) -> GpuPool:
    first = shares[0]
    return GpuPool(
        name=name,
        resource=first.resource,
        vendor=first.vendor,
        product=_readable(first),
        memory=min((share.memory for share in shares if share.memory), default=None),
        sharing=first.sharing,
        replicas=first.replicas,
        node_names=frozenset(share.node for share in shares),
        total=sum(share.count for share in shares),
        largest=max(share.count for share in shares),
        labels=_labels(shares, without),
        taints=_ordered(taint for share in shares for taint in share.taints),
    )


def _labels(shares: list[Share], without: list[Mapping[str, str]]) -> tuple[NodeLabel, ...]:
    first = shares[0]
    labels = [_telling_label(shares, without)]
    own = first.resource.removesuffix(".shared")
    if first.sharing != "none":  # the model's label may be the same on nodes that share otherwise, or not
        keys = (f"{own}.sharing-strategy", f"{own}.replicas")
        labels += [NodeLabel(key=key, values=(first.labels[key],)) for key in keys if first.labels.get(key)]
    return tuple(labels)


def _telling_label(shares: list[Share], without: list[Mapping[str, str]]) -> NodeLabel:
    if shares[0].product_label:
        return NodeLabel(key=shares[0].product_label, values=(shares[0].product,))
    for key in _PRESENT:
        values = {share.labels.get(key, "") for share in shares}
        if "" not in values and not any(labels.get(key) in values for labels in without):
            return NodeLabel(key=key, values=tuple(sorted(values)))
    names = {share.labels.get(_HOSTNAME, share.node) for share in shares}
    return NodeLabel(key=_HOSTNAME, values=tuple(sorted(names)))


def _is_variant(resource: str) -> bool:
    """Whether the same model may be had under another resource, too."""
    name = resource.partition("/")[2]
    return name.startswith("mig-") or name.endswith(".shared")


def _new_name(share: Share, taken: Collection[str]) -> str:
    """Return a name that does not depend on which other pools there are, but for the rarest of cases."""
    product = _readable(share)
    words = [share.vendor, product] if product else [kind_of(share.resource).removesuffix(" (shared)")]
    words.append(_SHARED[share.sharing])
    if _is_variant(share.resource):
        words.append("mixed" if "/mig-" in share.resource else "renamed")
    name = re.sub(r"[^a-z0-9]+", "-", " ".join(words).lower()).strip("-")[:_NAME_LIMIT].rstrip("-")
    again = (f"{name}-{number}" for number in range(2, len(taken) + 3))
    return name if name not in taken else next(each for each in again if each not in taken)


def _readable(share: Share) -> str:
    """Return the model as people write it: a label's value can hold no space, and may repeat the vendor."""
    words = re.sub(r"[-_ ]+", " ", share.product).strip().removesuffix(" SHARED")
    return re.sub(rf"^{re.escape(share.vendor)} ", "", words, flags=re.IGNORECASE)
