"""How containerd gets images: by a client that writes down what it is asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from rehearsal.errors import RehearsalError
from rehearsal.node.images import store
from rehearsal.node.images.recipes import RECIPES
from rehearsal.node.images.store import Store

CLIENT = """#!/bin/sh
[ -e "{folder}/refuses" ] && cat "{folder}/refuses" >&2 && exit 1
echo "$@" >> "{folder}/asked"
"""


@pytest.fixture
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    client = tmp_path / "ctr"
    client.write_text(CLIENT.format(folder=tmp_path))
    client.chmod(0o755)
    monkeypatch.setattr(store, "archive", lambda name, recipe, on_progress: tmp_path / f"{name}.tar")
    made = Store(str(client), tmp_path / "socket", ["busybox"])
    made.make(lambda _: None)
    return made


def asked(folder: Path) -> list[str]:
    """Return the requests so far, without what all have in common."""
    path, common = folder / "asked", f"--address {folder / 'socket'} --namespace k8s.io images "
    return [line.removeprefix(common) for line in path.read_text().splitlines()] if path.exists() else []


def test_there_are_those_of_every_node_and_those_that_are_named(images: Store) -> None:
    assert images.names == {"pause", "coredns", "busybox"}
    assert images.names <= RECIPES.keys()


def test_an_image_is_imported_once_and_tagged_for_each_reference(images: Store, tmp_path: Path) -> None:
    for reference in ("busybox:1", "mirror.example/tools/busybox", "busybox:1"):
        assert images.load(reference)
    assert asked(tmp_path) == [
        f"import --digests=false {tmp_path / 'busybox.tar'}",
        "tag --force docker.io/rehearsal/busybox:made docker.io/library/busybox:1",
        "tag --force docker.io/rehearsal/busybox:made mirror.example/tools/busybox:latest",
    ]


def test_an_image_that_is_not_made_here_is_not_there(images: Store, tmp_path: Path) -> None:
    assert not images.load("registry.example/minio:1")
    assert not asked(tmp_path)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("ctr: failed to dial: connection refused\n", "containerd refuses an image: ctr: failed to dial: .*"),
        (
            "unpacking ...\nctr: write /x: no space left on device\n",
            "containerd refuses an image: no space is left for .*: free some, or set TMPDIR to .*",
        ),
    ],
)
def test_a_refusal_is_told_and_asked_again_later(
    images: Store, tmp_path: Path, words: str, told: str
) -> None:
    (tmp_path / "refuses").write_text(words)
    with pytest.raises(RehearsalError, match=f"^{told}$"):
        images.load("busybox:1")
    (tmp_path / "refuses").unlink()
    assert images.load("busybox:1")
    assert len(asked(tmp_path)) == 2


@pytest.mark.parametrize(
    ("reference", "full"),
    [
        ("busybox", "docker.io/library/busybox:latest"),
        ("busybox:1.36", "docker.io/library/busybox:1.36"),
        ("kubeflow/a", "docker.io/kubeflow/a:latest"),
        ("docker.io/busybox:1", "docker.io/library/busybox:1"),
        ("docker.io/kubeflow/a", "docker.io/kubeflow/a:latest"),
        ("localhost/a:2", "localhost/a:2"),
        ("host:5000/a", "host:5000/a:latest"),
        ("registry.k8s.io/coredns/coredns:v1", "registry.k8s.io/coredns/coredns:v1"),
        ("host.example/a@sha256:0f", "host.example/a@sha256:0f"),
        ("host.example/a:1@sha256:0f", "host.example/a@sha256:0f"),
        ("busybox@sha256:0f", "docker.io/library/busybox@sha256:0f"),
    ],
)
def test_references_are_written_in_full(reference: str, full: str) -> None:
    assert store._full(reference) == full
