"""`juju-info`, which every application provides without declaring it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from juju_model import CHARMS, Juju

from rehearsal.juju.model import endpoints
from rehearsal.juju.model.errors import JujuError


@pytest.fixture
def watcher(tmp_path: Path) -> Path:
    """The puppet, which asks for juju-info."""
    folder = shutil.copytree(CHARMS / "puppet", tmp_path / "watcher")
    said: dict[str, Any] = yaml.safe_load((folder / "charmcraft.yaml").read_text())
    said["requires"] = {"info": {"interface": "juju-info"}}
    said["provides"] = {"web": {"interface": "sql"}}
    (folder / "charmcraft.yaml").write_text(yaml.safe_dump(said))
    return folder


def test_both_sides_see_the_relation(juju: Juju, watcher: Path) -> None:
    tell = 'tell([name, event.unit.name]) if name.startswith("info-relation-joined") else None'
    juju.deploy("watcher", watcher, config={"script": tell})
    juju.deploy("a", scale=2)
    juju.settle()
    number = juju.integrate("watcher:info", "a")
    juju.settle()
    assert juju.model.relations[number].key == "watcher:info a:juju-info"
    assert sorted(unit for _, unit in juju.told("watcher/0")) == ["a/0", "a/1"]
    assert "juju-info-relation-joined" in juju.ran("a/0")
    juju.remove("watcher")
    juju.settle()
    assert "juju-info-relation-broken" in juju.ran("a/0")


def test_it_is_meant_only_if_nothing_else_can_be(juju: Juju, watcher: Path) -> None:
    juju.deploy("watcher", watcher)
    juju.deploy("a")
    juju.deploy("b")
    ends, _ = endpoints.infer(juju.model, "watcher", "a:juju-info")
    assert {str(end) for end in ends} == {"watcher:info", "a:juju-info"}
    ends, _ = endpoints.infer(juju.model, "watcher", "b:db")
    assert {str(end) for end in ends} == {"watcher:web", "b:db"}
    with pytest.raises(JujuError, match="no relations found"):
        endpoints.infer(juju.model, "a:juju-info", "b:juju-info")


def test_a_failed_hook_says_with_whom(juju: Juju) -> None:
    fail = 'if name.startswith("db-relation-joined"): raise ValueError'
    juju.deploy("a", config={"script": fail})
    juju.deploy("b")
    juju.settle()
    juju.integrate("a:db", "b:web")
    juju.fail_now("a/0")
    assert juju.unit("a/0").workload.message == 'hook failed: "db-relation-joined" for b:web'
