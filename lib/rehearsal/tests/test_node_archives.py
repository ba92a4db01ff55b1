"""Image archives: made once, kept by what is in them, and nothing left of one that cannot be made."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from rehearsal.cluster import build
from rehearsal.cluster.build import Progress
from rehearsal.errors import RehearsalError
from rehearsal.node.images.archives import archive
from rehearsal.node.images.recipes import Recipe

WRITER = """#!/bin/sh
[ -e "{folder}/fails" ] && cat "{folder}/fails" >&2 && exit 1
cp "$2" "$4" && cp "$3" "{folder}/config.json" && echo "$1" > "{folder}/reference"
"""
"""Writes the layer as the archive, and beside it what else it was given."""


@dataclass(frozen=True)
class Text:
    """A file in an image."""

    words: str
    fails: Callable[[Path], None] = lambda root: None

    def content(self, on_progress: Progress) -> str:
        return self.words

    def write(self, root: Path) -> None:
        (root / "words").write_text(self.words)
        self.fails(root)


@pytest.fixture
def writer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a writer of images, and of an empty cache."""
    program = tmp_path / "writer"
    program.write_text(WRITER.format(folder=tmp_path))
    program.chmod(0o755)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(build, "built", lambda program, on_progress=None: tmp_path / "writer")
    return tmp_path


def recipe(*parts: Text, **config: object) -> Recipe:
    return Recipe(parts, "a test", config)


def kept(folder: Path) -> list[str]:
    """Return what is in the cache of images, half-made ones as well."""
    return sorted(each.name for each in (folder / "cache" / "kubeflow-rehearsal" / "images").iterdir())


def test_an_image_has_its_parts_and_what_every_program_expects(writer: Path) -> None:
    made = archive("words", recipe(Text("hello"), Entrypoint=["/words"]))
    with tarfile.open(made) as tar:
        entries = {each.name: each for each in tar.getmembers()}
        said = tar.extractfile("words")
        assert said is not None and said.read() == b"hello"
    assert sorted(entries) == ["etc", "etc/group", "etc/passwd", "tmp", "words"]
    assert entries["tmp"].mode == 0o1777
    assert {each.mtime for each in entries.values()} == {0}
    assert json.loads((writer / "config.json").read_text()) == {"Entrypoint": ["/words"]}
    assert (writer / "reference").read_text() == "rehearsal/words:made\n"
    assert kept(writer) == [made.name]


def test_an_image_is_made_once(writer: Path) -> None:
    told: list[str] = []
    first = archive("words", recipe(Text("hello")), told.append)
    (writer / "fails").touch()
    assert archive("words", recipe(Text("hello")), told.append) == first
    assert told == ["making the image words"]


def test_another_content_or_configuration_is_another_image(writer: Path) -> None:
    recipes = [recipe(Text("a")), recipe(Text("b")), recipe(Text("a"), User="1"), recipe(Text("a"))]
    made = [archive("words", each) for each in recipes]
    assert len(set(made)) == 3
    assert made[0] == made[3]


def _full(root: Path) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "words")


def _unreadable(root: Path) -> None:
    raise PermissionError(errno.EACCES, "Permission denied", "words")


def _not_to_be_had(root: Path) -> None:
    raise RehearsalError("busybox cannot be downloaded (no network): connect once, or leave it out")


SPACE = "free disk space, set XDG_CACHE_HOME to a folder elsewhere, or leave --real-node out"


@pytest.mark.parametrize(
    ("fails", "told"),
    [
        (_full, f"the image words cannot be made: no space is left for .*/images: {SPACE}"),
        (_unreadable, f"the image words cannot be made: .* Permission denied: 'words': {SPACE}"),
        (_not_to_be_had, "busybox cannot be downloaded .*: connect once, or leave it out"),
    ],
)
def test_nothing_is_kept_of_an_image_whose_part_fails(
    writer: Path, fails: Callable[[Path], None], told: str
) -> None:
    with pytest.raises(RehearsalError, match=f"^{told}$"):
        archive("words", recipe(Text("hello", fails)))
    assert kept(writer) == []


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("image: write image.tar: no space left on device", f"no space is left for .*/images: {SPACE}"),
        ("image: the layer\nis odd", "image: the layer is odd: leave --real-node out"),
    ],
)
def test_nothing_is_kept_of_an_image_that_cannot_be_written(writer: Path, words: str, told: str) -> None:
    (writer / "fails").write_text(words)
    with pytest.raises(RehearsalError, match=f"^the image words cannot be made: {told}$"):
        archive("words", recipe(Text("hello")))
    assert kept(writer) == []


ON_A_SMALL_DISK = """
import sys
from pathlib import Path
from rehearsal.cluster import build
from rehearsal.errors import RehearsalError
from rehearsal.node.images.archives import archive
from rehearsal.node.images.recipes import Recipe

class Large:
    def content(self, on_progress):
        return "large"

    def write(self, root):
        (root / "large").write_bytes(bytes(3 << 20))

build.built = lambda program, on_progress=None: Path(sys.argv[1])
try:
    archive("large", Recipe((Large(),), "a test"))
except RehearsalError as error:
    print(error)
print([each.name for each in (build.cache() / "images").iterdir()])
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_disk_that_is_full_while_layers_are_written_is_told(writer: Path) -> None:
    (writer / "cache").mkdir()
    script = 'mount -t tmpfs -o size=4m tmpfs "$1/cache" && exec "$2" -c "$3" "$1/writer"'
    command = ["unshare", "--mount", "sh", "-c", script, "-", writer, sys.executable, ON_A_SMALL_DISK]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told, left = done.stdout.splitlines()
    assert told.startswith("the image large cannot be made: no space is left for ")
    assert told.endswith(SPACE)
    assert left == "[]"
