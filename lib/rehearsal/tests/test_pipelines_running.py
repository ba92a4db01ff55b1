"""How a Workflow goes on: graphs, conditions, loops, retries and hooks, without a cluster."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rehearsal.players.argo import expressions, merging
from rehearsal.players.argo.pods import NODE_ID, Argo, node_id, pod_name
from rehearsal.players.argo.running import Run, StepError, TryAgainError

Document = dict[str, Any]
STEP: Document = {
    "name": "step",
    "inputs": {"parameters": [{"name": "text", "default": "x"}]},
    "outputs": {"parameters": [{"name": "out", "valueFrom": {"path": "/out", "default": "3"}}]},
    "container": {"image": "step:1", "args": ["{{inputs.parameters.text}}"]},
}


def graph(*tasks: Document, **more: Any) -> Document:
    """Return a Workflow that is a graph of tasks with the template `step`."""
    named = [{"template": "step", **task} for task in tasks]
    templates = [{"name": "graph", "dag": {"tasks": named}}, STEP, *more.pop("templates", [])]
    return {"metadata": {"name": "run"}, "spec": {"entrypoint": "graph", "templates": templates, **more}}


class Cluster:
    """Pods of a run, which end when a test says so."""

    def __init__(self, workflow: Document, **argo: Any):
        self.workflow = workflow
        self.argo = Argo(**argo)
        self.made: list[Document] = []
        self.error: Exception | None = None

    def make(self, pod: Document) -> Document:
        if self.error:
            raise self.error
        self.made.append(pod)
        return pod

    def advance(self) -> Run:
        run = Run(self.argo, self.workflow, self.made, self.make, lambda: "now")
        self.workflow = run.advance()
        return run

    def end(self, phase: str, *nodes: str) -> None:
        for pod in self.made:
            if not nodes or pod["metadata"]["annotations"]["workflows.argoproj.io/node-name"] in nodes:
                pod.setdefault("status", {"phase": phase})
        self.advance()

    @property
    def nodes(self) -> dict[str, str]:
        return {each["name"]: each["phase"] for each in self.workflow["status"]["nodes"].values()}

    @property
    def phase(self) -> str:
        return self.workflow["status"]["phase"]


def run(workflow: Document) -> Cluster:
    """Return a run in which every pod succeeds."""
    cluster = Cluster(workflow)
    cluster.advance()
    while cluster.phase == "Running":
        cluster.end("Succeeded")
    return cluster


def arguments(**values: str) -> Document:
    return {"parameters": [{"name": name, "value": value} for name, value in values.items()]}


def words(cluster: Cluster) -> list[str]:
    return [pod["spec"]["containers"][1]["args"][0] for pod in cluster.made]


def test_a_task_waits_for_those_it_depends_on_and_sees_their_outputs():
    cluster = Cluster(
        graph(
            {
                "name": "c",
                "depends": "a && b",
                "arguments": arguments(text="{{tasks.a.outputs.parameters.out}}"),
            },
            {"name": "a"},
            {"name": "b", "dependencies": ["a"]},
        )
    )
    cluster.advance()
    assert cluster.nodes == {"run": "Running", "run.a": "Pending"}
    cluster.end("Succeeded", "run.a")
    cluster.end("Running", "run.b")
    assert cluster.nodes == {"run": "Running", "run.a": "Succeeded", "run.b": "Running"}
    cluster.made[1]["status"]["phase"] = "Succeeded"
    cluster.advance()
    cluster.end("Succeeded")
    assert (cluster.phase, words(cluster)) == ("Succeeded", ["x", "x", "3"])


def test_a_failure_omits_what_depends_on_success_and_the_rest_goes_on():
    cluster = Cluster(
        graph(
            {"name": "a"},
            {"name": "then", "depends": "a.Succeeded"},
            {"name": "else", "depends": "a.Failed || a.Errored"},
        )
    )
    cluster.advance()
    cluster.end("Failed", "run.a")
    assert cluster.nodes == {
        "run": "Running",
        "run.a": "Failed",
        "run.then": "Omitted",
        "run.else": "Pending",
    }
    cluster.end("Succeeded")
    assert cluster.phase == "Failed"


@pytest.mark.parametrize(
    ("condition", "phase"),
    [
        ("true != false", "Succeeded"),
        ("false != false", "Skipped"),
        ("'a b' == 'a b' && !(1 == 2)", "Succeeded"),
    ],
)
def test_a_condition_decides_whether_a_task_runs(condition: str, phase: str):
    cluster = run(graph({"name": "a", "when": condition}))
    assert (cluster.nodes["run.a"], cluster.phase) == (phase, "Succeeded")


@pytest.mark.parametrize("condition", ["", "a", "a ==", "(true", "true true", "a == b == c"])
def test_what_is_no_condition_is_an_error(condition: str):
    with pytest.raises(expressions.UnresolvedError):
        expressions.holds(condition)


@pytest.mark.parametrize(
    ("loop", "wanted"),
    [
        ({"withItems": ["a", {"b": 1}]}, ["a", '{"b": 1}']),
        ({"withParam": "[1, 2]"}, ["1", "2"]),
        ({"withSequence": {"count": "2"}}, ["0", "1"]),
        ({"withSequence": {"start": "2", "end": "3"}}, ["2", "3"]),
        ({"withSequence": {"count": "0"}}, []),
    ],
    ids=["items", "parameter", "count", "from to", "nothing"],
)
def test_a_loop_runs_once_for_each_item(loop: Document, wanted: list[str]):
    cluster = run(
        graph({"name": "a", **loop, "arguments": arguments(text="{{item}}")}, {"name": "b", "depends": "a"})
    )
    assert (cluster.phase, words(cluster)) == ("Succeeded", [*wanted, "x"])


def test_a_step_is_tried_again_as_often_as_it_says():
    retried = {**STEP, "name": "retried", "retryStrategy": {"limit": "1"}}
    retried["container"] = {**STEP["container"], "args": ["{{retries}}"]}
    cluster = Cluster(graph({"name": "a", "template": "retried"}, templates=[retried]))
    cluster.advance()
    cluster.end("Failed")
    assert cluster.nodes == {
        "run": "Running",
        "run.a": "Running",
        "run.a(0)": "Failed",
        "run.a(1)": "Pending",
    }
    cluster.end("Failed")
    assert (cluster.phase, words(cluster)) == ("Failed", ["0", "1"])
    node = cluster.workflow["status"]["nodes"][node_id("run", "run.a")]
    assert node["message"] == "No more retries left"


def test_hooks_run_when_a_task_or_the_whole_is_over_whatever_came_of_it():
    hook = {"template": "step", "arguments": arguments(text="{{tasks.a.status}}")}
    cluster = Cluster(
        graph({"name": "a", "hooks": {"exit": hook}}, {"name": "b", "depends": "a"}, onExit="step")
    )
    cluster.advance()
    cluster.end("Failed", "run.a")
    assert cluster.nodes == {"run": "Running", "run.a": "Failed", "run.a.onExit": "Pending"}
    cluster.end("Succeeded")
    assert cluster.nodes["run.b"] == "Omitted"
    assert (cluster.nodes["run"], cluster.nodes["run.onExit"], cluster.phase) == (
        "Failed",
        "Pending",
        "Running",
    )
    cluster.end("Succeeded")
    assert (cluster.phase, words(cluster)) == ("Failed", ["x", "Failed", "x"])


def test_lists_of_steps_run_list_by_list():
    steps = [
        [{"name": "a", "template": "step"}, {"name": "b", "template": "step"}],
        [
            {
                "name": "c",
                "template": "step",
                "arguments": arguments(text="{{steps.a.outputs.parameters.out}}"),
            }
        ],
    ]
    workflow = graph({"name": "unused"}, templates=[{"name": "list", "steps": steps}], entrypoint="list")
    cluster = Cluster(workflow)
    cluster.advance()
    assert len(cluster.made) == 2
    cluster.end("Succeeded")
    cluster.end("Succeeded")
    assert (cluster.phase, words(cluster)) == ("Succeeded", ["x", "x", "3"])


def test_a_pod_that_cannot_be_made_now_is_waited_for_and_one_that_never_can_is_an_error():
    cluster = Cluster(graph({"name": "a"}))
    cluster.error = TryAgainError("busy")
    assert cluster.advance().waits
    assert cluster.nodes == {"run": "Running", "run.a": "Pending"}
    cluster.error = StepError("refused")
    assert not cluster.advance().waits
    assert (cluster.phase, cluster.nodes) == ("Error", {"run": "Error", "run.a": "Error"})
    assert "refused" in cluster.workflow["status"]["nodes"][node_id("run", "run.a")]["message"]


def test_a_pod_that_somebody_deletes_is_an_error():
    cluster = Cluster(graph({"name": "a"}))
    cluster.advance()
    cluster.end("Running")
    cluster.made.clear()
    cluster.advance()
    assert cluster.phase == "Error"


@pytest.mark.parametrize(
    ("task", "why"),
    [
        ({"template": "none"}, "template none undefined"),
        ({"arguments": arguments(text="{{tasks.b.outputs.parameters.out}}")}, "failed to resolve {{tasks.b"),
        ({"templateRef": {"name": "other"}}, "does not play templates of WorkflowTemplates"),
        ({"depends": "b =="}, "invalid expression"),
        ({"depends": "c.Succeeded"}, "unknown task c"),
        ({"withParam": "no list"}, "Expecting value"),
        ({"withSequence": {"count": "many"}}, "invalid literal"),
    ],
)
def test_a_task_that_makes_no_sense_is_an_error_of_its_own(task: Document, why: str):
    cluster = run(graph({"name": "a", **task}, {"name": "b"}))
    assert (cluster.phase, cluster.nodes["run.b"]) == ("Error", "Succeeded")
    assert why in cluster.workflow["status"]["nodes"][node_id("run", "run.a")]["message"]


def test_a_users_braces_stay():
    cluster = run(graph({"name": "a", "arguments": arguments(text="{{$.inputs.parameters['x']}}")}))
    assert words(cluster) == ["{{$.inputs.parameters['x']}}"]


def test_a_template_takes_its_own_security_context_in_place_of_the_workflows():
    own = {**STEP, "name": "own", "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}}}
    tasks = [{"name": "a", "template": "own"}, {"name": "b", "depends": "a"}]
    cluster = run(graph(*tasks, templates=[own], securityContext={"runAsNonRoot": True}))
    contexts = [pod["spec"]["securityContext"] for pod in cluster.made]
    assert contexts == [own["securityContext"], {"runAsNonRoot": True}]


def test_what_keeps_logs_mounts_the_stores_secret_beside_a_step():
    secret = {"name": "mlpipeline-minio-artifact"}
    s3 = {"accessKeySecret": secret | {"key": "accesskey"}, "secretKeySecret": secret | {"key": "secretkey"}}
    cluster = Cluster(graph({"name": "a"}), repository={"archiveLogs": True, "s3": s3})
    cluster.advance()
    (pod,) = cluster.made
    items = [{"key": key, "path": key} for key in ("accesskey", "secretkey")]
    volumes = {each["name"]: each for each in pod["spec"]["volumes"]}
    assert volumes[secret["name"]]["secret"] == {"secretName": secret["name"], "items": items}
    assert set(volumes) == {"var-run-argo", "tmp-dir-argo", secret["name"]}
    (init,), (wait, main) = pod["spec"]["initContainers"], pod["spec"]["containers"]
    for beside in (init, wait):
        mount = {"name": secret["name"], "mountPath": f"/argo/secret/{secret['name']}", "readOnly": True}
        assert mount in beside["volumeMounts"]
    assert secret["name"] not in str(main)


def test_names_are_those_that_argo_would_give():
    assert node_id("run", "run") == pod_name("run", "run", "any") == "run"
    # FNV-1a of "foobar", as its authors publish it (draft-eastlake-fnv, test vectors).
    assert pod_name("wf", "foobar", "step") == f"wf-step-{0xBF9CF968}"
    assert node_id("wf", "foobar") == f"wf-{0xBF9CF968}"


def test_a_patch_meets_containers_by_name_and_deletes_with_null():
    spec = {"containers": [{"name": "main", "image": "a", "env": [{"name": "A", "value": "1"}]}], "x": 1}
    patch = {"containers": [{"name": "main", "image": "b", "env": [{"name": "B", "value": "2"}]}], "x": None}
    assert merging.patched(spec, patch) == {
        "containers": [
            {"name": "main", "image": "b", "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]}
        ]
    }


def test_a_config_may_be_one_text_or_a_key_for_each_setting():
    split = {"executor": json.dumps({"resources": {}}), "instanceID": "a"}
    whole = {"config": json.dumps({"executor": {"resources": {}}, "instanceID": "a"})}
    assert Argo.configured(split) == Argo.configured(whole) == Argo(executor={"resources": {}}, instance="a")
    assert NODE_ID.startswith("workflows.argoproj.io/")
