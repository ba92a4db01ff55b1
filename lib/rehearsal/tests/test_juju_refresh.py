"""Another revision of a charm, in new pods (Juju's reference "Hook", upgrade-charm)."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from juju_model import CHARMS, Juju

from rehearsal.juju.charm_process import oci_images
from rehearsal.juju.model import charms
from rehearsal.juju.model.errors import JujuError

COUNTING = """
if name in ("stop", "start", "upgrade-charm", "say"):
  self.stored.count += 1
  tell([name, self.stored.count, self.config.get("extra")])
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A copy of the charm that a test may edit."""
    return shutil.copytree(CHARMS / "puppet", tmp_path / "source")


def refresh(juju: Juju, name: str, folder: Path) -> None:
    """Refresh from a folder, and settle."""
    with juju.engine.lock:
        juju.engine.refresh(juju.model, juju.model.applications[name], charms.load(folder))
    juju.settle()


def edit(source: Path, file: str, old: str, new: str) -> None:
    """Edit a file of the charm."""
    text = (source / file).read_text()
    assert old in text
    (source / file).write_text(text.replace(old, new))


def test_the_old_charm_stops_and_the_new_one_upgrades_configures_and_starts(juju: Juju, source: Path) -> None:
    juju.deploy("a", source)
    juju.deploy("b")
    juju.integrate("a:db", "b:web")
    juju.settle()
    juju.events()
    edit(source, "src/charm.py", 'logger.info("event %s", name)', 'logger.info("event new %s", name)')
    refresh(juju, "a", source)
    # The new pod has another address, which the other side sees.
    assert juju.events("b/0") == ["web-relation-changed a/0"]
    assert juju.events("a/0") == [
        "stop",
        "new upgrade-charm",
        "new config-changed",
        "new start",
        "new work-pebble-ready",
    ]
    assert juju.model.applications["a"].revision == 1


def test_what_lies_in_a_pod_is_gone_with_it(juju: Juju, source: Path) -> None:
    """StoredState of a sidecar charm lies in its pod, unless the charm keeps it in the controller."""
    juju.deploy("a", source, config={"script": COUNTING})
    juju.settle()
    juju.run("a/0", "say")
    refresh(juju, "a", source)
    assert juju.told("a/0") == [
        ["start", 1, None],
        ["say", 2, None],
        ["stop", 3, None],
        ["upgrade-charm", 1, None],
        ["start", 2, None],
    ]


def test_new_options_endpoints_and_peers_are_there_in_the_new_charm(juju: Juju, source: Path) -> None:
    juju.deploy("a", source, config={"script": COUNTING})
    juju.deploy("b")
    juju.settle()
    edit(source, "charmcraft.yaml", "  cluster:\n", "  more:\n    interface: peer\n  cluster:\n")
    edit(source, "charmcraft.yaml", "    colour:\n", "    extra: {type: string, default: new}\n    colour:\n")
    edit(source, "charmcraft.yaml", "  logs:\n", "  files:\n    interface: sql\n  logs:\n")
    juju.events()
    refresh(juju, "a", source)
    assert juju.events("a/0")[:3] == ["stop", "more-relation-created", "upgrade-charm"]
    assert ["upgrade-charm", 1, "new"] in juju.told("a/0")
    juju.integrate("a:files", "b:web")
    juju.settle()
    assert "files-relation-created" in juju.events("a/0")


def test_every_unit_is_upgraded(juju: Juju, source: Path) -> None:
    juju.deploy("a", source, scale=3)
    juju.settle()
    juju.events()
    refresh(juju, "a", source)
    assert sorted(event for event in juju.events() if "upgrade" in event) == [
        "a/0 upgrade-charm",
        "a/1 upgrade-charm",
        "a/2 upgrade-charm",
    ]


def test_a_new_resource_is_told_as_an_upgrade(juju: Juju) -> None:
    script = (
        "if name in ('start', 'upgrade-charm'): tell(self.model.resources.fetch('image').read_text().strip())"
    )
    application = juju.deploy("a", config={"script": script})
    juju.settle()
    juju.events()
    with juju.engine.lock:
        juju.engine.attach_resources(juju.model, application, {"image": "registry.example/image:2"})
    juju.settle()
    assert juju.events("a/0")[:3] == ["stop", "upgrade-charm", "config-changed"]
    assert juju.told("a/0") == [f"registrypath: registry.example/image:{n}" for n in (1, 2, 2)]


def test_an_image_with_credentials_comes_in_a_file_and_outlives_an_upgrade(
    juju: Juju, source: Path, tmp_path: Path
) -> None:
    script = (
        "if name in ('start', 'upgrade-charm'): tell(self.model.resources.fetch('image').read_text().strip())"
    )
    application = juju.deploy("a", source, config={"script": script})
    juju.settle()
    file = tmp_path / "image.json"
    file.write_text('{"registrypath": "registry.example/image:3", "username": "u", "password": "p"}')
    with juju.engine.lock:
        juju.engine.attach_resources(juju.model, application, {"image": str(file)})
    juju.settle()
    file.unlink()
    refresh(juju, "a", source)
    assert application.resources["image"] == "registry.example/image:3"
    (_, *attached) = juju.told("a/0")
    given = "password: p\nregistrypath: registry.example/image:3\nusername: u"
    assert attached[-2:] == [given, given]
    file.write_text("username: u")
    with pytest.raises(JujuError, match='docker image path "" not valid'):
        oci_images.described(str(file))


def test_a_unit_in_error_runs_its_hook_with_the_new_code_and_upgrades_then(juju: Juju, source: Path) -> None:
    juju.deploy(
        "a", source, config={"script": "if name == 'config-changed' and self.config['size'] == 4: no_such"}
    )
    juju.settle()
    juju.config("a", size=4)
    juju.fail_now("a/0")
    juju.events()
    edit(source, "src/charm.py", "        exec(", "        if name != 'config-changed': exec(")
    refresh(juju, "a", source)
    assert juju.events("a/0") == [
        "config-changed",
        "upgrade-charm",
        "config-changed",
        "start",
        "work-pebble-ready",
    ]


def test_two_refreshes_at_once_are_one(juju: Juju, source: Path) -> None:
    application = juju.deploy("a", source)
    juju.settle()
    juju.events()
    with juju.engine.lock:
        juju.engine.refresh(juju.model, application, application.charm)
        juju.engine.refresh(juju.model, application, application.charm)
    juju.settle()
    assert juju.events("a/0").count("upgrade-charm") == 1
