"""Offers between models, as people and programs type them."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import jubilant
import pytest
import yaml

Run = Callable[..., subprocess.CompletedProcess[str]]
OTHER = {"JUJU_MODEL": "shop"}


@pytest.fixture(scope="module")
def shop(juju: jubilant.Juju, web: str, charms: Path, settle: Callable[[], None]) -> Iterator[jubilant.Juju]:
    """A second model, whose application `store` is offered as `sql`; the present model is still the first."""
    shop = jubilant.Juju(cli_binary=juju.cli_binary, wait_timeout=juju.wait_timeout)
    shop.add_model("shop")
    shop.deploy(charms / "store")
    settle()
    shop.offer("shop.store", endpoint="db", name="sql")
    juju.cli("switch", "test", include_model=False)
    yield shop
    shop.cli("destroy-model", "--no-prompt", "--force", "shop", include_model=False)


@pytest.fixture
def related(juju: jubilant.Juju, shop: jubilant.Juju, settle: Callable[[], None]) -> Iterator[None]:
    """`web` uses the offer."""
    juju.integrate("web:db", "shop.sql")
    settle()
    yield
    juju.cli("remove-saas", "sql")
    settle()


def test_offers_are_listed_found_and_shown(shop: jubilant.Juju, run: Run) -> None:
    found = run("find-offers").stdout
    assert found.splitlines() == [
        "URL                       Access  Interfaces",
        "rehearsal:admin/shop.sql  admin   sql:db",
    ]
    assert run("find-offers", "--interface", "http").stderr == "ERROR no matching application offers found\n"
    assert "rehearsal:admin/shop.sql" in run("find-offers", "shop", "--format", "yaml").stdout
    shown = yaml.safe_load(run("show-offer", "shop.sql", "--format", "yaml").stdout)
    assert shown["rehearsal:admin/shop.sql"]["endpoints"] == {"db": {"interface": "sql", "role": "provider"}}
    assert "For tests of the juju command." in run("show-offer", "sql", **OTHER).stdout
    listed = run("offers", "--format", "summary", **OTHER).stdout
    assert "local:store-0" in listed and "admin/shop.sql" in listed
    assert run("offers", "--active-only", "--format", "yaml", **OTHER).stdout == "{}\n"


def test_a_relation_shows_on_both_sides(
    juju: jubilant.Juju, shop: jubilant.Juju, related: None, run: Run
) -> None:
    here, there = juju.status(), shop.status()
    remote = here.app_endpoints["sql"]
    assert (remote.url, remote.relations) == ("rehearsal:admin/shop.sql", {"db": ["web"]})
    assert (remote.endpoints["db"].role, remote.app_status.current) == ("provider", "active")
    assert here.apps["web"].relations["db"][0].related_app == "sql"
    offer = there.offers["sql"]
    assert (offer.app, offer.total_connected_count, offer.active_connected_count) == ("store", 1, 1)
    assert "db" not in there.apps["store"].relations
    assert "SAAS  Status  Store      URL\nsql   active  rehearsal  admin/shop.sql\n" in run("status").stdout
    assert "sql    store        store  0    1/1        db        sql" in run("status", **OTHER).stdout
    said = yaml.safe_load(run("show-unit", "web/0").stdout)["web/0"]["relation-info"]
    (info,) = (each for each in said if each["endpoint"] == "db")
    assert info["cross-model"] is True and set(info["related-units"]) == {"sql/0"}
    assert info["application-data"]["secret"].startswith(f"secret://{shop.show_model().model_uuid}/")
    connections = yaml.safe_load(run("offers", "--format", "yaml", **OTHER).stdout)["sql"]["connections"]
    assert connections[0]["status"]["current"] == "joined"
    assert "remote-" not in run("export-bundle", **OTHER).stdout


def test_a_model_with_offers_is_exported_and_deployed_again(
    juju: jubilant.Juju, shop: jubilant.Juju, related: None, run: Run, tmp_path: Path, settle: Callable
) -> None:
    run("export-bundle", "--filename", tmp_path / "web.yaml")
    assert yaml.safe_load((tmp_path / "web.yaml").read_text())["saas"] == {
        "sql": {"url": "rehearsal:admin/shop.sql"}
    }
    run("export-bundle", "--filename", tmp_path / "store.yaml", **OTHER)
    _, overlay = yaml.safe_load_all((tmp_path / "store.yaml").read_text())
    assert overlay["applications"]["store"]["offers"]["sql"]["endpoints"] == ["db"]
    assert run("diff-bundle", tmp_path / "web.yaml").stdout == "{}\n"
    juju.cli("remove-saas", "sql")
    settle()
    differing = yaml.safe_load(run("diff-bundle", tmp_path / "web.yaml").stdout)
    assert differing == {"relations": {"bundle-additions": [["web:db", "sql:db"]]}}
    done = run("deploy", tmp_path / "web.yaml")
    assert "- consume offer sql at rehearsal:admin/shop.sql\n" in done.stdout, done.stderr
    settle()
    assert juju.status().app_endpoints["sql"].relations == {"db": ["web"]}
    assert run("deploy", tmp_path / "store.yaml", **OTHER).stderr.endswith("No changes to apply.\n")


def test_an_offer_in_use_is_removed_by_force_only(
    juju: jubilant.Juju, shop: jubilant.Juju, related: None, run: Run, settle: Callable
) -> None:
    refused = run("remove-offer", "shop.sql")
    assert refused.stderr == 'ERROR cannot delete application offer "sql": offer has 1 relation\n'
    refused = run("remove-application", "--no-prompt", "store", **OTHER)
    assert refused.returncode == 1 and "application is used by 1 offer" in refused.stderr
    asked = run("remove-offer", "--force", "shop.sql", input="n\n")
    assert asked.stderr.endswith("offer removal: aborted\n")
    assert run("remove-offer", "--force", "-y", "shop.sql").returncode == 0
    settle()
    assert juju.status().app_endpoints["sql"].app_status.message == "offer has been removed"
    assert "'juju remove-saas sql'" in run("integrate", "web:db", "sql").stderr
    shop.offer("shop.store", endpoint="db", name="sql")


def test_a_relation_is_suspended_and_resumed(
    juju: jubilant.Juju, shop: jubilant.Juju, related: None, run: Run, settle: Callable
) -> None:
    (info,) = (each for each in shop.show_unit("store/0").relation_info if each.endpoint == "db")
    run("suspend-relation", info.relation_id, **OTHER)
    settle()
    assert "suspended" in run("status", "--relations").stdout
    run("resume-relation", info.relation_id, **OTHER)
    settle()
    assert "suspended" not in run("status", "--relations").stdout
    (own,) = (each for each in juju.show_unit("web/0").relation_info if each.endpoint == "replicas")
    assert "not associated with an offer" in run("suspend-relation", own.relation_id).stderr


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["offer", "store"], 2, 'endpoints must conform to format "<application-name>:<endpoint-name>[,...]" '),
        (["offer", "shop.store:nothing"], 1, 'cannot add application offer "store": application "store" has no '
         '"nothing" relation'),
        (["consume", "shop.nothing"], 1, 'application offer "admin/shop.nothing" not found'),
        (["consume", "shop"], 1, "application offer URL is missing application"),
        (["consume", "shop.sql:db"], 1, "saas offer \"shop.sql:db\" shouldn't include endpoint"),
        (["consume", "elsewhere:admin/shop.sql"], 1, "controller elsewhere not found"),
        (["consume", "shop.sql", "web"], 1, 'cannot add saas application "web": local application with same name '
         "exists"),
        (["remove-saas", "nothing"], 1, ""),
        (["show-offer", "shop.nothing"], 1, 'application offer "admin/shop.nothing" not found'),
        (["suspend-relation", "99"], 1, 'relation "99" not found'),
    ],
)  # fmt: skip
def test_what_is_no_offer_is_refused(
    shop: jubilant.Juju, run: Run, words: list[str], status: int, message: str
) -> None:
    done = run(*words)
    said = (
        f"ERROR {message}\n"
        if message
        else 'removing SAAS application nothing failed: remote application "nothing" not found\n'
    )
    assert (done.returncode, done.stderr) == (status, said)
