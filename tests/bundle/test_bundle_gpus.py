"""Notebooks on GPUs, from the form to the node: real charms, real scheduler, a user's rights."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from kubeflow_platform import MODEL, NOTEBOOKS, POD_DEFAULTS, Platform
from kubeflow_users import Requests, running, until, warnings

from kubeflow_charm.cluster.resources import Manifest
from rehearsal.cluster.existing import Refused

pytestmark = pytest.mark.usefixtures("cleared")


@pytest.fixture(scope="module")
def cluster_of(platform: Platform, request: pytest.FixtureRequest) -> str:
    """The cluster has the nodes of this file."""
    platform.have_nodes(request.param)
    return request.param


def tolerated(pod: Manifest) -> set[str]:
    """Return the keys that a pod tolerates, beyond those that every pod does."""
    keys = {toleration.get("key", "") for toleration in pod["spec"]["tolerations"]}
    return keys - {"node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"}


H100, A100 = "nvidia-h100-80gb-hbm3", "nvidia-a100-sxm4-40gb"
NVIDIA = "nvidia.com/gpu"
ALL_OF_MIXED = {NVIDIA, "amd.com/gpu", "dedicated"}
SINGLE = "nvidia-a100-sxm4-40gb-mig-1g-5gb"

CASES: list[tuple[str, str, dict[str, Any], str, set[str]]] = [
    ("no-gpu", "CPU", {}, "cpu-", set()),
    ("one-nvidia", "CPU beside an untainted GPU", {}, "cpu", set()),
    ("one-nvidia", "1 GPU, vendor as found", {"num": 1}, "gpu", set()),
    ("default", "CPU beside a tainted GPU", {}, "cpu-", {NVIDIA}),
    ("default", "1 GPU", {"num": 1}, "gpu-0", {NVIDIA}),
    ("default", "2 GPUs", {"num": 2}, "gpu-0", {NVIDIA}),
    ("default", "8 GPUs of one model", {"num": 8, "affinity": H100}, "gpu-0", {NVIDIA}),
    ("dgx-h100", "CPU where every node is tainted", {}, "dgx", {NVIDIA}),
    ("dgx-h100", "GPU where every node is tainted", {"num": 1}, "dgx", {NVIDIA}),
    ("mig", "slice of the strategy single", {"num": 1, "vendor": NVIDIA, "affinity": SINGLE}, "mig-single", {NVIDIA}),
    ("mig", "slice of the strategy mixed", {"num": 1, "vendor": "nvidia.com/mig-1g.5gb"}, "mig-mixed-", {NVIDIA}),
    ("mig", "larger slice", {"num": 1, "vendor": "nvidia.com/mig-3g.20gb"}, "mig-mixed-", {NVIDIA}),
    ("time-sliced", "share under the plain name",
     {"num": 1, "affinity": "nvidia-tesla-t4-time-sliced"}, "sliced-", set()),
    ("time-sliced", "share by MPS", {"num": 1, "affinity": "nvidia-tesla-t4-mps"}, "mps", set()),
    ("time-sliced", "share under its own name", {"num": 1, "vendor": "nvidia.com/gpu.shared"}, "renamed", set()),
    ("amd", "AMD", {"num": 4}, "mi300x-", {"amd.com/gpu"}),
    ("gaudi", "Gaudi", {"num": 8}, "gaudi", {"habana.ai/gaudi"}),
    ("mixed-200", "CPU among 200 nodes", {}, "cpu-", ALL_OF_MIXED),
    ("mixed-200", "one of two models", {"num": 1, "vendor": NVIDIA, "affinity": H100}, "h100-", ALL_OF_MIXED),
    ("mixed-200", "the other model", {"num": 8, "vendor": NVIDIA, "affinity": A100}, "a100-", ALL_OF_MIXED),
    ("mixed-200", "a team's taint", {"num": 2, "vendor": NVIDIA, "affinity": "nvidia-l4"}, "l4-", ALL_OF_MIXED),
    ("mixed-200", "tolerations of one pool", {"num": 1, "vendor": "amd.com/gpu",
     "tolerations": "amd-instinct-mi300x-oam"}, "mi300x-", {"amd.com/gpu"}),
    ("mixed-200", "Intel", {"num": 1, "vendor": "gpu.intel.com/i915"}, "flex-", ALL_OF_MIXED),
]  # fmt: skip


@pytest.mark.parametrize(
    ("cluster_of", "chosen", "node", "keys"),
    [
        pytest.param(file, chosen, node, keys, id=f"{file}: {what}")
        for file, what, chosen, node, keys in CASES
    ],
    indirect=["cluster_of"],
)
def test_a_notebook_runs_where_it_should(
    platform: Platform, ada: Requests, cluster_of: str, chosen: dict[str, Any], node: str, keys: set[str]
) -> None:
    platform.jupyter.post(ada, "ada", "mine", **chosen)
    pod = running(ada, "ada", "mine")
    assert pod["spec"]["nodeName"].startswith(node)
    assert tolerated(pod) == keys
    assert pod["status"]["phase"] == "Running"
    limits = pod["spec"]["containers"][0]["resources"]["limits"]
    vendor = chosen.get("vendor", platform.jupyter.form["gpus"]["value"]["vendor"])
    assert limits.get(vendor) == (str(chosen["num"]) if "num" in chosen else None)


@pytest.mark.parametrize("cluster_of", ["default"], indirect=True)
def test_more_gpus_than_are_free_are_waited_for_and_the_reason_is_to_be_seen(
    platform: Platform, ada: Requests, cluster_of: str
) -> None:
    platform.jupyter.post(ada, "ada", "first", num=4)
    running(ada, "ada", "first")
    platform.jupyter.post(ada, "ada", "second", num=8)
    assert f"Insufficient {NVIDIA}" in warnings(ada, "ada", "second")
    mine = f"{NOTEBOOKS}/namespaces/ada/notebooks"
    assert ada.get(f"{mine}/second")["status"]["readyReplicas"] == 0
    assert ada.get("/api/v1/namespaces/ada/pods/second-0")["status"]["phase"] == "Pending"
    ada.delete(f"{mine}/first")
    assert running(ada, "ada", "second")["spec"]["nodeName"] == "gpu-0"


@pytest.mark.parametrize("cluster_of", ["default"], indirect=True)
def test_a_user_who_takes_no_tolerations_learns_of_the_taint(
    platform: Platform, ada: Requests, cluster_of: str
) -> None:
    platform.jupyter.post(ada, "ada", "mine", num=1, tolerations="")
    assert "untolerated taint" in warnings(ada, "ada", "mine")


@pytest.mark.parametrize("cluster_of", ["default"], indirect=True)
def test_a_pools_poddefault_gives_the_tolerations_to_a_pod_that_asks_for_it(
    platform: Platform, ada: Requests, cluster_of: str
) -> None:
    label = f"gpu-{H100}"
    until(lambda: ada.find(f"{POD_DEFAULTS}/namespaces/ada/poddefaults/{label}"))
    platform.jupyter.post(ada, "ada", "mine", num=1, tolerations="", configurations=[label])
    pod = running(ada, "ada", "mine")
    assert pod["spec"]["nodeName"] == "gpu-0"
    assert tolerated(pod) == {NVIDIA}
    assert pod["metadata"]["labels"]["kubeflow.org/gpu-pool"] == H100
    # What the form chooses at first agrees with it: no conflict.
    platform.jupyter.post(ada, "ada", "other", num=1, configurations=[label])
    assert running(ada, "ada", "other")["spec"]["nodeName"] == "gpu-0"


@pytest.mark.parametrize("cluster_of", ["default"], indirect=True)
def test_a_quota_that_is_used_up_is_the_reason(platform: Platform, bob: Requests, cluster_of: str) -> None:
    platform.jupyter.post(bob, "bob", "first", num=1)
    running(bob, "bob", "first")
    platform.jupyter.post(bob, "bob", "second", num=1)
    assert "exceeded quota: kf-resource-quota" in warnings(bob, "bob", "second")


def test_a_user_gets_nothing_in_the_profile_of_another(platform: Platform, ada: Requests) -> None:
    with pytest.raises(Refused, match="403") as refusal:
        platform.jupyter.post(ada, "bob", "mine")
    assert "ada@example.com" in str(refusal.value)
    assert "cannot create resource" in str(refusal.value)
    with pytest.raises(Refused, match="403"):
        ada.items("/apis/kubeflow.org/v1beta1/namespaces/bob/notebooks")


def test_nodes_that_flap_bring_no_write(platform: Platform) -> None:
    """200 nodes that are away for a moment: at most two hooks, and nothing is written."""
    platform.have_nodes("mixed-200")
    stage, caller = platform.stage, f":{MODEL}:kubeflow-notebooks"
    time.sleep(3)  # the hook for the last of the nodes
    since = time.monotonic()
    away = {"key": "node.kubernetes.io/unreachable", "effect": "NoExecute"}
    before = [
        node
        for node in platform.admin.items("/api/v1/nodes")
        if not node["metadata"]["name"].startswith("pl")
    ]
    for taints in ([away], []):
        for node in before:
            kept = node["spec"].get("taints", [])
            platform.admin.patch(
                f"/api/v1/nodes/{node['metadata']['name']}", {"spec": {"taints": kept + taints}}
            )
    time.sleep(4)
    made = stage.gate.requests(caller=caller, since=since)
    assert [request for request in made if request.writes] == []
    assert len([r for r in made if r.resource == "nodes" and r.verb == "list"]) <= 2


def test_what_was_played_had_every_right_it_needed(platform: Platform) -> None:
    assert platform.stage.players is not None
    assert platform.stage.players.refusals() == []
    events = json.dumps(
        [event["message"] for event in platform.admin.items(f"/api/v1/namespaces/{MODEL}/events")]
    )
    assert "forbidden" not in events
