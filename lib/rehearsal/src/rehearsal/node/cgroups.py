"""The cgroup under which everything of the node runs, pods included."""

from __future__ import annotations

from pathlib import Path

from rehearsal.node.machine import CGROUPS


def make(name: str, *, unified: bool) -> list[Path]:
    """Make the cgroup in every hierarchy, with a child `node` for the node's own programs.

    Args:
        name: of the cgroup.
        unified: whether there is one hierarchy, as in cgroup v2.

    Returns:
        The folders, which somebody must remove.

    Raises:
        OSError: if one cannot be made.
    """
    roots = [CGROUPS] if unified else [each for each in CGROUPS.iterdir() if not each.is_symlink()]
    made = [root / name for root in roots if root.is_dir()]
    for folder in made:
        folder.mkdir()
        if unified:
            _hand_down(folder)
        (folder / "node").mkdir()
        for each in (folder, folder / "node"):
            _inherit(each)
    return made


def _inherit(folder: Path) -> None:
    """Give a cgroup the processors and memory of its parent: version 1 starts with none."""
    for name in ("cpuset.cpus", "cpuset.mems"):
        there = folder / name
        if there.exists() and not there.read_text().strip():
            there.write_text((folder.parent / name).read_text())


def _hand_down(folder: Path) -> None:
    """Let children have the controllers that the cgroup has: version 2 asks for that."""
    words = (folder / "cgroup.controllers").read_text().split()
    (folder / "cgroup.subtree_control").write_text(" ".join(f"+{word}" for word in words))
