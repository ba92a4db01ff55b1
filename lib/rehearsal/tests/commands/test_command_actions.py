"""Actions, what comes of them, and the events that units dispatch."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import jubilant
import pytest


def test_jubilant_runs_an_action(juju: jubilant.Juju, web: str) -> None:
    task = juju.run("web/0", "greet", {"name": "Ada", "style": {"end": "?"}, "times": 2})
    assert (task.status, task.return_code, task.results) == ("completed", 0, {"text": "hello Ada?hello Ada?"})
    (line,) = task.log
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4} \w+ clearing my throat", line)
    assert juju.run("web/leader", "greet", {"name": "Bo"}).results["text"] == "hello Bo!"


def test_people_read_what_an_action_says(juju: jubilant.Juju, web: str, run) -> None:
    done = run(
        "run",
        "web/0",
        "greet",
        "name=Ada",
        "style.end=.",
        "--string-args",
        "--params",
        "-",
        input="times: 3\n",
    )
    number = int(done.stderr.split()[2])
    assert done.stdout == "text: hello Ada.hello Ada.hello Ada.\n\n"
    head, _, told = done.stderr.partition("...\n\n")
    assert head == (
        f"Running operation {number} with 1 task\n  - task {number + 1} on unit-web-0\n\n"
        f"Waiting for task {number + 1}"
    )
    assert re.fullmatch(r"\d\d:\d\d:\d\d clearing my throat\n", told)


def test_words_are_yaml_unless_they_are_strings(juju: jubilant.Juju, web: str, run) -> None:
    assert '"text":"hello 5!"' not in run("run", "web/0", "greet", "name=5", "--format=json").stdout
    assert "hello 5!" in run("run", "web/0", "greet", "name=5", "--string-args").stdout
    assert "hello 5!" in run("run", "web/0", "greet", "name='5'").stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["web/0", "dance"], 'action "dance" not defined on unit "web/0"'),
        (["web/9", "greet"], 'unit "web/9" not found'),
        (["store/0", "greet"], 'no actions defined on charm "store"'),
        (["web/0", "greet"], 'validation failed: (root) : "name" property is missing and required, given {"times":1}'),
        (["web/0", "greet", "name=a", "nick=b"], 'validation failed: (root) : additional property "nick" is not '
         'allowed, given {"times":1,"name":"a","nick":"b"}'),
        (["web/0", "greet", "name=a", "times=x"], 'validation failed: (root).times : must be of type integer, given "x"'),
    ],
)  # fmt: skip
def test_what_cannot_be_run_is_said_and_nothing_printed(
    juju: jubilant.Juju, web: str, store: str, run, words: list[str], message: str
) -> None:
    done = run("run", *words)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.partition(":\n")[2] == f"{message}\n"
    with pytest.raises(ValueError, match="error running action"):
        juju.run(words[0], words[1])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "no unit specified"),
        (["greet"], "no unit specified"),
        (["web/0"], "no action specified"),
        (["web/0", "store/0", "greet"], "all units must be of the same application"),
        (["web/0", "Greet!"], 'invalid unit or action name "Greet!"'),
        (["web/0", "greet", "Ada"], 'argument "Ada" must be of the form key.key.key...=value'),
        (["web/0", "greet", "--wait", "1s", "--background"], "cannot specify both --wait and --background"),
    ],
)
def test_a_line_that_runs_nothing_is_refused(
    juju: jubilant.Juju, web: str, run, words: list[str], message: str
) -> None:
    done = run("run", *words)
    assert (done.returncode, done.stderr) == (2, f"ERROR {message}\n")


def test_an_action_may_fail_by_itself_or_break(juju: jubilant.Juju, web: str, run) -> None:
    with pytest.raises(jubilant.TaskError) as refusal:
        juju.run("web/0", "give-up")
    assert (refusal.value.task.status, refusal.value.task.message) == ("failed", "no wish to")
    done = run("run", "web/0", "give-up")
    assert (done.returncode, done.stdout.splitlines()[0].partition(" failed: ")[2]) == (0, "no wish to")
    with pytest.raises(jubilant.TaskError) as refusal:
        juju.run("web/0", "crash")
    assert (refusal.value.task.return_code, refusal.value.task.message) == (1, "exit status 1")
    done = run("run", "web/0", "crash")
    assert done.returncode == 1
    assert "ERROR the following task failed:\n - id " in done.stderr
    assert "RuntimeError: crashed" in juju.debug_log()


def test_waiting_for_an_action_has_an_end(juju: jubilant.Juju, web: str, settle) -> None:
    with pytest.raises(TimeoutError):
        juju.run("web/0", "wait", wait=0.2)
    settle()


def test_an_operation_in_the_background_is_looked_at_later(
    juju: jubilant.Juju, web: str, run, settle
) -> None:
    juju.add_unit("web")
    settle()
    done = run("run", "web/0", "web/1", "greet", "name=Ada", "--background")
    number = int(done.stderr.split()[2])
    assert done.stderr.startswith(f"Scheduled operation {number} with 2 tasks\n")
    assert f'web/1:\n  id: "{number + 2}"\n' in done.stdout
    shown = json.loads(run("show-operation", number, "--watch", "--format", "json").stdout)
    assert shown["status"] == "completed"
    assert shown["summary"] == "greet run on unit-web-0,unit-web-1"
    assert shown["action"]["parameters"] == {"name": "Ada", "times": 1}
    assert shown["tasks"][str(number + 1)]["host"] == "web/0"
    assert run("show-task", number + 1, "--wait", "5s").stdout == "text: hello Ada!\n\n"
    assert json.loads(run("show-task", number + 2, "--format", "json").stdout)["unit"] == "web/1"
    both = run("run", "web/0", "web/1", "greet", "name=Bo").stdout
    assert both.count("output: |\n    text: hello Bo!\n") == 2
    juju.remove_unit("web", num_units=1)
    settle()


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["show-task", "999"], 1, "task 999 not found"),
        (["show-task", "x"], 2, 'task ID "x" not valid'),
        (["show-operation", "999"], 1, "operation 999 not found"),
        (["show-operation"], 2, "no operation ID specified"),
    ],
)
def test_a_task_that_is_none_is_refused(
    juju: jubilant.Juju, run, words: list[str], status: int, message: str
) -> None:
    done = run(*words)
    assert (done.returncode, done.stderr) == (status, f"ERROR {message}\n")


def test_actions_are_listed(juju: jubilant.Juju, web: str, store: str, run) -> None:
    assert run("actions", "web").stdout.splitlines()[3].split(maxsplit=1) == [
        "greet",
        "Say something to somebody.",
    ]
    assert json.loads(run("actions", "web", "--schema", "--format", "json").stdout)["greet"]["required"] == [
        "name"
    ]
    assert set(json.loads(run("list-actions", "web", "--format", "json").stdout)) == {
        "crash",
        "give-up",
        "greet",
        "wait",
    }
    assert run("actions", "store").stderr == "No actions defined for store.\n"


def test_jubilant_dispatches_an_event(juju: jubilant.Juju, web: str, run, settle) -> None:
    task = juju.exec("JUJU_DISPATCH_PATH=hooks/poked", "./dispatch", unit="web/0")
    assert task.success
    assert juju.status().apps["web"].units["web/0"].workload_status.message == "poked"
    done = run("exec", "--application", "web", "--", "JUJU_DISPATCH_PATH=hooks/update_status ./dispatch")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert juju.status().apps["web"].units["web/0"].workload_status.current == "active"


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["--unit", "web/0", "--", "ls", "-l"], 1, "only the dispatch of an event can be run on a unit of a rehearsal, "),
        (["--", "ls"], 2, "You must specify a target, either through --all, --machine, --application or --unit"),
        (["--all", "--", "ls"], 1, "unable to target machines with a k8s controller"),
        (["--unit", "web/0"], 2, "no commands specified"),
    ],
)  # fmt: skip
def test_what_needs_a_container_is_refused(
    juju: jubilant.Juju, web: str, run, words: list[str], status: int, message: str
) -> None:
    done = run("exec", *words)
    assert done.returncode == status
    assert done.stderr.startswith(f"ERROR {message}")


def test_a_process_of_the_charm_asks_for_an_event(
    juju: jubilant.Juju, programs: Path, web: str, settle
) -> None:
    environment = os.environ | {"REHEARSAL_MODEL": "test"}
    line = "JUJU_DISPATCH_PATH=hooks/poked /var/lib/juju/charm/dispatch"

    def juju_exec(*words: str) -> subprocess.CompletedProcess[str]:
        command = [programs / "juju-exec", *words]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    assert juju_exec("web/0", line).returncode == 0
    assert juju.status().apps["web"].units["web/0"].workload_status.message == "poked"
    assert juju_exec("web/9", line).stderr == 'ERROR unit "web/9" not found\n'
    assert juju_exec("web/0").returncode == 2
    juju.config("web", {"greeting": "raise"})
    juju.wait(lambda status: jubilant.any_error(status, "web"), delay=0.05, successes=1)
    juju.config("web", reset="greeting")
    juju.cli("resolved", "web/0")
    settle()
