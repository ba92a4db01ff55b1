"""Notebooks and steps on GPUs, from the form to the node: real charms, scheduler and webhook calls."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml
from kubeflow_platform import MODEL, NOTEBOOKS, POD_DEFAULTS, Platform
from kubeflow_users import Requests, running, warnings

from kubeflow_charm.cluster.resources import Manifest
from rehearsal.cluster.existing import Refused
from rehearsal.patience import until

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
NEURON, NPU = "aws.amazon.com/neuron", "example.com/npu"
ALL_OF_TEAMS = {NVIDIA, NEURON, NPU, "team"}
L4, T4 = "nvidia-l4", "nvidia-tesla-t4"

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
    ("teams", "CPU beside kept nodes", {}, "plain-", ALL_OF_TEAMS),
    ("teams", "one team's", {"num": 1, "vendor": NVIDIA, "affinity": L4}, "vision-0", ALL_OF_TEAMS),
    ("teams", "the other team's", {"num": 4, "vendor": NVIDIA, "affinity": T4}, "speech-0", ALL_OF_TEAMS),
    ("teams", "nobody's", {"num": 8, "vendor": NVIDIA}, "common-0", ALL_OF_TEAMS),
    ("teams", "tolerations of one team's pool",
     {"num": 1, "vendor": NVIDIA, "affinity": L4, "tolerations": L4}, "vision-0", {"team"}),
    ("teams", "Neuron", {"num": 1, "vendor": NEURON}, "trn-0", ALL_OF_TEAMS),
    ("teams", "cores of Neuron", {"num": 2, "vendor": f"{NEURON}core"}, "trn-0", ALL_OF_TEAMS),
    ("teams", "a device that only a taint tells of", {"num": 4, "vendor": NPU}, "npu-0", ALL_OF_TEAMS),
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
    assert pod["metadata"]["labels"][label] == "true"
    # What the form chooses at first agrees with it: no conflict.
    platform.jupyter.post(ada, "ada", "other", num=1, configurations=[label])
    assert running(ada, "ada", "other")["spec"]["nodeName"] == "gpu-0"


@pytest.fixture
def written(ada: Requests) -> Iterator[Callable[..., None]]:
    """Write a PodDefault of a user, which goes when the test is over."""
    path, names = f"{POD_DEFAULTS}/namespaces/ada/poddefaults", []

    def write(name: str, *tolerations: Manifest) -> None:
        spec = {"desc": name, "selector": {"matchLabels": {name: "true"}}, "tolerations": list(tolerations)}
        document = {"apiVersion": "kubeflow.org/v1alpha1", "kind": "PodDefault", "metadata": {"name": name}}
        ada.create(path, document | {"spec": spec})
        names.append(name)

    yield write
    for name in names:
        ada.delete(f"{path}/{name}")


def tolerates(key: str, value: str = "", effect: str = "NoSchedule") -> Manifest:
    """Return a toleration that is written like a taint."""
    operator = {"operator": "Equal", "value": value} if value else {"operator": "Exists"}
    return {"key": key, **operator, "effect": effect}


USUAL = tolerates(NVIDIA, "present")
OF_POOLS = [f"gpu-{name}" for name in (L4, T4, A100)]


@pytest.mark.parametrize("cluster_of", ["teams"], indirect=True)
@pytest.mark.parametrize("form", [{}, {"tolerations": ""}, {"tolerations": T4}], ids=["form", "none", "pool"])
@pytest.mark.parametrize(
    ("ours", "theirs", "chosen", "node"),
    [
        (OF_POOLS[:2], [], {"affinity": L4}, "vision-0"),
        (OF_POOLS[:2], [], {"affinity": T4}, "speech-0"),
        (OF_POOLS, [], {"affinity": A100}, "common-0"),
        (["gpu-aws-neuron", "gpu-aws-neuron-core"], [], {"vendor": NEURON}, "trn-0"),
        (["gpu-example-com-npu", *OF_POOLS], [], {"vendor": NPU}, "npu-0"),
        ([], [USUAL], {"affinity": A100}, "common-0"),
        (OF_POOLS, [USUAL], {"affinity": A100}, "common-0"),
        (OF_POOLS, [USUAL], {"affinity": T4}, "speech-0"),
        ([], [tolerates(NEURON)], {"vendor": NEURON}, "trn-0"),
        (["gpu-aws-neuron"], [USUAL, tolerates(NEURON)], {"vendor": NEURON}, "trn-0"),
        (["gpu-example-com-npu"], [tolerates(NPU, "reserved", "NoExecute")], {"vendor": NPU}, "npu-0"),
    ],
)
def test_no_combination_of_poddefaults_refuses_a_notebook(
    platform: Platform,
    ada: Requests,
    written: Callable[..., None],
    cluster_of: str,
    form: dict[str, Any],
    ours: list[str],
    theirs: list[Manifest],
    chosen: dict[str, Any],
    node: str,
) -> None:
    for name in ours:
        until(lambda name=name: ada.find(f"{POD_DEFAULTS}/namespaces/ada/poddefaults/{name}"))
    for at, toleration in enumerate(theirs):
        written(f"use-gpu-nodes-{at}", toleration)
    labels = [*ours, *(f"use-gpu-nodes-{at}" for at in range(len(theirs)))]
    made = {"num": 1, "vendor": NVIDIA} | chosen | form
    platform.jupyter.post(ada, "ada", "mine", configurations=labels, **made)
    assert running(ada, "ada", "mine")["spec"]["nodeName"] == node


@pytest.mark.parametrize("cluster_of", ["default"], indirect=True)
@pytest.mark.parametrize(
    ("own", "label", "node"),
    [
        ([tolerates(NVIDIA, "present")], f"gpu-{H100}", "gpu-0"),
        ([{"key": NVIDIA, "operator": "Exists"}, USUAL], f"gpu-{H100}", "gpu-0"),
        ([{"key": NVIDIA, "operator": "Exists"}], "", "gpu-0"),
        ([{"key": NVIDIA, "operator": "Exists"}], "mine", "gpu-0"),
        ([{"key": NVIDIA, "operator": "Exists"}], f"gpu-{H100}", None),
        ([tolerates(NVIDIA, "present", "NoExecute")], f"gpu-{H100}", None),
    ],
    ids=[
        "ours",
        "ours last",
        "another",
        "another and a user's",
        "another and ours",
        "another effect and ours",
    ],
)
def test_a_pod_with_a_toleration_of_its_own_agrees_with_ours_if_it_is_written_like_the_taint(
    platform: Platform,
    ada: Requests,
    written: Callable[..., None],
    cluster_of: str,
    own: list[Manifest],
    label: str,
    node: str | None,
) -> None:
    """The two that are refused are refused by upstream's rule; the documentation says so."""
    until(lambda: ada.find(f"{POD_DEFAULTS}/namespaces/ada/poddefaults/gpu-{H100}"))
    written("mine", *own[:1])
    pod = asking_for(NVIDIA, {"tolerations": own}, {label: "true"} if label else {})
    path = "/api/v1/namespaces/ada/pods"
    if node is None:
        with pytest.raises(Refused, match="conflict occurred while applying poddefaults") as refusal:
            platform.admin.create(f"{path}?dryRun=All", pod)
        assert f"merging tolerations for gpu-{H100} has a conflict on {NVIDIA}" in str(refusal.value)
        return
    platform.admin.create(path, pod)
    try:
        assert until(lambda: platform.admin.get(f"{path}/work")["spec"].get("nodeName")) == node
    finally:
        platform.admin.delete(f"{path}/work")


def asking_for(resource: str, spec: Manifest, labels: dict[str, str] | None = None) -> Manifest:
    """Return a pod that asks for a device, as the profile's Pod Security Standard wants it."""
    container = {
        "name": "main",
        "image": "example.com/work:1",
        "resources": {"limits": {resource: "1"}},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    context = {"runAsNonRoot": True, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "work", "labels": labels or {}},
        "spec": {"securityContext": context, "containers": [container], **spec},
    }


def defaults_of_runs(platform: Platform) -> Manifest:
    """Return what Argo gives the pods of runs that say nothing else."""
    path = f"/api/v1/namespaces/{MODEL}/configmaps/workflow-controller-configmap"
    text = platform.admin.get(path)["data"].get("workflowDefaults")
    return yaml.safe_load(text)["spec"] if text else {}


@pytest.mark.parametrize("cluster_of", ["teams"], indirect=True)
@pytest.mark.parametrize(
    ("resource", "labels", "nodes"),
    [
        (NEURON, [], {"trn-0"}),
        (f"{NEURON}core", [], {"trn-0"}),
        (NPU, [], {"npu-0"}),
        (NVIDIA, [], {"vision-0", "speech-0", "common-0"}),
        (NEURON, ["gpu-aws-neuron", "gpu-aws-neuron-core", "theirs"], {"trn-0"}),
        (NVIDIA, [*OF_POOLS, "theirs"], {"vision-0", "speech-0", "common-0"}),
    ],
)
def test_a_step_of_a_run_finds_its_device(
    platform: Platform,
    ada: Requests,
    written: Callable[..., None],
    cluster_of: str,
    resource: str,
    labels: list[str],
    nodes: set[str],
) -> None:
    until(lambda: NPU in str(defaults_of_runs(platform)))
    written("theirs", USUAL, tolerates(NEURON))
    pod = asking_for(resource, defaults_of_runs(platform), dict.fromkeys(labels, "true"))
    path = "/api/v1/namespaces/ada/pods"
    platform.admin.create(path, pod)
    try:
        assert until(lambda: platform.admin.get(f"{path}/work")["spec"].get("nodeName")) in nodes
    finally:
        platform.admin.delete(f"{path}/work")


PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"


@pytest.mark.parametrize("cluster_of", ["default"], indirect=True)
def test_a_preference_that_the_option_refuses_is_one_that_no_scheduler_can_read(
    platform: Platform, cluster_of: str
) -> None:
    expression = {"key": "a", "operator": "In", "values": ["b c"]}  # codespell:ignore
    terms = [{"weight": 1, "preference": {"matchExpressions": [expression]}}]
    pod = asking_for("cpu", {"affinity": {"nodeAffinity": {PREFERRED: terms}}})
    path = "/api/v1/namespaces/ada/pods"
    platform.admin.create(path, pod)
    try:
        condition = until(
            lambda: [
                each
                for each in platform.admin.get(f"{path}/work")["status"].get("conditions", [])
                if each["type"] == "PodScheduled" and each["status"] == "False"
            ]
        )[0]
        assert condition["reason"] == "SchedulerError"
        assert "a valid label must be an empty string or consist of alphanumeric" in condition["message"]
    finally:
        platform.admin.delete(f"{path}/work")


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


def silent(platform: Platform, caller: str, seconds: float) -> None:
    """Wait until an account has asked for nothing this long."""
    time.sleep(seconds)
    gate = platform.stage.gate
    until(lambda: not gate.requests(caller=caller, since=time.monotonic() - seconds))


def test_nodes_that_flap_bring_no_write(platform: Platform) -> None:
    """200 nodes that are away for a moment: at most two hooks, and nothing is written."""
    platform.have_nodes("mixed-200")
    stage, caller = platform.stage, f":{MODEL}:kubeflow-notebooks"
    silent(platform, caller, 4)  # the hook for the last of the nodes is over
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
    silent(platform, caller, 4)
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
