"""A hook that fails: nothing is kept of it, it is retried, it can be resolved (nextOpHookError)."""

from __future__ import annotations

import os
import shutil
import signal
import time
from pathlib import Path

import pytest
from juju_model import CHARMS, Juju

from rehearsal.juju.charm_process import host
from rehearsal.juju.model.errors import JujuError

FAILING = """
if name == "config-changed":
  r = self.model.get_relation("web")
  r.data[self.unit]["k"] = r.data[self.app]["k"] = "v"
  self.unit.status = ops.ActiveStatus("done")
  self.unit.open_port("tcp", 80)
  self.unit.set_workload_version("9")
  self.app.add_secret({"key": "value"})
  self.stored.count = 1
  print("printed before")
  if self.config["size"] == 3: raise RuntimeError("no such luck")
if name == "say":
  tell(self.stored.count)
"""


def deploy_failing(juju: Juju) -> int:
    """Deploy `b`, whose config-changed fails as long as `size` is 3; return a relation of it."""
    juju.deploy("a")
    juju.deploy("b", config={"script": FAILING})
    number = juju.integrate("a:db", "b:web")
    juju.fail_now("b/0")
    return number


def test_nothing_of_a_failed_hook_is_kept_but_what_juju_shows_at_once(juju: Juju) -> None:
    relation = juju.model.relations[deploy_failing(juju)]
    unit = juju.unit("b/0")
    assert (unit.workload.current, unit.workload.message) == ("error", 'hook failed: "config-changed"')
    assert unit.agent.current == "idle"
    assert "k" not in relation.unit_data["b/0"].data
    assert "b" not in relation.application_data
    assert (unit.ports, juju.model.secrets) == ([], {})
    assert (unit.workload_version, unit.charm_status.current) == ("9", "active")
    assert juju.run("b/0", "say").status == "completed"
    assert juju.told("b/0") == [0]
    assert "printed before" in [line.message for line in juju.lines("b/0")]
    # Nothing else happens to the unit meanwhile.
    assert juju.ran("b/0")[-1] == "leader-elected"


def test_a_failed_hook_leaves_its_traceback_in_the_log(juju: Juju) -> None:
    deploy_failing(juju)
    errors = [line for line in juju.lines("b/0") if line.level == "ERROR"]
    said = [line.message for line in errors]
    assert said[:2] == ["Uncaught exception while in charm code:", "Traceback (most recent call last):"]
    assert said[-2:] == [
        "RuntimeError: no such luck",
        'hook "config-changed" (via hook dispatching script: dispatch) failed: exit status 1',
    ]
    assert errors[-1].module == "juju.worker.uniter.operation"
    assert {line.module for line in errors[:-1]} == {"unit.b/0.juju-log"}
    # It begins in what the charm's author knows: none of it is the rehearsal's.
    assert not [message for message in said if "rehearsal/juju" in message]


def test_a_failed_hook_is_retried_and_what_it_writes_then_counts(juju: Juju) -> None:
    relation = juju.model.relations[deploy_failing(juju)]
    juju.config("b", size=4)
    with juju.engine.lock:
        juju.unit("b/0").retry_at = 0.0
    juju.settle()
    unit = juju.unit("b/0")
    assert relation.application_data["b"].data == {"k": "v"}
    assert (unit.workload.current, unit.workload.message) == ("active", "done")
    assert (unit.ports, unit.workload_version, len(juju.model.secrets)) == (["80/tcp"], "9", 1)


def test_tries_come_at_doubling_intervals_up_to_five_minutes(juju: Juju) -> None:
    deploy_failing(juju)
    unit, waits = juju.unit("b/0"), []
    for _ in range(8):
        juju.fail_now("b/0")
        with juju.engine.lock:
            tries = unit.retries
            waits.append(round((unit.retry_at or 0) - time.monotonic()))
            unit.retry_at = 0.0
            juju.engine.poke()
        juju.until(lambda tries=tries: unit.retries > tries)
    assert waits == [5, 10, 20, 40, 80, 160, 300, 300]


def test_without_automatically_retry_hooks_it_waits_for_the_user(juju: Juju) -> None:
    juju.model.config["automatically-retry-hooks"] = False
    deploy_failing(juju)
    assert juju.unit("b/0").retry_at is None


def test_resolved_runs_it_again_and_with_no_retry_takes_it_as_run(juju: Juju) -> None:
    deploy_failing(juju)
    unit = juju.unit("b/0")
    with juju.engine.lock:
        juju.engine.resolve(juju.model, unit, retry=True)
    juju.until(lambda: unit.failed is None or unit.retries == 1)
    juju.fail_now("b/0")
    with juju.engine.lock:
        juju.engine.resolve(juju.model, unit, retry=False)
    juju.settle()
    assert juju.ran("b/0")[-4:] == [
        "start",
        "work-pebble-ready",
        "web-relation-joined",
        "web-relation-changed",
    ]
    assert unit.workload.current == "active"  # as the failed hook said
    with juju.engine.lock, pytest.raises(JujuError) as refusal:
        juju.engine.resolve(juju.model, unit, retry=True)
    assert str(refusal.value) == 'unit "b/0" is not in an error state'


def test_actions_run_on_a_unit_in_error(juju: Juju) -> None:
    deploy_failing(juju)
    assert juju.run("b/0", "say").status == "completed"
    assert juju.unit("b/0").workload.current == "error"


def test_a_failed_hook_of_a_relation_that_is_gone_is_no_longer_needed(juju: Juju) -> None:
    juju.deploy("a")
    juju.deploy("b", config={"script": "if name == 'web-relation-broken': raise SystemExit(3)"})
    juju.settle()
    number = juju.integrate("a:db", "b:web")
    juju.settle()
    with juju.engine.lock:
        juju.engine.remove_relation(juju.model.relations[number])
    juju.fail_now("b/0")
    assert juju.lines("b/0")[-1].message.endswith("failed: exit status 3")
    with juju.engine.lock:
        juju.engine.remove_application(juju.model, juju.model.applications["b"], force=True)
    juju.settle()
    assert number not in juju.model.relations
    assert list(juju.model.applications) == ["a"]


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("os._exit(7)", "exit status 7"),
        ("os._exit(0)", "exit status 0"),
        ("os.kill(os.getpid(), 9)", "signal: killed"),
        ("os.abort()", "signal: SIGABRT"),
        ("raise SystemExit(2)", "exit status 2"),
        ("raise KeyboardInterrupt", "exit status 1"),
    ],
)
def test_a_process_that_breaks_off_is_a_failed_hook_and_no_more(juju: Juju, script: str, reason: str) -> None:
    juju.deploy(
        "a", config={"script": f"if name == 'start':\n  tell('begun'); print('said', flush=True)\n  {script}"}
    )
    juju.fail_now("a/0")
    lines = juju.lines("a/0")
    assert lines[-1].message == f'hook "start" (via hook dispatching script: dispatch) failed: {reason}'
    assert {"said", 'told "begun"'} <= {line.message for line in lines}
    juju.config("a", script="")
    with juju.engine.lock:
        juju.engine.resolve(juju.model, juju.unit("a/0"), retry=True)
    juju.settle()
    assert "start" in juju.ran("a/0")


def test_leaving_with_status_0_is_no_failure(juju: Juju) -> None:
    juju.deploy("a", config={"script": "if name == 'start': raise SystemExit(0)"})
    juju.settle()
    assert "start" in juju.ran("a/0")


def test_a_hook_that_is_killed_from_outside_fails_and_is_retried(juju: Juju) -> None:
    juju.deploy("a", config={"script": "import time\nif name == 'start': time.sleep(0.5)"})
    juju.until(lambda: juju.unit("a/0").seen.installed)
    killed: list[int] = []

    def kill(pid: int) -> None:
        running = juju.unit("a/0").running
        if running is not None and running.name == "start" and not killed:
            killed.append(pid)
            os.kill(pid, signal.SIGKILL)

    with juju.engine.lock:
        juju.engine.host(juju.model, juju.unit("a/0")).on_pid = kill
    juju.fail_now("a/0")
    assert juju.lines("a/0")[-1].message.endswith("failed: signal: killed")
    with juju.engine.lock:
        juju.unit("a/0").retry_at = 0.0
    juju.settle()
    assert "start" in juju.ran("a/0")


def test_a_hook_that_never_ends_is_killed(juju: Juju, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "HOOK_WITHIN", 1.0)
    juju.deploy("a", config={"script": "import time\nif name == 'start': time.sleep(600)"})
    juju.fail_now("a/0")
    assert juju.lines("a/0")[-1].message.endswith("failed: no end within 1 seconds")


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("def broken(:\n", "SyntaxError: invalid syntax"),
        ("import no_such_module\n", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("import ops\n", "ImportError: src/charm.py gives no charm class to ops.main"),
        ("raise SystemExit(4)\n", "SystemExit: 4"),
    ],
    ids=["syntax", "import", "no charm", "exit"],
)
def test_a_charm_that_cannot_be_imported_fails_its_install_and_a_refresh_heals_it(
    juju: Juju, tmp_path: Path, source: str, error: str
) -> None:
    shutil.copytree(CHARMS / "puppet", tmp_path / "broken")
    (tmp_path / "broken" / "src" / "charm.py").write_text(source)
    application = juju.deploy("a", tmp_path / "broken")
    juju.fail_now("a/0")
    assert juju.unit("a/0").workload.message == 'hook failed: "install"'
    assert error in [line.message for line in juju.lines("a/0") if line.level == "ERROR"]
    shutil.copy(CHARMS / "puppet" / "src" / "charm.py", tmp_path / "broken" / "src")
    with juju.engine.lock:
        juju.engine.refresh(juju.model, application, application.charm)
    juju.settle()
    assert juju.ran("a/0")[0] == "install"
    assert "upgrade-charm" not in juju.ran("a/0")
