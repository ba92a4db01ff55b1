"""Storage: its hooks, its place, and how long it stays."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from juju_model import CHARMS, Juju

from rehearsal.juju.model import charms, storage
from rehearsal.juju.model.errors import JujuError
from rehearsal.juju.model.state import Application

STORAGE = {
    "data": {"type": "filesystem", "location": "/srv/data", "minimum-size": "2G"},
    "cache": {"type": "filesystem", "multiple": {"range": "0-1"}},
}
WRITE = """
if name.startswith("data-storage"):
  place = event.storage.location
  tell([name, event.storage.full_id, (place / "kept").exists()])
  (place / "kept").write_text("x")
elif name in ("install", "start"):
  tell([name, len(self.model.storages["data"])])
"""
MOUNTED = """
c = self.unit.get_container("work")
if name == "work-pebble-ready": c.push("/var/lib/work/page", "hello")
if name == "config-changed" and c.can_connect():
  [one] = self.model.storages["data"]
  tell([(one.location / "page").read_text(), c.pull("/var/lib/work/page").read()])
"""


@pytest.fixture
def keeper(tmp_path: Path) -> Path:
    """The puppet, with storage."""
    folder = shutil.copytree(CHARMS / "puppet", tmp_path / "keeper")
    said: dict[str, Any] = yaml.safe_load((folder / "charmcraft.yaml").read_text())
    said["storage"] = STORAGE
    said["containers"]["work"]["mounts"] = [{"storage": "data", "location": "/var/lib/work"}]
    (folder / "charmcraft.yaml").write_text(yaml.safe_dump(said))
    return folder


def deploy(juju: Juju, charm: Path, script: str = "", **options: Any) -> Application:
    return juju.deploy("a", charm, config={"script": script}, **options)


def test_it_is_attached_after_start_and_detached_before_all_else(juju: Juju, keeper: Path) -> None:
    deploy(juju, keeper)
    juju.settle()
    ran = juju.ran("a/0")
    assert ran.index("data-storage-attached") > ran.index("start")
    assert "cache-storage-attached" not in ran
    juju.deploy("b")
    juju.integrate("a:db", "b:web")
    juju.settle()
    juju.remove("a")
    juju.settle()
    ending = juju.ran("a/0")[len(ran) :]
    assert ending.index("data-storage-detaching") < ending.index("db-relation-departed")


def test_a_hook_sees_it_when_it_is_attached(juju: Juju, keeper: Path) -> None:
    deploy(juju, keeper, WRITE)
    juju.settle()
    attached = ["data-storage-attached", "data/0", False]
    assert juju.told("a/0") == [["install", 0], ["start", 0], attached]
    juju.remove("a")
    juju.settle()
    assert juju.told("a/0")[-1] == ["data-storage-detaching", "data/0", True]


def test_a_container_has_it_where_its_mount_says(juju: Juju, keeper: Path) -> None:
    deploy(juju, keeper, MOUNTED)
    juju.settle()
    juju.config("a", size=9)
    juju.settle()
    assert juju.told("a/0")[-1] == ["hello", "hello"]


def test_a_new_pod_has_what_the_former_wrote(juju: Juju, keeper: Path) -> None:
    application = deploy(juju, keeper, MOUNTED)
    juju.settle()
    with juju.engine.lock:
        juju.engine.refresh(juju.model, application, application.charm)
    juju.settle()
    juju.config("a", size=9)
    juju.settle()
    assert juju.told("a/0")[-1] == ["hello", "hello"]
    assert juju.ran("a/0").count("data-storage-attached") == 1


def test_a_unit_of_the_same_number_has_its_predecessors(juju: Juju, keeper: Path) -> None:
    deploy(juju, keeper, WRITE, scale=2)
    juju.settle()
    assert sorted(juju.model.storage) == ["data/0", "data/1"]
    juju.scale("a", 1)
    juju.settle()
    assert juju.model.storage["data/1"].unit == ""
    juju.scale("a", 2)
    juju.settle()
    assert sorted(juju.model.storage) == ["data/0", "data/1"]
    assert juju.told("a/1")[-1] == ["data-storage-attached", "data/1", True]


def test_destroyed_storage_is_gone_and_other_stays(juju: Juju, keeper: Path) -> None:
    deploy(juju, keeper, WRITE)
    juju.settle()
    juju.remove("a")
    juju.settle()
    assert juju.model.storage["data/0"].unit == ""
    deploy(juju, keeper, WRITE)
    juju.settle()
    assert juju.told("a/0")[-1] == ["data-storage-attached", "data/1", False]
    juju.remove("a", destroy_storage=True)
    juju.settle()
    assert list(juju.model.storage) == ["data/0"]


def test_what_is_not_needed_is_there_when_asked_for(juju: Juju, keeper: Path) -> None:
    deploy(juju, keeper, storage={"cache": "3G"})
    juju.settle()
    assert "cache-storage-attached" in juju.ran("a/0")
    sizes = {each.spec.name: each.directive.size for each in juju.model.storage.values()}
    assert sizes == {"data": 2048, "cache": 3072}


def test_it_may_not_grow_or_vanish_while_it_is_used(juju: Juju, keeper: Path) -> None:
    application = deploy(juju, keeper)
    plain, with_it = charms.load(CHARMS / "puppet").storage, application.charm.storage
    with pytest.raises(JujuError, match='in-use storage "data" removed'):
        storage.check_next(with_it, plain, {"data"})
    storage.check_next(with_it, plain, set())
    with pytest.raises(JujuError, match='required storage "data" added'):
        storage.check_next(plain, with_it, set())
    said = {"data": STORAGE["data"] | {"location": "/elsewhere"}}
    with pytest.raises(JujuError, match='"data" location changed from "/srv/data" to "/elsewhere"'):
        storage.check_next(with_it, storage.declared({"storage": said}), set())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2G", storage.Directive(size=2048)),
        ("kubernetes,1,512M", storage.Directive(size=512)),
        ("2", storage.Directive(count=2)),
        ("fast", storage.Directive(pool="fast")),
        ("1.5G", storage.Directive(size=1536)),
    ],
)
def test_directives(text: str, expected: storage.Directive) -> None:
    assert storage.parsed(text) == expected


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("data", "0", "count must be greater than zero"),
        ("data", "1G,!", 'unrecognized storage directive "!"'),
        ("data", "fast", 'pool "fast" not found'),
        ("data", "1G", 'charm "puppet" store "data": minimum storage size is 2048MB, 1024MB specified'),
        ("data", "2,3G", 'charm "puppet" store "data": at most 1 instances supported, 2 specified'),
        ("nothing", "1G", 'charm "puppet" has no store called "nothing"'),
        ("many", "2", "a Kubernetes pod can have one instance, 2 specified"),
        ("disk", "1G", 'does not support "block" storage'),
    ],
)
def test_what_cannot_be_is_refused(name: str, text: str, message: str) -> None:
    more = {"many": {"type": "filesystem", "multiple": {"range": "0-"}}, "disk": {"type": "block"}}
    specs = storage.declared(
        {"storage": {key: said for key, said in (STORAGE | more).items() if key == name}}
    )
    with pytest.raises(JujuError, match=message):
        storage.directives(specs, {name: text}, "puppet")
