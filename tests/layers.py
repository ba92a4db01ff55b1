"""Imports point one way: `tox -e lint` fails when one does not.

The charm library knows no charm and nothing of the rehearsal; a charm knows neither another charm nor the
rehearsal; the rehearsal knows neither charms nor their library. Tests may know everything. (import-linter
cannot say this: charms are no packages, and the first module of each is called `charm`.)

Within the charm library, and within the model of Juju, the rooms stand in an order, too: `ORDERED`.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

LIBRARY, JUJU = "kubeflow_charm", "rehearsal.juju"
ORDERED: dict[str, tuple[set[str], ...]] = {
    LIBRARY: (
        {"problems", "foreign_yaml", "redaction", "option_words"},
        {"cluster"},
        {"definitions", "watch", "webhooks"},
        {"gpu"},
        {"relations"},
        {"minio"},
        {"images", "manifests", "workload_logs"},
        {"config"},
        {"gateway", "gpu_options", "observability"},
        {"charm"},
        {"__init__"},
    ),
    JUJU: (
        {"model"},
        {"bundle", "charm_process", "kubernetes"},
        {"controller"},
        {"commands"},
        {"client"},
        {"server"},
        {"__init__"},
    ),
}
"""Packages to their folders and modules. Each of these imports from itself and from what comes before it, not
from its neighbours in one line. A new room is put where it belongs."""


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


def rooms_imported(path: Path, package: str) -> Iterator[tuple[int, str]]:
    """Yield line and room of every import from a package; `__init__` for what its top offers."""
    every = set().union(*ORDERED[package])
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            inside = f"{name}.".removeprefix(f"{package}.")
            if inside != f"{name}.":
                room = inside.partition(".")[0]
                yield node.lineno, room if room in every else "__init__"


def disorder(root: Path, package: str) -> Iterator[str]:
    """Yield what is out of order within a package."""
    top, *inner = package.split(".")
    folder = root.joinpath("lib", top, "src", top, *inner)
    places = {room: place for place, rooms in enumerate(ORDERED[package]) for room in rooms}
    for path in sources(folder):
        room = path.relative_to(folder).parts[0].removesuffix(".py")
        if room not in places:
            yield f"{path.relative_to(root)}: {room} has no place in ORDERED of tests/layers.py"
            continue
        for line, other in rooms_imported(path, package):
            if other != room and places[other] >= places[room]:
                yield f"{path.relative_to(root)}:{line}: {room} imports {other}"


if __name__ == "__main__":
    root = Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()
    found = [*violations(root), *(each for package in ORDERED for each in disorder(root, package))]
    print("\n".join(found) or "imports point one way")
    sys.exit(bool(found))
