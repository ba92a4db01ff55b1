"""A charm's own Python environment: what its lock or its requirements name, made once and kept for the user.

So a dependency that its author has forgotten is missing here, too, and it runs with its own version of ops.
What charmcraft's plugins read (charm, uv, poetry, python) is read here, in the order of how exact it is.
"""

from __future__ import annotations

import fcntl
import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import uv

from rehearsal.cluster import build
from rehearsal.errors import RehearsalError

SOURCES = ("uv.lock", "poetry.lock", "requirements.txt", "pyproject.toml")
"""The files that name what a charm needs; the first that is there counts."""

_PYTHONS = {"20.04": "3.8", "22.04": "3.10", "24.04": "3.12", "26.04": "3.14"}
"""The Python of each release of Ubuntu."""


def source(folder: Path) -> Path | None:
    """Return the file that says what a charm needs; None if none says anything."""
    found = next((folder / name for name in SOURCES if (folder / name).is_file()), None)
    if found is None or found.name != "pyproject.toml":
        return found
    project = tomllib.loads(found.read_text()).get("project") or {}
    return found if project.get("dependencies") else None


def python(folder: Path, base: str) -> Path:
    """Return the Python of a charm's environment; make the environment if the cache does not have it.

    Args:
        folder: the charm's.
        base: the release of Ubuntu that it runs on, such as `24.04`.

    Raises:
        RehearsalError: if it cannot be made.
    """
    said = source(folder)
    interpreter = _interpreter(base)
    digest = hashlib.sha256(f"{base} {sys.platform} {interpreter}".encode())
    for path in (said, folder / "pyproject.toml"):
        if path is not None and path.is_file():
            digest.update(path.read_bytes())
    target = build.cache() / "environments" / digest.hexdigest()[:16]
    program = target / "bin" / "python"
    if program.exists():
        return program
    target.parent.mkdir(exist_ok=True)
    with (target.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.exists():
            shutil.rmtree(target, ignore_errors=True)
            try:
                _make(folder, said, target, interpreter)
            except BaseException:
                shutil.rmtree(target, ignore_errors=True)
                raise
    return program


def stranger(program: Path, base: str) -> str:
    """Return how a charm's Python differs from that of its base; empty if it does not."""
    wanted = _PYTHONS.get(base, "")
    said = (program.parents[1] / "pyvenv.cfg").read_text()
    found = re.search(r"^version_info\s*=\s*(\d+\.\d+)", said, re.MULTILINE)
    if not wanted or found is None or found[1] == wanted:
        return ""
    return f"it runs on Python {found[1]}, and on {wanted} on Ubuntu {base}: no python{wanted} is on PATH"


def _interpreter(base: str) -> str:
    """Return the Python of a release of Ubuntu, if this machine has it, or else the rehearsal's own."""
    if not (wanted := _PYTHONS.get(base)):
        return sys.executable
    asked = [uv.find_uv_bin(), "python", "find", "--no-python-downloads", "--no-project", wanted]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    return sys.executable if done.returncode else done.stdout.strip()


def _make(folder: Path, said: Path | None, target: Path, interpreter: str) -> None:
    if why := _uv("venv", "--quiet", "--python", interpreter, target):
        raise RehearsalError(f"the environment of {folder.name} could not be made: {why}")
    if said is None:
        return
    into = ("pip", "install", "--quiet", "--python", target / "bin" / "python")
    with tempfile.TemporaryDirectory(prefix="requirements-", dir=target.parent) as scratch:
        requirements = Path(scratch) / "requirements.txt"
        match said.name:
            case "uv.lock":
                why = _uv(
                    *("export", "--quiet", "--project", folder, "--frozen", "--no-dev", "--no-hashes"),
                    *("--no-emit-project", "--output-file", requirements),
                ) or _uv(*into, "--no-deps", "-r", requirements)
            case "poetry.lock":
                requirements.write_text("\n".join(_of_poetry(said)))
                why = _uv(*into, "--no-deps", "-r", requirements)
            case _:
                why = _uv(*into, "-r", said)
    if why:
        raise RehearsalError(f"what {said} names could not be installed: {why}")


def _uv(*words: str | Path) -> str:
    """Run uv; return the last line of what went wrong, or nothing."""
    done = subprocess.run([uv.find_uv_bin(), *words], capture_output=True, text=True, check=False)
    if not done.returncode:
        return ""
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    return lines[-1] if lines else f"uv ended with {done.returncode}"


def _of_poetry(lock: Path) -> Iterator[str]:
    """Yield the requirements of a lock of Poetry's, without those for development and tests."""
    groups = _groups(lock.with_name("pyproject.toml"))
    for package in tomllib.loads(lock.read_text()).get("package", ()):
        if package.get("category", "main") != "main":
            continue
        if package.get("optional") or not groups & set(package.get("groups", ["main"])):
            continue
        yield f"{package['name']}=={package['version']}{_marker(package)}"


def _marker(package: dict[str, Any]) -> str:
    said = package.get("markers")
    if isinstance(said, dict):
        said = said.get("main")
    return f" ; {said}" if said else ""


def _groups(project: Path) -> set[str]:
    """Return the groups that a charm carries: the main one, and that for charm libraries."""
    if not project.is_file():
        return {"main"}
    named = tomllib.loads(project.read_text()).get("tool", {}).get("poetry", {}).get("group", {})
    return {"main", *(name for name in named if name.startswith("charm"))}
