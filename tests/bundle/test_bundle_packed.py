"""What charmcraft packs: the size of it, what is in it, and that Juju could start it."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from rehearsal.patience import until
from rehearsal.stage import Stage

ROOT = Path(__file__).parents[2]
CHARMCRAFT = ["uv", "tool", "run", "--python", sys.executable, "--from", "charmcraft>=4.5", "--with", "uv"]
CANNOT_RUN = 3
TOOLS = """
    action-get application-version-set close-port config-get credential-get goal-state is-leader juju-log
    network-get open-port opened-ports relation-get relation-ids relation-list relation-set resource-get
    secret-add secret-get secret-ids secret-info-get state-get status-get status-set storage-get storage-list
"""

VALIDATE = """
import pathlib, sys
from charmcraft import parts
from charmcraft.models.project import CharmcraftProject
parts.setup_parts()
for path in sys.argv[1:]:
    CharmcraftProject.from_yaml_file(pathlib.Path(path))
"""

pytestmark = pytest.mark.pack


@pytest.fixture(scope="module")
def charmcraft() -> list[str]:
    """The start of a command that runs in charmcraft's own environment."""
    if platform.system() != "Linux":
        pytest.skip("charmcraft builds charms on Linux only")
    got = subprocess.run([*CHARMCRAFT, "charmcraft", "version"], capture_output=True, text=True)
    if got.returncode:
        pytest.skip(f"charmcraft cannot be had: {got.stderr.strip().splitlines()[-1]}")
    return CHARMCRAFT


@pytest.fixture(scope="module")
def all_packed(charmcraft: list[str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Every charm, packed on this machine as `tox -e pack` does it, by its name."""
    output = tmp_path_factory.mktemp("packed")
    command = ["python", ROOT / "tests" / "pack.py", "--on-host", "--output", output]
    ran = subprocess.run([*charmcraft, *command], capture_output=True, text=True)
    if ran.returncode == CANNOT_RUN:
        pytest.skip(ran.stderr.strip())
    assert ran.returncode == 0, ran.stderr
    return {path.name.partition("_")[0]: path for path in output.glob("*.charm")}


@pytest.fixture(scope="module")
def packed(all_packed: dict[str, Path]) -> Path:
    """The dashboard's charm."""
    return all_packed["kubeflow-dashboard"]


@pytest.fixture(scope="module")
def unpacked(packed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The charm's folder as Juju would leave it in a unit."""
    folder = tmp_path_factory.mktemp("unit") / "charm"
    with zipfile.ZipFile(packed) as archive:
        archive.extractall(folder)
    (folder / "dispatch").chmod(0o755)
    return folder


@pytest.fixture
def tools(tmp_path: Path, unpacked: Path) -> Iterator[Path]:
    """A folder of hook tools: they log their calls, and know of a leader that nothing is related to."""
    defaults = {
        name: option.get("default")
        for name, option in yaml.safe_load((unpacked / "config.yaml").read_text())["options"].items()
    }
    (tmp_path / "config.json").write_text(json.dumps(defaults))
    tool = tmp_path / "tool"
    tool.write_text(
        "#!/bin/sh\n"
        f'echo "$(basename "$0") $*" >> "{tmp_path}/log"\n'
        'case "$(basename "$0")" in\n'
        "is-leader) echo true ;;\n"
        f'config-get) cat "{tmp_path}/config.json" ;;\n'
        "relation-ids) echo '[]' ;;\n"
        """status-get) echo '{"status": "maintenance", "message": "", "status-data": {}}' ;;\n"""
        "esac\n"
    )
    tool.chmod(0o755)
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in TOOLS.split():
        (folder / name).symlink_to(tool)
    (folder / "python3").symlink_to(interpreter(unpacked))
    yield folder


def interpreter(unpacked: Path) -> str:
    """The Python that the charm was packed for."""
    (version,) = (path.name for path in unpacked.glob("venv/lib/python3.*"))
    if version == f"python3.{sys.version_info.minor}":
        return os.path.realpath(sys.executable)
    found = shutil.which(version)
    assert found, f"{version}, which charmcraft packed for, is gone"
    return found


def test_charmcraft_takes_every_charm(charmcraft: list[str]) -> None:
    command = [*charmcraft, "python", "-c", VALIDATE, *ROOT.glob("charms/*/charmcraft.yaml")]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


def test_is_named_as_the_bundle_names_it(packed: Path) -> None:
    bundle = yaml.safe_load((ROOT / "bundle.yaml").read_text())
    named = Path(bundle["applications"]["kubeflow-dashboard"]["charm"]).name
    assert packed.name.rpartition("-")[0] == named.rpartition("-")[0]


def test_weighs_less_than_12_megabytes(all_packed: dict[str, Path]) -> None:
    assert len(all_packed) == len([*ROOT.glob("charms/*/charmcraft.yaml")])
    assert all(path.stat().st_size < 12e6 for path in all_packed.values())


def test_the_whole_bundle_becomes_active_by_what_was_packed(
    all_packed: dict[str, Path], tmp_path: Path
) -> None:
    """Every hook is a process of the charm's own dispatch, with what charmcraft put into the charm."""
    bundle = yaml.safe_load((ROOT / "bundle.yaml").read_text())
    for said in bundle["applications"].values():
        if said["charm"].startswith("."):
            said["charm"] = str(all_packed[Path(said["charm"]).name.partition("_")[0]])
    file = tmp_path / "bundle.yaml"
    file.write_text(yaml.safe_dump(bundle))
    with Stage() as stage:
        stage.juju("add-model", "kubeflow")
        stage.juju("deploy", file, "--trust")
        model = stage.engine.models["kubeflow"]

        def states() -> dict[str, tuple[str, str]]:
            return {unit.name: (unit.workload.current, unit.workload.message) for unit in model.units()}

        def active() -> bool:
            return {state for state, _ in states().values()} == {"active"} and stage.engine.idle(1.0)

        until(active, states, within=600, every=0.5)
        ours = {name for name, each in model.applications.items() if not each.stand_in}
        assert all(model.applications[name].charm.dispatched for name in ours)
        assert {model.applications[name].charm.name for name in ours} == all_packed.keys()


def test_holds_the_charm_and_the_library_and_nothing_of_the_rehearsal(unpacked: Path) -> None:
    templates = {path.name for path in (unpacked / "src" / "templates").iterdir()}
    assert "centraldashboard.yaml.j2" in templates
    (site,) = unpacked.glob("venv/lib/python3.*/site-packages")
    packages = {path.name for path in site.iterdir()}
    assert {"kubeflow_charm", "lightkube", "ops"} <= packages
    assert not packages & {"rehearsal", "scenario", "pytest", "charmcraft"}
    assert not (unpacked / "tests").exists()


def test_dispatch_runs_a_hook_and_reports_what_is_missing(unpacked: Path, tools: Path) -> None:
    environment = {
        "PATH": f"{tools}:/usr/bin:/bin",
        "HOME": str(tools),
        "JUJU_CHARM_DIR": str(unpacked),
        "JUJU_DISPATCH_PATH": "hooks/start",
        "JUJU_HOOK_NAME": "start",
        "JUJU_MODEL_NAME": "kubeflow",
        "JUJU_MODEL_UUID": "3c8b3a1e-8d2c-4a53-a5a4-2f8f7c0a6a01",
        "JUJU_UNIT_NAME": "kubeflow-dashboard/0",
        "JUJU_VERSION": "3.6.0",
    }
    ran = subprocess.run(["./dispatch"], cwd=unpacked, env=environment, capture_output=True, text=True)
    calls = (tools.parent / "log").read_text().splitlines()
    assert ran.returncode == 0, (ran.stderr, calls)
    (status,) = [call for call in calls if call.startswith("status-set")]
    assert "blocked" in status
    assert "kubeflow-profiles" in status
    assert "gateway-info" in status
    # Each record is a process, debug records included. That there is no cluster here is told besides.
    logged = [call for call in calls if call.startswith("juju-log") and "no process follows" not in call]
    assert len(logged) < 6, calls
