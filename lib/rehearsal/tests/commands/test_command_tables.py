"""`juju status` in all its forms, of models made by hand."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pytest

from rehearsal.juju.commands import formats, tabular
from rehearsal.juju.model import charms, status
from rehearsal.juju.model.state import Application, Endpoint, Life, Model, Relation, Settings, Status, Unit

SINCE = datetime.datetime(2026, 11, 23, 19, 10, 12, tzinfo=datetime.UTC)
CHARMS = Path(__file__).with_name("charms")


def _application(name: str, charm: str = "web", units: int = 1, **details: Any) -> Application:
    found = Application(name, charms.load(CHARMS / charm), "local", scale=units)
    for number in range(units):
        unit = found.units[number] = Unit(number, name, address=f"10.1.0.{number + 1}")
        unit.agent, unit.workload = Status("idle", "", SINCE), Status("active", "", SINCE)
    found.leader = f"{name}/0" if units else None
    for key, value in details.items():
        setattr(found, key, value)
    return found


@pytest.fixture
def model() -> Model:
    """Two related applications, one of them from Charmhub and blocked."""
    web = _application("web", units=2, address="10.152.183.7", workload_version="2.1", exposed=True)
    web.units[0].ports = ["8080/tcp", "8081/tcp", "53/udp"]
    web.units[1].agent = Status("executing", "running config-changed hook", SINCE)
    store = _application("store", "store", origin="charmhub", channel="14/stable", revision=3)
    store.units[0].workload = Status("blocked", "needs a disk", SINCE)
    relation = Relation(1, "sql", [Endpoint("web", "db", "requires"), Endpoint("store", "db", "provides")])
    relation.unit_data["web/0"] = Settings()
    peers = Relation(0, "web-replicas", [Endpoint("web", "replicas", "peers")])
    model = Model("test", uuid="d5b7ef67-5ac5-41a1-8ae6-4ad1cd6d4e6b", created=SINCE)
    model.applications = {"web": web, "store": store}
    model.relations = {0: peers, 1: relation}
    return model


def test_the_table_is_jujus(model: Model) -> None:
    head, *rest = tabular.render_status(model, show_relations=True).split("\n\n")
    first, second = head.splitlines()
    assert first == "Model  Controller  Cloud/Region         Version  SLA          Timestamp"
    assert second.startswith("test   rehearsal   rehearsal/localhost  3.6.9    unsupported  ")
    assert "\n\n".join(rest) == (
        "App    Version  Status   Scale  Charm  Channel    Rev  Address       Exposed  Message\n"
        "store           blocked      1  store  14/stable    3                no       needs a disk\n"
        "web    2.1      active       2  web                 0  10.152.183.7  yes\n"
        "\n"
        "Unit      Workload  Agent      Address   Ports                 Message\n"
        "store/0*  blocked   idle       10.1.0.1                        needs a disk\n"
        "web/0*    active    idle       10.1.0.1  8080-8081/tcp 53/udp\n"
        "web/1     active    executing  10.1.0.2                        (config-changed)\n"
        "\n"
        "Integration provider  Requirer      Interface     Type     Message\n"
        "store:db              web:db        sql           regular\n"
        "web:replicas          web:replicas  web-replicas  peer     joining\n"
    )


def test_lines_have_addresses_states_and_ports(model: Model) -> None:
    assert tabular.render_lines(model) == (
        "- store/0: 10.1.0.1 (agent:idle, workload:blocked)\n"
        "- web/0: 10.1.0.1 (agent:idle, workload:active) 8080-8081/tcp 53/udp\n"
        "- web/1: 10.1.0.2 (agent:executing, workload:active)\n"
    )


def test_the_document_is_jujus(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    said = status.document(model, utc=True)
    since = "2026-11-23 19:10:12Z"
    assert list(said) == ["model", "machines", "applications", "storage", "controller"]
    assert said["model"] == {
        "name": "test",
        "type": "caas",
        "controller": "rehearsal",
        "cloud": "rehearsal",
        "region": "localhost",
        "version": "3.6.9",
        "model-status": {"current": "available", "since": since},
        "sla": "unsupported",
    }
    assert said["applications"]["store"] == {
        "charm": "store",
        "base": {"name": "ubuntu", "channel": "24.04"},
        "charm-origin": "charmhub",
        "charm-name": "store",
        "charm-rev": 3,
        "charm-channel": "14/stable",
        "scale": 1,
        "provider-id": said["applications"]["store"]["provider-id"],
        "exposed": False,
        "application-status": {"current": "blocked", "message": "needs a disk", "since": since},
        "relations": {"db": [{"related-application": "web", "interface": "sql", "scope": "global"}]},
        "units": {
            "store/0": {
                "workload-status": {"current": "blocked", "message": "needs a disk", "since": since},
                "juju-status": {"current": "idle", "since": since, "version": "3.6.9"},
                "leader": True,
                "address": "10.1.0.1",
                "provider-id": "store-0",
            }
        },
        "endpoint-bindings": {"": "alpha", "db": "alpha", "front": "alpha", "second": "alpha"},
    }
    web = said["applications"]["web"]
    assert (web["charm"], web["version"], web["address"]) == ("local:web-0", "2.1", "10.152.183.7")
    assert web["units"]["web/0"]["open-ports"] == ["8080/tcp", "8081/tcp", "53/udp"]
    assert web["relations"]["replicas"][0]["related-application"] == "web"


@pytest.mark.parametrize(
    ("states", "shown"),
    [
        (["active", "blocked", "error"], "error"),
        (["active", "blocked", "waiting"], "blocked"),
        (["active", "maintenance", "waiting"], "waiting"),
        (["active", "maintenance"], "maintenance"),
        (["unknown", "active"], "active"),
        (["unknown"], "unknown"),
        ([], "unknown"),
    ],
)
def test_an_application_is_as_its_worst_unit(states: list[str], shown: str) -> None:
    application = _application("web", units=len(states))
    for unit, state in zip(application.units.values(), states, strict=True):
        unit.workload = Status(state, f"is {state}", SINCE)
    found = status.application_status(application)
    assert (found.current, found.message) == (shown, f"is {shown}" if states else "")


def test_what_the_leader_sets_comes_before_the_units() -> None:
    application = _application("web", units=2)
    application.units[1].workload = Status("blocked", "alone", SINCE)
    application.status = Status("active", "all fine", SINCE)
    assert status.application_status(application).message == "all fine"


@pytest.mark.parametrize(
    ("first", "shown"), [("installing agent", "installing agent"), ("", "waiting for units to settle down")]
)
def test_an_application_waits_for_its_pods(first: str, shown: str) -> None:
    application = _application("web", units=2)
    application.status = Status("active", "all fine", SINCE)
    application.units[1].agent = Status("allocating", "", SINCE)
    for unit in application.units.values():
        unit.workload = Status("waiting", first, SINCE)
    found = status.application_status(application)
    assert (found.current, found.message) == ("waiting", shown)
    application.life = Life.DYING
    assert status.application_status(application).current == "active"


def test_scale_says_how_many_are_there_of_how_many(model: Model) -> None:
    model.applications["web"].scale = 3
    assert "  2/3  web" in tabular.render_status(model)


@pytest.mark.parametrize(
    ("patterns", "shown"),
    [
        ([], ["store", "web"]),
        (["w*"], ["web"]),
        (["store/0"], ["store"]),
        (["store/leader"], ["store"]),
        (["web", "alone"], ["alone", "web"]),
        (["alone"], ["alone"]),
        (["alone/*"], ["alone"]),
        (["nobody"], []),
    ],
)
def test_selectors_show_what_they_mean(model: Model, patterns: list[str], shown: list[str]) -> None:
    model.applications["store"].leader = "store/0"
    if any(pattern.startswith("alone") for pattern in patterns):
        model.applications["alone"] = _application("alone")
    assert status.selected(model, patterns) == shown


def test_a_selected_unit_is_shown_without_the_others() -> None:
    model = Model("test")
    model.applications["web"] = _application("web", units=3)
    assert [unit.name for unit in status.units_shown(model.applications["web"], ["web/1"])] == ["web/1"]
    shown = status.document(model, ["web/1"])["applications"]["web"]
    assert [*shown["units"]] == ["web/1"]
    assert "web/2" not in tabular.render_status(model, ["web/1"])
    assert [*status.document(model, ["web"])["applications"]["web"]["units"]] == ["web/0", "web/1", "web/2"]


def test_names_are_sorted_as_people_count() -> None:
    model = Model("test")
    model.applications = {name: _application(name) for name in ("web10", "web9")}
    model.applications["web9"] = _application("web9", units=11)
    lines = tabular.render_status(model).splitlines()
    assert [line.split()[0] for line in lines if line.startswith("web")][:2] == ["web9", "web10"]
    assert next(line for line in reversed(lines) if line.startswith("web9")).startswith("web9/10")


@pytest.mark.parametrize(("terminal", "length"), [(False, 300), (True, 120)])
def test_long_messages_are_cut_on_a_terminal_only(model: Model, terminal: bool, length: int) -> None:
    model.applications["store"].units[0].workload = Status("blocked", "x" * 300, SINCE)
    line = tabular.render_status(model, terminal=terminal).splitlines()[4]
    assert line.endswith("x" * length if not terminal else "x" * 117 + "...")


def test_dying_things_say_so(model: Model) -> None:
    model.life = Life.DYING
    model.applications["web"].life = Life.DYING
    model.applications["web"].units[1].life = Life.DYING
    said = status.document(model)
    assert said["model"]["model-status"]["current"] == "destroying"
    assert said["applications"]["web"]["life"] == "dying"
    assert said["applications"]["web"]["units"]["web/1"]["juju-status"]["life"] == "dying"


@pytest.mark.parametrize(
    ("ports", "shown"),
    [
        ([], ""),
        (["80/tcp"], "80/tcp"),
        (["8081/tcp", "80/tcp", "8080/tcp", "8082/tcp"], "80,8080-8082/tcp"),
        (["53/udp", "53/tcp"], "53/tcp 53/udp"),
    ],
)
def test_neighbouring_ports_are_a_range(ports: list[str], shown: str) -> None:
    assert tabular.ports_shown(ports) == shown


def test_columns_of_numbers_stand_at_the_right() -> None:
    assert tabular.table(["A", "Count", "B"], [["x", 7, ""], ["yy", 12345678, "z"]], right={1}) == (
        "A      Count  B\nx          7\nyy  12345678  z\n"
    )


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "just now"), (1, "just now"), (30, "30 seconds ago"), (60, "1 minute ago"), (7300, "2 hours ago"),
     (90000, "2026-11-23")],
)  # fmt: skip
def test_people_read_how_long_ago_it_was(seconds: int, said: str) -> None:
    assert formats.ago(SINCE, SINCE + datetime.timedelta(seconds=seconds)) == said


def test_yaml_is_written_as_juju_writes_it() -> None:
    said = {
        "version": "3.6",
        "text": "one\ntwo\n",
        "long": "word " * 60,
        "list": ["a"],
        "none": "",
        "é": True,
    }
    assert formats.as_yaml(said) == (
        f'version: "3.6"\ntext: |\n  one\n  two\nlong: \'{"word " * 60}\'\nlist:\n- a\nnone: ""\né: true\n'
    )
