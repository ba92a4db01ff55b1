"""The pieces that a pool gives, as the API server takes them and the PodDefaults webhook needs them."""

from __future__ import annotations

from pathlib import Path

import pytest

from kubeflow_charm.gpu import placement
from kubeflow_charm.gpu.pod_scheduling import Affinity, Toleration, document
from kubeflow_charm.gpu.pools import discover
from rehearsal.cluster import nodes

FILES = sorted(Path(nodes.__file__).with_name("nodes").glob("*.yaml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_piece_is_one_of_core_v1(path):
    gpus = discover(nodes.load(path))
    for pool in gpus.pools:
        affinity = placement.onto(pool)
        assert document(Affinity.model_validate(affinity)) == affinity
        for toleration in pool.tolerations:
            assert document(Toleration.model_validate(toleration)) == toleration
    if gpus.pools:
        affinity = placement.away_from(gpus)
        assert document(Affinity.model_validate(affinity)) == affinity


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_one_key_is_tolerated_alike_by_all_pools(path):
    """Two PodDefaults that differ on a key are in conflict, and the pod of both is refused."""
    said = {}
    for pool in discover(nodes.load(path)).pools:
        for toleration in placement.pod_default(pool)["spec"].get("tolerations", []):
            assert said.setdefault(toleration["key"], toleration) == toleration


def test_a_pool_without_taints_has_a_poddefault_that_counts_its_pods():
    (pool,) = discover(nodes.load(FILES[0].with_name("one-nvidia.yaml"))).pools
    assert placement.pod_default(pool) == {
        "apiVersion": "kubeflow.org/v1alpha1",
        "kind": "PodDefault",
        "metadata": {"name": "gpu-nvidia-tesla-t4"},
        "spec": {
            "desc": "Run on NVIDIA Tesla T4",
            "selector": {"matchLabels": {"gpu-nvidia-tesla-t4": "true"}},
            "labels": {"kubeflow.org/gpu-pool": "nvidia-tesla-t4"},
        },
    }
