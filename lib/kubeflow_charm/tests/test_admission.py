"""What the API server makes of pods, by the policy that places them: each case is a dry run of a creation."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ops
import pytest
import yaml

from kubeflow_charm.cluster.resources import Manifest
from kubeflow_charm.gpu import admission, placement
from kubeflow_charm.gpu.pools import Gpus, discover
from kubeflow_charm.gpu.tolerations import ByDefault
from kubeflow_charm.problems import Problem
from rehearsal.cluster import nodes
from rehearsal.cluster.controlplane import ControlPlane
from rehearsal.cluster.existing import Refused
from rehearsal.patience import until

NODES = Path(nodes.__file__).with_name("nodes")
JOB = "batch.kubernetes.io/job-name"
LABELS = {"matchExpressions": [{"key": JOB, "operator": "Exists"}]}
PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
NVIDIA = "nvidia.com/gpu"
_GROUP = "/apis/admissionregistration.k8s.io/v1"


def gpus_of(file: str, by_default: ByDefault = "all") -> Gpus:
    """Return the GPUs of one of the rehearsal's files of nodes."""
    return discover(nodes.load(NODES / f"{file}.yaml"), by_default=by_default)


class Profile:
    """A profile's namespace, and the policies of an application for it."""

    def __init__(self, api: ControlPlane, namespace: str):
        self.api, self.namespace = api, namespace
        self.names: list[str] = []

    def have(self, gpus: Gpus, *names: str) -> None:
        """Apply the policies of these names, and wait until the API server uses them."""
        for name in names or (self.namespace,):
            for document in admission.pod_policies(name, gpus, self._labels(), served=True):
                plural = {"MutatingAdmissionPolicy": "mutatingadmissionpolicies"}.get(
                    document["kind"], "mutatingadmissionpolicybindings"
                )
                body = json.dumps(document).encode()
                path = f"{_GROUP}/{plural}/{name}?fieldManager=test&force=true&fieldValidation=Strict"
                self.api.apply(path, body)
            self.names.append(name)
        until(lambda: preferred(self.made()))

    def _labels(self) -> Manifest:
        """Select our pods only: other tests have policies, too."""
        mine = {"key": "test", "operator": "In", "values": [self.namespace]}  # codespell:ignore
        return {"matchExpressions": [*LABELS["matchExpressions"], mine]}

    def made(self, *asked: dict[str, str], labels: dict[str, str] | None = None, **spec: Any) -> Manifest:
        """Return the spec of a pod as the API server would store it.

        Args:
            asked: what each container has as its limits.
            labels: of the pod; those of a job if not given.
            spec: further fields.
        """
        containers = [
            {"name": f"c{at}", "image": "example.com/a", "resources": {"limits": each}}
            for at, each in enumerate(asked or ({},))
        ]
        metadata = {"name": "p", "labels": {JOB: "j", "test": self.namespace} if labels is None else labels}
        pod = {"metadata": metadata, "spec": {"containers": containers, **spec}}
        path = f"/api/v1/namespaces/{self.namespace}/pods?dryRun=All&fieldValidation=Strict"
        return json.loads(self.api.request("POST", path, json.dumps(pod).encode()))["spec"]

    def close(self) -> None:
        """Remove the policies."""
        for name in self.names:
            for plural in ("mutatingadmissionpolicybindings", "mutatingadmissionpolicies"):
                self.api.request("DELETE", f"{_GROUP}/{plural}/{name}")


def preferred(spec: Manifest) -> list[Manifest]:
    """Return the expressions of a pod's preferences for nodes."""
    terms = ((spec.get("affinity") or {}).get("nodeAffinity") or {}).get(PREFERRED) or []
    return [each for term in terms for each in term["preference"]["matchExpressions"]]


def tolerated(spec: Manifest) -> list[Manifest]:
    """Return a pod's tolerations, without those that every pod gets."""
    every = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
    return [each for each in spec.get("tolerations", []) if each.get("key") not in every]


def keys(spec: Manifest) -> list[str]:
    """Return the keys that a pod tolerates, in order."""
    return [each.get("key", "") for each in tolerated(spec)]


@pytest.fixture
def profile(cluster: ControlPlane) -> Iterator[Profile]:
    """A namespace that is a profile's."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    labels = {"app.kubernetes.io/part-of": "kubeflow-profile"}
    body = yaml.safe_dump({"metadata": {"name": name, "labels": labels}}).encode()
    cluster.request("POST", "/api/v1/namespaces", body)
    account = f"/api/v1/namespaces/{name}/serviceaccounts/default"
    until(lambda: _exists(cluster, account))
    made = Profile(cluster, name)
    yield made
    made.close()
    cluster.request("DELETE", f"/api/v1/namespaces/{name}")


def _exists(api: ControlPlane, path: str) -> bool:
    try:
        api.request("GET", path)
    except Refused:
        return False
    return True


USUAL = {"key": NVIDIA, "operator": "Equal", "value": "present", "effect": "NoSchedule"}
CASES: list[tuple[str, ByDefault, dict[str, str], list[str], bool]] = [
    ("default", "all", {}, [], True),
    ("default", "all", {NVIDIA: "1"}, [NVIDIA], False),
    ("default", "all", {NVIDIA: "0"}, [], True),
    ("default", "all", {"cpu": "1", "memory": "1Gi"}, [], True),
    ("default", "all", {"amd.com/gpu": "1"}, [], True),
    ("default", "none", {NVIDIA: "1"}, [], False),
    ("one-nvidia", "all", {NVIDIA: "1"}, [], False),
    ("one-nvidia", "all", {}, [], True),
    ("dgx-h100", "all", {}, [NVIDIA], True),
    ("dgx-h100", "all", {NVIDIA: "8"}, [NVIDIA], False),
    ("dgx-h100", "none", {}, [], True),
    ("mig", "all", {"nvidia.com/mig-1g.5gb": "1"}, [NVIDIA], False),
    ("amd", "all", {"amd.com/gpu": "4"}, ["amd.com/gpu"], False),
    ("mixed-200", "all", {NVIDIA: "1"}, ["dedicated", NVIDIA], False),
    ("mixed-200", "devices", {NVIDIA: "1"}, [NVIDIA], False),
    ("mixed-200", "all", {NVIDIA: "1", "amd.com/gpu": "1"}, ["amd.com/gpu", "dedicated", NVIDIA], False),
    ("teams", "all", {"example.com/npu": "1"}, ["example.com/npu"], False),
]


@pytest.mark.parametrize(("file", "taints", "asked", "gets", "away"), CASES)
def test_a_pod_gets_what_it_asks_for(
    profile: Profile, file: str, taints: ByDefault, asked: dict[str, str], gets: list[str], away: bool
) -> None:
    gpus = gpus_of(file, taints)
    profile.have(gpus)
    spec = profile.made(asked)
    assert keys(spec) == gets
    by_key = {each.key: each.manifest for each in gpus.tolerated}
    assert tolerated(spec) == [by_key[key] for key in gets]
    assert bool(preferred(spec)) == away


OTHER = {"key": NVIDIA, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5}
WISH = {"weight": 1, "preference": {"matchExpressions": [{"key": "a", "operator": "Exists"}]}}
MUST = {"nodeSelectorTerms": [WISH["preference"]]}
APART = {REQUIRED: [{"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"a": "b"}}}]}


def test_nothing_that_a_pod_has_is_changed_or_doubled(profile: Profile) -> None:
    gpus = gpus_of("default")
    profile.have(gpus)
    ours = [each.manifest for each in gpus.tolerated]
    assert ours == [USUAL]
    for own in ([OTHER], [USUAL], [OTHER, USUAL], [{"key": NVIDIA, "operator": "Exists"}]):
        assert tolerated(profile.made({NVIDIA: "1"}, tolerations=own)) == own
    for own in ([{"key": "team", "operator": "Exists"}], [{"operator": "Exists"}]):
        assert tolerated(profile.made({NVIDIA: "1"}, tolerations=own)) == [*own, *ours]
    assert profile.made({}, affinity={"nodeAffinity": {PREFERRED: [WISH]}})["affinity"] == {
        "nodeAffinity": {PREFERRED: [WISH]}
    }
    away = profile.made({})["affinity"]["nodeAffinity"][PREFERRED]
    for given in ({}, {"nodeAffinity": {}}, {"podAntiAffinity": APART}, {"nodeAffinity": {REQUIRED: MUST}}):
        node = {**given.get("nodeAffinity", {}), PREFERRED: away}
        assert profile.made({}, affinity=given)["affinity"] == {**given, "nodeAffinity": node}


def test_any_container_may_ask(profile: Profile) -> None:
    profile.have(gpus_of("default"))
    assert keys(profile.made({}, {NVIDIA: "1"})) == [NVIDIA]
    asking = [{"name": "i", "image": "example.com/a", "resources": {"limits": {NVIDIA: "1"}}}]
    spec = profile.made({}, initContainers=asking)
    assert keys(spec) == [NVIDIA]
    assert not preferred(spec)


def test_only_selected_pods_of_profiles_are_placed(profile: Profile, namespace: str) -> None:
    profile.have(gpus_of("dgx-h100"))
    selected = {JOB: "j", "test": profile.namespace}
    for labels in ({}, {"test": profile.namespace}, {JOB: "j"}):
        spec = profile.made({NVIDIA: "1"}, labels=labels)
        assert (keys(spec), spec.get("affinity")) == ([], None)
    elsewhere = Profile(profile.api, namespace).made({NVIDIA: "1"}, labels=selected)
    assert (keys(elsewhere), elsewhere.get("affinity")) == ([], None)
    assert keys(profile.made({NVIDIA: "1"}, labels=selected)) == [NVIDIA]


def test_two_policies_for_one_pod_add_nothing_twice(profile: Profile) -> None:
    second, third = f"{profile.namespace}-2", f"{profile.namespace}-3"
    profile.have(gpus_of("dgx-h100"))
    alone = profile.made({})
    profile.have(gpus_of("dgx-h100"), second)
    profile.have(gpus_of("amd"), third)  # in use, and so is the second, which came before it
    both = {NVIDIA: "1", "amd.com/gpu": "1"}
    until(lambda: sorted(keys(profile.made(both))) == ["amd.com/gpu", NVIDIA])  # policies have no order
    spec = profile.made({})
    assert tolerated(spec) == tolerated(alone)
    # A policy leaves alone what another has said of nodes.
    assert spec["affinity"] in (alone["affinity"], placement.away_from(gpus_of("amd")))


def many(resources: int, per_resource: int, nodes_each: int) -> Gpus:
    """Return the GPUs of a cluster with many models, each of which has a taint of its own and no label."""
    names = [
        (
            f"nvidia.com/mig-{resource}g.{resource}gb",
            f"team-{resource}-{at}.example.com/kept",
            f"n-{resource}-{at}-{n}",
        )
        for resource in range(resources)
        for at in range(per_resource)
        for n in range(nodes_each)
    ]
    return discover(
        {
            "metadata": {"name": node, "labels": {"nvidia.com/gpu.product": taint.partition(".")[0]}},
            "spec": {"taints": [{"key": taint, "value": "true", "effect": "NoSchedule"}]},
            "status": {"capacity": {resource: "8"}, "allocatable": {resource: "8"}},
        }
        for resource, taint, node in names
    )


@pytest.mark.parametrize(("resources", "per_resource"), [(300, 1), (1, 300), (10, 30)])
def test_hundreds_of_pools_are_not_too_many(profile: Profile, resources: int, per_resource: int) -> None:
    """Of a pod with as many containers as anybody has; a policy that costs too much would do nothing."""
    gpus = many(resources, per_resource, 1)
    assert (len(gpus.pools), len(gpus.tolerated), gpus.tainted_only) == (300, 300, True)
    profile.have(gpus)
    nothing = [{"cpu": "1"} for _ in range(20)]
    assert len(keys(profile.made(*nothing))) == 300
    first = gpus.pools[0]
    spec = profile.made(*nothing, {first.resource: "1"})
    assert len(keys(spec)) == per_resource
    own = [{"key": key, "operator": "Exists"} for key in keys(spec)]
    assert tolerated(profile.made({first.resource: "1"}, tolerations=own)) == own


def test_a_policy_that_fails_lets_the_pod_be(profile: Profile) -> None:
    """With so many containers that the API server gives up."""
    profile.have(many(300, 1, 1))
    spec = profile.made(*({} for _ in range(400)))
    assert (keys(spec), spec.get("affinity")) == ([], None)


def test_a_policy_that_the_api_server_would_not_compile_is_a_problem_with_a_cure() -> None:
    with pytest.raises(Problem) as problem:
        admission.pod_policies("a", many(1, 1000, 1), LABELS, served=True)
    assert problem.value.status == ops.BlockedStatus(
        "too many taints or GPU models for one policy: set gpu-taints=none or gpu-discovery=false"
    )


def test_without_gpus_there_is_no_policy() -> None:
    for served in (True, False):
        assert admission.pod_policies("a", gpus_of("no-gpu"), LABELS, served) == []
        assert admission.pod_policies("a", Gpus(), LABELS, served) == []


OPERATOR = "training.kubeflow.org/operator-name"
ONE, TWO = "pytorchjob-controller", "Other_Controller"


@pytest.mark.parametrize(
    ("labels", "selected"),
    [
        ({"matchLabels": {OPERATOR: ONE}}, {"a": {"matchLabels": {OPERATOR: ONE}}}),
        (
            {
                "matchExpressions": [{"key": OPERATOR, "operator": "In", "values": [ONE, TWO]}]
            },  # codespell:ignore
            {
                f"a-{ONE}": {"matchLabels": {OPERATOR: ONE}},
                "a-other-controller": {"matchLabels": {OPERATOR: TWO}},
            },
        ),
        (
            {
                "matchExpressions": [
                    *LABELS["matchExpressions"],
                    {"key": OPERATOR, "operator": "In", "values": [ONE]},  # codespell:ignore
                ]
            },
            {f"a-{ONE}": {"matchLabels": {OPERATOR: ONE}, **LABELS}},
        ),
        (LABELS, {}),
    ],
)
def test_without_policies_poddefaults_have_the_tolerations(
    labels: Manifest, selected: dict[str, Manifest]
) -> None:
    """Each has `matchLabels`, the first of which the web apps take for its name."""
    gpus = gpus_of("mixed-200")
    found = admission.pod_policies("a", gpus, labels, served=False)
    assert {each["metadata"]["name"]: each["spec"]["selector"] for each in found} == selected
    for each in found:
        assert (each["kind"], each["metadata"].keys()) == ("PodDefault", {"name"})
        assert each["spec"]["tolerations"] == gpus.tolerations
    assert admission.pod_policies("a", gpus_of("mixed-200", "none"), labels, served=False) == []
