"""Hook order at deploy, and the settings of relations (Juju's reference "Hook"; uniter/resolver.go)."""

from __future__ import annotations

from pathlib import Path

import pytest
from juju_model import Juju

from rehearsal.guardian import Guardian
from rehearsal.juju.controller.engine import Engine
from rehearsal.juju.controller.ordering import Shuffled


def test_hooks_at_deploy_come_in_jujus_order(juju: Juju) -> None:
    with juju.engine.lock:
        juju.deploy("a")
        juju.deploy("b")
        juju.integrate("a:db", "b:web")
    juju.settle()
    assert juju.events("a/0") == [
        "install",
        "cluster-relation-created",
        "db-relation-created",
        "leader-elected",
        "config-changed",
        "start",
        "work-pebble-ready",
        "db-relation-joined b/0",
        "db-relation-changed b/0",
    ]


def test_a_standby_unit_is_not_told_of_an_election(juju: Juju) -> None:
    juju.deploy("a", scale=2)
    juju.settle()
    assert "leader-elected" in juju.ran("a/0")
    assert juju.ran("a/1")[:5] == [
        "install",
        "cluster-relation-created",
        "leader-settings-changed",
        "config-changed",
        "start",
    ]
    assert "leader-elected" not in juju.ran("a/1")


def test_a_relation_made_later_is_created_joined_changed(juju: Juju) -> None:
    juju.deploy("a")
    juju.deploy("b")
    juju.settle()
    juju.events()
    juju.integrate("a:db", "b:web")
    juju.settle()
    assert juju.events("a/0") == [
        "db-relation-created",
        "db-relation-joined b/0",
        "db-relation-changed b/0",
    ]


def test_who_joins_can_be_read_with_its_address(juju: Juju) -> None:
    juju.deploy("b")
    script = "if name.startswith('db-relation-joined'): tell(dict(event.relation.data[event.unit]))"
    juju.deploy("a", config={"script": script})
    juju.integrate("a:db", "b:web")
    juju.settle()
    address = juju.unit("b/0").address
    assert juju.told("a/0") == [
        {"egress-subnets": f"{address}/32", "ingress-address": address, "private-address": address}
    ]


def test_a_unit_knows_its_own_address(juju: Juju) -> None:
    script = "if name == 'start': tell(str(self.model.get_binding('db').network.bind_address))"
    juju.deploy("a", config={"script": script})
    juju.settle()
    assert juju.told("a/0") == [juju.unit("a/0").address]


def test_units_are_active_allocating_or_installing_as_juju_says_it(juju: Juju) -> None:
    with juju.engine.lock:
        application = juju.deploy("a")
        unit = application.units[0]
        assert (unit.workload.current, unit.workload.message) == ("waiting", "installing agent")
        assert unit.agent.current == "allocating"
    juju.settle()
    # It has started, but never said how it is.
    assert (unit.workload.current, unit.agent.current) == ("unknown", "idle")


@pytest.mark.parametrize(
    ("writing", "seen"),
    [
        ("event.relation.data[self.unit]['k'] = 'v'", ["db-relation-changed b/0"]),
        ("event.relation.data[self.app]['k'] = 'v'", ["db-relation-changed"]),
        ("event.relation.data[self.unit]['old'] = 'same'", []),
        ("event.relation.data[self.unit]['k'] = 'v'; del event.relation.data[self.unit]['k']", []),
        ("event.relation.data[self.unit].pop('old')", ["db-relation-changed b/0"]),
        ("", []),
    ],
    ids=["unit", "application", "same value", "written and taken back", "deleted", "nothing"],
)
def test_changed_is_told_only_of_real_changes(juju: Juju, writing: str, seen: list[str]) -> None:
    first = (
        "if name == 'web-relation-created': event.relation.data[self.unit]['old'] = 'same'\n"
        "if name == 'say':\n event.relation = self.model.get_relation('web')\n " + (writing or "pass")
    )
    juju.deploy("a")
    juju.deploy("b", config={"script": first})
    juju.integrate("a:db", "b:web")
    juju.settle()
    juju.events()
    juju.run("b/0", "say")
    juju.settle()
    assert juju.events("a/0") == seen


def test_changed_comes_for_each_remote_unit_and_once_for_the_application(juju: Juju) -> None:
    script = (
        "r = self.model.get_relation('web')\n"
        "if name == 'config-changed' and self.config['size'] == 4:\n"
        "  r.data[self.unit]['size'] = '4'\n"
        "  if self.unit.is_leader(): r.data[self.app]['size'] = '4'"
    )
    juju.deploy("a")
    juju.deploy("b", config={"script": script}, scale=2)
    juju.integrate("a:db", "b:web")
    juju.settle()
    juju.events()
    juju.config("b", size=4)
    juju.settle()
    assert sorted(juju.events("a/0")) == [
        "db-relation-changed",
        "db-relation-changed b/0",
        "db-relation-changed b/1",
    ]


def test_what_the_application_wrote_comes_before_its_units(juju: Juju) -> None:
    script = "if name == 'web-relation-created': event.relation.data[self.app]['k'] = 'v'"
    juju.deploy("b", config={"script": script})
    juju.settle()
    # a/0 is installed after all that.
    juju.deploy("a", scale=0)
    juju.integrate("a:db", "b:web")
    juju.settle()
    juju.scale("a", 1)
    juju.settle()
    assert juju.events("a/0")[-3:] == [
        "db-relation-changed",
        "db-relation-joined b/0",
        "db-relation-changed b/0",
    ]


def test_remote_data_is_that_of_the_beginning_of_the_hook(juju: Juju) -> None:
    script = (
        "import time\n"
        "if name == 'say':\n"
        "  r = self.model.get_relation('db'); a = dict(r.data[r.app]); time.sleep(0.3)\n"
        "  tell([a, dict(r.data[r.app])])"
    )
    juju.deploy("a", config={"script": script})
    juju.deploy(
        "b",
        config={
            "script": "r = self.model.get_relation('web')\nif name == 'say': r.data[self.app]['k'] = 'v'"
        },
    )
    juju.integrate("a:db", "b:web")
    juju.settle()
    with juju.engine.lock:
        juju.engine.enqueue(juju.model, juju.unit("a/0"), "action", "say")
    juju.until(lambda: juju.unit("a/0").running is not None)
    juju.run("b/0", "say")
    juju.settle()
    assert juju.told("a/0") == [[{}, {}]]


def test_chance_changes_the_order_where_juju_promises_none(tmp_path: Path, guardian: Guardian) -> None:
    orders = {_created_in_order(tmp_path / str(seed), guardian, seed) for seed in (1, 2, 3)}
    assert len(orders) > 1
    assert {frozenset(each) for each in orders} == {
        frozenset(f"{end}-relation-created" for end in ("cluster", "db", "only-one"))
    }


def _created_in_order(folder: Path, guardian: Guardian, seed: int) -> tuple[str, ...]:
    """Deploy and relate; return a unit's first hooks of relations, in their order."""
    folder.mkdir()
    engine = Engine(folder, guardian, order=Shuffled(seed))
    with engine.lock:
        juju = Juju(engine, engine.add_model("test"))
        for name in ("a", "b", "c"):
            juju.deploy(name)
        juju.integrate("a:db", "b:web")
        juju.integrate("a:only-one", "c:web")
    engine.start()
    juju.settle()
    seen = {unit: juju.events(unit) for unit in ("a/0", "b/0")}
    engine.stop()
    for events in seen.values():
        assert events[0] == "install"
        assert events.index("config-changed") + 1 == events.index("start")
        assert events[-1].partition(" ")[0].endswith("-changed")
    return tuple(event for event in seen["a/0"] if event.endswith("-relation-created"))
