"""Imports point one way: `tox -e lint` fails when one does not.

The charm library knows no charm and nothing of the rehearsal; a charm knows neither another charm nor the
rehearsal; the rehearsal knows neither charms nor their library. Tests may know everything. (import-linter
cannot say this: charms are no packages, and the first module of each is called `charm`.)
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """Yield line and top-level package of every import of a module, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name.partition(".")[0]) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            yield node.lineno, node.module.partition(".")[0]


def sources(folder: Path) -> list[Path]:
    """Return the modules under a folder that are no tests, nor what packing left there."""
    not_ours = {"tests", "parts", "stage", "prime", "overlay"}
    return [path for path in sorted(folder.rglob("*.py")) if not not_ours & {*path.relative_to(folder).parts}]


def violations(root: Path) -> Iterator[str]:
    """Yield `file:line: imports package` for every import that points the wrong way."""
    charms = {folder: {path.stem for path in folder.glob("src/*")} for folder in root.glob("charms/*")}
    of_charms = set().union(*charms.values())
    forbidden = {
        root / "lib" / "kubeflow_charm" / "src": {"rehearsal"} | of_charms,
        root / "lib" / "rehearsal" / "src": {"kubeflow_charm"} | of_charms,
    }
    for folder, own in charms.items():
        forbidden[folder] = {"rehearsal"} | (of_charms - own)
    for folder, packages in forbidden.items():
        for path in sources(folder):
            for line, package in imported(path):
                if package in packages:
                    yield f"{path.relative_to(root)}:{line}: imports {package}"


if __name__ == "__main__":
    found = list(violations(Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()))
    print("\n".join(found) or "imports point one way")
    sys.exit(bool(found))
