"""An experiment that really runs: Katib's own controller, goptuna and metrics collectors, and MariaDB."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from node.platforms import MODEL, SHELL, Platform, running
from partial_bundle import TUNING

from rehearsal.node.name import NAME
from rehearsal.patience import until

IMAGES = (
    "busybox",
    "charmed-mysql",
    "file-metrics-collector",
    "katib-controller",
    "katib-db-manager",
    "suggestion-goptuna",
)
APPLICATIONS = [each for each in TUNING if each != "kubeflow-training"]
LOSS = "(x - 0.3) * (x - 0.3) + w * w"
TRIAL = f"""sleep 5; awk -v x=${{trialParameters.x}} -v w=${{trialParameters.w}} 'BEGIN {{print "loss=" {LOSS}}}'"""
"""One line, to which Katib adds where the output goes; the collector has to find the process at its start."""


def experiment(name: str, trial: str) -> dict[str, Any]:
    """Return an experiment of 8 trials, of which 4 at a time run, whose best is at x = 0.3, w = 0."""
    container = {"name": "main", "image": SHELL, "command": ["sh", "-c", trial]}
    spec = {"restartPolicy": "Never", "containers": [container]}
    return {
        "apiVersion": "kubeflow.org/v1beta1",
        "kind": "Experiment",
        "metadata": {"name": name, "namespace": "ada"},
        "spec": {
            "objective": {"type": "minimize", "objectiveMetricName": "loss"},
            "algorithm": {"algorithmName": "cmaes"},
            "parallelTrialCount": 4,
            "maxTrialCount": 8,
            "maxFailedTrialCount": 0,
            "parameters": [
                {"name": "x", "parameterType": "double", "feasibleSpace": {"min": "0.0", "max": "1.0"}},
                {"name": "w", "parameterType": "double", "feasibleSpace": {"min": "-1.0", "max": "1.0"}},
            ],
            "trialTemplate": {
                "primaryContainerName": "main",
                "trialParameters": [{"name": key, "reference": key} for key in ("x", "w")],
                "trialSpec": {
                    "apiVersion": "batch/v1",
                    "kind": "Job",
                    "spec": {"backoffLimit": 0, "template": {"spec": spec}},
                },
            },
        },
    }


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with running(tmp_path_factory.mktemp("bundle"), APPLICATIONS, IMAGES) as platform:
        until(lambda: platform.kubectl("get", "serviceaccount", "-n", "ada", "-o", "name"), within=60)
        yield platform


def test_eight_trials_find_the_best_one(platform: Platform) -> None:
    status = platform.run(experiment("valley", TRIAL), within=240)
    assert status["trialsSucceeded"] == 8
    best = status["currentOptimalTrial"]
    found = {each["name"]: float(each["value"]) for each in best["parameterAssignments"]}
    (metric,) = best["observation"]["metrics"]
    assert float(metric["min"]) == pytest.approx((found["x"] - 0.3) ** 2 + found["w"] ** 2, abs=1e-4)
    trials = platform.get("trials", "-n", "ada")["items"]
    losses = [float(each["status"]["observation"]["metrics"][0]["min"]) for each in trials]
    assert len(losses) == 8
    assert float(metric["min"]) == min(losses)


def test_trials_suggestions_and_the_database_really_ran(platform: Platform) -> None:
    found = platform.get("pods", "-A")["items"]
    real = {pod["metadata"]["name"] for pod in found if pod["spec"].get("nodeName") == NAME}
    for begin in ("katib-controller-", "katib-db-manager-", "kfp-db-program-"):
        assert any(name.startswith(begin) for name in real), real
    rows = platform.kubectl(
        "exec", "-n", MODEL, "deploy/kfp-db-program", "--", "sh", "-c",
        "mariadb --no-defaults -h 127.0.0.1 -u operator -p$(cat /secret/password) -N "
        "-e 'select count(distinct trial_name) from katib.observation_logs'",
    )  # fmt: skip
    assert int(rows) == 8


def test_the_controller_asks_for_nothing_that_it_has_no_right_to(platform: Platform) -> None:
    for name in ("katib-controller", "katib-db-manager"):
        said = platform.kubectl("logs", "-n", MODEL, f"deploy/{name}", "--tail=-1")
        assert not [line for line in said.splitlines() if "forbidden" in line.lower()]
