"""What Juju refuses, in its own words (juju/juju 3.6, state/state.go, InferEndpoints and AddRelation)."""

from __future__ import annotations

from pathlib import Path

import pytest

from rehearsal.guardian import Guardian
from rehearsal.juju.controller.engine import Engine
from rehearsal.juju.model import charms, endpoints
from rehearsal.juju.model.errors import JujuError
from rehearsal.juju.model.state import Application, Endpoint, Life, Model, Relation

PUPPET = charms.load(Path(__file__).with_name("charms") / "puppet")


@pytest.fixture
def model() -> Model:
    """`a`, `b` and `c` run the same charm; a:only-one, which takes one relation, is related to b:web."""
    model = Model("test")
    for name in "abc":
        model.applications[name] = Application(name, PUPPET, "local")
    ends = [Endpoint("a", "only-one", "requires"), Endpoint("b", "web", "provides")]
    model.relations[0] = Relation(0, "sql", ends)
    return model


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ("a", "nobody", 'application "nobody" not found'),
        ("a:nothing", "b:web", 'application "a" has no "nothing" relation'),
        ("a:logs", "b:web", "no relations found"),
        ("a:db", "b:db", "no relations found"),
        ("a:db", "a:web", "no relations found"),
        ("a:cluster", "b:cluster", "no relations found"),
        (
            "a",
            "b:web",
            'ambiguous relation: "a b:web" could refer to "a:db b:web"; "a:only-one b:web"',
        ),
        (
            "a:only-one",
            "b:web",
            'cannot add relation "a:only-one b:web"\nrelation a:only-one b:web (already exists):\n\n'
            "Use 'juju status --relations' to view the current relations.",
        ),
        (
            "a:only-one",
            "c:web",
            'cannot add relation "a:only-one c:web": establishing a new relation for a:only-one would exceed '
            "its maximum relation limit of 1 (quota limit exceeded)",
        ),
    ],
)
@pytest.mark.parametrize("swapped", [False, True], ids=["", "swapped"])
def test_integrations_that_cannot_be(
    model: Model, first: str, second: str, message: str, swapped: bool
) -> None:
    words = (second, first) if swapped else (first, second)
    expected = message.replace(f'"{first} {second}" could', f'"{words[0]} {words[1]}" could')
    with pytest.raises(JujuError) as refusal:
        ends, _ = endpoints.infer(model, *words)
        endpoints.check(model, ends)
    assert str(refusal.value) == expected
    assert refusal.value.code == 1


@pytest.mark.parametrize(
    ("first", "second", "key"),
    [
        ("a:db", "b", "a:db b:web"),
        ("b", "a:db", "a:db b:web"),
        ("a:db", "b:web", "a:db b:web"),
        ("c:only-one", "b", "c:only-one b:web"),
    ],
)
def test_endpoints_are_inferred_where_only_one_pair_fits(
    model: Model, first: str, second: str, key: str
) -> None:
    ends, interface = endpoints.infer(model, first, second)
    endpoints.check(model, ends)
    assert endpoints.key(ends) == key
    assert interface == "sql"


def test_nothing_is_related_to_what_goes(model: Model) -> None:
    model.applications["b"].life = Life.DYING
    ends, _ = endpoints.infer(model, "a:db", "b:web")
    with pytest.raises(JujuError) as refusal:
        endpoints.check(model, ends)
    assert str(refusal.value) == 'cannot add relation "a:db b:web": application "b" is not alive'


@pytest.mark.parametrize(("first", "second"), [("a:only-one", "b:web"), ("b", "a"), ("a", "b:web")])
def test_a_relation_is_found_by_either_side(model: Model, first: str, second: str) -> None:
    assert endpoints.find(model, first, second).id == 0


def test_a_relation_that_is_not_there_is_not_found(model: Model) -> None:
    with pytest.raises(JujuError) as refusal:
        endpoints.find(model, "a:db", "b:web")
    assert str(refusal.value) == 'relation "a:db b:web" not found'


@pytest.mark.parametrize("name", ["", "Upper", "under_score", "-dash", "dash-", "dot.dot"])
def test_models_have_names_that_a_namespace_can_have(tmp_path: Path, guardian: Guardian, name: str) -> None:
    engine = Engine(tmp_path, guardian)
    with engine.lock, pytest.raises(JujuError) as refusal:
        engine.add_model(name)
    engine.stop()
    assert str(refusal.value).startswith(f'"{name}" is not a valid name')


def test_names_are_taken_once(tmp_path: Path, guardian: Guardian) -> None:
    engine = Engine(tmp_path, guardian)
    with engine.lock:
        model = engine.add_model("kubeflow-2")
        with pytest.raises(JujuError, match='model "kubeflow-2" already exists'):
            engine.add_model("kubeflow-2")
        model.applications["a"] = Application("a", PUPPET, "local")
        with pytest.raises(JujuError, match='deploying local charm: application "a" already exists'):
            engine.add_application(model, "a", PUPPET)
    engine.stop()
