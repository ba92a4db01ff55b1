"""What becomes of an Experiment."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from lightkube.types import PatchType
from player_bench import ROLES, Bench, owners, until

from rehearsal.cluster.stages import EXIT
from rehearsal.players import kinds
from rehearsal.players.katib.observing import METRICS
from rehearsal.players.players import Players

PROGRAM = "katib-controller"
SUCCESS, FAILURE = (
    f'status.conditions.#(type=="{each}")#|#(status=="True")#' for each in ("Complete", "Failed")
)
CONFIG: dict[str, Any] = {
    "apiVersion": "config.kubeflow.org/v1beta1",
    "kind": "KatibConfig",
    "init": {"controller": {"trialResources": ["Job.v1.batch", "PyTorchJob.v1.kubeflow.org"]}},
    "runtime": {
        "suggestions": [
            {"algorithmName": "random", "image": "hyperopt:1"},
            {"algorithmName": "grid", "image": "optuna:1", "resources": {"limits": {"cpu": "-1"}}},
        ],
        "earlyStoppings": [{"algorithmName": "medianstop", "image": "medianstop:1"}],
    },
}
RATE = {
    "name": "rate",
    "parameterType": "double",
    "feasibleSpace": {"min": "0.1", "max": "0.4", "step": "0.1"},
}
LABELS = {"katib.kubeflow.org/trial": "${trialParameters.trial}"}


def job(annotations: dict[str, str] | None = None, *, collected: bool = True) -> dict[str, Any]:
    """Return a template of a Job; where no webhook runs, it has the collector itself."""
    containers = [{"name": "training", "image": "train:1", "args": ["--rate=${trialParameters.rate}"]}]
    if collected:
        containers.append({"name": "metrics-logger-and-collector", "image": "collector:1"})
    pod = {"restartPolicy": "Never", "containers": containers}
    metadata = {"labels": LABELS, "annotations": annotations or {}}
    spec = {"backoffLimit": 0, "template": {"metadata": metadata, "spec": pod}}
    return {"apiVersion": "batch/v1", "kind": "Job", "spec": spec}


def experiment(run: dict[str, Any], **more: Any) -> dict[str, Any]:
    strategies = [{"name": "score", "value": "max"}]
    return {
        "objective": {"type": "maximize", "objectiveMetricName": "score", "metricStrategies": strategies},
        "algorithm": {"algorithmName": "grid"},
        "parallelTrialCount": 2,
        "maxTrialCount": 4,
        "resumePolicy": "Never",
        "parameters": [RATE],
        "metricsCollectorSpec": {"collector": {"kind": "StdOut"}},
        "trialTemplate": {
            "primaryContainerName": "training",
            "successCondition": SUCCESS,
            "failureCondition": FAILURE,
            "trialParameters": [
                {"name": "rate", "reference": "rate"},
                {"name": "trial", "reference": "${trialSpec.Name}"},
            ],
            "trialSpec": run,
        },
        **more,
    }


class Katib:
    def __init__(self, bench: Bench):
        self.bench = bench

    def deploy(self, config: dict[str, Any] | None = None, *, database: bool = True) -> None:
        data = {"katib-config.yaml": yaml.safe_dump(config or CONFIG)}
        self.bench.create(kinds.CONFIG_MAP, {"metadata": {"name": "katib-config"}, "data": data})
        # The pods of the controller are as good as any other's.
        spec = {"selector": {"app": "any" if database else "none"}, "ports": [{"port": 6789}]}
        self.bench.make(kinds.SERVICE, "katib-db-manager", spec)
        mount = {"name": "config", "mountPath": "/katib-config.yaml", "subPath": "katib-config.yaml"}
        self.bench.deploy(
            {"KATIB_CORE_NAMESPACE": self.bench.namespace},
            command=["./katib-controller"],
            args=["--katib-config=/katib-config.yaml"],
            volumeMounts=[mount],
            volumes=[{"name": "config", "configMap": {"name": "katib-config"}}],
        )
        until(lambda: self.bench.get(kinds.DEPLOYMENT, "any-name").get("status", {}).get("availableReplicas"))

    def tune(self, spec: dict[str, Any], name: str = "tuning") -> None:
        self.bench.make(kinds.EXPERIMENT, name, spec)

    def change(self, name: str = "tuning", **spec: Any) -> None:
        self.bench.client.patch(
            kinds.EXPERIMENT,
            name,
            {"spec": spec},
            namespace=self.bench.namespace,
            patch_type=PatchType.MERGE,
        )

    def comes_to(self, condition: str, kind: Any = kinds.EXPERIMENT, name: str = "tuning") -> dict[str, Any]:
        def look() -> Any:
            status = self.bench.get(kind, name).get("status", {})
            said = {each["type"]: each["status"] for each in status.get("conditions", [])}
            return status if said.get(condition) == "True" else None

        return until(look, f"{name} to be {condition}")

    def trials(self) -> list[Any]:
        return list(self.bench.client.list(kinds.TRIAL, namespace=self.bench.namespace))

    def events(self) -> str:
        return " | ".join(
            each["message"] for each in self.bench.client.list(kinds.EVENT, namespace=self.bench.namespace)
        )


@pytest.fixture
def katib(bench: Bench) -> Katib:
    return Katib(bench)


def said(status: dict[str, Any], condition: str) -> str:
    return next(each["message"] for each in status["conditions"] if each["type"] == condition)


def test_an_experiment_of_jobs_ends_with_the_best_of_its_trials(katib: Katib):
    katib.deploy()
    katib.tune(experiment(job({METRICS: "score=${trialParameters.rate},other=1"})))
    deployment = katib.bench.get(kinds.DEPLOYMENT, "tuning-grid")
    assert owners(deployment) == [("Suggestion", "tuning", True)]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert (container["name"], container["image"]) == ("suggestion", "optuna:1")
    assert container["resources"] == {
        "requests": {"cpu": "50m", "memory": "10Mi", "ephemeral-storage": "500Mi"},
        "limits": {"memory": "100Mi", "ephemeral-storage": "5Gi"},
    }
    assert container["readinessProbe"]["grpc"]["port"] == 6789
    service = katib.bench.get(kinds.SERVICE, "tuning-grid")
    assert service["spec"]["ports"][0]["name"] == "suggestion-api"
    status = katib.comes_to("Succeeded")
    assert said(status, "Succeeded") == "Experiment has succeeded because max trial count has reached"
    assert (status["trials"], status["trialsSucceeded"]) == (4, 4)
    best = status["currentOptimalTrial"]
    assert best["parameterAssignments"] == [{"name": "rate", "value": "0.4"}]
    score = {"name": "score", "min": "0.4", "max": "0.4", "latest": "0.4"}
    assert best["observation"]["metrics"] == [score]
    assert best["bestTrialName"] in status["succeededTrialList"]
    trial = katib.bench.get(kinds.TRIAL, best["bestTrialName"])
    assert owners(trial) == [("Experiment", "tuning", True)]
    assert trial["metadata"]["labels"] == {"katib.kubeflow.org/experiment": "tuning"}
    args = trial["spec"]["runSpec"]["spec"]["template"]["spec"]["containers"][0]["args"]
    assert args == ["--rate=0.4"]
    # The suggestion ends with the experiment, and the jobs with their trials.
    until(lambda: katib.bench.find(kinds.DEPLOYMENT, "tuning-grid") is None, "the algorithm to go")
    until(lambda: katib.bench.find(kinds.SERVICE, "tuning-grid") is None, "its address to go")
    until(lambda: katib.bench.find(kinds.JOB, best["bestTrialName"]) is None, "the job to go")
    assert katib.comes_to("Succeeded", kinds.SUGGESTION)["suggestionCount"] == 4
    katib.bench.assert_settled()


def test_no_more_trials_run_than_are_wanted(katib: Katib):
    katib.deploy()
    katib.tune(experiment(job({EXIT: "never"}), parallelTrialCount=3))
    until(lambda: katib.bench.get(kinds.EXPERIMENT, "tuning").get("status", {}).get("trialsRunning") == 3)
    assert len(katib.trials()) == 3
    katib.change(parallelTrialCount=1)
    until(lambda: len(katib.trials()) == 1, "trials to go")
    suggestion = until(lambda: katib.bench.get(kinds.SUGGESTION, "tuning"))
    until(lambda: katib.bench.get(kinds.SUGGESTION, "tuning")["status"]["suggestionCount"] == 1)
    assert suggestion["spec"]["algorithm"] == {"algorithmName": "grid"}


def test_trials_that_fail_are_counted_and_end_the_experiment(katib: Katib):
    katib.deploy()
    katib.tune(experiment(job({EXIT: "1"}), maxFailedTrialCount=2))
    status = katib.comes_to("Failed")
    assert said(status, "Failed") == "Experiment has failed because max failed count has reached"
    assert status["trialsFailed"] >= 2
    trial = katib.bench.get(kinds.TRIAL, status["failedTrialList"][0])
    message = said(trial["status"], "Failed")
    assert message.startswith("Trial has failed. Job message: Job has reached the specified backoff limit")
    assert "currentOptimalTrial" not in status or not status["currentOptimalTrial"].get("bestTrialName")


def test_a_goal_that_is_reached_ends_the_experiment(katib: Katib):
    katib.deploy()
    spec = experiment(job({METRICS: "score=${trialParameters.rate}"}), parallelTrialCount=1)
    spec["objective"]["goal"] = 0.2
    katib.tune(spec)
    status = katib.comes_to("Succeeded")
    assert said(status, "Succeeded") == "Experiment has succeeded because Objective goal has reached"
    assert status["trialsSucceeded"] == 2


def test_metrics_that_lack_are_unavailable(katib: Katib):
    katib.deploy()
    katib.tune(experiment(job({METRICS: "other=1"}), maxFailedTrialCount=1))
    status = katib.comes_to("Failed")
    assert status["trialMetricsUnavailable"] >= 1


def test_without_collector_a_trial_waits_for_its_metrics(katib: Katib):
    katib.deploy()
    katib.tune(experiment(job(collected=False), parallelTrialCount=1))
    trial = until(katib.trials, "a trial")[0]["metadata"]["name"]
    done = until(lambda: katib.bench.get(kinds.JOB, trial).get("status", {}).get("completionTime"))
    assert done
    katib.comes_to("Running", kinds.TRIAL, trial)
    katib.bench.client.delete(kinds.EXPERIMENT, "tuning", namespace=katib.bench.namespace)
    until(lambda: katib.trials() == [], "the trial to go")


def test_without_db_manager_trials_fail_to_end_and_to_go(katib: Katib):
    katib.deploy(database=False)
    katib.tune(experiment(job(), parallelTrialCount=1))
    until(lambda: "katib-db-manager" in katib.events() and "Unavailable" in katib.events(), "an event")
    trial = katib.trials()[0]["metadata"]["name"]
    katib.bench.client.delete(kinds.EXPERIMENT, "tuning", namespace=katib.bench.namespace)
    until(lambda: "deletionTimestamp" in katib.bench.get(kinds.TRIAL, trial)["metadata"], "a deletion")
    katib.bench.client.patch(
        kinds.SERVICE,
        "katib-db-manager",
        {"spec": {"selector": {"app": "any"}}},
        namespace=katib.bench.namespace,
    )
    until(lambda: katib.bench.find(kinds.TRIAL, trial) is None, "the trial to go")


def test_an_experiment_resumes_from_its_volume(katib: Katib):
    katib.deploy()
    katib.tune(experiment(job(), resumePolicy="FromVolume", maxTrialCount=2))
    claim = katib.bench.get(kinds.CLAIM, "tuning-grid")
    assert claim["spec"]["resources"]["requests"] == {"storage": "1Gi"}
    pod = katib.bench.get(kinds.DEPLOYMENT, "tuning-grid")["spec"]["template"]["spec"]
    assert pod["containers"][0]["volumeMounts"][0]["mountPath"] == "/opt/katib/data"
    katib.comes_to("Succeeded")
    until(lambda: katib.bench.find(kinds.DEPLOYMENT, "tuning-grid") is None, "the algorithm to go")
    assert katib.bench.find(kinds.CLAIM, "tuning-grid")
    katib.change(maxTrialCount=3)
    status = until(
        lambda: (
            (found := katib.bench.get(kinds.EXPERIMENT, "tuning")["status"]).get("trialsSucceeded") == 3
            and found
        ),
        "one more trial",
    )
    assert said(status, "Restarting") == "Experiment is restarted"
    katib.comes_to("Succeeded")


def test_early_stopping_has_an_account_of_its_own(katib: Katib):
    katib.deploy()
    stopping = {"algorithmName": "medianstop"}
    katib.tune(experiment(job(), earlyStopping=stopping))
    pod = katib.bench.get(kinds.DEPLOYMENT, "tuning-grid")["spec"]["template"]["spec"]
    assert [each["image"] for each in pod["containers"]] == ["optuna:1", "medianstop:1"]
    assert pod["serviceAccountName"] == "tuning-grid"
    assert katib.bench.get(kinds.ROLE, "tuning-grid")["rules"][0]["resources"] == ["trials", "trials/status"]
    katib.comes_to("Succeeded")


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ({"maxTrialCount": 9}, "Max Trial Count: 9 > all possible search combinations: 4"),
        (
            {"algorithm": {"algorithmName": "grid", "algorithmSettings": [{"name": "a", "value": "b"}]}},
            "unknown setting a for algorithm grid",
        ),
    ],
    ids=["too many", "unknown setting"],
)
def test_what_an_algorithm_refuses_fails(katib: Katib, spec: dict[str, Any], why: str):
    katib.deploy()
    katib.tune(experiment(job(), **spec))
    assert said(katib.comes_to("Failed"), "Failed") == "Suggestion has failed"
    assert why in said(katib.comes_to("Failed", kinds.SUGGESTION), "Failed")


def test_bounds_that_are_no_numbers_are_told_in_an_event(katib: Katib, players: Players):
    katib.deploy()
    wrong = {**RATE, "feasibleSpace": {"min": "a little", "max": "1"}}
    katib.tune(experiment(job(), algorithm={"algorithmName": "random"}, parameters=[wrong]))
    until(lambda: "could not convert string to float: 'a little'" in katib.events(), "an event")
    assert players.refusals() == []


def test_an_algorithm_without_image_is_told_in_an_event(katib: Katib):
    katib.deploy()
    katib.tune(experiment(job(), algorithm={"algorithmName": "tpe"}))
    until(lambda: "failed to find suggestion config for algorithm: tpe" in katib.events(), "an event")


def test_a_configuration_of_a_wrong_type_does_not_start(katib: Katib, players: Players):
    katib.deploy({**CONFIG, "init": {"controller": {"webhookPort": "8443"}}})
    until(lambda: any("Failed to get KatibConfig" in each for each in players.refusals()), "a refusal")
    assert any("webhookPort of type int32" in each for each in players.refusals())


def test_it_has_no_more_rights_than_its_account(katib: Katib, players: Players):
    katib.deploy()
    katib.bench.grant([rule for rule in ROLES[PROGRAM] if rule[0] != "batch"])
    katib.tune(experiment(job()))
    until(
        lambda: any(
            'cannot list resource "jobs" in API group "batch"' in each for each in players.refusals()
        ),
        "a refusal",
    )


def test_a_full_quota_is_told_by_the_job(katib: Katib):
    katib.deploy()
    bench = katib.bench
    until(lambda: bench.get(kinds.DEPLOYMENT, "any-name")["status"].get("availableReplicas"))
    bench.make(kinds.QUOTA, "quota", {"hard": {"count/jobs.batch": "0"}})
    until(lambda: "hard" in bench.get(kinds.QUOTA, "quota").get("status", {}), "the quota")
    katib.tune(experiment(job()))
    until(lambda: "Failed to reconcile" in katib.events() and "exceeded quota" in katib.events(), "an event")
