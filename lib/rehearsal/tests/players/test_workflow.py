"""What becomes of a Workflow, and of its pods where a quota or a webhook is in the way."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import yaml
from lightkube.types import PatchType
from player_bench import Bench, owners, until

from rehearsal.cluster.gate import Fault
from rehearsal.players import kinds
from rehearsal.players.players import Players

PROGRAM = "workflow-controller"
RESOURCES = {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"cpu": "500m", "memory": "512Mi"}}
SECURITY = {"runAsNonRoot": True, "allowPrivilegeEscalation": False}
WITHOUT_RESOURCES = {"executor": yaml.safe_dump({"securityContext": SECURITY})}
WITH_RESOURCES = {"executor": yaml.safe_dump({"securityContext": SECURITY, "resources": RESOURCES})}
WEBHOOK = (
    'Internal error occurred: failed calling webhook "admission-webhook-deployment.kubeflow.org": failed to '
    'call webhook: Post "https://admission-webhook-service.kubeflow.svc": no endpoints available'
)
CONTAINER = {"image": "python:3", "command": ["python"], "resources": RESOURCES}
ONE = {"entrypoint": "only", "templates": [{"name": "only", "container": CONTAINER}]}
TWO = {
    "entrypoint": "graph",
    "serviceAccountName": "default",
    "templates": [
        {
            "name": "graph",
            "dag": {
                "tasks": [
                    {"name": "first", "template": "step"},
                    {"name": "second", "template": "step", "depends": "first.Succeeded"},
                ]
            },
        },
        {"name": "step", "container": CONTAINER},
    ],
}


class Argo:
    """The controller and its ConfigMap, and what becomes of Workflows."""

    def __init__(self, bench: Bench):
        self.bench = bench
        self.runs = itertools.count()

    def deploy(self, config: dict[str, str], **env: str) -> None:
        self.bench.create(
            kinds.CONFIG_MAP, {"metadata": {"name": "workflow-controller-configmap"}, "data": config}
        )
        self.bench.deploy({"DEFAULT_REQUEUE_TIME": "500ms", **env}, args=["--executor-image", "argoexec:1"])
        # A quota in the same namespace would be for the controller's pod as well.
        until(lambda: self.bench.get(kinds.DEPLOYMENT, "any-name").get("status", {}).get("availableReplicas"))

    def configure(self, **config: str) -> None:
        name = "workflow-controller-configmap"
        self.bench.client.patch(
            kinds.CONFIG_MAP,
            name,
            {"data": config},
            namespace=self.bench.namespace,
            patch_type=PatchType.MERGE,
        )

    def submit(self, name: str, spec: dict[str, Any], **metadata: Any) -> None:
        self.bench.make(kinds.WORKFLOW, name, spec, **metadata)

    def phase(self, name: str) -> str:
        return self.bench.get(kinds.WORKFLOW, name).get("status", {}).get("phase", "")

    def comes_to(self, name: str, phase: str) -> dict[str, Any]:
        until(lambda: self.phase(name) == phase, f"{name} to be {phase}")
        return self.bench.get(kinds.WORKFLOW, name)

    def ends(self) -> dict[str, Any]:
        """Submit one more run, and return its status when it is over: a change may still be under way."""
        name = f"run-{next(self.runs)}"
        self.submit(name, ONE)
        until(lambda: self.phase(name) in ("Error", "Succeeded"), f"{name} to end")
        return self.bench.get(kinds.WORKFLOW, name)["status"]

    def pods(self) -> list[Any]:
        return list(self.bench.client.list(kinds.POD, namespace=self.bench.namespace, labels=OF_RUNS))

    def have_quota(self, **hard: str) -> None:
        self.bench.make(kinds.QUOTA, "quota", {"hard": {key.replace("_", "."): hard[key] for key in hard}})
        until(lambda: "hard" in self.bench.get(kinds.QUOTA, "quota").get("status", {}), "the quota")


OF_RUNS: dict[str, Any] = {"workflows.argoproj.io/workflow": None}


@pytest.fixture
def argo(bench: Bench) -> Argo:
    return Argo(bench)


def test_steps_run_one_after_the_other_and_the_run_succeeds(argo: Argo):
    argo.deploy(WITH_RESOURCES)
    argo.submit("run", TWO)
    until(argo.pods, "the first pod")
    assert len(argo.pods()) == 1
    run = argo.comes_to("run", "Succeeded")
    assert len(argo.pods()) == 2
    assert run["metadata"]["labels"]["workflows.argoproj.io/completed"] == "true"
    phases = {each["name"]: each["phase"] for each in run["status"]["nodes"].values()}
    assert phases == {"run": "Succeeded", "run.first": "Succeeded", "run.second": "Succeeded"}
    assert run["status"]["progress"] == "2/2"
    until(
        lambda: {p["metadata"]["labels"]["workflows.argoproj.io/completed"] for p in argo.pods()} == {"true"}
    )


def test_a_run_that_is_over_is_not_written_again(argo: Argo):
    argo.deploy(WITH_RESOURCES)
    argo.submit("run", ONE)
    argo.comes_to("run", "Succeeded")
    argo.bench.assert_settled()


def test_what_is_beside_a_step_is_as_configured(argo: Argo):
    argo.deploy(WITH_RESOURCES | {"workflowDefaults": "spec: {nodeSelector: {kubernetes.io/os: linux}}"})
    argo.submit("run", ONE)
    argo.comes_to("run", "Succeeded")
    (pod,) = argo.pods()
    assert pod["metadata"]["name"] == "run"
    assert owners(pod) == [("Workflow", "run", True)]
    assert pod["spec"]["nodeSelector"] == {"kubernetes.io/os": "linux"}
    (init,) = pod["spec"]["initContainers"]
    wait, main = pod["spec"]["containers"]
    assert (init["name"], wait["name"], main["name"]) == ("init", "wait", "main")
    for beside in (init, wait):
        assert beside["image"] == "argoexec:1"
        assert beside["resources"] == RESOURCES
        assert beside["securityContext"] == SECURITY


def test_in_a_quota_a_run_ends_at_once_if_the_executor_names_no_resources(argo: Argo):
    argo.deploy(WITHOUT_RESOURCES)
    argo.have_quota(requests_cpu="4")
    argo.submit("run", ONE)
    run = argo.comes_to("run", "Error")
    assert "failed quota: quota: must specify requests.cpu for: init,wait" in run["status"]["message"]
    assert argo.pods() == []
    argo.submit("graph", TWO)
    nodes = argo.comes_to("graph", "Error")["status"]["nodes"].values()
    assert {each["name"]: each["phase"] for each in nodes} == {
        "graph": "Error",
        "graph.first": "Error",
        "graph.second": "Omitted",
    }


def test_in_a_quota_a_run_succeeds_if_the_executor_names_its_resources(argo: Argo):
    argo.deploy(WITHOUT_RESOURCES)
    argo.have_quota(requests_cpu="4", requests_memory="8Gi", limits_cpu="8", limits_memory="8Gi")
    argo.submit("first", ONE)
    argo.comes_to("first", "Error")
    # The controller follows its configuration.
    argo.configure(**WITH_RESOURCES)
    until(lambda: argo.ends()["phase"] == "Succeeded", "a run to succeed")


def test_a_full_quota_is_waited_for(argo: Argo):
    argo.deploy(WITH_RESOURCES)
    argo.have_quota(requests_cpu="1m")
    argo.submit("run", ONE)
    until(lambda: "exceeded quota" in str(argo.bench.get(kinds.WORKFLOW, "run").get("status")), "a refusal")
    assert argo.phase("run") == "Pending"
    argo.bench.client.delete(kinds.QUOTA, "quota", namespace=argo.bench.namespace)
    argo.comes_to("run", "Succeeded")


@pytest.mark.parametrize("pattern", ["", "failed calling webhook"], ids=["as it comes", "with our pattern"])
def test_a_webhook_that_is_away_ends_a_run_unless_the_pattern_knows_it(argo: Argo, pattern: str):
    away = Fault(
        lambda r: r.verb == "create" and r.resource == "pods" and r.namespace == argo.bench.namespace,
        message=WEBHOOK,
    )
    argo.bench.gate.faults.append(away)
    argo.deploy(WITH_RESOURCES, **({"TRANSIENT_ERROR_PATTERN": pattern} if pattern else {}))
    argo.submit("run", ONE)
    if not pattern:
        assert "failed calling webhook" in argo.comes_to("run", "Error")["status"]["message"]
        return
    until(lambda: "failed calling webhook" in str(argo.bench.get(kinds.WORKFLOW, "run").get("status")))
    assert argo.phase("run") == "Pending"
    argo.bench.gate.faults.remove(away)
    argo.comes_to("run", "Succeeded")


def test_it_looks_at_its_own_instance_only(argo: Argo):
    label = "workflows.argoproj.io/controller-instanceid"
    argo.deploy(WITH_RESOURCES | {"instanceID": "ours"})
    argo.submit("theirs", ONE, labels={label: "theirs"})
    argo.submit("nobodys", ONE)
    argo.submit("ours", ONE, labels={label: "ours"})
    argo.comes_to("ours", "Succeeded")
    assert argo.phase("theirs") == argo.phase("nobodys") == ""
    (pod,) = argo.pods()
    assert pod["metadata"]["labels"][label] == "ours"


def test_it_has_no_more_rights_than_its_account(argo: Argo, players: Players):
    argo.deploy(WITH_RESOURCES)
    argo.bench.grant(
        [
            ("", ["pods", "configmaps"], ["get", "list", "watch"]),
            ("argoproj.io", ["workflows"], ["get", "list", "watch", "update"]),
        ]
    )
    until(lambda: "cannot create resource" in argo.ends().get("message", ""), "the rights to be gone")
    assert any("cannot create resource" in each for each in players.refusals())


def test_what_is_not_played_ends_in_an_error_that_says_so(argo: Argo):
    argo.deploy(WITH_RESOURCES)
    template = {"name": "only", "resource": {"action": "create", "manifest": "{}"}}
    argo.submit("run", {"entrypoint": "only", "templates": [template]})
    message = argo.comes_to("run", "Error")["status"]["message"]
    assert "a rehearsal does not play `resource` templates" in message
