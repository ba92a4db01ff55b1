"""`juju status` of applications that run, as jubilant and as people read it."""

from __future__ import annotations

import os
import pty
import subprocess
from pathlib import Path

import jubilant
import pytest


def test_an_empty_model_says_so(juju: jubilant.Juju, run) -> None:
    done = run("status")
    assert done.stdout.splitlines()[0].startswith("Model  Controller  Cloud/Region")
    assert done.stderr == '\nModel "admin/test" is empty.\n'
    assert juju.status().apps == {}


def test_jubilant_reads_every_field(juju: jubilant.Juju, web: str, store: str, settle) -> None:
    juju.integrate("web:db", "store:db")
    settle()
    status = juju.status()
    assert (status.model.name, status.model.type, status.model.version) == ("test", "caas", "3.6.9")
    app = status.apps["web"]
    assert (app.charm, app.charm_name, app.charm_origin, app.charm_rev) == ("local:web-0", "web", "local", 0)
    assert app.base is not None
    assert (app.scale, app.version, app.exposed, app.base.name) == (1, "2.1", False, "ubuntu")
    assert app.app_status.current == "active"
    related = app.relations["db"][0]
    assert (related.related_app, related.interface, related.scope) == ("store", "sql", "global")
    unit = app.units["web/0"]
    assert unit.leader
    assert unit.open_ports == ["53/udp", "8080/tcp", "8081/tcp"]
    assert (unit.juju_status.current, unit.juju_status.version) == ("idle", "3.6.9")
    assert unit.provider_id == "web-0"
    assert status.apps["store"].app_status.message == "all open"
    assert status.apps["store"].units["store/0"].workload_status.message == "open"


@pytest.mark.parametrize("form", ["tabular", "json", "yaml", "short", "line", "oneline"])
def test_every_format_shows_every_unit(juju: jubilant.Juju, web: str, store: str, run, form: str) -> None:
    done = run("status", "--format", form, "--storage")
    assert (done.returncode, done.stderr) == (0, "")
    assert "web/0" in done.stdout and "store/0" in done.stdout


def test_what_matches_nothing_is_said(juju: jubilant.Juju, web: str, run) -> None:
    assert run("status", "nobody").stderr == "Nothing matched specified filter.\n"
    assert run("status", "nobody", "none").stderr == "Nothing matched specified filters.\n"


def test_relations_are_shown_if_asked_for(juju: jubilant.Juju, web: str, store: str, run) -> None:
    assert "Integration provider" not in run("status").stdout
    for option in ("--relations", "--integrations"):
        assert "web:replicas" in run("status", option).stdout


def test_an_error_and_a_block_are_shown_with_their_reasons(juju: jubilant.Juju, web: str, settle) -> None:
    juju.config("web", {"greeting": "raise"})
    status = juju.wait(lambda status: jubilant.any_error(status, "web"), delay=0.1, successes=1)
    assert status.apps["web"].app_status.message == 'hook failed: "config-changed"'
    juju.config("web", {"greeting": "block"})
    juju.cli("resolved", "web/0")
    status = juju.wait(lambda status: jubilant.any_blocked(status, "web"), delay=0.1, successes=1)
    assert status.apps["web"].units["web/0"].workload_status.message == "told to " + "block " * 40
    settle()


def test_on_a_terminal_messages_are_cut(juju: jubilant.Juju, programs: Path, web: str, settle) -> None:
    juju.config("web", {"greeting": "block"})
    settle()
    outer, inner = pty.openpty()
    with os.fdopen(outer, "rb", 0) as screen:
        command = [programs / "juju", "status", "-m", "test"]
        with subprocess.Popen(command, stdout=inner, stderr=inner):
            os.close(inner)
            shown = b""
            while b"Unit" not in shown:
                shown += screen.read(4096)
    line = next(line for line in shown.decode().splitlines() if line.startswith("web "))
    assert line.endswith(("told to " + "block " * 40)[:117] + "...")
    juju.config("web", reset="greeting")
    settle()


def test_times_are_local_or_in_utc(juju: jubilant.Juju, web: str, run) -> None:
    since = juju.status().model.model_status.since
    assert since.endswith("Z") or "+" in since or "-" in since
    assert '"since":"20' in run("status", "--format", "json", "--utc").stdout
    assert '"since":"20' in run("status", "--format", "json", JUJU_STATUS_ISO_TIME="true").stdout


def test_watching_shows_it_again_and_again(juju: jubilant.Juju, programs: Path, web: str) -> None:
    command = [programs / "juju", "status", "-m", "test", "--watch", "50ms"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as watching:
        assert watching.stdout is not None
        shown = b""
        while shown.count(b"\033[2J") < 3:
            shown += watching.stdout.read(256)
        watching.terminate()
