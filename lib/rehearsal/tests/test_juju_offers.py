"""Relations between models: data, secrets and ends reach the other side (Juju's reference "Offer")."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from juju_model import Juju, beside

from rehearsal.juju.model.errors import JujuError
from rehearsal.juju.model.state import Relation

PROVIDER = """
if name.startswith("web-relation"): tell([name.split()[0], event.app.name, event.unit and event.unit.name])
if name == "leader-elected": self.app.add_secret({"key": "first"}, label="mine")
if name == "web-relation-created" and self.unit.is_leader():
  event.relation.data[self.app]["from"] = "b"
  secret = self.model.get_secret(label="mine")
  secret.grant(event.relation)
  event.relation.data[self.app]["id"] = secret.get_info().id
if name == "config-changed" and self.config["size"] == 5:
  self.model.get_secret(label="mine").set_content({"key": "second"})
"""
USER = """
if name.startswith("db-relation"): tell([name.split()[0], event.app.name, event.unit and event.unit.name])
if name.startswith("db-relation-changed"):
  if self.unit.is_leader(): event.relation.data[self.app]["wanted"] = "data"
  if id := event.relation.data[event.app].get("id"):
    tell(self.model.get_secret(id=id).get_content()["key"])
if name == "secret-changed": tell(event.secret.get_content(refresh=True)["key"])
if name == "say" and event.params["words"] == "share":
  r = self.model.get_relation("db")
  self.app.add_secret({"key": "mine"}).grant(r)
"""


@pytest.fixture
def other(juju: Juju) -> Iterator[Juju]:
    """A second model of the same engine."""
    with beside(juju, "other") as model:
        yield model


def relate(juju: Juju, other: Juju) -> tuple[Relation, Relation]:
    """Deploy `b` in `other`, which offers, and `a` here, which uses it; return the relation's halves."""
    other.deploy("b", config={"script": PROVIDER})
    juju.deploy("a", config={"script": USER})
    juju.settle()
    with juju.engine.lock:
        juju.engine.add_offer(other.model, "b", ["web"], "shop")
        juju.engine.consume(juju.model, other.model, "shop", "store")
    juju.integrate("a:db", "store:web")
    juju.settle()
    (near,) = (each for each in juju.model.relations.values() if each.proxy)
    (far,) = (each for each in other.model.relations.values() if each.proxy)
    return near, far


def test_both_sides_read_each_other(juju: Juju, other: Juju) -> None:
    near, far = relate(juju, other)
    assert near.application_data["store"].data["from"] == "b"
    assert far.application_data[far.proxy].data == {"wanted": "data"}
    address = juju.unit("a/0").address
    assert far.unit_data[f"{far.proxy}/0"].data["ingress-address"] == address
    assert near.in_scope("store") == ["store/0"]
    assert ["db-relation-joined", "store", "store/0"] in juju.told("a/0")
    assert ["web-relation-joined", far.proxy, f"{far.proxy}/0"] in other.told("b/0")


def test_a_secret_is_read_in_the_other_model(juju: Juju, other: Juju) -> None:
    near, _ = relate(juju, other)
    (secret,) = other.model.secrets.values()
    uri = f"secret://{other.model.uuid}/{secret.id}"
    assert near.application_data["store"].data["id"] == uri
    assert "first" in juju.told("a/0")
    other.config("b", size=5)
    juju.settle()
    assert juju.told("a/0")[-1] == "second"


def test_whoever_consumes_shares_no_secret(juju: Juju, other: Juju) -> None:
    relate(juju, other)
    task = juju.run("a/0", "say", words="share")
    assert task.status == "failed"
    assert "sharing consumer secrets across a cross model relation not supported" in task.message
    assert juju.model.secrets == {}


def test_units_come_and_go_on_the_other_side(juju: Juju, other: Juju) -> None:
    near, far = relate(juju, other)
    other.scale("b", 2)
    juju.scale("a", 2)
    juju.settle()
    assert near.in_scope("store") == ["store/0", "store/1"]
    assert sorted(far.in_scope(far.proxy)) == [f"{far.proxy}/{number}" for number in (0, 1)]
    other.scale("b", 1)
    juju.settle()
    assert ["db-relation-departed", "store", "store/1"] in juju.told("a/0")


@pytest.mark.parametrize("side", ["relation", "offer", "saas", "consumer", "provider"])
def test_an_end_ends_both_halves(juju: Juju, other: Juju, side: str) -> None:
    near, far = relate(juju, other)
    with juju.engine.lock:
        match side:
            case "relation":
                juju.engine.remove_relation(near)
            case "offer":
                juju.engine.remove_offer(other.model, "shop", force=True)
            case "saas":
                juju.engine.remove_consumed(juju.model, "store")
            case "consumer":
                juju.engine.remove_application(juju.model, juju.model.applications["a"])
            case "provider":
                juju.engine.remove_application(other.model, other.model.applications["b"], force=True)
    juju.settle()
    assert near.id not in juju.model.relations and far.id not in other.model.relations
    if side not in ("consumer",):
        assert ["db-relation-broken", "store", None] in juju.told("a/0")
    if side != "provider":
        assert ["web-relation-broken", far.proxy, None] in other.told("b/0")
        assert [set(each.consumers) for each in other.model.secrets.values()] == [{"b/0"}]


def test_a_model_can_go_by_force_though_the_other_side_fails(juju: Juju, other: Juju) -> None:
    _, far = relate(juju, other)
    other.config("b", script=f"{PROVIDER}\nif name.startswith('web-relation-departed'): raise RuntimeError")
    juju.settle()
    with juju.engine.lock:
        juju.engine.remove_consumed(juju.model, "store", force=True)
    juju.until(lambda: "store" not in juju.model.remote_applications)
    other.fail_now("b/0")
    assert far.id in other.model.relations
    other.config("b", script="")
    with juju.engine.lock:
        juju.engine.resolve(other.model, other.unit("b/0"), retry=False)
    juju.settle()
    assert far.id not in other.model.relations


def test_a_pause_ends_and_begins_a_relation(juju: Juju, other: Juju) -> None:
    near, far = relate(juju, other)
    with juju.engine.lock:
        juju.engine.suspend(near, suspended=True)
    juju.settle()
    assert ["db-relation-broken", "store", None] in juju.told("a/0")
    assert near.unit_data == far.unit_data == {}
    with juju.engine.lock:
        juju.engine.suspend(far, suspended=False)
    juju.settle()
    assert near.in_scope("store") == ["store/0"]
    assert juju.told("a/0").count(["db-relation-joined", "store", "store/0"]) == 2


def test_an_offer_in_use_stays(juju: Juju, other: Juju) -> None:
    relate(juju, other)
    engine = juju.engine
    with engine.lock, pytest.raises(JujuError, match=r'cannot delete .* "shop": offer has 1 relation$'):
        engine.remove_offer(other.model, "shop")
    with engine.lock, pytest.raises(JujuError, match=r'destroy application "b": .* used by 1 offer$'):
        engine.remove_application(other.model, other.model.applications["b"])


def test_what_cannot_be_offered_or_consumed_is_refused(juju: Juju, other: Juju) -> None:
    relate(juju, other)
    engine = juju.engine
    for act, message in (
        (lambda: engine.add_offer(other.model, "x", ["web"], "x"), 'application "x" not found'),
        (lambda: engine.add_offer(other.model, "b", ["x"], "x"), 'application "b" has no "x" relation'),
        (lambda: engine.consume(juju.model, other.model, "x", "x"), 'offer "admin/other.x" not found'),
        (lambda: engine.consume(juju.model, other.model, "shop", "a"), "local application with same name"),
        (lambda: engine.add_relation(juju.model, "a:db", "store:x"), 'saas application "store" has no "x"'),
        (lambda: engine.suspend(Relation(9, "", []), suspended=True), "not associated with an offer"),
    ):
        with engine.lock, pytest.raises(JujuError, match=message):
            act()
    with engine.lock:
        engine.remove_offer(other.model, "shop", force=True)
    juju.settle()
    with engine.lock, pytest.raises(JujuError, match='"shop" has been removed from the remote model'):
        engine.add_relation(juju.model, "a:db", "store:web")
