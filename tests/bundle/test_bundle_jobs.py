"""Trials, training jobs and JobSets on GPUs: real policy, scheduler, Job controller and PodDefaults webhook.

Pods are made as their controllers make them, with the same labels:

- of a Job, by the real Job controller. Trials of Katib are Jobs, unless their template says otherwise.
- of a v1 training job, by kubeflow/trainer v1.9.4: pkg/apis/kubeflow.org/v1/common_types.go has the
  labels, pkg/controller.v1/common/pod.go puts them on pods, pkg/controller.v1/mpi/mpijob.go on those of MPIJobs.
- of a TrainJob, by the real Job controller from what JobSet makes: kubernetes-sigs/jobset v0.10.1,
  pkg/controllers/jobset_controller.go, `labelAndAnnotateObject`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import gpu_placement
import pytest
from gpu_placement import bare_pod, tolerated
from kubeflow_platform import POD_DEFAULTS, Platform
from kubeflow_users import Requests

from kubeflow_charm.cluster.resources import Manifest
from kubeflow_charm.gpu import admission
from kubeflow_charm.gpu.pools import Gpus
from rehearsal.cluster.existing import Refused
from rehearsal.patience import until

NVIDIA, AMD = "nvidia.com/gpu", "amd.com/gpu"
V1, JOBSET, JOB = (
    "training.kubeflow.org/job-name",
    "jobset.sigs.k8s.io/jobset-name",
    "batch.kubernetes.io/job-name",
)
PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
PRODUCT = "nvidia.com/gpu.product"
H100, A100 = {PRODUCT: "NVIDIA-H100-80GB-HBM3"}, {PRODUCT: "NVIDIA-A100-SXM4-40GB"}


@dataclasses.dataclass(frozen=True)
class Replica:
    """Pods of one role, and where they should run.

    Args:
        role: its name, as the controller writes it.
        pods: how many.
        asks: for which devices each asks.
        on: how the names of their nodes begin.
        keys: which taints they should tolerate.
        selector: labels of the nodes that their user, or a runtime, selects.
    """

    role: str
    pods: int
    asks: Mapping[str, int]
    on: str
    keys: frozenset[str]
    selector: Mapping[str, str] = dataclasses.field(default_factory=dict)


def replica(
    role: str,
    pods: int,
    asks: Mapping[str, int],
    on: str,
    *keys: str,
    selector: Mapping[str, str] | None = None,
) -> Replica:
    """Return a replica; see there."""
    return Replica(role, pods, asks, on, frozenset(keys), selector or {})


ALL_NVIDIA = (NVIDIA, "dedicated")
CASES: list[tuple[str, str, str, list[Replica]]] = [
    ("default", "trial that asks for a GPU", "Job", [replica("main", 1, {NVIDIA: 1}, "gpu-0", NVIDIA)]),
    ("default", "trial that asks for none", "Job", [replica("main", 3, {}, "cpu-")]),
    ("default", "PyTorchJob", "v1", [
        replica("master", 1, {NVIDIA: 2}, "gpu-0", NVIDIA), replica("worker", 3, {NVIDIA: 2}, "gpu-0", NVIDIA)]),
    ("default", "MPIJob whose launcher asks for none", "v1", [
        replica("launcher", 1, {}, "cpu-"), replica("worker", 2, {NVIDIA: 4}, "gpu-0", NVIDIA)]),
    ("one-nvidia", "MPIJob beside a GPU without a taint", "v1", [
        replica("launcher", 1, {}, "cpu"), replica("worker", 1, {NVIDIA: 1}, "gpu")]),
    ("mixed-200", "TrainJob on 4 nodes of H100", "JobSet", [
        replica("node", 4, {NVIDIA: 8}, "h100-", *ALL_NVIDIA, selector=H100)]),
    ("mixed-200", "TrainJob on 4 nodes of A100", "JobSet", [
        replica("dataset-initializer", 1, {}, "cpu-"),
        replica("node", 4, {NVIDIA: 8}, "a100-", *ALL_NVIDIA, selector=A100)]),
    ("mixed-200", "trial on AMD", "Job", [replica("main", 2, {AMD: 8}, "mi300x-", AMD)]),
    ("mixed-200", "trials among 200 nodes, some of whose GPUs have no taint", "Job", [
        replica("main", 20, {}, "cpu-")]),
    ("mig", "slice of the strategy single", "Job", [
        replica("main", 1, {NVIDIA: 1}, "mig-", NVIDIA)]),
    ("mig", "slices of the strategy mixed", "JobSet", [
        replica("node", 2, {"nvidia.com/mig-3g.20gb": 1}, "mig-mixed-", NVIDIA)]),
    ("dgx-h100", "trial where every node is tainted", "Job", [replica("main", 1, {}, "dgx", NVIDIA)]),
    ("dgx-h100", "PyTorchJob where every node is tainted", "v1", [
        replica("master", 1, {}, "dgx", NVIDIA), replica("worker", 2, {NVIDIA: 4}, "dgx", NVIDIA)]),
    ("teams", "trial on a device that only a taint tells of", "Job", [
        replica("main", 1, {"example.com/npu": 4}, "npu-0", "example.com/npu")]),
    ("teams", "TrainJob of a team, by its runtime", "JobSet", [
        replica("node", 1, {NVIDIA: 4}, "vision-0", NVIDIA, "team", selector={PRODUCT: "NVIDIA-L4"})]),
]  # fmt: skip


@pytest.fixture(scope="module")
def gpus(platform: Platform, request: pytest.FixtureRequest) -> Gpus:
    """The cluster has the nodes of a file, and the API server has learned the policies for them."""
    found = gpu_placement.having(platform, request.param)

    def placed_so(label: str) -> bool:
        return gpu_placement.is_as(
            found, lambda asks: dry_run(platform.admin, "ada", pod({label: "probe"}, asks))
        )

    for label in (V1, JOBSET, JOB):
        until(lambda label=label: placed_so(label), f"the policy for {label}")
    return found


@pytest.fixture(autouse=True)
def cleared(platform: Platform) -> Iterator[None]:
    """Jobs and pods of users go with each test."""
    yield
    for name in ("ada", "bob"):
        platform.admin.delete(f"/apis/batch/v1/namespaces/{name}/jobs?propagationPolicy=Background")
        platform.admin.delete(f"/api/v1/namespaces/{name}/pods")
        until(lambda name=name: not platform.admin.items(f"/api/v1/namespaces/{name}/pods"))


def having(label: str) -> Manifest:
    """Return a selector of pods with a label."""
    return {"matchExpressions": [{"key": label, "operator": "Exists"}]}


def pod(labels: Mapping[str, str], asks: Mapping[str, int], **spec: Any) -> Manifest:
    """Return a pod that keeps the rules of a profile and fits on none of the platform's own nodes."""
    return bare_pod("work", labels, asks, **{"restartPolicy": "Never", **spec})


def job(name: str, template: Manifest, pods: int = 1) -> Manifest:
    """Return a Job whose pods all run at the same time."""
    metadata = {"name": name, "labels": template["metadata"]["labels"]}
    spec = {"parallelism": pods, "completions": pods, "completionMode": "Indexed", "backoffLimit": 0}
    template = {"metadata": {"labels": template["metadata"]["labels"]}, "spec": template["spec"]}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata,
        "spec": {**spec, "template": template},
    }


def dry_run(user: Requests, namespace: str, document: Manifest) -> Manifest:
    """Return the spec of a pod as it would be stored."""
    return user.create(f"/api/v1/namespaces/{namespace}/pods?dryRun=All", document)["spec"]


def placed(user: Requests, labels: Mapping[str, str], pods: int) -> list[Manifest]:
    """Return a role's pods as soon as all have nodes."""
    selector = ",".join(f"{key}={value}" for key, value in labels.items())
    path = f"/api/v1/namespaces/ada/pods?labelSelector={selector}"

    def found() -> list[Manifest]:
        items = user.items(path)
        ready = len(items) == pods and all(each["spec"].get("nodeName") for each in items)
        return items if ready else []

    return until(found)


def refusals(user: Requests, namespace: str, made: Manifest) -> str:
    """Return what a Job's events say of the first pod that could not be created."""
    selected = f"type=Warning,involvedObject.uid={made['metadata']['uid']}"
    path = f"/api/v1/namespaces/{namespace}/events?fieldSelector={selected}"
    return until(lambda: [event["message"] for event in user.items(path)])[0]


def submitted(platform: Platform, ada: Requests, how: str, each: Replica) -> dict[str, str]:
    """Make the pods of a role as its controller does; return labels that select them."""
    spec = {"nodeSelector": dict(each.selector)} if each.selector else {}
    jobs = "/apis/batch/v1/namespaces/ada/jobs"
    if how == "v1":
        labels = {
            V1: "mine",
            "training.kubeflow.org/operator-name": "pytorchjob-controller",
            "training.kubeflow.org/replica-type": each.role,
        }
        for index in range(each.pods):
            made = pod({**labels, "training.kubeflow.org/replica-index": str(index)}, each.asks, **spec)
            made["metadata"]["name"] = f"mine-{each.role}-{index}"
            platform.admin.create("/api/v1/namespaces/ada/pods", made)
        return labels
    if how == "JobSet":
        labels = {
            JOBSET: "mine",
            "jobset.sigs.k8s.io/replicatedjob-name": each.role,
            "jobset.sigs.k8s.io/job-index": "0",
        }
        platform.admin.create(jobs, job(f"mine-{each.role}-0", pod(labels, each.asks, **spec), each.pods))
        return labels
    ada.create(jobs, job(f"mine-{each.role}", pod({}, each.asks, **spec), each.pods))
    return {JOB: f"mine-{each.role}"}


@pytest.mark.parametrize(
    ("gpus", "how", "replicas"),
    [pytest.param(file, how, each, id=f"{file}: {what}") for file, what, how, each in CASES],
    indirect=["gpus"],
)
def test_pods_run_where_they_should_and_nobody_writes_a_toleration(
    platform: Platform, ada: Requests, gpus: Gpus, how: str, replicas: list[Replica]
) -> None:
    selectors = [submitted(platform, ada, how, each) for each in replicas]
    for each, labels in zip(replicas, selectors, strict=True):
        for found in placed(ada, labels, each.pods):
            assert found["spec"]["nodeName"].startswith(each.on)
            assert tolerated(found["spec"]) == each.keys
            assert ("affinity" in found["spec"]) == (not each.asks)


@pytest.mark.parametrize("gpus", ["one-nvidia"], indirect=True)
def test_pods_that_ask_for_none_take_a_gpus_node_when_no_other_has_room(
    platform: Platform, ada: Requests, gpus: Gpus
) -> None:
    """Each needs most of a node: a pod of the platform that happens to run there leaves room for one still."""
    cores = {
        each["metadata"]["name"]: each["status"]["allocatable"]["cpu"] for each in platform.users_nodes()
    }
    large = pod({V1: "large"}, {}, restartPolicy="Always")
    large["spec"]["containers"][0]["resources"]["limits"]["cpu"] = str(int(cores["cpu"]) * 3 // 4)
    for index, node in enumerate(("cpu", "gpu")):
        large["metadata"] = {"name": f"large-{index}", "labels": {V1: "large", "index": str(index)}}
        platform.admin.create("/api/v1/namespaces/ada/pods", large)
        (found,) = placed(ada, {"index": str(index)}, 1)
        assert found["spec"]["nodeName"] == node


@pytest.mark.parametrize("gpus", ["default"], indirect=True)
def test_a_full_quota_refuses_the_pod_and_the_job_says_so(
    platform: Platform, bob: Requests, gpus: Gpus
) -> None:
    made = bob.create("/apis/batch/v1/namespaces/bob/jobs", job("mine", pod({}, {NVIDIA: 2})))
    said = refusals(bob, "bob", made)
    assert "exceeded quota: kf-resource-quota" in said
    assert f"requests.{NVIDIA}=2" in said
    assert bob.items("/api/v1/namespaces/bob/pods") == []


@pytest.mark.parametrize("gpus", ["default"], indirect=True)
def test_a_user_starts_nothing_in_the_profile_of_another(bob: Requests, gpus: Gpus) -> None:
    for path, document in (
        ("/apis/batch/v1/namespaces/ada/jobs", job("mine", pod({}, {NVIDIA: 1}))),
        ("/api/v1/namespaces/ada/pods", pod({V1: "mine"}, {NVIDIA: 1})),
    ):
        with pytest.raises(Refused, match="403") as refusal:
            bob.create(path, document)
        assert "bob@example.com" in str(refusal.value)
        assert "cannot create resource" in str(refusal.value)


@pytest.mark.parametrize("gpus", ["dgx-h100"], indirect=True)
def test_pods_of_no_profile_are_left_alone(platform: Platform, gpus: Gpus) -> None:
    every: dict[str, str] = dict.fromkeys((V1, JOBSET, JOB), "mine")
    for namespace, placed_there in (("ada", True), ("default", False)):
        spec = dry_run(platform.admin, namespace, pod(every, {NVIDIA: 1}))
        assert (tolerated(spec) == {NVIDIA}) == placed_there
        assert ("affinity" in dry_run(platform.admin, namespace, pod(every, {}))) == placed_there


USUAL = {"key": NVIDIA, "operator": "Equal", "value": "present", "effect": "NoSchedule"}
POOL = "gpu-nvidia-h100-80gb-hbm3"


@pytest.mark.parametrize("gpus", ["default"], indirect=True)
@pytest.mark.parametrize("own", [[], [USUAL]], ids=["none", "like the taint"])
@pytest.mark.parametrize(
    "labels", [[], [POOL], ["theirs"], [POOL, "theirs"]], ids=lambda names: "+".join(names)
)
def test_a_trial_may_have_poddefaults_and_tolerations_as_well(
    platform: Platform, ada: Requests, gpus: Gpus, own: list[Manifest], labels: list[str]
) -> None:
    path = f"{POD_DEFAULTS}/namespaces/ada/poddefaults"
    until(lambda: ada.find(f"{path}/{POOL}"))
    spec = {"desc": "theirs", "selector": {"matchLabels": {"theirs": "true"}}, "tolerations": [USUAL]}
    theirs = {"apiVersion": "kubeflow.org/v1alpha1", "kind": "PodDefault", "metadata": {"name": "theirs"}}
    ada.create(path, theirs | {"spec": spec})
    try:
        template = pod(dict.fromkeys(labels, "true"), {NVIDIA: 1}, **({"tolerations": own} if own else {}))
        ada.create("/apis/batch/v1/namespaces/ada/jobs", job("mine", template))
        (found,) = placed(ada, {JOB: "mine"}, 1)
    finally:
        ada.delete(f"{path}/theirs")
    assert found["spec"]["nodeName"] == "gpu-0"
    assert [each for each in found["spec"]["tolerations"] if each.get("key") == NVIDIA] == [USUAL]
    applied = {key.rpartition("/poddefault-")[2] for key in found["metadata"].get("annotations", {})}
    assert applied >= set(labels)


@pytest.mark.parametrize("gpus", ["default"], indirect=True)
def test_a_poddefault_that_is_not_written_like_the_taint_refuses_the_pod_and_the_job_says_so(
    platform: Platform, ada: Requests, gpus: Gpus
) -> None:
    """As it does a notebook with the form's tolerations: the documentation says so."""
    path = f"{POD_DEFAULTS}/namespaces/ada/poddefaults"
    other = [{"key": NVIDIA, "operator": "Exists"}]
    spec = {"desc": "theirs", "selector": {"matchLabels": {"theirs": "true"}}, "tolerations": other}
    theirs = {"apiVersion": "kubeflow.org/v1alpha1", "kind": "PodDefault", "metadata": {"name": "theirs"}}
    ada.create(path, theirs | {"spec": spec})
    jobs = "/apis/batch/v1/namespaces/ada/jobs"
    try:
        said = refusals(ada, "ada", ada.create(jobs, job("refused", pod({"theirs": "true"}, {NVIDIA: 1}))))
        # The cure: the same toleration in the pod template.
        agreed = pod({"theirs": "true"}, {NVIDIA: 1}, tolerations=other)
        ada.create(jobs, job("mine", agreed))
        (found,) = placed(ada, {JOB: "mine"}, 1)
    finally:
        ada.delete(f"{path}/theirs")
    assert f"merging tolerations for theirs has a conflict on {NVIDIA}" in said
    assert found["spec"]["nodeName"] == "gpu-0"


@pytest.mark.parametrize("gpus", ["teams"], indirect=True)
def test_a_pod_keeps_its_own_wishes(platform: Platform, gpus: Gpus) -> None:
    wish = {"weight": 3, "preference": {"matchExpressions": [{"key": "team", "operator": "Exists"}]}}
    affinity = {"nodeAffinity": {PREFERRED: [wish]}}
    own = {"key": "team", "operator": "Equal", "value": "vision", "effect": "NoSchedule"}
    spec = dry_run(platform.admin, "ada", pod({V1: "mine"}, {}, affinity=affinity, tolerations=[own]))
    assert (spec["affinity"], tolerated(spec)) == (affinity, {"team"})
    spec = dry_run(platform.admin, "ada", pod({V1: "mine"}, {NVIDIA: 1}, tolerations=[own]))
    assert own in spec["tolerations"]
    assert tolerated(spec) == {"team", NVIDIA}


@pytest.mark.parametrize("gpus", ["dgx-h100"], indirect=True)
@pytest.mark.parametrize("asks", [{NVIDIA: 1}, {}], ids=["a GPU", "none"])
def test_without_policies_poddefaults_give_the_tolerations(
    platform: Platform, ada: Requests, gpus: Gpus, asks: dict[str, int]
) -> None:
    """The label is one that no policy here selects by."""
    operator = "training.kubeflow.org/operator-name"
    values = {"key": operator, "operator": "In", "values": ["pytorchjob-controller"]}  # codespell:ignore
    (default,) = admission.pod_policies("jobs", gpus, {"matchExpressions": [values]}, served=False)
    path = f"{POD_DEFAULTS}/namespaces/ada/poddefaults"
    ada.create(path, default)
    try:
        labels = {operator: "pytorchjob-controller"}
        platform.admin.create("/api/v1/namespaces/ada/pods", pod(labels, asks))
        (found,) = placed(ada, labels, 1)
    finally:
        ada.delete(f"{path}/{default['metadata']['name']}")
    assert found["spec"]["nodeName"] == "dgx"
    assert (tolerated(found["spec"]), "affinity" in found["spec"]) == ({NVIDIA}, False)


def test_what_was_played_had_every_right_it_needed(platform: Platform) -> None:
    assert platform.stage.players is not None
    assert platform.stage.players.refusals() == []
