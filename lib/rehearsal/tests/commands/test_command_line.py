"""The command line: how it is read, what is wrong with it, whom it speaks to, and how it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import jubilant
import pytest

from rehearsal.juju import client, commands
from rehearsal.juju.commands.parsing import parse
from rehearsal.juju.commands.registry import REGISTRY
from rehearsal.juju.controller.engine import Engine
from rehearsal.juju.model.errors import JujuError
from rehearsal.patience import PATIENCE, until


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("deploy", "no charm or bundle specified"),
        ("deploy a b c d", 'unrecognized args: ["c" "d"]'),
        ("deploy a --speed=3", "option provided but not defined: --speed"),
        ("deploy a -x", "option provided but not defined: -x"),
        ("deploy a -n", "option needs an argument: -n"),
        ("deploy a -n many", 'invalid value "many" for option -n: strconv.ParseInt: parsing "many": invalid syntax'),
        ("deploy a --num-units=x", 'invalid value "x" for option --num-units: strconv.ParseInt: parsing "x": invalid syntax'),
        ("deploy a --trust=perhaps", 'invalid value "perhaps" for option --trust: strconv.ParseBool: parsing "perhaps": invalid syntax'),
        ("status --format xml", 'invalid value "xml" for option --format: unknown format "xml"'),
        ("status --watch often", 'invalid value "often" for option --watch: time: invalid duration "often"'),
        ("scale-application web", "no scale specified"),
        ("integrate web", "an integration must involve two applications"),
        ("grant-secret s", "missing secret URI or application name"),
    ],
)  # fmt: skip
def test_a_line_that_means_nothing_is_refused_in_jujus_words(line: str, message: str) -> None:
    name, *words = line.split()
    with pytest.raises(JujuError) as refusal:
        parse(REGISTRY[name], words)
    assert (str(refusal.value), refusal.value.code) == (message, 2)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("deploy ./a --trust b -n 3", {"charm": "./a", "name": "b", "trust": True, "num_units": 3}),
        ("deploy ./a --num-units=3 -m=m", {"num_units": 3, "model": "m"}),
        ("deploy a --config x=1 b --config y=2", {"name": "b", "config": ["x=1", "y=2"]}),
        ("refresh a --trust=false", {"name": "a", "trust": False, "said": {"trust": False}}),
        ("refresh a --trust=true", {"trust": True}),
        ("config a k=-1 --reset b", {"name": "a", "words": ["k=-1"], "reset": ["b"]}),
        ("scale-application a -1", {"scale": "-1"}),
        ("run a/0 act --wait 1m30s k=v", {"words": ["a/0", "act", "k=v"], "wait": 90.0}),
        ("exec -u a/0 -u b/0 -- ls -l", {"unit": ["a/0", "b/0"], "words": ["ls", "-l"]}),
        ("status --color --integrations web", {"relations": True, "patterns": ["web"]}),
    ],
)
def test_options_may_stand_anywhere(line: str, expected: dict[str, object]) -> None:
    name, *words = line.split()
    found = vars(parse(REGISTRY[name], words))
    assert {key: found[key] for key in expected} == expected


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["staus"], 2, 'ERROR juju: "staus" is not a juju command. See "juju --help".\n\nDid you mean:\n\tstatus\n'),
        (["bootstrap"], 1, "ERROR juju bootstrap is not rehearsed: a rehearsal is its own controller, on its own cloud\n"),
        (["attach-storage"], 1,
         "ERROR juju attach-storage is not rehearsed: a pod's claims do not change, and there is one pool, "
         "kubernetes\n"),
        (["status", "-m", "nobody"], 1, "ERROR model rehearsal:admin/nobody not found\n"),
        (["status", "-m", "other:test"], 1, "ERROR controller other not found\n"),
        (["status", "-m", "carla/test"], 1, "ERROR model rehearsal:carla/test not found\n"),
        (["show-unit", "web"], 1, 'ERROR invalid unit name "web"\n'),
        (["show-unit", "web/7"], 1, 'ERROR unit "web/7" not found\n'),
        (["config", "nobody"], 1, 'ERROR application "nobody" not found\n'),
    ],
)  # fmt: skip
def test_what_is_not_there_is_said_on_standard_error(
    juju: jubilant.Juju, run, words: list[str], status: int, said: str
) -> None:
    done = run(*words)
    assert (done.returncode, done.stdout, done.stderr) == (status, "", said)


def test_help_of_every_command_has_usage_summary_and_options(run) -> None:
    listed = run("help", "commands").stdout
    for name, command in REGISTRY.items():
        text = run("help", name).stdout if name == "deploy" else commands.helping.of(command)
        assert text.startswith(f"Usage: juju {command.names[0]} [options]")
        assert f"Summary:\n{command.summary}\n" in text
        assert "-m, --model" in text
        assert f"    {command.names[0]} " in listed
    assert run("deploy", "--help").stdout == run("help", "deploy").stdout
    assert run().stdout == run("--help").stdout == run("help").stdout
    assert "Aliases: relate, add-relation" in run("help", "integrate").stdout


@pytest.mark.parametrize(
    "reference", ["test", "admin/test", "rehearsal:test", "rehearsal:admin/test", "UUID"]
)
def test_a_model_is_named_in_all_of_jujus_ways(
    juju: jubilant.Juju, engine: Engine, run, reference: str
) -> None:
    reference = reference.replace("UUID", engine.models["test"].uuid)
    assert '"name":"test"' in run("status", "-m", reference, "--format=json").stdout
    assert '"name":"test"' in run("status", "--format=json", JUJU_MODEL=reference).stdout


def test_without_a_model_juju_says_how_to_choose_one(juju: jubilant.Juju, run) -> None:
    done = run("status", JUJU_MODEL="")
    assert done.returncode == 1
    assert done.stderr.startswith("ERROR No model in focus.\n")


def test_a_fault_of_ours_is_a_traceback_and_the_server_goes_on(
    juju: jubilant.Juju, run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(commands.helping, "everything", lambda: 1 // 0)
    done = run("help")
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr
    assert "juju help" in caplog.text
    assert run("version").returncode == 0


def test_without_a_server_there_is_one_sentence(programs: Path, tmp_path: Path) -> None:
    environment = os.environ | {"REHEARSAL_SOCKET": str(tmp_path / "none")}
    done = subprocess.run(
        [programs / "juju", "status"], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 1
    assert done.stderr == "ERROR no rehearsal is running: start one with `rehearse`\n"


def test_words_that_are_no_utf8_arrive(juju: jubilant.Juju, programs: Path) -> None:
    done = subprocess.run([programs / "juju", b"stat\xffs"], capture_output=True, check=False)
    assert done.returncode == 2
    assert b"stat" in done.stderr


def test_a_reader_that_goes_away_ends_the_program_quietly(juju: jubilant.Juju, programs: Path) -> None:
    line = f"{programs / 'juju'} help | head -c 1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False)
    assert done.stderr == ""


def test_the_program_loads_nothing_that_takes_time(programs: Path, engine: Engine) -> None:
    listing = subprocess.run(
        [sys.executable, "-SE", "-X", "importtime", client.__file__, "juju", "version"],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"REHEARSAL_SOCKET": str(programs / "socket")},
    )
    lines = [line for line in listing.stderr.splitlines() if line.startswith("import time:")]
    loaded = {line.rpartition("|")[2].strip() for line in lines}
    assert "_socket" in loaded
    assert not loaded & {"json", "socket", "signal", "enum", "re", "pathlib", "argparse"}


def test_ctrl_c_ends_what_streams_and_nothing_else(juju: jubilant.Juju, programs: Path) -> None:
    command = [programs / "juju", "status", "-m", "test", "--watch", "100ms"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as watching:
        assert watching.stdout is not None
        assert watching.stdout.read(64)
        watching.send_signal(signal.SIGINT)
        assert watching.wait(PATIENCE) == 130
    until(lambda: not any("_answer" in thread.name for thread in threading.enumerate()))
    assert juju.status().model.name == "test"
