"""What a hook says holds at once, before it ends and however it ends (runner/context/context.go)."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from juju_model import Juju

WAIT = "\n  while not os.path.exists({path!r}): __import__('time').sleep(0.01)"


@pytest.fixture
def during(juju: Juju, tmp_path: Path) -> Callable[[str], Path]:
    """Have `a/0` do something in config-changed, and wait; return the file whose making ends the waiting."""

    def during(script: str) -> Path:
        juju.deploy("a")
        juju.settle()
        path = tmp_path / "go on"
        lines = f"if name == 'config-changed':\n  {script}" + WAIT.format(path=str(path))
        juju.config("a", script=lines)
        return path

    return during


def test_a_status_is_shown_while_the_hook_runs(juju: Juju, during: Callable[[str], Path]) -> None:
    path = during(
        "self.unit.status = ops.MaintenanceStatus('migrating'); self.app.status = ops.BlockedStatus('b')"
    )
    unit, application = juju.unit("a/0"), juju.model.applications["a"]
    juju.until(lambda: unit.workload.message == "migrating")
    juju.until(lambda: application.status.current == "blocked")
    assert unit.running is not None
    assert unit.running.name == "config-changed"
    path.touch()
    juju.settle()
    assert (unit.workload.current, unit.workload.message) == ("maintenance", "migrating")


def test_a_version_is_shown_while_the_hook_runs(juju: Juju, during: Callable[[str], Path]) -> None:
    path = during("self.unit.set_workload_version('2.1')")
    juju.until(lambda: juju.unit("a/0").workload_version == "2.1")
    assert juju.unit("a/0").running is not None
    path.touch()
    juju.settle()


def test_progress_of_an_action_is_told_while_it_runs(juju: Juju, tmp_path: Path) -> None:
    path = tmp_path / "go on"
    juju.deploy(
        "a", config={"script": "if name == 'say':\n  event.log('half')" + WAIT.format(path=str(path))}
    )
    juju.settle()
    with juju.engine.lock:
        task = juju.engine.enqueue(juju.model, juju.unit("a/0"), "action", "say")
    juju.until(lambda: [line for _, line in task.log] == ["half"])
    assert task.status == "running"
    path.touch()
    juju.settle()
    assert task.status == "completed"


def test_a_status_that_was_set_before_a_failure_stays(juju: Juju) -> None:
    juju.deploy("a")
    juju.settle()
    script = "if name == 'config-changed':\n  self.unit.status = ops.MaintenanceStatus('half way'); raise ValueError"
    juju.config("a", script=script)
    juju.fail_now("a/0")
    unit = juju.unit("a/0")
    assert (unit.workload.current, unit.workload.message) == ("error", 'hook failed: "config-changed"')
    with juju.engine.lock:
        juju.engine.resolve(juju.model, unit, retry=False)
    juju.settle()
    assert (unit.workload.current, unit.workload.message) == ("maintenance", "half way")


def test_a_new_interval_of_update_status_counts_at_once(juju: Juju) -> None:
    juju.deploy("a")
    juju.settle()
    juju.events()
    with juju.engine.lock:
        juju.engine.set_model_config(juju.model, {"update-status-hook-interval": "1s"})
    juju.until(lambda: "a/0 update-status" in juju.events())
    with juju.engine.lock:
        juju.engine.set_model_config(juju.model, {"update-status-hook-interval": None})
        due = juju.unit("a/0").seen.update_status_due
    juju.settle()
    assert due > time.monotonic() + 60
