"""Pools from nodes: of the rehearsal's node files, of single nodes, and of nonsense."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from kubeflow_charm.cluster.resources import Manifest
from kubeflow_charm.gpu.pools import GpuPool, Gpus, discover
from rehearsal.cluster import nodes

FILES = Path(nodes.__file__).with_name("nodes")


def of_file(name: str) -> Gpus:
    return discover(nodes.load(FILES / f"{name}.yaml"))


def node(
    devices: dict[str, Any], labels: dict[str, str] | None = None, *taints: dict[str, str], name: str = "n"
) -> Manifest:
    return {
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name} | (labels or {})},
        "spec": {"taints": list(taints)},
        "status": {"capacity": devices, "allocatable": devices},
    }


def only(*found: Manifest) -> GpuPool:
    (pool,) = discover(found).pools
    return pool


@pytest.mark.parametrize(
    ("name", "pools", "summary"),
    [
        ("no-gpu", [], ""),
        ("one-nvidia", [("nvidia.com/gpu", "NVIDIA Tesla T4", 1)], "1 GPU kind on 1 node"),
        ("dgx-h100", [("nvidia.com/gpu", "NVIDIA H100 80GB HBM3", 8)], "1 GPU kind on 1 node"),
        ("amd", [("amd.com/gpu", "AMD Instinct MI300X OAM", 16)], "1 GPU kind on 2 nodes"),
        ("gaudi", [("habana.ai/gaudi", "Intel Gaudi", 8)], "1 GPU kind on 1 node"),
        (
            "mig",
            [
                ("nvidia.com/gpu", "NVIDIA A100 SXM4 40GB MIG 1g.5gb", 7),
                ("nvidia.com/mig-1g.5gb", "NVIDIA A100 SXM4 40GB MIG 1g.5gb (nvidia.com/mig-1g.5gb)", 4),
                ("nvidia.com/mig-2g.10gb", "NVIDIA A100 SXM4 40GB MIG 2g.10gb (nvidia.com/mig-2g.10gb)", 2),
                ("nvidia.com/mig-3g.20gb", "NVIDIA A100 SXM4 40GB MIG 3g.20gb (nvidia.com/mig-3g.20gb)", 2),
            ],
            "4 GPU kinds on 3 nodes",
        ),
        (
            "time-sliced",
            [
                ("nvidia.com/gpu", "NVIDIA Tesla T4, MPS", 8),
                ("nvidia.com/gpu", "NVIDIA Tesla T4, time-sliced", 8),
                ("nvidia.com/gpu.shared", "NVIDIA Tesla T4, time-sliced (nvidia.com/gpu.shared)", 10),
            ],
            "3 GPU kinds on 4 nodes",
        ),
        (
            "mixed-200",
            [
                ("amd.com/gpu", "AMD Instinct MI300X OAM", 96),
                ("gpu.intel.com/i915", "Intel Flex 170", 20),
                ("habana.ai/gaudi", "Intel Gaudi", 80),
                ("nvidia.com/gpu", "NVIDIA A100 SXM4 40GB", 192),
                ("nvidia.com/gpu", "NVIDIA H100 80GB HBM3", 192),
                ("nvidia.com/gpu", "NVIDIA L4", 40),
            ],
            "6 GPU kinds on 100 nodes",
        ),
        (
            "teams",
            [
                ("aws.amazon.com/neuron", "AWS Neuron", 4),
                ("aws.amazon.com/neuroncore", "AWS Neuron core", 8),
                ("example.com/npu", "example.com/npu", 4),
                ("nvidia.com/gpu", "NVIDIA A100 SXM4 40GB", 8),
                ("nvidia.com/gpu", "NVIDIA L4", 4),
                ("nvidia.com/gpu", "NVIDIA Tesla T4", 4),
            ],
            "6 GPU kinds on 5 nodes",
        ),
    ],
)
def test_the_pools_of_a_cluster(name, pools, summary):
    found = of_file(name)
    assert [(pool.resource, pool.title, pool.total) for pool in found.pools] == pools
    assert found.summary == summary


@pytest.mark.parametrize("name", [path.stem for path in FILES.glob("*.yaml")])
def test_names_are_labels_differ_and_do_not_depend_on_the_order_of_nodes(name):
    there = nodes.load(FILES / f"{name}.yaml")
    names = [pool.name for pool in discover(there).pools]
    assert len(names) == len(set(names))
    assert all(len(f"gpu-{each}") <= 63 and each.replace("-", "").isalnum() for each in names)
    assert discover(reversed(there)) == discover(there)


@pytest.mark.parametrize(
    ("resource", "kind"),
    [
        ("nvidia.com/gpu", "NVIDIA"),
        ("nvidia.com/gpu.shared", "NVIDIA (shared)"),
        ("nvidia.com/mig-1g.5gb", "NVIDIA MIG 1g.5gb"),
        ("nvidia.com/mig-1g.10gb.shared", "NVIDIA MIG 1g.10gb (shared)"),
        ("amd.com/gpu", "AMD"),
        ("amd.com/cpx_nps4", "AMD CPX/NPS4"),
        ("gpu.intel.com/xe", "Intel"),
        ("habana.ai/gaudi", "Intel Gaudi"),
        ("aws.amazon.com/neuron", "AWS Neuron"),
        ("aws.amazon.com/neuroncore", "AWS Neuron core"),
        ("qualcomm.com/qaic", "Qualcomm Cloud AI"),
    ],
)
def test_a_resource_has_a_name_for_people(resource, kind):
    assert only(node({resource: "2"})).kind == kind


@pytest.mark.parametrize(
    "resource",
    ["cpu", "memory", "hugepages-2Mi", "gpu.intel.com/i915_monitoring", "gpu.intel.com/tiles",
     "nvidia.com/gpumem", "rdma/hca_shared_devices", "example.com/npu"],
)  # fmt: skip
def test_other_resources_are_no_gpus(resource):
    assert discover([node({resource: "2"})]) == Gpus()


def test_a_resource_that_its_node_is_kept_for_is_a_gpu():
    taint = {"key": "example.com/npu", "value": "x", "effect": "NoSchedule"}
    assert (
        only(node({"example.com/npu": "2", "cpu": "4", "rdma/hca": "1"}, {}, taint)).vendor == "example.com"
    )
    other = node({"example.com/npu": "2"}, {}, {"key": "cpu", "effect": "NoSchedule"})
    assert discover([other]).pools == ()


def test_a_resource_that_is_named_is_a_gpu():
    (pool,) = discover([node({"example.com/npu": "2"})], {"example.com/npu"}).pools
    assert (pool.kind, pool.name, pool.total) == ("example.com/npu", "example-com-npu", 2)


def tainted(*taints: tuple[str, str, str], labels: dict[str, str] | None = None) -> list[Manifest]:
    """Return a node with a GPU for each taint `(key, value, effect)`."""
    return [
        node({"nvidia.com/gpu": "1"}, labels, {"key": key, "value": value, "effect": effect}, name=f"n{at}")
        for at, (key, value, effect) in enumerate(taints)
    ]


GKE = {"cloud.google.com/gke-nodepool": "gpus"}
NVIDIA_EXISTS = {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}


@pytest.mark.parametrize(
    ("nodes", "toleration"),
    [
        (tainted(("nvidia.com/gpu", "present", "NoSchedule")),
         {"key": "nvidia.com/gpu", "operator": "Equal", "value": "present", "effect": "NoSchedule"}),
        (tainted(("nvidia.com/gpu", "", "NoSchedule")), NVIDIA_EXISTS),
        (tainted(("sku", "gpu", "NoExecute")),
         {"key": "sku", "operator": "Equal", "value": "gpu", "effect": "NoExecute"}),
        (tainted(("team", "a", "NoSchedule"), ("team", "b", "NoSchedule")),
         {"key": "team", "operator": "Exists", "effect": "NoSchedule"}),
        (tainted(("team", "a", "NoSchedule"), ("team", "", "NoSchedule")),
         {"key": "team", "operator": "Exists", "effect": "NoSchedule"}),
        (tainted(("team", "a", "NoSchedule"), ("team", "a", "NoExecute")),
         {"key": "team", "operator": "Equal", "value": "a"}),
        (tainted(("team", "a", "NoSchedule"), ("team", "b", "NoExecute")),
         {"key": "team", "operator": "Exists"}),
        (tainted(("team", "a", "NoSchedule"), ("team", "b", "PreferNoSchedule")),
         {"key": "team", "operator": "Equal", "value": "a", "effect": "NoSchedule"}),
        (tainted(("nvidia.com/gpu", "present", "NoSchedule"), labels=GKE), NVIDIA_EXISTS),
        (tainted(("sku", "gpu", "NoSchedule"), labels=GKE),
         {"key": "sku", "operator": "Equal", "value": "gpu", "effect": "NoSchedule"}),
    ],
)  # fmt: skip
def test_a_key_has_one_toleration_written_like_its_taints(nodes, toleration):
    found = discover(nodes)
    assert found.tolerations == [toleration]
    assert all(pool.tolerations == [toleration] for pool in found.pools)


def test_all_nodes_count_for_the_spelling_so_that_charms_with_other_options_agree():
    gpus, other = tainted(("team", "a", "NoSchedule"), ("team", "b", "NoSchedule"))
    other["status"] = {"capacity": {"example.com/x": "1"}, "allocatable": {"example.com/x": "1"}}
    expected = [{"key": "team", "operator": "Exists", "effect": "NoSchedule"}]
    assert discover([gpus, other]).tolerations == expected
    assert discover([gpus, other], {"example.com/x"}).tolerations == expected


@pytest.mark.parametrize(
    ("by_default", "keys"),
    [
        ("all", ["aws.amazon.com/neuron", "example.com/npu", "nvidia.com/gpu", "team"]),
        ("devices", ["aws.amazon.com/neuron", "example.com/npu", "nvidia.com/gpu"]),
        ("none", []),
    ],
)
def test_an_option_chooses_the_taints_that_are_tolerated_by_default(by_default, keys):
    found = discover(nodes.load(FILES / "teams.yaml"), (), by_default)
    assert [toleration["key"] for toleration in found.tolerations] == keys
    of_team = next(pool for pool in found.pools if pool.name == "nvidia-l4")
    assert of_team.tolerations == [{"key": "team", "operator": "Exists", "effect": "NoSchedule"}]


@pytest.mark.parametrize(
    "taint",
    [
        {"key": "node.kubernetes.io/not-ready", "effect": "NoExecute"},
        {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"},
        {"key": "node.cloudprovider.kubernetes.io/uninitialized", "effect": "NoSchedule"},
        {"key": "ToBeDeletedByClusterAutoscaler", "effect": "NoSchedule"},
        {"key": "karpenter.sh/disrupted", "effect": "NoSchedule"},
        {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"},
        {"key": "busy", "effect": "PreferNoSchedule"},
    ],
    ids=lambda taint: taint["key"],
)
def test_taints_that_are_not_meant_for_gpus_are_not_tolerated(taint):
    there = node({"nvidia.com/gpu": "1"}, {}, taint)
    assert only(there).tolerations == []
    assert discover([there]).tolerations == []


def test_where_no_node_is_free_of_taints_all_of_them_are_on_the_way():
    free = node({}, name="free")
    gpus = node({"amd.com/gpu": "1"}, {}, {"key": "amd.com/gpu", "effect": "NoSchedule"}, name="gpu")
    team = node({}, {}, {"key": "team", "value": "a", "effect": "NoSchedule"}, name="team")
    control = node({}, {}, {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}, name="c")
    only_gpus = [{"key": "amd.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
    both = [*only_gpus, {"key": "team", "operator": "Equal", "value": "a", "effect": "NoSchedule"}]
    assert discover([free, gpus, team]).tolerations == only_gpus
    assert discover([gpus, team]).tolerations == both
    assert discover([control, gpus, team]).tolerations == both


@pytest.mark.parametrize(
    ("labels", "others", "telling"),
    [
        ({"nvidia.com/gpu.product": "X", "accelerator": "y"}, {}, ("nvidia.com/gpu.product", ("X",))),
        ({"cloud.google.com/gke-accelerator": "nvidia-l4"}, {}, ("cloud.google.com/gke-accelerator", ("nvidia-l4",))),
        ({"node.kubernetes.io/instance-type": "p5"}, {"node.kubernetes.io/instance-type": "m5"},
         ("node.kubernetes.io/instance-type", ("p5",))),
        ({"node.kubernetes.io/instance-type": "k3s"}, {"node.kubernetes.io/instance-type": "k3s"},
         ("kubernetes.io/hostname", ("n",))),
        ({}, {}, ("kubernetes.io/hostname", ("n",))),
    ],
)  # fmt: skip
def test_nodes_are_told_apart_by_a_label_that_no_other_node_has(labels, others, telling):
    found = discover([node({"nvidia.com/gpu": "1"}, labels), node({}, others, name="other")])
    (label,) = found.pools[0].labels
    assert (label.key, label.values) == telling


def test_a_node_that_is_away_or_cordoned_changes_nothing():
    taint = {"key": "node.kubernetes.io/unreachable", "effect": "NoExecute"}
    there, away = node({"nvidia.com/gpu": "8"}), node({"nvidia.com/gpu": "8"}, {}, taint)
    away["spec"]["unschedulable"] = True
    away["status"]["conditions"] = [{"type": "Ready", "status": "Unknown"}]
    assert discover([there]) == discover([away])


def test_a_device_plugin_that_starts_anew_keeps_the_pool():
    there = node({"nvidia.com/gpu": "8"})
    there["status"]["allocatable"] = {"nvidia.com/gpu": "0"}
    assert (only(there).total, discover([there]).summary) == (0, "1 GPU kind on 1 node")


NONSENSE = [
    ({"nvidia.com/gpu": "many"}, {}, None),
    ({"nvidia.com/gpu": "-1"}, {}, None),
    ({"nvidia.com/gpu": "0.5"}, {}, None),
    ({"nvidia.com/gpu": "1", "amd.com/gpu": "?"}, {}, "nvidia.com/gpu"),
    ({"nvidia.com/gpu": "1"}, {"nvidia.com/gpu.memory": "lots"}, "nvidia.com/gpu"),
    ({"nvidia.com/gpu": "1"}, {"nvidia.com/gpu.replicas": "x"}, "nvidia.com/gpu"),
    ({"amd.com/gpu": "1"}, {"amd.com/gpu.vram": "9999999999999G"}, "amd.com/gpu"),
]


@pytest.mark.parametrize(("devices", "labels", "left"), NONSENSE)
def test_nonsense_is_left_out_and_told_in_one_line(devices, labels, left, caplog):
    caplog.set_level(logging.INFO)
    found = discover([node(devices, labels, name=f"n{number}") for number in range(200)])
    assert [pool.resource for pool in found.pools] == ([left] if left else [])
    assert [pool.memory for pool in found.pools] == [None] * bool(left)
    (record,) = caplog.records
    assert "n0: " in record.message
    assert "and 197 more" in record.message


@pytest.mark.parametrize("said", [{}, {"status": None, "spec": None}, {"status": {"capacity": None}}])
def test_a_node_that_says_nothing_has_none(said):
    assert discover([{"metadata": {"name": "n"}} | said]) == Gpus()


def pod(node_name: str, *asked: int, first: int = 0, phase: str = "Running") -> Manifest:
    def container(number: int) -> Manifest:
        return {"resources": {"limits": {"nvidia.com/gpu": str(number)}}}

    spec = {"nodeName": node_name, "containers": [container(number) for number in asked]}
    return {"spec": spec | {"initContainers": [container(first)]}, "status": {"phase": phase}}


def test_what_is_free_is_what_pods_on_the_pools_nodes_do_not_hold():
    pool = only(node({"nvidia.com/gpu": "8"}, {"nvidia.com/gpu.memory": "81559"}))
    pods = [
        pod("n", 1, 1),
        pod("n", 0, first=2),
        pod("n", 4, phase="Succeeded"),
        pod("elsewhere", 4),
        {"spec": {"containers": [{}]}},
    ]
    assert pool.described(pods) == (
        "nvidia.com/gpu: NVIDIA, 4 of 8 free, on 1 node, at most 8 on one, 80 GiB each"
    )
