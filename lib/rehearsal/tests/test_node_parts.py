"""What images are made of: programs of Go modules, and files of Debian packages."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import pytest

from rehearsal.cluster import build
from rehearsal.cluster.build import Program
from rehearsal.errors import RehearsalError
from rehearsal.node.images.parts import DebianFiles, GoProgram
from rehearsal.node.images.recipes import RECIPES

PROGRAM = Program("tiny", "a tiny program", Path("/nowhere"), ".", 1, "", "leave --real-node out")
MMDEBSTRAP = """#!/bin/sh
[ -n "$FAILS" ] && echo "W: something" >&2 && echo "E: $FAILS" >&2 && exit 25
for target in "$@"; do :; done
mkdir -p tree/bin tree/dev && touch tree/dev/null && echo "$TMPDIR" > tree/temporary
for word in "$@"; do
    case "$word" in --include=*) for name in $(echo "${word#*=}" | tr , " "); do echo "$name" > "tree/bin/$name"; done;; esac
done
tar -cf "$target" -C tree . && rm -r tree
"""
"""Makes an archive of a file for each package, and of a device."""


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a program in the place of mmdebstrap, on a Debian."""
    folder = tmp_path / "programs"
    folder.mkdir()
    (folder / "mmdebstrap").write_text(MMDEBSTRAP)
    (folder / "mmdebstrap").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(platform, "freedesktop_os_release", lambda: {"VERSION_CODENAME": "bookworm"})
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
    assert (root / "bin" / "two").read_text() == "two\n"
    # What it leaves when it is killed goes with what is made.
    assert (root / "temporary").read_text() == f"{root.parent}\n"
    # The runtime makes devices.
    assert not (root / "dev").exists()
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


def test_a_machine_without_the_program_is_told(
    root: Path, programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(root))
    with pytest.raises(
        RehearsalError, match=r"^mmdebstrap is not here, so one cannot be downloaded: connect .*"
    ):
        DebianFiles(("one",)).write(root)


def test_a_machine_that_is_no_debian_is_told(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "freedesktop_os_release", lambda: {"ID": "arch"})
    with pytest.raises(RehearsalError, match=r"^images of Debian packages are made on Debian or Ubuntu only"):
        DebianFiles(("one",)).write(root)


def test_every_recipe_has_its_sources_here() -> None:
    """A program's sources ship with the package, and pin what they are built of."""
    parts = [part for recipe in RECIPES.values() for part in recipe.parts if isinstance(part, GoProgram)]
    assert parts
    for part in parts:
        assert (part.program.source / "go.mod").is_file(), part.program.name
        assert part.program.ways_out == "leave --real-node out"
