"""Actions, and events that a unit's own process asks for (uniter/actions/resolver.go and runcommands)."""

from __future__ import annotations

import itertools

import pytest
from juju_model import Juju

SAYING = """
if name == "say":
  event.log("thinking")
  event.set_results({"said": event.params["words"], "deep": {"number": 5}})
  if event.params["words"] == "no": event.fail("would rather not")
  if event.params["words"] == "raise": raise ValueError("cannot")
  self.model.get_relation("cluster").data[self.app]["said"] = event.params["words"]
"""


@pytest.mark.parametrize(
    ("words", "status", "message", "written"),
    [
        ("yes", "completed", "", {"said": "yes"}),
        # A charm that calls fail() has ended well, so what it wrote counts.
        ("no", "failed", "would rather not", {"said": "no"}),
        ("raise", "failed", "exit status 1", {}),
    ],
)
def test_an_action_ends(juju: Juju, words: str, status: str, message: str, written: dict[str, str]) -> None:
    juju.deploy("a", config={"script": SAYING})
    juju.settle()
    task = juju.run("a/0", "say", words=words)
    assert (task.status, task.message) == (status, message)
    printed = task.results.pop("stderr", "")
    assert ("Uncaught ValueError in charm code: cannot\n" in printed) is (words == "raise")
    # Juju keeps text.
    assert task.results == {"said": words, "deep": {"number": "5"}}
    assert [line for _, line in task.log] == ["thinking"]
    assert task.enqueued <= (task.started or task.enqueued) <= (task.completed or task.enqueued)
    (peers,) = juju.model.relations.values()
    bag = peers.application_data.get("a")
    assert (bag.data if bag else {}) == written
    # Whatever becomes of an action, the unit is not in error.
    assert juju.unit("a/0").failed is None


def test_what_an_action_prints_is_among_its_results(juju: Juju) -> None:
    juju.deploy(
        "a", config={"script": "if name == 'say': print('out'); print('err', file=__import__('sys').stderr)"}
    )
    juju.settle()
    assert juju.run("a/0", "say").results == {"stdout": "out\n", "stderr": "err\n"}


def test_actions_run_one_after_the_other_and_between_hooks(juju: Juju) -> None:
    juju.deploy("a", config={"script": "import time\nif name == 'say': time.sleep(0.1)"})
    juju.settle()
    with juju.engine.lock:
        for words in ("1", "2", "3"):
            juju.engine.enqueue(juju.model, juju.unit("a/0"), "action", "say", {"words": words})
        juju.config("a", size=9)
    juju.settle()
    tasks = list(juju.model.tasks.values())
    assert [task.id for task in tasks] == [1, 2, 3]
    for before, after in itertools.pairwise(tasks):
        assert before.completed and after.started and before.completed <= after.started
    # Actions come before a config-changed that is due as well (uniter/resolver.go).
    assert juju.events("a/0")[-4:] == ["say", "say", "say", "config-changed"]


def test_an_event_of_the_charms_own_is_dispatched(juju: Juju) -> None:
    juju.deploy("a")
    juju.settle()
    juju.events()
    assert juju.run("a/0", "kubernetes_changed", "dispatch").status == "completed"
    assert juju.events("a/0") == ["kubernetes_changed"]


def test_one_of_jujus_events_can_be_dispatched_too(juju: Juju) -> None:
    juju.deploy("a")
    juju.settle()
    juju.events()
    assert juju.run("a/0", "update-status", "dispatch").status == "completed"
    assert juju.events("a/0") == ["update-status"]


def test_an_event_that_the_charm_does_not_have_is_none(juju: Juju) -> None:
    juju.deploy("a")
    juju.settle()
    juju.events()
    assert juju.run("a/0", "no_such_event", "dispatch").status == "completed"
    assert juju.events("a/0") == []


def test_a_dispatched_event_that_fails_is_told_to_who_asked(juju: Juju) -> None:
    juju.deploy("a", config={"script": "if name == 'kubernetes_changed': raise RuntimeError('no')"})
    juju.settle()
    task = juju.run("a/0", "kubernetes_changed", "dispatch")
    assert (task.status, task.message) == ("failed", "exit status 1")
    assert juju.unit("a/0").failed is None
    assert "RuntimeError: no" in [line.message for line in juju.lines("a/0")]


def test_tasks_of_a_removed_unit_fail(juju: Juju) -> None:
    juju.deploy("a", config={"script": "if name == 'install': raise RuntimeError"})
    juju.fail_now("a/0")
    with juju.engine.lock:
        task = juju.engine.enqueue(juju.model, juju.unit("a/0"), "action", "say")
    juju.remove("a", force=True)
    juju.settle()
    assert (task.status, task.message) == ("failed", "unit removed")
