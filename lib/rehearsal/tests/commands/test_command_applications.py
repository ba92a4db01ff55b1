"""Units, rights, errors and the end of applications."""

from __future__ import annotations

import os
import pty
import subprocess
from pathlib import Path

import jubilant
import pytest

from rehearsal.patience import PATIENCE


def test_units_come_and_go(juju: jubilant.Juju, web: str, run, settle) -> None:
    juju.add_unit("web", num_units=2)
    settle()
    assert set(juju.status().apps["web"].units) == {"web/0", "web/1", "web/2"}
    done = run("remove-unit", "web", "--num-units", "1")
    assert (done.returncode, done.stderr) == (0, "scaling down to 2 units\n")
    settle()
    assert set(juju.status().apps["web"].units) == {"web/0", "web/1"}
    juju.remove_unit("web", num_units=1)
    settle()
    done = run("scale-application", "web", "1")
    assert (done.returncode, done.stderr) == (0, "web scaled to 1 units\n")
    assert juju.status().apps["web"].scale == 1


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["add-unit", "web", "-n", "0"], 2, "--num-units must be a positive integer"),
        (["add-unit", "web", "--to", "3"], 2, "k8s models only support --num-units"),
        (["add-unit", "nobody"], 1, 'application "nobody" not found'),
        (["remove-unit", "web/0"], 2,
         "k8s models do not support removing named units.\nInstead specify an application with --num-units.\n"),
        (["remove-unit", "web"], 2, "specify the number of units (> 0) to remove using --num-units"),
        (["remove-unit", "web", "--num-units", "5"], 1, "cannot remove more units than currently exist (1)"),
        (["remove-unit", "web", "store", "--num-units", "1"], 2, "only single application supported"),
        (["scale-application", "web", "-1"], 2, "scale must be a positive integer"),
        (["scale-application", "web", "x"], 2, 'invalid scale "x": strconv.Atoi: parsing "x": invalid syntax'),
        (["resolved"], 2, "no unit specified"),
        (["resolved", "--all", "web/0"], 2, "specifying unit names(s) with --all not supported"),
        (["resolved", "web/0"], 1, 'unit "web/0" is not in an error state'),
        (["trust", "web", "--scope=world"], 1, 'scope "world" not valid'),
        (["remove-application", "web", "--no-wait"], 2, "--no-wait without --force not valid"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(
    juju: jubilant.Juju, web: str, run, words: list[str], status: int, message: str
) -> None:
    done = run(*words)
    assert (done.returncode, done.stderr) == (status, f"ERROR {message}\n")
    assert set(juju.status().apps["web"].units) == {"web/0"}


def test_trust_wants_its_scope(juju: jubilant.Juju, web: str, run) -> None:
    refused = run("trust", "web")
    assert refused.returncode == 1
    assert "Set the scope to 'cluster' using '--scope=cluster' to confirm this choice." in refused.stderr
    juju.trust("web", scope="cluster")
    assert juju.config("web", app_config=True) == {"trust": True}
    juju.trust("web", remove=True)
    assert juju.config("web", app_config=True) == {"trust": False}


def test_exposing_is_shown(juju: jubilant.Juju, web: str) -> None:
    juju.cli("expose", "web")
    assert juju.status().apps["web"].exposed
    juju.cli("unexpose", "web")
    assert not juju.status().apps["web"].exposed


def test_an_error_is_resolved_with_or_without_another_try(juju: jubilant.Juju, web: str, run, settle) -> None:
    juju.model_config({"automatically-retry-hooks": False})
    juju.config("web", {"greeting": "raise"})
    juju.wait(lambda status: jubilant.any_error(status, "web"), delay=0.05, successes=1)
    assert run("resolved", "web/0").returncode == 0
    # The error is still to be seen when the other try begins.
    settle()
    assert jubilant.any_error(juju.status(), "web")
    assert run("resolve", "--no-retry", "--all").returncode == 0
    settle()
    assert juju.status().apps["web"].app_status.current == "active"
    juju.config("web", reset="greeting")
    juju.model_config(reset="automatically-retry-hooks")
    settle()


@pytest.mark.parametrize("answer", ["", "n\n", "whatever\n"])
def test_removing_asks_first(juju: jubilant.Juju, web: str, run, answer: str) -> None:
    done = run("remove-application", "web", input=answer)
    assert done.returncode == 1
    assert done.stdout == "will remove application web\n- will remove unit web/0\n"
    assert done.stderr == (
        "WARNING This command will perform the following actions:\n"
        "\nContinue [y/N]? ERROR application removal: aborted\n"
    )
    assert "web" in juju.status().apps


def test_a_dry_run_removes_nothing(juju: jubilant.Juju, web: str, run) -> None:
    done = run("remove-application", "web", "--dry-run")
    assert (done.returncode, done.stdout) == (0, "will remove application web\n- will remove unit web/0\n")
    assert "life" not in run("status", "--format", "yaml").stdout


def test_removing_says_what_goes_and_goes_on_past_what_is_not_there(
    juju: jubilant.Juju, charms: Path, run, settle
) -> None:
    for name in ("one", "two", "three"):
        juju.deploy(charms / "store", name)
    settle()
    done = run("remove-application", "one", "nobody", "--no-prompt")
    assert done.returncode == 1
    assert done.stdout == "will remove application one\n- will remove unit one/0\n"
    assert done.stderr == 'ERROR removing application nobody failed: application "nobody" not found\n'
    assert run("remove-application", "two", input="y\n").returncode == 0
    assert run("remove-application", "three", JUJU_SKIP_CONFIRMATION="1").returncode == 0
    juju.wait(lambda status: not {"one", "two", "three"} & set(status.apps), delay=0.05)


def test_a_prompt_reads_what_is_typed_on_a_terminal(
    juju: jubilant.Juju, charms: Path, programs: Path, settle
) -> None:
    juju.deploy(charms / "store", "typed")
    settle()
    outer, inner = pty.openpty()
    command = [programs / "juju", "remove-application", "-m", "test", "typed"]
    with (
        os.fdopen(outer, "wb", 0) as keyboard,
        subprocess.Popen(command, stdin=inner, stdout=subprocess.DEVNULL) as asked,
    ):
        os.close(inner)
        keyboard.write(b"y\n")
        assert asked.wait(PATIENCE) == 0
    juju.wait(lambda status: "typed" not in status.apps, delay=0.05)


def test_jubilant_removes(juju: jubilant.Juju, charms: Path, settle) -> None:
    juju.deploy(charms / "store", "short")
    juju.deploy(charms / "store", "forced")
    settle()
    juju.remove_application("short", destroy_storage=True)
    juju.remove_application("forced", force=True)
    juju.wait(lambda status: not {"short", "forced"} & set(status.apps), delay=0.05)
