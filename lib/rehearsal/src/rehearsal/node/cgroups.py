"""The cgroup under which everything of the node runs, pods included."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rehearsal.node.machine import CGROUPS


def places(name: str, *, unified: bool, root: Path = CGROUPS) -> list[Path]:
    """Return the folders of a cgroup.

    Args:
        name: of the cgroup.
        unified: whether there is one hierarchy, as in cgroup v2; otherwise there are several.
        root: where cgroups are mounted.
    """
    roots = [root] if unified else [each for each in root.iterdir() if not each.is_symlink()]
    return sorted(each / name for each in roots if each.is_dir())


def make(folders: Sequence[Path], *, unified: bool) -> None:
    """Make a cgroup in every hierarchy, with a child `node` for the node's own programs.

    Raises:
        OSError: if one cannot be made; others may have been.
    """
    for folder in folders:
        folder.mkdir()
        (folder / "node").mkdir()
        if unified:
            _hand_down(folder)
            continue
        for each in (folder, folder / "node"):
            _inherit(each)


def _inherit(folder: Path) -> None:
    """Give a cgroup of version 1 the processors and memory of its parent: it starts with none."""
    for name in ("cpuset.cpus", "cpuset.mems"):
        there = folder / name
        if there.exists() and not there.read_text().strip():
            there.write_text((folder.parent / name).read_text())


def _hand_down(folder: Path) -> None:
    """Let children have the controllers that the cgroup has: version 2 asks for that."""
    words = (folder / "cgroup.controllers").read_text().split()
    (folder / "cgroup.subtree_control").write_text(" ".join(f"+{word}" for word in words))
