"""Integrating, and breaking that up."""

from __future__ import annotations

import jubilant
import pytest


def test_relations_come_and_go(juju: jubilant.Juju, web: str, store: str, run, settle) -> None:
    juju.integrate("web:db", "store:db")
    settle()
    unit = juju.show_unit("web/0")
    info = next(each for each in unit.relation_info if each.endpoint == "db")
    assert (info.related_endpoint, set(info.related_units)) == ("db", {"store/0"})
    assert info.app_data["secret"].startswith("secret:")
    assert info.local_unit is not None and info.local_unit.in_scope
    assert info.related_units["store/0"].data["ingress-address"]
    again = run("relate", "web:db", "store:db")
    assert again.returncode == 1 and "already exists" in again.stderr
    juju.remove_relation("store:db", "web")
    settle()
    assert "db" not in juju.status().apps["web"].relations


def test_show_unit_shows_a_part(juju: jubilant.Juju, web: str, store: str, run, settle) -> None:
    juju.cli("add-relation", "web:site", "store:front")
    settle()
    said = run("show-unit", "store/0", "--endpoint", "front").stdout
    assert "title: Web" in said and "url: http://web" in said
    assert "local-unit" not in run("show-unit", "store/0", "--app").stdout
    assert "web/0" not in run("show-unit", "store/0", "--related-unit", "web/9").stdout
    number = next(
        each.relation_id for each in juju.show_unit("store/0").relation_info if each.endpoint == "front"
    )
    assert run("remove-relation", number).returncode == 0
    settle()
    assert "front" not in juju.status().apps["store"].relations


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["integrate", "web:db", "nobody"], 1, 'application "nobody" not found'),
        (["integrate", "web:nothing", "store"], 1, 'application "web" has no "nothing" relation'),
        (["integrate", "web:db", "store:front"], 1, "no relations found"),
        (["integrate", "web", "store"], 1, 'ambiguous relation: "web store" could refer to '
         '"store:front web:site"; "web:db store:db"; "web:db store:second"'),
        (["integrate", "web:db", "admin/other.db"], 1, "model rehearsal:admin/other not found"),
        (["integrate", "web:db", "test.db"], 1, 'application offer "admin/test.db" not found'),
        (["integrate", "a.b", "c.d"], 2, "providing more than one remote endpoints not supported"),
        (["integrate", "web:db", "store", "--via", "10.0.0.0/8"], 2,
         "the --via option can only be used when relating to offers in a different model"),
        (["remove-relation", "web:db", "store:db"], 1, 'relation "web:db store:db" not found'),
        (["remove-relation", "99"], 1, 'relation "99" not found'),
        (["remove-relation", "web"], 2, 'relation ID "web" not valid'),
    ],
)  # fmt: skip
def test_what_cannot_be_related_is_refused(
    juju: jubilant.Juju, web: str, store: str, run, words: list[str], status: int, message: str
) -> None:
    done = run(*words)
    assert (done.returncode, done.stderr.rstrip()) == (status, f"ERROR {message}")


def test_a_limit_is_kept(juju: jubilant.Juju, web: str, store: str, run, settle) -> None:
    juju.integrate("web:db", "store:db")
    done = run("integrate", "web:db", "store:second")
    assert done.returncode == 1
    assert "would exceed its maximum relation limit of 1 (quota limit exceeded)" in done.stderr
    juju.remove_relation("web:db", "store:db")
    settle()


def test_show_application_has_bindings_and_base(juju: jubilant.Juju, web: str, store: str, run) -> None:
    said = run("show-application", "web", "store").stdout
    assert said.startswith("web:\n  charm: web\n  base: ubuntu@24.04\n")
    assert "\nstore:\n" in said
