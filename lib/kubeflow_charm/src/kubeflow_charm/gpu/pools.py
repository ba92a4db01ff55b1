"""The GPUs of a cluster: pools of identical GPUs, read from the nodes.

A pool has everything that users and operators choose by, and everything that a pod needs to get to the GPUs.
`placement.py` makes the pieces of Kubernetes objects from it.
"""

from __future__ import annotations

import logging
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping

import pydantic

from kubeflow_charm.cluster.resources import Manifest
from kubeflow_charm.gpu import nodes as gpu_nodes
from kubeflow_charm.gpu import tolerations
from kubeflow_charm.gpu.nodes import Share, Sharing
from kubeflow_charm.gpu.tolerations import ByDefault, Toleration

logger = logging.getLogger(__name__)

_PRESENT = (
    "nvidia.com/gpu.present",
    "habana.ai/hpu-present",
    "cloud.google.com/gke-accelerator",
    "k8s.amazonaws.com/accelerator",
    "accelerator",
    "node.kubernetes.io/instance-type",
)
"""Labels that may identify nodes with GPUs of an unknown model, the best first."""
_HOSTNAME = "kubernetes.io/hostname"

_SHARED: dict[Sharing, str] = {"none": "", "time-slicing": "time-sliced", "mps": "MPS", "unknown": "shared"}
"""What people call these ways of sharing a GPU."""

_NAME_LIMIT = 50
"""Characters of a pool's name: labels, which have at most 63, contain it."""
_SHOWN = 3
"""How many complaints a log line shows."""


class NodeLabel(pydantic.BaseModel):
    """A label of a pool's nodes, with the values that it has on them."""

    model_config = pydantic.ConfigDict(frozen=True, defer_build=True)

    key: str
    values: tuple[str, ...]


class GpuPool(pydantic.BaseModel):
    """Identical GPUs, on one node or several."""

    model_config = pydantic.ConfigDict(frozen=True, defer_build=True)

    name: str
    """Lower case letters, digits and dashes: `nvidia-h100-80gb-hbm3`."""
    resource: str
    """What pods ask for: `nvidia.com/gpu`."""
    vendor: str
    """`NVIDIA`; the domain of the resource if the vendor is unknown."""
    product: str = ""
    """The model, as people write it: `H100 80GB HBM3`. Empty if unknown."""
    memory: int | None = None
    """MiB of each GPU; of the smallest if they differ."""
    sharing: Sharing = "none"
    replicas: int = 1
    """How many pods share one GPU."""
    node_names: frozenset[str]
    """The nodes that have them."""
    total: int
    """How many pods can ask for, on all nodes together."""
    largest: int
    """The most that one node has: a pod that asks for more is never scheduled."""
    labels: tuple[NodeLabel, ...]
    """Labels of its nodes; no node without GPUs has the first."""
    tolerated: tuple[Toleration, ...] = ()
    """The tolerations that a pod needs to run on every node of the pool."""

    @property
    def nodes(self) -> int:
        """The number of nodes that have them."""
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
        """The tolerations that a pod needs, as core/v1 has them."""
        return [each.manifest for each in self.tolerated]

    def described(self, pods: Iterable[Manifest]) -> str:
        """Return a line about the pool, with the number of free GPUs.

        Args:
            pods: the pods of the whole cluster; those on the pool's nodes count.
        """
        mine = [pod for pod in pods if (pod.get("spec") or {}).get("nodeName") in self.node_names]
        words = [self.title, f"{self.total - used(mine, self.resource)} of {self.total} free"]
        words.append(f"on {self.nodes} node{'s' * (self.nodes > 1)}, at most {self.largest} on one")
        if self.memory:
            words.append(f"{self.memory / 1024:.0f} GiB each")
        return f"{self.resource}: {', '.join(words)}"


class Gpus(pydantic.BaseModel):
    """All GPUs of a cluster."""

    model_config = pydantic.ConfigDict(frozen=True, defer_build=True)

    pools: tuple[GpuPool, ...] = ()
    """In the order of their resources and models."""
    nodes: int = 0
    """How many nodes have GPUs."""
    tolerated: tuple[Toleration, ...] = ()
    """The tolerations that pods get if their user chooses nothing."""
    tainted_only: bool = False
    """Whether every node that is not kept for a control plane has a taint."""

    @property
    def summary(self) -> str:
        """`2 GPU kinds on 4 nodes`; empty if there are none."""
        kinds, nodes = len(self.pools), self.nodes
        if not kinds:
            return ""
        return f"{kinds} GPU kind{'s' * (kinds > 1)} on {nodes} node{'s' * (nodes > 1)}"

    @property
    def tolerations(self) -> list[Manifest]:
        """The tolerations that pods get by default, as core/v1 has them."""
        return [each.manifest for each in self.tolerated]


def kind_of(resource: str) -> str:
    """Return a resource's name for people; the resource itself if it is unknown."""
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


def discover(nodes: Iterable[Manifest], further: Collection[str] = (), by_default: ByDefault = "all") -> Gpus:
    """Return the pools of a cluster's GPUs.

    The health of nodes does not count: a node that is unreachable for a moment changes nothing, and a
    cordoned node still has its GPUs. Values that make no sense are ignored and logged in one line.

    Args:
        nodes: all Node objects of the cluster.
        further: more extended resources that count GPUs.
        by_default: the taints that pods tolerate if their user chooses nothing.
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
    spellings = tolerations.spellings([*with_gpus, *without])
    usable = [node for node in (*with_gpus, *without) if not tolerations.is_control_plane(node)]
    tainted_only = all(any(tolerations.taints(node)) for node in usable)
    # Pods without a GPU need a place, too.
    reachable = usable if tainted_only else with_gpus
    made = _pools(pools, [node["metadata"].get("labels") or {} for node in without], spellings)
    return Gpus(
        pools=made,
        nodes=len(with_gpus),
        tolerated=_by_default(by_default, made, _to_all(reachable, spellings)),
        tainted_only=tainted_only,
    )


def _to_all(nodes: Iterable[Manifest], spellings: Mapping[str, Toleration]) -> list[Toleration]:
    """Return the tolerations for all taints of these nodes."""
    return [
        spellings[key] for key in sorted({taint.key for node in nodes for taint in tolerations.taints(node)})
    ]


def _by_default(
    choice: ByDefault, pools: Iterable[GpuPool], every: list[Toleration]
) -> tuple[Toleration, ...]:
    if choice == "none":
        return ()
    resources = [pool.resource for pool in pools]
    return tuple(each for each in every if choice == "all" or each.is_for_device(resources))


def used(pods: Iterable[Manifest], resource: str) -> int:
    """Return how many of a resource the pods hold: those that have a node and have not ended."""
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


def _pools(
    found: Mapping[tuple[str, ...], list[Share]],
    without: list[Mapping[str, str]],
    spellings: Mapping[str, Toleration],
) -> tuple[GpuPool, ...]:
    pools: dict[str, GpuPool] = {}
    for key in sorted(found):
        name = _new_name(found[key][0], pools)
        pools[name] = _pool(name, found[key], without, spellings)
    return tuple(pools.values())


def _pool(
    name: str, shares: list[Share], without: list[Mapping[str, str]], spellings: Mapping[str, Toleration]
) -> GpuPool:
    first = shares[0]
    keys = {taint.key for share in shares for taint in share.taints}
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
        tolerated=tuple(spellings[key] for key in sorted(keys)),
    )


def _labels(shares: list[Share], without: list[Mapping[str, str]]) -> tuple[NodeLabel, ...]:
    first = shares[0]
    labels = [_identifying_label(shares, without)]
    own = first.resource.removesuffix(".shared")
    if first.sharing != "none":  # nodes that share otherwise, or not at all, may have the same model
        keys = (f"{own}.sharing-strategy", f"{own}.replicas")
        labels += [NodeLabel(key=key, values=(first.labels[key],)) for key in keys if first.labels.get(key)]
    return tuple(labels)


def _identifying_label(shares: list[Share], without: list[Mapping[str, str]]) -> NodeLabel:
    if shares[0].product_label:
        return NodeLabel(key=shares[0].product_label, values=(shares[0].product,))
    for key in _PRESENT:
        values = {share.labels.get(key, "") for share in shares}
        if "" not in values and not any(labels.get(key) in values for labels in without):
            return NodeLabel(key=key, values=tuple(sorted(values)))
    names = {share.labels.get(_HOSTNAME, share.node) for share in shares}
    return NodeLabel(key=_HOSTNAME, values=tuple(sorted(names)))


def _is_variant(resource: str) -> bool:
    """Return whether another resource may have the same model, too."""
    name = resource.partition("/")[2]
    return name.startswith("mig-") or name.endswith(".shared")


def _new_name(share: Share, taken: Collection[str]) -> str:
    """Return a name that, except for name clashes, does not depend on the other pools."""
    product = _readable(share)
    words = [share.vendor, product] if product else [kind_of(share.resource).removesuffix(" (shared)")]
    words.append(_SHARED[share.sharing])
    if _is_variant(share.resource):
        words.append("mixed" if "/mig-" in share.resource else "renamed")
    name = re.sub(r"[^a-z0-9]+", "-", " ".join(words).lower()).strip("-")[:_NAME_LIMIT].rstrip("-")
    again = (f"{name}-{number}" for number in range(2, len(taken) + 3))
    return name if name not in taken else next(each for each in again if each not in taken)


def _readable(share: Share) -> str:
    """Return the model as people write it: labels have no spaces, and some repeat the vendor."""
    words = re.sub(r"[-_ ]+", " ", share.product).strip().removesuffix(" SHARED")
    return re.sub(rf"^{re.escape(share.vendor)} ", "", words, flags=re.IGNORECASE)
