"""What has been run, and which statuses there were."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import jubilant
import yaml

Run = Callable[..., subprocess.CompletedProcess[str]]


def test_operations_are_listed(juju: jubilant.Juju, web: str, run: Run) -> None:
    assert run("operations").stderr == "no matching operations\n"
    juju.run("web/0", "greet", {"name": "Ada"})
    listed = run("operations").stdout.splitlines()
    assert listed[0].split() == ["ID", "Status", "Started", "Finished", "Task", "IDs", "Summary"]
    assert listed[1].split()[1] == "completed" and listed[1].endswith("greet run on unit-web-0")
    said = yaml.safe_load(run("operations", "--format", "yaml", "--apps", "web").stdout)
    assert [each["action"]["name"] for each in said.values()] == ["greet"]
    assert run("operations", "--status", "failed").stderr == "no matching operations\n"
    wrong = run("operations", "--status", "nice")
    assert wrong.returncode == 2 and '"nice" is not a valid task status, want one of [pending' in wrong.stderr


def test_a_waiting_task_is_cancelled(juju: jubilant.Juju, web: str, run: Run, settle: Callable) -> None:
    for _ in range(2):
        run("run", "--background", "web/0", "wait")
    last = max(int(each) for each in _tasks(run))
    said = yaml.safe_load(run("cancel-task", last).stdout)
    assert said[str(last)]["status"] == "cancelled"
    settle()
    assert _tasks(run)[str(last)]["status"] == "cancelled"
    assert f"action: action-{last}, error: action already cancelled" in run("cancel-task", last).stderr
    refused = run("cancel-task", "99")
    assert refused.stderr == "ERROR no actions found matching prefix 99, no actions have been canceled\n"


def _tasks(run: Run) -> dict[str, dict]:
    said = yaml.safe_load(run("operations", "--format", "yaml").stdout)
    return {id: task for each in said.values() for id, task in each["tasks"].items()}


def test_past_statuses_are_shown(juju: jubilant.Juju, web: str, run: Run) -> None:
    said = run("show-status-log", "web/0", "-n", "200").stdout
    assert "waiting" in said and "installing agent" in said and "running install hook" in said
    kinds = {
        each["type"] for each in yaml.safe_load(run("show-status-log", "web/0", "--format", "yaml").stdout)
    }
    assert kinds <= {"juju-unit", "workload"}
    assert len(run("show-status-log", "web/0", "-n", "2").stdout.splitlines()) == 3
    workload = run("show-status-log", "--type", "workload", "web/0").stdout.splitlines()
    assert [line.split()[5] for line in workload[1:]].count("active") >= 1
    assert "entity name is missing." in run("show-status-log").stderr
    assert 'unexpected status type "x"' in run("show-status-log", "--type", "x", "web/0").stderr
