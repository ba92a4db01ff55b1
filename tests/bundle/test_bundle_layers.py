"""The check of `tox -e lint` that imports point one way finds those that do not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

LAYERS = Path(__file__).parents[1] / "layers.py"
TREE = {
    "lib/kubeflow_charm/src/kubeflow_charm/loop.py": "import ops\nfrom kubeflow_charm import problems\n",
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
        ("lib/kubeflow_charm/src/kubeflow_charm/loop.py", "import rehearsal.cluster", "rehearsal"),
        ("lib/kubeflow_charm/src/kubeflow_charm/loop.py", "from charm import Web", "charm"),
        ("lib/kubeflow_charm/src/kubeflow_charm/loop.py", "import schema", "schema"),
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
