"""The node's images: which there are, and how containerd gets them."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path

from rehearsal import last_words
from rehearsal.cluster.build import Progress
from rehearsal.errors import RehearsalError
from rehearsal.network.playing import image_name
from rehearsal.node.images.archives import archive
from rehearsal.node.images.recipes import RECIPES

ALWAYS = ("pause", "coredns")
"""The images that every node needs."""


class Store:
    """containerd's images for Kubernetes.

    Args:
        ctr: the path of containerd's client.
        socket: containerd's.
        names: the images to have beside those of every node.
    """

    def __init__(self, ctr: str, socket: Path, names: Iterable[str]):
        self.names = {*ALWAYS, *names}
        """The images that there are."""
        self._folder = socket.parent
        self._command = [ctr, "--address", str(socket), "--namespace", "k8s.io"]
        self._archives: dict[str, Path] = {}
        self._loaded: set[str] = set()
        self._references: set[str] = set()
        self._lock = threading.Lock()

    def make(self, on_progress: Progress) -> None:
        """Make the images that the cache does not have; raises RehearsalError if one cannot be made."""
        self._archives = {name: archive(name, RECIPES[name], on_progress) for name in sorted(self.names)}

    def load(self, reference: str) -> bool:
        """Have containerd know an image by a reference; return whether there is one.

        Raises:
            RehearsalError: if containerd refuses it.
        """
        name = image_name(reference)
        if name not in self._archives:
            return False
        with self._lock:
            if reference not in self._references:
                if name not in self._loaded:
                    self._run("images", "import", "--digests=false", str(self._archives[name]))
                    self._loaded.add(name)
                self._run("images", "tag", "--force", f"docker.io/rehearsal/{name}:made", _full(reference))
                self._references.add(reference)
        return True

    def _run(self, *words: str) -> None:
        command: Sequence[str] = [*self._command, *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            said = last_words.telling(done.stderr, self._folder, f"exit status {done.returncode}")
            raise RehearsalError(f"containerd refuses an image: {said}")


def _full(reference: str) -> str:
    """Return a reference as containerd looks it up: with a registry, and with a tag or a digest.

    Facts: github.com/distribution/reference v0.6, normalize.go; `ParseDockerRef` drops a tag beside a digest.
    """
    name, at, digest = reference.partition("@")
    first, slash, rest = name.partition("/")
    if not slash or not ("." in first or ":" in first or first == "localhost"):
        first, rest = "docker.io", name
    if first == "docker.io" and "/" not in rest:
        rest = f"library/{rest}"
    path, _, tag = rest.partition(":")
    return f"{first}/{path}@{digest}" if at else f"{first}/{path}:{tag or 'latest'}"
