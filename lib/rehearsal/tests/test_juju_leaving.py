"""Who goes, and what it and the others see (uniter/relation/resolver.go; Juju's reference "Hook")."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from juju_model import Juju

from rehearsal.guardian import Guardian
from rehearsal.juju.controller.engine import Engine
from rehearsal.juju.model.errors import JujuError

# What can be read of the other side, told in every departed and broken.
LOOKING = """
if name.endswith("-broken") or "-departed" in name:
  r = event.relation
  tell([
    name,
    event.departing_unit.name if "-departed" in name else None,
    sorted(u.name for u in r.units),
    dict(r.data[event.app]).get("k"),
    dict(r.data.get(event.unit) or {}).get("k"),
    [r.id for r in self.model.relations[r.name]],
  ])
"""
WRITING = """
if name.endswith("-relation-created") and name.startswith("web"):
  event.relation.data[self.unit]["k"] = self.unit.name
  if self.unit.is_leader(): event.relation.data[self.app]["k"] = self.app.name
"""


def deploy_pair(juju: Juju, first: int = 1, second: int = 1) -> int:
    """Deploy `a`, which looks at what goes, and `b`, which wrote; return their relation."""
    juju.deploy("a", scale=first, config={"script": LOOKING})
    juju.deploy("b", scale=second, config={"script": WRITING})
    number = juju.integrate("a:db", "b:web")
    juju.settle()
    juju.events()
    return number


def test_a_removed_relation_departs_from_every_unit_and_is_broken(juju: Juju) -> None:
    number = deploy_pair(juju, second=2)
    with juju.engine.lock:
        juju.engine.remove_relation(juju.model.relations[number])
    juju.settle()
    assert juju.events("a/0") == [
        "db-relation-departed b/0",
        "db-relation-departed b/1",
        "db-relation-broken",
    ]
    assert juju.events("b/0") == ["web-relation-departed a/0", "web-relation-broken"]
    assert number not in juju.model.relations


def test_what_is_readable_while_a_relation_goes(juju: Juju) -> None:
    """Who departs is no longer listed, but what it and its application wrote can be read to the end."""
    number = deploy_pair(juju, second=2)
    with juju.engine.lock:
        juju.engine.remove_relation(juju.model.relations[number])
    juju.settle()
    # A broken relation is none of the model's any more.
    assert juju.told("a/0") == [
        ["db-relation-departed b/0", "b/0", ["b/1"], "b", "b/0", [number]],
        ["db-relation-departed b/1", "b/1", [], "b", "b/1", [number]],
        ["db-relation-broken", None, [], "b", None, []],
    ]


def test_scaling_down_departs_from_who_stays_and_breaks_on_who_goes(juju: Juju) -> None:
    deploy_pair(juju, second=2)
    juju.scale("b", 1)
    juju.settle()
    assert juju.events("a/0") == ["db-relation-departed b/1"]
    assert juju.told("a/0")[0][:2] == ["db-relation-departed b/1", "b/1"]
    assert juju.events("b/0") == ["cluster-relation-departed b/1"]
    # Peer relations depart, but never break.
    assert juju.events("b/1") == [
        "cluster-relation-departed b/0",
        "web-relation-departed a/0",
        "web-relation-broken",
        "stop",
        "remove",
    ]
    assert list(juju.model.applications["b"].units) == [0]


def test_who_goes_is_the_departing_unit_on_its_own_side_too(juju: Juju) -> None:
    deploy_pair(juju, first=2)
    juju.scale("a", 1)
    juju.settle()
    assert [said[:2] for said in juju.told("a/1")][:2] == [
        ["cluster-relation-departed a/0", "a/1"],
        ["db-relation-departed b/0", "a/1"],
    ]


def test_a_removed_application_breaks_its_relations_and_stops(juju: Juju) -> None:
    number = deploy_pair(juju)
    juju.remove("b")
    juju.settle()
    assert juju.events("b/0") == [
        "web-relation-departed a/0",
        "web-relation-broken",
        "stop",
        "remove",
    ]
    assert juju.events("a/0") == ["db-relation-departed b/0", "db-relation-broken"]
    assert list(juju.model.applications) == ["a"]
    assert number not in juju.model.relations


def test_a_removed_application_waits_for_the_other_side_of_its_relations(juju: Juju) -> None:
    juju.deploy("a", config={"script": "if name == 'db-relation-broken': raise RuntimeError"})
    juju.deploy("b")
    juju.integrate("a:db", "b:web")
    juju.settle()
    juju.remove("b")
    juju.fail_now("a/0")
    juju.until(lambda: not juju.model.applications["b"].units)
    assert "b" in juju.model.applications
    with juju.engine.lock:
        juju.engine.resolve(juju.model, juju.unit("a/0"), retry=False)
    juju.settle()
    assert list(juju.model.applications) == ["a"]


def test_removed_by_force_runs_no_hooks(juju: Juju) -> None:
    juju.deploy("a", config={"script": "if name == 'start': raise RuntimeError"})
    juju.fail_now("a/0")
    juju.events()
    juju.remove("a", force=True)
    juju.settle()
    assert juju.events() == []
    assert not juju.model.applications


def test_what_was_never_installed_goes_without_a_hook(juju: Juju) -> None:
    with juju.engine.lock:
        juju.deploy("a")
        juju.remove("a")
    juju.settle()
    assert juju.events() == []
    assert not juju.model.applications


def test_a_unit_in_error_goes_when_it_is_resolved(juju: Juju) -> None:
    juju.deploy("a", config={"script": "if name == 'start': raise RuntimeError"})
    juju.fail_now("a/0")
    juju.remove("a")
    with juju.engine.lock:
        assert juju.unit("a/0").failed is not None
        juju.engine.resolve(juju.model, juju.unit("a/0"), retry=False)
    juju.settle()
    assert not juju.model.applications


def test_a_unit_stops_with_jujus_own_status(juju: Juju) -> None:
    script = "if name in ('stop', 'remove'):\n  s = self.unit.status; tell([name, s.name, s.message])"
    juju.deploy("a", config={"script": "self.unit.status = ops.ActiveStatus()\n" + script})
    juju.settle()
    unit = juju.unit("a/0")
    juju.config("a", script=script)
    juju.settle()
    juju.remove("a")
    juju.settle()
    assert juju.told("a/0") == [
        ["stop", "maintenance", "stopping charm software"],
        ["remove", "maintenance", "cleaning up prior to charm deletion"],
    ]
    assert unit.workload.current == "terminated"


def test_a_number_is_used_again_when_its_unit_is_gone(juju: Juju) -> None:
    deploy_pair(juju, second=2)
    with juju.engine.lock:
        juju.scale("b", 1)
        juju.scale("b", 3)
    juju.settle()
    assert sorted(juju.model.applications["b"].units) == [0, 1, 2]
    seen = juju.events("b/1")
    assert seen.index("remove") < seen.index("install")
    told = [event for event in juju.events("a/0") if event.endswith("b/1")]
    assert told[:3] == [
        "db-relation-departed b/1",
        "db-relation-joined b/1",
        "db-relation-changed b/1",
    ]


def test_planned_units_are_those_that_stay(juju: Juju) -> None:
    script = (
        "if name in ('start', 'stop', 'say') or 'departed' in name: tell([name, self.app.planned_units()])"
    )
    juju.deploy("a", scale=3, config={"script": script})
    juju.settle()
    assert juju.told("a/2") == [["start", 3]]
    juju.scale("a", 2)
    juju.settle()
    assert juju.told("a/0")[-1] == ["cluster-relation-departed a/2", 2]
    assert juju.told("a/2")[-1] == ["stop", 2]
    juju.scale("a", 4)
    juju.settle()
    juju.run("a/0", "say")
    assert juju.told("a/0")[-1] == ["say", 4]
    juju.remove("a")
    juju.settle()
    assert juju.told("a/0")[-1] == ["stop", 0]


def test_somebody_else_leads_when_the_leader_is_gone(juju: Juju) -> None:
    """The highest number goes, so leadership is first moved there."""
    application = juju.deploy(
        "a", scale=2, config={"script": "if name == 'remove': tell(self.unit.is_leader())"}
    )
    juju.settle()
    with juju.engine.lock:
        juju.engine.move_leadership(application, juju.unit("a/1"))
    juju.settle()
    juju.events()
    juju.scale("a", 1)
    juju.settle()
    assert juju.told("a/1") == [True]
    assert application.leader == "a/0"
    assert "leader-elected" in juju.events("a/0")


def test_leadership_moves(juju: Juju) -> None:
    application = juju.deploy(
        "a", scale=2, config={"script": "if name == 'say': tell(self.unit.is_leader())"}
    )
    juju.settle()
    for leader, other in (("a/1", "a/0"), ("a/0", "a/1")):
        juju.events()
        with juju.engine.lock:
            juju.engine.move_leadership(application, juju.unit(leader))
        juju.settle()
        assert juju.events() == [f"{leader} leader-elected"]
        juju.run(leader, "say")
        juju.run(other, "say")
        assert (juju.told(leader)[-1], juju.told(other)[-1]) == (True, False)


def test_a_destroyed_model_takes_everything_with_it(juju: Juju) -> None:
    deploy_pair(juju, second=2)
    with juju.engine.lock:
        juju.engine.destroy_model(juju.model)
    juju.until(lambda: not juju.engine.models)
    assert not juju.model.applications
    assert not juju.model.relations


def test_a_peer_relation_cannot_be_removed(juju: Juju) -> None:
    with juju.engine.lock:
        juju.deploy("a")
        (peers,) = juju.model.relations.values()
        with pytest.raises(JujuError):
            juju.engine.remove_relation(peers)


def test_nobody_leads_until_the_lease_of_a_leader_that_is_gone_has_ended(
    tmp_path: Path, guardian: Guardian
) -> None:
    engine = Engine(tmp_path, guardian, lease=2.0)
    with engine.lock:
        juju = Juju(engine, engine.add_model("test"))
        application = juju.deploy("a", scale=2)
    engine.start()
    juju.settle()
    with engine.lock:
        engine.move_leadership(application, juju.unit("a/1"))
    juju.settle()
    juju.events()
    juju.scale("a", 1)
    juju.until(lambda: "a/1" not in [unit.name for unit in juju.model.units()])
    began = time.monotonic()
    assert application.leader is None and not engine.idle(0)
    juju.settle()
    assert application.leader == "a/0" and time.monotonic() - began > 1
    assert "leader-elected" in juju.events("a/0")
    engine.stop()


def test_a_unit_that_is_wanted_again_while_it_goes_comes_back(juju: Juju) -> None:
    deploy_pair(juju)
    juju.scale("a", 0)
    juju.scale("a", 1)
    juju.settle()
    assert juju.model.applications["a"].units[0].seen.started
    assert juju.events("a/0")[-1] == "db-relation-changed b/0"
