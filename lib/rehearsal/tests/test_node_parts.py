"""What images are made of: programs of Go modules, and files of Debian packages."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rehearsal.cluster import build
from rehearsal.cluster.build import Program
from rehearsal.errors import RehearsalError
from rehearsal.node.images.parts import DebianFiles, GoProgram
from rehearsal.node.images.recipes import RECIPES

PROGRAM = Program("tiny", "a tiny program", Path("/nowhere"), ".", 1, "", "leave --real-node out")
APT = """#!/bin/sh
[ -n "$FAILS" ] && echo "W: something" >&2 && echo "E: $FAILS" >&2 && exit 100
[ "$3" = download ] && shift 4
for name in "$@"; do echo "$name" > "$name.deb"; done
"""
DPKG = """#!/bin/sh
mkdir -p "$3/bin" && cp "$2" "$3/bin/"
"""


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of programs in the place of apt and dpkg: a package is a file of its own name."""
    folder = tmp_path / "programs"
    folder.mkdir()
    for name, text in (("apt-get", APT), ("dpkg-deb", DPKG)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "image" / "root"
    root.mkdir(parents=True)
    return root


def test_a_program_goes_where_the_real_image_has_it(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = tmp_path / "tiny-0f"
    built.write_text("a program")
    monkeypatch.setattr(build, "built", lambda program, on_progress=None: built)
    part = GoProgram(PROGRAM, "/usr/bin/tiny")
    part.write(root)
    there = root / "usr" / "bin" / "tiny"
    assert there.read_text() == "a program"
    assert there.stat().st_mode & 0o777 == 0o755
    assert part.content(lambda _: None) == "tiny-0f /usr/bin/tiny"


def test_packages_are_unpacked_and_have_further_names(root: Path, programs: Path) -> None:
    part = DebianFiles(("one", "two"), (("bin/sh", "one"), ("/usr/bin/env", "/bin/two")))
    part.write(root)
    assert (root / "bin" / "two.deb").read_text() == "two\n"
    assert (root / "bin" / "sh").readlink() == Path("one")
    assert (root / "usr" / "bin" / "env").readlink() == Path("/bin/two")
    # Nothing of what was downloaded is beside the image.
    assert [each.name for each in root.parent.iterdir()] == ["root"]


def test_other_packages_or_names_are_another_content() -> None:
    parts = [DebianFiles(("a",)), DebianFiles(("b",)), DebianFiles(("a",), (("x", "y"),))]
    assert len({part.content(lambda _: None) for part in parts}) == 3


def test_packages_that_cannot_be_downloaded_are_told(
    root: Path, programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAILS", "Unable to locate package one")
    with pytest.raises(RehearsalError) as caught:
        DebianFiles(("one",)).write(root)
    assert str(caught.value) == (
        "one cannot be downloaded (E: Unable to locate package one): "
        "connect to the package registry once, or leave --real-node out"
    )
    assert [each.name for each in root.parent.iterdir()] == ["root"]


def test_a_machine_without_apt_is_told(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    with pytest.raises(RehearsalError, match=r"^apt-get is not here, so one cannot be downloaded: connect"):
        DebianFiles(("one",)).write(root)


def test_every_recipe_has_its_sources_here() -> None:
    """A program's sources ship with the package, and pin what they are built of."""
    parts = [part for recipe in RECIPES.values() for part in recipe.parts if isinstance(part, GoProgram)]
    assert parts
    for part in parts:
        assert (part.program.source / "go.mod").is_file(), part.program.name
        assert part.program.ways_out == "leave --real-node out"
