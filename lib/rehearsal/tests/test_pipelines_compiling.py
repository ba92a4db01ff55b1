"""What KFP's API server makes of a pipeline: security, the CA bundle, shared arguments, and the pods of a run."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from pipeline_compiling import NoPipelineError, compiled
from pipeline_templates import Settings

from rehearsal.players.argo.pods import Argo
from rehearsal.players.argo.running import pods

SETTINGS = Settings("kfp-driver:2", "kfp-launcher:2")
SECCOMP = {"seccompProfile": {"type": "RuntimeDefault"}}
USERS = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, **SECCOMP}
OWN = {**USERS, "runAsNonRoot": True}
CONTAINER = {"image": "python:3.12", "command": ["sh"], "resources": {"resourceCpuRequest": "1"}}
PIPELINE: dict[str, Any] = {
    "pipelineInfo": {"name": "one"},
    "root": {
        "inputDefinitions": {"parameters": {"text": {"defaultValue": "a"}, "none": {"isOptional": True}}},
        "dag": {
            "tasks": {
                "first": {"componentRef": {"name": "comp-first"}},
                "second": {"componentRef": {"name": "comp-second"}, "dependentTasks": ["first"]},
            }
        },
    },
    "components": {
        "comp-first": {"executorLabel": "exec-first"},
        "comp-second": {"executorLabel": "exec-second"},
    },
    "deploymentSpec": {
        "executors": {"exec-first": {"container": CONTAINER}, "exec-second": {"container": CONTAINER}}
    },
}


def changed(**task: Any) -> dict[str, Any]:
    """Return the pipeline with a further field of its first task."""
    pipeline = copy.deepcopy(PIPELINE)
    pipeline["root"]["dag"]["tasks"]["first"] |= task
    return pipeline


def templates(**settings: Any) -> dict[str, Any]:
    found = compiled(PIPELINE, None, Settings("kfp-driver:2", "kfp-launcher:2", **settings))
    return {each["name"]: each for each in found["spec"]["templates"]}


@pytest.mark.parametrize("name", ["system-dag-driver", "system-container-driver"])
def test_drivers_are_not_root(name: str):
    driver = templates()[name]
    assert driver["securityContext"] == {"runAsNonRoot": True, **SECCOMP}
    assert driver["container"]["securityContext"] == OWN


def test_a_users_step_may_be_root_but_its_launcher_not():
    step = templates()["system-container-impl"]
    assert step["securityContext"] == SECCOMP
    assert step["container"]["securityContext"] == USERS
    (launcher,) = step["initContainers"]
    assert launcher["securityContext"] == OWN


def test_equal_containers_are_one_argument_and_defaults_are_the_runs_parameters():
    found = compiled(PIPELINE, None, SETTINGS, run_id="an-id")
    names = [each["name"].partition("-")[0] for each in found["spec"]["arguments"]["parameters"]]
    assert sorted(names) == ["components", "components", "implementations"]
    assert found["metadata"]["labels"] == {"pipeline/runid": "an-id"}
    assert found["spec"]["podMetadata"]["labels"]["pipeline/runid"] == "an-id"
    (root, *_) = next(t for t in found["spec"]["templates"] if t["name"] == "entrypoint")["dag"]["tasks"]
    given = {each["name"]: each["value"] for each in root["arguments"]["parameters"]}
    assert json.loads(given["runtime-config"]) == {"parameterValues": {"text": "a", "none": None}}


def test_a_cached_decision_is_no_by_default():
    (root,) = [each for each in templates().values() if each["name"] == "root"]
    steps = [task for task in root["dag"]["tasks"] if not task["name"].endswith("-driver")]
    for step in steps:
        decision = step["arguments"]["parameters"][1]
        assert (decision["name"], decision["default"]) == ("cached-decision", "false")


def test_the_authority_is_mounted_into_everything_that_talks_to_the_store():
    found = templates(ca_bundle="kfp-ca-bundle")
    for name in ("system-dag-driver", "system-container-driver", "system-container-impl"):
        volume = found[name]["volumes"][-1]
        assert volume["secret"]["secretName"] == "kfp-ca-bundle"
        assert found[name]["container"]["volumeMounts"][-1] == {
            "name": "custom-ca",
            "mountPath": "/kfp/certs",
        }
    assert "custom-ca" not in str(templates())


def test_the_pods_of_a_run_are_its_drivers_and_its_steps():
    made = pods(compiled(PIPELINE, None, SETTINGS), Argo(), "run")
    mains = [pod["spec"]["containers"][1]["image"] for pod in made]
    assert mains == ["kfp-driver:2", "kfp-driver:2", "python:3.12", "kfp-driver:2", "python:3.12"]
    step = made[2]["spec"]
    assert step["containers"][1]["resources"]["requests"] == {"cpu": "1"}
    assert step["securityContext"] == SECCOMP


def test_a_step_that_is_not_cached_runs_and_its_labels_are_its_own():
    platform = {"platforms": {"kubernetes": {"deploymentSpec": {"executors": {}}}}}
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    executors["exec-first"] = {"podMetadata": {"labels": {"team": "a"}}}
    executors["exec-second"] = {"podMetadata": {"labels": {"team": "b"}}}
    made = pods(compiled(PIPELINE, platform, SETTINGS), Argo(), "run")
    assert [pod["metadata"]["labels"].get("team") for pod in made] == [None, None, "a", None, "b"]


def test_a_retried_step_knows_which_attempt_it_is():
    made = pods(compiled(changed(retryPolicy={"maxRetryCount": 2}), None, SETTINGS), Argo(), "run")
    attempts = [
        variable["value"]
        for pod in made
        for variable in pod["spec"]["containers"][1].get("env", [])
        if variable["name"] == "KFP_RETRY_INDEX"
    ]
    assert attempts == ["0"]


@pytest.mark.parametrize(
    "pipeline",
    [
        PIPELINE | {"pipelineInfo": {}},
        PIPELINE | {"root": {"dag": {"tasks": {}}}},
        changed(artifactIterator={}),
    ],
    ids=["no name", "no task", "a loop over artifacts"],
)
def test_what_kfp_would_not_compile_is_refused(pipeline: dict[str, Any]):
    with pytest.raises(NoPipelineError):
        compiled(pipeline, None, SETTINGS)


def test_templates_have_what_all_pods_have_and_labels_only_beside_their_own():
    labels = {"podMetadata": {"labels": {"team": "a"}}}
    kubernetes = {"platforms": {"kubernetes": {"deploymentSpec": {"executors": {"exec-first": labels}}}}}
    found = compiled(PIPELINE, kubernetes, SETTINGS, run_id="an-id")["spec"]["templates"]
    metadata = {each["name"]: each["metadata"] for each in found}
    component = {"pipelines.kubeflow.org/v2_component": "true"}
    assert all(component.items() <= each["annotations"].items() for each in metadata.values())
    labelled = {name: each["labels"] for name, each in metadata.items() if "labels" in each}
    assert list(labelled) == ["metadata-0-1-system-container-impl"]
    own = labelled["metadata-0-1-system-container-impl"]
    assert own == component | {
        "pipeline/runid": "an-id",
        "{{inputs.parameters.pod-metadata-label-key}}": "{{inputs.parameters.pod-metadata-label-val}}",
    }
