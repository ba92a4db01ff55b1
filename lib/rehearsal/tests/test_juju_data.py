"""Who may read and write what in a relation (Juju's reference "Relation", "Permissions around databags")."""

from __future__ import annotations

import pytest
from juju_model import Juju

READ = """
if name == "say":
  r = self.model.get_relation({endpoint!r})
  try:
    tell(dict(r.data[{whose}]))
  except ops.RelationDataAccessError as error:
    tell(str(error))
"""
WRITE = "if name == 'say': self.model.get_relation({endpoint!r}).data[self.app]['k'] = 'v'"


@pytest.mark.parametrize(
    ("reader", "endpoint", "whose", "readable"),
    [
        ("b/0", "web", "self.app", True),
        ("b/1", "web", "self.app", False),
        ("a/0", "db", "r.app", True),
        ("a/1", "db", "r.app", True),
        ("b/1", "cluster", "self.app", True),
    ],
    ids=["own leader", "own standby unit", "remote leader", "remote standby unit", "peer"],
)
def test_who_reads_what_an_application_wrote(
    juju: Juju, reader: str, endpoint: str, whose: str, readable: bool
) -> None:
    script = "if name.endswith('-relation-created') and self.unit.is_leader(): "
    writing = script + "event.relation.data[self.app]['k'] = 'v'\n"
    reading = READ.format(endpoint=endpoint, whose=whose)
    juju.deploy("a", scale=2, config={"script": reading})
    juju.deploy("b", scale=2, config={"script": writing + reading})
    juju.integrate("a:db", "b:web")
    juju.settle()
    juju.run(reader, "say")
    (said,) = juju.told(reader)
    if readable:
        assert said["k"] == "v"
    else:
        assert said == f"{reader} is not leader and cannot read its own application databag"


def test_only_a_leader_writes_for_its_application(juju: Juju) -> None:
    juju.deploy("a")
    juju.deploy("b", scale=2, config={"script": WRITE.format(endpoint="web")})
    number = juju.integrate("a:db", "b:web")
    juju.settle()
    assert juju.run("b/1", "say").status == "failed"
    assert juju.model.relations[number].application_data.get("b") is None
    assert juju.run("b/0", "say").status == "completed"
    assert juju.model.relations[number].application_data["b"].data == {"k": "v"}


def test_a_leader_that_is_none_any_more_when_its_hook_ends_has_written_nothing(juju: Juju) -> None:
    script = "import time\nif name == 'config-changed' and self.config['size'] == 4:\n  time.sleep(0.5)\n  "
    script += "self.model.get_relation('web').data[self.app]['k'] = 'v'"
    juju.deploy("a")
    application = juju.deploy("b", scale=2, config={"script": script})
    number = juju.integrate("a:db", "b:web")
    juju.settle()
    with juju.engine.lock:
        juju.engine.set_config(juju.model, application, {"size": 4})
    juju.until(lambda: juju.unit("b/0").running is not None)
    with juju.engine.lock:
        juju.engine.move_leadership(application, juju.unit("b/1"))
    juju.fail_now("b/0")
    assert juju.model.relations[number].application_data.get("b") is None
    assert "permission denied" in juju.lines("b/0")[-1].message


def test_what_one_unit_wrote_the_others_of_its_application_do_not_see(juju: Juju) -> None:
    """Units of one application are no members of their own side; a peer relation is for that."""
    script = (
        "r = self.model.get_relation('web')\n"
        "if name == 'start' and self.unit.name == 'b/0': r.data[self.unit]['mine'] = '0'\n"
        "if name == 'say': tell(sorted(e.name for e in r.data))"
    )
    juju.deploy("a")
    juju.deploy("b", scale=2, config={"script": script})
    juju.integrate("a:db", "b:web")
    juju.settle()
    juju.run("b/1", "say")
    assert juju.told("b/1") == [["a", "a/0", "b", "b/1"]]


def test_peers_join_each_other_and_the_leader_is_not_told_of_what_it_wrote(juju: Juju) -> None:
    script = (
        "if name == 'config-changed' and self.config['size'] == 4 and self.unit.is_leader():\n"
        "  self.model.get_relation('cluster').data[self.app]['k'] = 'v'"
    )
    juju.deploy("a", scale=2, config={"script": script})
    juju.settle()
    for unit, other in (("a/0", "a/1"), ("a/1", "a/0")):
        seen = [event for event in juju.events(unit) if event.startswith("cluster")]
        assert seen == [
            "cluster-relation-created",
            f"cluster-relation-joined {other}",
            f"cluster-relation-changed {other}",
        ]
    juju.events()
    juju.config("a", size=4)
    juju.settle()
    assert sorted(juju.events()) == [
        "a/0 config-changed",
        "a/1 cluster-relation-changed",
        "a/1 config-changed",
    ]


def test_a_unit_alone_sees_no_peer(juju: Juju) -> None:
    juju.deploy("a")
    juju.settle()
    assert [event for event in juju.events("a/0") if event.startswith("cluster")] == [
        "cluster-relation-created"
    ]
