"""The pieces that a pool gives, as the API server takes them and the PodDefaults webhook needs them."""

from __future__ import annotations

from pathlib import Path

import pytest

from kubeflow_charm.cluster.resources import Manifest
from kubeflow_charm.gpu import placement
from kubeflow_charm.gpu.pod_scheduling import Affinity, Toleration, document
from kubeflow_charm.gpu.pools import discover
from rehearsal.cluster import nodes
from rehearsal.players import podmerging

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


def default(name: str, *tolerations: Manifest) -> Manifest:
    """Return a PodDefault that a user wrote."""
    return {"metadata": {"name": name}, "spec": {"tolerations": list(tolerations)}}


def conflicts(own: list[Manifest], *defaults: Manifest) -> list[str]:
    """Return why the PodDefaults webhook refuses a pod with tolerations of its own and these PodDefaults."""
    pod = {"metadata": {}, "spec": {"containers": [{"name": "main"}], "tolerations": own}}
    return podmerging.conflicts(pod, defaults)


def as_written(node: Manifest) -> list[Manifest]:
    """Return the tolerations for a node, each written like the taint."""
    return [
        {"key": taint["key"], "effect": taint["effect"], "operator": "Equal", "value": taint["value"]}
        if taint.get("value")
        else {"key": taint["key"], "effect": taint["effect"], "operator": "Exists"}
        for taint in node["spec"]["taints"]
    ]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_pod_can_have_all_of_our_poddefaults_whatever_the_form_gave_it(path):
    gpus = discover(nodes.load(path))
    all_of_ours = [placement.pod_default(pool) for pool in gpus.pools]
    assert conflicts([], *all_of_ours) == []
    assert conflicts(gpus.tolerations, *all_of_ours) == []
    for pool in gpus.pools:
        assert conflicts(pool.tolerations, *all_of_ours) == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_users_poddefault_that_is_written_like_the_taint_agrees_with_ours(path):
    every = nodes.load(path)
    gpus = discover(every)
    all_of_ours = [placement.pod_default(pool) for pool in gpus.pools]
    values = {}
    for node in every:
        for taint in node["spec"]["taints"]:
            values.setdefault(taint["key"], set()).add((taint.get("value"), taint["effect"]))
    for node in every:
        written = [each for each in as_written(node) if len(values[each["key"]]) == 1]
        assert conflicts(gpus.tolerations, default("theirs", *written), *all_of_ours) == []


def test_the_api_servers_own_toleration_agrees_with_ours():
    """GKE and EKS add `{key, Exists, NoSchedule}` to pods that ask for a device, before the webhook."""
    every = nodes.load(FILES[0].with_name("default.yaml"))
    for node in every:
        node["metadata"]["labels"]["cloud.google.com/gke-nodepool"] = "pool"
    gpus = discover(every)
    (ours,) = (placement.pod_default(pool) for pool in gpus.pools)
    added = {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
    assert conflicts([*gpus.tolerations, added], ours) == []


@pytest.mark.parametrize(
    ("own", "theirs"),
    [
        ([], {"key": "team", "operator": "Equal", "value": "vision", "effect": "NoSchedule"}),
        ([], {"key": "nvidia.com/gpu", "operator": "Exists"}),
        ([{"key": "nvidia.com/gpu", "operator": "Exists"}], None),
    ],
)
def test_what_the_webhook_refuses_by_its_rule_is_known(own, theirs):
    """Documented in docs/explanation/gpu-scheduling.md: one key, two spellings, of which one is a user's."""
    every = nodes.load(FILES[0].with_name("teams.yaml"))
    all_of_ours = [placement.pod_default(pool) for pool in discover(every).pools]
    assert conflicts(own, *([default("theirs", theirs)] if theirs else []), *all_of_ours)


def test_a_pool_without_taints_has_a_poddefault_that_only_marks_its_pods():
    (pool,) = discover(nodes.load(FILES[0].with_name("one-nvidia.yaml"))).pools
    assert placement.pod_default(pool) == {
        "apiVersion": "kubeflow.org/v1alpha1",
        "kind": "PodDefault",
        "metadata": {"name": "gpu-nvidia-tesla-t4"},
        "spec": {
            "desc": "Run on NVIDIA Tesla T4",
            "selector": {"matchLabels": {"gpu-nvidia-tesla-t4": "true"}},
        },
    }


def test_pods_without_a_gpu_prefer_the_nodes_that_have_none():
    gpus = discover(nodes.load(FILES[0].with_name("default.yaml")))
    expression = {
        "key": "nvidia.com/gpu.product",
        "operator": "NotIn",
        "values": ["NVIDIA-H100-80GB-HBM3"],
    }
    preference = {"weight": 100, "preference": {"matchExpressions": [expression]}}
    assert placement.away_from(gpus) == {
        "nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [preference]}
    }
