"""Configuration and trust: what a charm reads, and when it is told (Juju's reference "Hook")."""

from __future__ import annotations

from typing import Any

import pytest
from juju_model import Juju

TELLING = (
    "if name in ('config-changed', 'say'): tell({k: v for k, v in self.config.items() if k != 'script'})"
)


def test_options_have_their_defaults_and_those_without_are_not_there(juju: Juju) -> None:
    juju.deploy("a", config={"script": TELLING})
    juju.settle()
    assert juju.told("a/0") == [{"size": 3}]


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"size": 4}, [{"size": 4}]),
        ({"colour": "red"}, [{"size": 3, "colour": "red"}]),
        ({"colour": ""}, [{"size": 3, "colour": ""}]),
        ({"size": 3}, []),
        ({"size": None}, []),
        ({}, []),
    ],
    ids=["another value", "no default", "empty", "the default", "reset of the default", "nothing"],
)
def test_config_changed_comes_when_something_changed(
    juju: Juju, values: dict[str, Any], told: list[dict[str, Any]]
) -> None:
    juju.deploy("a", config={"script": TELLING})
    juju.settle()
    juju.config("a", **values)
    juju.settle()
    assert juju.told("a/0")[1:] == told


def test_every_unit_is_told(juju: Juju) -> None:
    juju.deploy("a", scale=2)
    juju.settle()
    juju.events()
    juju.config("a", size=5)
    juju.settle()
    assert sorted(juju.events()) == ["a/0 config-changed", "a/1 config-changed"]


def test_changes_while_a_hook_runs_come_as_one(juju: Juju) -> None:
    juju.deploy("a", config={"script": "import time\nif name == 'config-changed': time.sleep(0.3)"})
    juju.settle()
    juju.events()
    juju.config("a", size=4)
    juju.until(lambda: juju.unit("a/0").running is not None)
    for size in (5, 6, 7):
        juju.config("a", size=size)
    juju.settle()
    assert juju.events("a/0") == ["config-changed", "config-changed"]


def test_trust_that_is_given_is_told_by_config_changed(juju: Juju) -> None:
    application = juju.deploy("a")
    juju.settle()
    juju.events()
    for trust, seen in ((True, ["config-changed"]), (True, []), (False, ["config-changed"])):
        with juju.engine.lock:
            juju.engine.set_trust(juju.model, application, trust)
        juju.settle()
        assert juju.events("a/0") == seen
        juju.events()


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        (None, False),
        ("<root>=INFO;unit=DEBUG", True),
        ("<root>=TRACE", True),
        ("<root>=DEBUG;unit=INFO", False),
    ],
)
def test_debug_messages_are_kept_as_logging_config_says_and_prints_always(
    juju: Juju, said: str | None, kept: bool
) -> None:
    if said is not None:
        juju.model.config["logging-config"] = said
    script = "import logging\nif name == 'start':\n  logging.debug('whispered'); print('printed')\n  "
    juju.deploy("a", config={"script": script + "import sys; print('complained', file=sys.stderr)"})
    juju.settle()
    lines = {line.message: line for line in juju.lines("a/0")}
    assert ("whispered" in lines) == kept
    assert (lines["printed"].level, lines["printed"].module) == ("DEBUG", "unit.a/0.start")
    assert (lines["complained"].level, lines["complained"].module) == ("WARNING", "unit.a/0.start")


def test_update_status_comes_in_its_interval_when_nothing_else_is_due(juju: Juju) -> None:
    juju.model.config["update-status-hook-interval"] = "1h"
    juju.deploy("a")
    juju.settle()
    assert "update-status" not in juju.events("a/0")
    with juju.engine.lock:
        juju.unit("a/0").seen.update_status_due = 0.0
    juju.config("a", size=9)
    juju.settle()
    assert juju.events("a/0")[-2:] == ["config-changed", "update-status"]
