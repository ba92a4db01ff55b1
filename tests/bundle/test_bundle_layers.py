"""The check of `tox -e lint` that imports point one way finds those that do not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

LAYERS = Path(__file__).parents[1] / "layers.py"
TREE = {
    "lib/kubeflow_charm/src/kubeflow_charm/charm.py": "import ops\nfrom kubeflow_charm import problems\n",
    "lib/kubeflow_charm/src/kubeflow_charm/cluster/plan.py": "from kubeflow_charm.problems import Problem\n",
    "lib/kubeflow_charm/src/kubeflow_charm/cluster/executor.py": "from kubeflow_charm.cluster import plan\n",
    "lib/rehearsal/src/rehearsal/engine.py": "import lightkube\nfrom rehearsal import state\n",
    "lib/rehearsal/tests/test_engine.py": "import kubeflow_charm\n",
    "charms/web/src/charm.py": "import kubeflow_charm\nimport links\n",
    "charms/web/src/links.py": "from .charm import Web\n",
    "charms/web/tests/test_web.py": "import rehearsal\n",
    "charms/store/src/charm.py": "import schema\n",
    "charms/store/src/schema.py": "import pydantic\n",
}


def check(root: Path) -> tuple[int, str]:
    ran = subprocess.run([sys.executable, LAYERS, root], capture_output=True, text=True)
    return ran.returncode, ran.stdout.strip()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name, text in TREE.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_a_tree_in_order(tree: Path) -> None:
    assert check(tree) == (0, "imports point one way")


@pytest.mark.parametrize(
    ("file", "line", "package"),
    [
        ("lib/kubeflow_charm/src/kubeflow_charm/charm.py", "import rehearsal.cluster", "rehearsal"),
        ("lib/kubeflow_charm/src/kubeflow_charm/charm.py", "from charm import Web", "charm"),
        ("lib/kubeflow_charm/src/kubeflow_charm/charm.py", "import schema", "schema"),
        ("lib/rehearsal/src/rehearsal/engine.py", "from kubeflow_charm import crds", "kubeflow_charm"),
        ("lib/rehearsal/src/rehearsal/engine.py", "def f():\n    import links", "links"),
        ("charms/web/src/links.py", "import rehearsal", "rehearsal"),
        ("charms/web/src/links.py", "from schema import Table", "schema"),
    ],
)
def test_an_import_that_points_the_wrong_way(tree: Path, file: str, line: str, package: str) -> None:
    path = tree / file
    path.write_text(path.read_text() + line + "\n")
    code, said = check(tree)
    assert code == 1
    assert said == f"{file}:{len(path.read_text().splitlines())}: imports {package}"


@pytest.mark.parametrize(
    ("room", "file", "line", "other"),
    [
        ("cluster", "cluster/plan.py", "from kubeflow_charm.watch import process", "watch"),
        ("cluster", "cluster/plan.py", "from kubeflow_charm import charm", "charm"),
        ("cluster", "cluster/plan.py", "from kubeflow_charm import Problem", "__init__"),
        ("cluster", "cluster/plan.py", "import kubeflow_charm.gpu.pools", "gpu"),
        ("watch", "watch/watcher.py", "from kubeflow_charm.webhooks import issuing", "webhooks"),
    ],
)
def test_a_room_that_imports_from_a_later_one(
    tree: Path, room: str, file: str, line: str, other: str
) -> None:
    path = tree / "lib/kubeflow_charm/src/kubeflow_charm" / file
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"{line}\n")
    code, printed = check(tree)
    assert code == 1
    assert printed == f"{path.relative_to(tree)}:1: {room} imports {other}"


@pytest.mark.parametrize(
    ("room", "line", "other"),
    [
        ("model", "from rehearsal.juju.charm_process.worker import Parent", "charm_process"),
        ("bundle", "from rehearsal.juju.charm_process import host", "charm_process"),
        ("kubernetes", "from rehearsal.juju.controller.engine import Engine", "controller"),
        ("controller", "import rehearsal.juju.commands.status", "commands"),
        ("commands", "from rehearsal.juju import server", "server"),
    ],
)
def test_a_wing_of_the_model_of_juju_that_imports_from_a_later_one(
    tree: Path, room: str, line: str, other: str
) -> None:
    path = tree / "lib/rehearsal/src/rehearsal/juju" / room / "one.py"
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text(f"{line}\n")
    code, printed = check(tree)
    assert code == 1
    assert printed == f"{path.relative_to(tree)}:1: {room} imports {other}"


def test_a_room_without_a_place(tree: Path) -> None:
    path = tree / "lib/kubeflow_charm/src/kubeflow_charm/attic.py"
    path.write_text("")
    assert check(tree) == (1, f"{path.relative_to(tree)}: attic has no place in ORDERED of tests/layers.py")
