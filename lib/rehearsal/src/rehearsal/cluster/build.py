"""The control plane's one binary: built once from Go modules, kept in the user's cache."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from rehearsal.cluster import toolchain
from rehearsal.errors import RehearsalError
from rehearsal.guardian import Guardian

SOURCE = Path(__file__).with_name("source")
PACKAGES = 2800
"""How many Go packages are compiled, about, the standard library's included: for the progress shown."""

Progress = Callable[[str], None]


def cache() -> Path:
    """Return the rehearsal's folder in the user's cache, made if it is not there.

    Raises:
        RehearsalError: if it cannot be written.
    """
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    folder = Path(base) / "kubeflow-rehearsal"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"probe")
    except OSError as error:
        raise RehearsalError(
            f"the cache folder {folder} cannot be written ({error.strerror}): "
            "set XDG_CACHE_HOME to one that can"
        ) from None
    return folder


def binary(on_progress: Progress = lambda _: None) -> Path:
    """Return the binary, building it first if the cache does not have it (some six minutes on two cores).

    Raises:
        RehearsalError: if it cannot be built.
    """
    folder = cache()
    target = folder / f"cluster-{_fingerprint()}"
    if target.exists():
        return target
    with (folder / "build.lock").open("w") as lock:
        on_progress("waiting for another build")
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            _build(target, on_progress)
    return target


def _fingerprint() -> str:
    digest = hashlib.sha256()
    for path in sorted(SOURCE.glob("*.*")):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def _build(target: Path, on_progress: Progress) -> None:
    """Build, with a guardian that leaves neither compilers nor half a build behind, however it ends."""
    on_progress("looking for a Go toolchain")
    try:
        go = toolchain.find(target.parent)
        scratch = Path(tempfile.mkdtemp(prefix="build-", dir=target.parent))
        with Guardian(scratch) as guardian:
            # Sources may lie in a package folder that is read-only.
            shutil.copytree(SOURCE, scratch / "source")
            output = _compile(go, scratch, guardian, on_progress)
            if not (scratch / "cluster").exists():
                raise RehearsalError(
                    f"the control plane could not be built with {toolchain.version(go)} "
                    f"({_reason(output)}): connect to the Go module proxy once, or free disk space, "
                    "or use a cluster of your own with --kubeconfig FILE or KUBEBUILDER_ASSETS"
                )
            (scratch / "cluster").replace(target)
    except OSError as error:
        raise RehearsalError(f"the control plane could not be built: {error}") from None


def _reason(output: list[str]) -> str:
    """Return the compiler's own words; of many lines that say the same, the last."""
    telling = [line for line in output if ": " in line] or output or ["no output"]
    return telling[-1][:300]


def _compile(go: Path, scratch: Path, guardian: Guardian, on_progress: Progress) -> list[str]:
    """Run the compiler and tell how far it is; return what it printed."""
    log, temporary = scratch / "build.log", scratch / "tmp"
    temporary.mkdir()
    command = [go, "build", "-v", "-trimpath", "-ldflags", _linker_flags(), "-o", scratch / "cluster", "."]
    environment = toolchain.environment() | {"GOTMPDIR": str(temporary)}
    compiling = guardian.spawn(command, log=log, cwd=scratch / "source", env=environment)
    while not compiling.ended.wait(0.5):
        compiled = sum("downloading" not in line for line in log.read_text().splitlines())
        on_progress(f"compiling Kubernetes once: {compiled} of about {PACKAGES} packages")
    return log.read_text().splitlines()


def _linker_flags() -> str:
    """Strip symbols, and tell Kubernetes its own version, which clients ask for."""
    found = re.search(r"k8s.io/kubernetes v((\d+)\.(\d+)\.\d+)", (SOURCE / "go.mod").read_text())
    if found is None:
        raise RuntimeError("source/go.mod does not require k8s.io/kubernetes")
    full, major, minor = found.groups()
    prefix = "-X k8s.io/component-base/version"
    return f"-s -w {prefix}.gitVersion=v{full} {prefix}.gitMajor={major} {prefix}.gitMinor={minor}"
