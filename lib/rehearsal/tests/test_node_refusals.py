"""`rehearse --real-node` where there can be no node: one sentence, and nothing is left."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rehearsal import cli
from rehearsal.cluster import build, programs
from rehearsal.errors import RehearsalError
from rehearsal.node import machine
from rehearsal.node.images import store
from rehearsal.node.images.parts import DebianFiles, GoProgram
from rehearsal.node.images.recipes import IMAGE_WRITER, Recipe

Refused = Callable[[], str]
MMDEBSTRAP = '#!/bin/sh\necho "E: Unable to locate package no-such-package" >&2\nexit 100\n'


@pytest.fixture
def temporary(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for temporary files: one of a short path, in which sockets can be."""
    with tempfile.TemporaryDirectory(prefix="node-") as folder:
        monkeypatch.setattr(tempfile, "tempdir", folder)
        yield Path(folder)


@pytest.fixture
def refused(
    able: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Refused:
    """Run the command on a machine that is able; return what it said, when it has left nothing."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(able / "cache"))
    (able / "bundle.yaml").write_text("applications: {web: {charm: minio, scale: 1}}\n")

    def run() -> str:
        threads = set(threading.enumerate())
        assert cli.main(["--real-node", str(able / "bundle.yaml")]) == 1
        *progress, said = capsys.readouterr().err.strip().splitlines()
        assert progress in (["control plane"], ["control plane", "  making the image odd"]), progress
        assert list(temporary.iterdir()) == []
        assert not [each for each in able.glob("cgroups/*/*")]
        assert not [each for each in able.glob("cache/kubeflow-rehearsal/images/*")]
        assert set(threading.enumerate()) <= threads
        return said

    return run


def test_without_root(refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert refused() == (
        "rehearse: a real node needs root, as kubelet does: run it as root, or leave --real-node out"
    )


def test_without_containerd(refused: Refused, able: Path) -> None:
    (able / "bin" / "containerd").unlink()
    said = refused()
    assert said.startswith("rehearse: a real node needs containerd: apt-get install containerd runc ")
    assert said.endswith(", or leave --real-node out")


def test_where_the_temporary_folder_is_covered(
    refused: Refused, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "_COVERED", (str(temporary),))
    assert refused().endswith(f"cannot have its data under {temporary}: set TMPDIR to a folder elsewhere")


def test_where_cgroups_cannot_be_made(refused: Refused, able: Path) -> None:
    (able / "cgroups" / "memory").rmdir()
    assert "needs to make cgroups, and " in refused()


def test_where_the_nodes_own_folder_cannot_be_written(
    refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(folder: Path, programs: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(machine, "snapshotter", full)
    said = refused()
    assert said.startswith("rehearse: the real node cannot start in ")
    assert said.endswith(
        "No space left on device: free disk space, set TMPDIR to a folder elsewhere, or leave --real-node out"
    )


@pytest.fixture
def made_of(able: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Recipe], None]:
    """Have the node need one image, of a recipe, and everything else be in the cache."""
    (able / "bin" / "mmdebstrap").write_text(MMDEBSTRAP)

    def built(program: build.Program, on_progress: object = None) -> Path:
        if program is not IMAGE_WRITER:
            raise RehearsalError(
                f"{program.title} could not be built with go1.26.0 (no network): connect once"
            )
        return able / "writer"

    def make(recipe: Recipe) -> None:
        monkeypatch.setattr(machine, "snapshotter", lambda folder, programs: "native")
        monkeypatch.setattr(programs, "locate", lambda names, on_progress: {key: ["true"] for key in names})
        monkeypatch.setattr(build, "built", built)
        monkeypatch.setattr(store, "ALWAYS", ())
        for module in (cli, store):
            monkeypatch.setattr(module, "RECIPES", {"odd": recipe})

    return make


def test_an_image_whose_packages_cannot_be_had(refused: Refused, made_of: Callable[[Recipe], None]) -> None:
    made_of(Recipe((DebianFiles(("no-such-package",)),), "nothing"))
    assert refused() == (
        "rehearse: no-such-package cannot be downloaded (E: Unable to locate package no-such-package): "
        "connect to the package registry once, or leave --real-node out"
    )


def test_an_image_whose_program_cannot_be_built(refused: Refused, made_of: Callable[[Recipe], None]) -> None:
    program = build.Program("odd", "an odd program", Path("/nowhere"), ".", 1, "", "leave it out")
    made_of(Recipe((GoProgram(program, "/odd"),), "nothing"))
    assert refused() == "rehearse: an odd program could not be built with go1.26.0 (no network): connect once"


def test_a_node_file_that_is_wrong_leaves_nothing_of_the_node(
    refused: Refused, made_of: Callable[[Recipe], None], able: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_of(Recipe((), "nothing"))
    (able / "nodes.yaml").write_text("nodes: 3\n")
    monkeypatch.setattr(cli.nodes, "DEFAULT", able / "nodes.yaml")
    assert str(able / "nodes.yaml") in refused()
