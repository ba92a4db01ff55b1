"""Imports point one way: `tox -e lint` fails when one does not.

The charm library knows no charm and nothing of the rehearsal; a charm knows neither another charm nor the
rehearsal; the rehearsal knows neither charms nor their library. Tests may know everything.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
FORBIDDEN = {
    "lib/kubeflow_charm/src": {"rehearsal", "charm"},
    "lib/rehearsal/src": {"kubeflow_charm"},
    "charms": {"rehearsal"},
}


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """Yield line and top-level package of every import of a module."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name.partition(".")[0]) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            yield node.lineno, node.module.partition(".")[0]


def violations() -> Iterator[str]:
    """Yield `file:line: imports package` for every import that points the wrong way."""
    own = {
        each.parents[1]: {p.stem for p in each.parent.glob("*.py")}
        for each in ROOT.glob("charms/*/src/charm.py")
    }
    for folder, forbidden in FORBIDDEN.items():
        for path in sorted((ROOT / folder).rglob("*.py")):
            if "tests" in path.relative_to(ROOT).parts:
                continue
            others = {name for charm, names in own.items() if charm not in path.parents for name in names}
            mine = {name for charm, names in own.items() if charm in path.parents for name in names}
            bad = forbidden | ((others - mine) if folder == "charms" else set())
            for line, package in imported(path):
                if package in bad:
                    yield f"{path.relative_to(ROOT)}:{line}: imports {package}"


if __name__ == "__main__":
    found = list(violations())
    print("\n".join(found) or "imports point one way")
    sys.exit(bool(found))
