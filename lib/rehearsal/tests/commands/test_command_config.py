"""`juju config`: getting, setting, resetting; what is wrong changes nothing."""

from __future__ import annotations

import json
from pathlib import Path

import jubilant
import pytest

from rehearsal.juju.model.version import JUJU_VERSION


def test_options_are_read_with_their_types_and_defaults(juju: jubilant.Juju, web: str) -> None:
    assert juju.config("web") == {"greeting": "hello", "workers": 1, "debug": False}
    assert juju.config("web", app_config=True) == {"trust": False}


def test_options_are_set_and_reset(juju: jubilant.Juju, web: str, run) -> None:
    juju.config("web", {"greeting": "good day", "workers": 3, "ratio": 0.5, "debug": True})
    expected = {"greeting": "good day", "workers": 3, "ratio": 0.5, "debug": True}
    assert juju.config("web") == expected
    said = json.loads(run("config", "web", "--format", "json").stdout)
    assert said["settings"]["workers"] == {
        "default": 1, "description": "How many.", "source": "user", "type": "int", "value": 3
    }  # fmt: skip
    assert said["settings"]["token"]["source"] == "unset"
    juju.config("web", {"greeting": "hi"}, reset=["workers", "ratio"])
    assert juju.config("web") == {"greeting": "hi", "workers": 1, "debug": True}
    juju.config("web", reset=["greeting", "debug"])
    assert juju.config("web") == {"greeting": "hello", "workers": 1, "debug": False}


@pytest.mark.parametrize(
    ("key", "shown"), [("greeting", "hello\n"), ("workers", "1\n"), ("debug", "false\n"), ("ratio", "\n"), ("trust", "false\n")]
)  # fmt: skip
def test_one_option_is_shown_alone(juju: jubilant.Juju, web: str, run, key: str, shown: str) -> None:
    assert run("config", "web", key).stdout == shown


@pytest.mark.parametrize("value", ["80", "true", "2.0", "http://x: y", "a\nb", "", " x", "'q'"])
def test_a_text_is_shown_as_it_is_so_that_scripts_can_use_it(
    juju: jubilant.Juju, web: str, run, value: str
) -> None:
    juju.config("web", {"greeting": value})
    assert run("config", "web", "greeting").stdout == f"{value}\n"


@pytest.mark.parametrize(("value", "shown"), [(2.0, "2"), (0.25, "0.25"), (-3.0, "-3")])
def test_a_number_is_shown_as_go_prints_it(
    juju: jubilant.Juju, web: str, run, value: float, shown: str
) -> None:
    juju.config("web", {"ratio": value})
    assert run("config", "web", "ratio").stdout == f"{shown}\n"
    juju.config("web", reset="ratio")


def test_what_config_prints_is_taken_as_a_file(juju: jubilant.Juju, web: str, run, tmp_path: Path) -> None:
    juju.config("web", {"greeting": "good day", "workers": 3})
    file = tmp_path / "web.yaml"
    assert run("config", "web", "-o", str(file)).stdout == ""
    juju.config("web", reset=["greeting", "workers"])
    assert run("config", "web", "--file", str(file)).returncode == 0
    assert juju.config("web") == {"greeting": "good day", "workers": 3, "debug": False}
    juju.config("web", reset=["greeting", "workers"])


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["nothing=1"], 1, 'parsing settings for application: unknown option "nothing"'),
        (["workers=many"], 1, 'parsing settings for application: option "workers" expected int, got "many"'),
        (["ratio=half"], 1, 'parsing settings for application: option "ratio" expected float, got "half"'),
        (["debug=perhaps"], 1, 'parsing settings for application: option "debug" expected boolean, got "perhaps"'),
        (["token=abc"], 1, 'parsing settings for application: option "token" expected secret, got "abc"'),
        (["greeting=hi", "workers=many"], 1, 'parsing settings for application: option "workers" expected int, got "many"'),
        (["--reset", "nothing"], 1, 'parsing settings for application: unknown option "nothing"'),
        (["nothing"], 1, 'key "nothing" not found in "web" application config or charm settings.'),
        (["greeting", "workers"], 2, "can only retrieve a single value, or all values"),
        (["greeting", "workers=2"], 2, "cannot set and retrieve values simultaneously"),
        (["greeting", "--reset", "workers"], 2, "cannot reset and retrieve values simultaneously"),
        (["greeting=hi", "--file", "x"], 2, "cannot specify --file and key=value arguments simultaneously"),
        (["greeting=@missing"], 1, 'parsing settings for application: cannot read option from file "missing": '
                                   "open missing: no such file or directory"),
        (["greeting=a", "greeting=b"], 1, 'parsing settings for application: key "greeting" specified more than once'),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused_and_changes_nothing(
    juju: jubilant.Juju, web: str, run, words: list[str], status: int, message: str
) -> None:
    before = run("config", "web").stdout
    done = run("config", "web", *words)
    assert (done.returncode, done.stdout, done.stderr) == (status, "", f"ERROR {message}\n")
    assert run("config", "web").stdout == before


def test_a_value_may_come_from_a_file(juju: jubilant.Juju, web: str, run, tmp_path: Path) -> None:
    (tmp_path / "greeting.txt").write_text("good\nday\n")
    assert run("config", "web", "greeting=@greeting.txt", cwd=tmp_path).returncode == 0
    assert juju.config("web")["greeting"] == "good\nday\n"
    assert run("config", "web", "greeting").stdout == "good\nday\n\n"
    juju.config("web", reset="greeting")


@pytest.mark.parametrize("piped", [False, True])
def test_a_file_holds_the_options_of_an_application(
    juju: jubilant.Juju, web: str, run, tmp_path: Path, piped: bool
) -> None:
    text = "web:\n  workers: 7\n  debug: true\nother:\n  x: 1\n"
    file = tmp_path / "config.yaml"
    file.write_text(text)
    done = run("config", "web", "--file", "-" if piped else file, input=text)
    assert (done.returncode, done.stderr) == (0, "")
    assert juju.config("web") == {"greeting": "hello", "workers": 7, "debug": True}
    juju.config("web", reset="workers,debug")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("other: {}\n", 'no settings found for "web"'),
        ("web:\n  nothing: 1\n", 'unknown option "nothing"'),
        ("web:\n  workers: 1.5\n", 'option "workers" expected int, got 1.5'),
        ("web: [\n", "cannot parse settings data: "),
    ],
)
def test_a_wrong_file_changes_nothing(juju: jubilant.Juju, web: str, run, text: str, message: str) -> None:
    done = run("config", "web", "--file", "-", input=text)
    assert done.returncode == 1
    assert done.stderr.startswith(f"ERROR parsing settings for application: {message}")
    assert juju.config("web") == {"greeting": "hello", "workers": 1, "debug": False}


def test_setting_what_is_set_is_said(juju: jubilant.Juju, web: str, run) -> None:
    run("config", "web", "workers=4")
    said = 'WARNING the configuration setting "workers" already has the value "4"\n'
    assert run("config", "web", "workers=4").stderr == said
    juju.config("web", reset="workers")


def test_trust_is_an_option_of_every_application(juju: jubilant.Juju, web: str, run) -> None:
    assert run("config", "web", "trust=true").returncode == 0
    assert juju.config("web", app_config=True) == {"trust": True}
    assert run("config", "web", "--reset", "trust").returncode == 0
    assert juju.config("web", app_config=True) == {"trust": False}


def test_new_models_begin_with_the_defaults(juju: jubilant.Juju, run) -> None:
    assert run("model-defaults", "update-status-hook-interval=7m").returncode == 0
    shown = run("model-defaults", "update-status-hook-interval").stdout
    assert shown.splitlines()[1].split() == ["update-status-hook-interval", "5m", "7m"]
    run("add-model", "--no-switch", "later")
    later = {"JUJU_MODEL": "later"}
    listed = run("model-config", **later).stdout
    assert ["update-status-hook-interval", "controller", "7m"] in map(str.split, listed.splitlines())
    assert run("model-config", "update-status-hook-interval").stdout == "5m\n"
    run("model-defaults", "--reset", "update-status-hook-interval")
    assert (
        run("model-defaults", "--format", "yaml", "development").stdout == "development:\n  default: false\n"
    )
    refused = run("model-defaults", "nonsense")
    assert refused.stderr == 'ERROR there are no default model values for "nonsense"\n'
    run("destroy-model", "--no-prompt", "later")


def test_settings_that_people_look_up_are_there_with_their_types(run) -> None:
    assert run("model-config", "agent-version").stdout == f"{JUJU_VERSION}\n"
    assert run("model-config", "default-base").stdout == "\n"
    assert run("model-config", "workload-storage").stdout == "standard\n"
    assert run("model-config", "num-provision-workers=3").returncode == 0
    assert json.loads(run("model-config", "--format", "json").stdout)["num-provision-workers"] == {
        "Value": 3,
        "Source": "model",
    }
    run("model-config", "--reset", "num-provision-workers")
    for word, message in {
        "num-provision-workers=many": 'num-provision-workers: expected number, got string("many")',
        "test-mode=perhaps": 'test-mode: expected bool, got string("perhaps")',
        "agent-version=3.6.1": "agent-version cannot be changed",
    }.items():
        refused = run("model-config", word)
        assert (refused.returncode, refused.stderr) == (1, f"ERROR {message}\n")


def test_a_dash_switches_back(run) -> None:
    run("add-model", "here", JUJU_MODEL="")
    run("add-model", "there", JUJU_MODEL="")
    back = run("switch", "-", JUJU_MODEL="")
    assert back.stderr == "rehearsal:admin/there -> rehearsal:admin/here\n"
    again = run("switch", "-", JUJU_MODEL="")
    assert again.stderr == "rehearsal:admin/here -> rehearsal:admin/there\n"
    run("destroy-model", "--no-prompt", "here")
    gone = run("switch", "-", JUJU_MODEL="")
    assert (gone.returncode, gone.stderr) == (1, "ERROR no previous model to switch to\n")
    assert run("models", "-c", "rehearsal").returncode == 0
    assert run("models", "-c", "elsewhere").stderr == "ERROR controller elsewhere not found\n"
    run("destroy-model", "--no-prompt", "there")
