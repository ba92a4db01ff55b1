"""The node's cgroup, in a tree of folders that looks like the kernel's."""

from __future__ import annotations

from pathlib import Path

import pytest

from rehearsal.node import cgroups


class Kernel:
    """Makes the files of new cgroups, as the kernel does when a folder is made."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *files: str):
        made = Path.mkdir

        def mkdir(path: Path, *args: object, **said: object) -> None:
            made(path, *args, **said)  # pyright: ignore[reportArgumentType]
            for name in files:
                (path / name).write_text("cpu memory pids\n" if name == "cgroup.controllers" else "\n")

        monkeypatch.setattr(Path, "mkdir", mkdir)


def test_version_1_has_a_cgroup_in_every_hierarchy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("memory", "cpu,cpuacct", "cpuset"):
        (tmp_path / name).mkdir()
    (tmp_path / "cpu").symlink_to("cpu,cpuacct")
    (tmp_path / "cpuset" / "cpuset.cpus").write_text("0-1\n")
    (tmp_path / "cpuset" / "cpuset.mems").write_text("0\n")
    Kernel(monkeypatch, "cpuset.cpus", "cpuset.mems")
    for name in ("memory", "cpu,cpuacct"):
        for file in ("cpuset.cpus", "cpuset.mems"):
            (tmp_path / name / file).write_text("of another hierarchy\n")
    places = cgroups.places("ours", unified=False, root=tmp_path)
    assert places == [tmp_path / name / "ours" for name in ("cpu,cpuacct", "cpuset", "memory")]
    cgroups.make(places, unified=False)
    assert all((each / "node").is_dir() for each in places)
    for each in (tmp_path / "cpuset" / "ours", tmp_path / "cpuset" / "ours" / "node"):
        assert (each / "cpuset.cpus").read_text() == "0-1\n"
        assert (each / "cpuset.mems").read_text() == "0\n"


def test_version_2_hands_its_controllers_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Kernel(monkeypatch, "cgroup.controllers", "cgroup.subtree_control", "cpuset.cpus", "cpuset.mems")
    places = cgroups.places("ours", unified=True, root=tmp_path)
    assert places == [tmp_path / "ours"]
    cgroups.make(places, unified=True)
    assert (tmp_path / "ours" / "cgroup.subtree_control").read_text() == "+cpu +memory +pids"
    # The root of version 2 has no such file to take from, and nothing written there means: as above.
    assert (tmp_path / "ours" / "cpuset.cpus").read_text() == "\n"
    assert (tmp_path / "ours" / "node").is_dir()


def test_places_are_known_before_anything_is_made(tmp_path: Path) -> None:
    (tmp_path / "memory").mkdir()
    assert cgroups.places("ours", unified=False, root=tmp_path) == [tmp_path / "memory" / "ours"]
    assert not any((tmp_path / "memory").iterdir())
