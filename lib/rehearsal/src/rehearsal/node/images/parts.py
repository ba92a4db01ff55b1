"""What images are made of: programs and packages that the package registries serve."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from rehearsal.cluster import build
from rehearsal.cluster.build import Program, Progress
from rehearsal.errors import RehearsalError

_OTHERWISE = "connect to the package registry once, or leave --real-node out"


class Part(Protocol):
    """One thing in an image."""

    def content(self, on_progress: Progress) -> str:
        """Return what changes whenever the part's content may; it may have to be built for that.

        Raises:
            RehearsalError: if it cannot be built.
        """
        ...

    def write(self, root: Path) -> None:
        """Write the part below the image's root.

        Raises:
            RehearsalError: if it cannot be had.
            OSError: if it cannot be written.
        """
        ...


@dataclass(frozen=True)
class GoProgram:
    """A static program.

    Args:
        program: what is compiled.
        path: where it goes in the image.
    """

    program: Program
    path: str

    def content(self, on_progress: Progress) -> str:
        """Return the name of the file in the cache, which has the sources' fingerprint in it."""
        return f"{build.built(self.program, on_progress).name} {self.path}"

    def write(self, root: Path) -> None:
        """Copy the program."""
        target = root / self.path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(build.built(self.program), target)
        target.chmod(0o755)


@dataclass(frozen=True)
class DebianFiles:
    """The files of Debian packages and of all that they depend on, from where the machine's apt has them.

    Nothing is configured: no script of a package is run.

    Args:
        packages: their names.
        links: further names of files in them: path to path.
    """

    packages: tuple[str, ...]
    links: tuple[tuple[str, str], ...] = ()

    def content(self, on_progress: Progress) -> str:
        """Return names only: a newer patch of Debian's is the same image."""
        return f"{self.packages} {self.links}"

    def write(self, root: Path) -> None:
        """Download the packages, and unpack them."""
        archive = root.parent / "packages.tar"
        chosen = ["--variant=extract", "--format=tar", f"--include={','.join(self.packages)}"]
        without = [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("doc", "man", "locale")]
        apt = ['--aptopt=APT::Install-Recommends "false"', "--quiet"]
        command = ["mmdebstrap", *chosen, *without, *apt, _suite(), str(archive)]
        _run(command, root, f"{' '.join(self.packages)} cannot be downloaded")
        # The runtime makes a container's devices.
        _run(["tar", "-xf", str(archive), "-C", str(root), "--exclude=./dev"], root, "it cannot be unpacked")
        archive.unlink()
        for path, target in self.links:
            link = root / path.lstrip("/")
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(target)


def _suite() -> str:
    """Return the release of Debian that the machine's apt knows, such as `bookworm`."""
    try:
        return platform.freedesktop_os_release()["VERSION_CODENAME"]
    except (OSError, KeyError):
        raise RehearsalError(
            f"images of Debian packages are made on Debian or Ubuntu only: {_OTHERWISE}"
        ) from None


def _run(command: list[str], folder: Path, otherwise: str) -> None:
    # What a program leaves that is killed then goes with what is made.
    environment = os.environ | {
        "DEBIAN_FRONTEND": "noninteractive",
        "LC_ALL": "C",
        "TMPDIR": str(folder.parent),
    }
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        raise RehearsalError(f"{command[0]} is not here, so {otherwise}: {_OTHERWISE}") from None
    if done.returncode:
        words = (done.stderr.strip().splitlines() or ["no output"])[-1]
        raise RehearsalError(f"{otherwise} ({words[:200]}): {_OTHERWISE}")
