"""Build programs from Go modules once and cache them for the user; the control plane is the main one."""

from __future__ import annotations

import dataclasses
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from rehearsal.cluster import toolchain
from rehearsal.errors import RehearsalError
from rehearsal.guardian import Guardian

SOURCE = Path(__file__).with_name("source")
PACKAGES = 2800
"""Roughly how many Go packages are compiled, including the standard library's; the progress shows it."""

Progress = Callable[[str], None]


@dataclasses.dataclass(frozen=True)
class Program:
    """A program to build from Go modules.

    Args:
        name: of the file in the cache; a fingerprint of the sources follows it.
        title: its name in messages, such as `the control plane`.
        source: the folder with `go.mod`, `go.sum` and the other sources.
        package: the Go package of its `main`.
        packages: roughly how many Go packages are compiled.
        linker_flags: the Go linker's flags.
        ways_out: what to do if it cannot be built.
        tags: the Go build's tags, separated by commas.
        completed: a module that lacks files, which are in the folder `missing` of the source.
    """

    name: str
    title: str
    source: Path
    package: str
    packages: int
    linker_flags: str
    ways_out: str
    tags: str = ""
    completed: str = ""


def cache() -> Path:
    """Return the rehearsal's folder in the user's cache; create it if needed.

    Raises:
        RehearsalError: if it is not writable.
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
    """Return the control plane's binary; build it first if needed (some six minutes on two cores).

    Raises:
        RehearsalError: if it cannot be built.
    """
    return built(_control_plane(), on_progress)


def built(program: Program, on_progress: Progress = lambda _: None) -> Path:
    """Return a program; build it first if the cache does not have it.

    Raises:
        RehearsalError: if it cannot be built.
    """
    folder = cache()
    target = folder / f"{program.name}-{_fingerprint(program.source)}"
    if target.exists():
        return target
    with (folder / "build.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_progress("waiting for another build")
            fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            _build(program, target, on_progress)
    return target


def _control_plane() -> Program:
    return Program(
        name="cluster",
        title="the control plane",
        source=SOURCE,
        package=".",
        packages=PACKAGES,
        linker_flags=_linker_flags(),
        ways_out="use a cluster of your own with --kubeconfig FILE or KUBEBUILDER_ASSETS",
    )


def _fingerprint(source: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted([*source.glob("*.*"), *source.glob("missing/**/*.*")]):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def _build(program: Program, target: Path, on_progress: Progress) -> None:
    """Build under a guardian, which leaves no compiler and no half-done build behind in any case."""
    on_progress("looking for a Go toolchain")
    try:
        go = toolchain.find(target.parent)
        scratch = Path(tempfile.mkdtemp(prefix="build-", dir=target.parent))
        with Guardian(scratch) as guardian:
            # The sources may be in a read-only package folder.
            shutil.copytree(program.source, scratch / "source")
            output = _compile(program, go, scratch, guardian, on_progress)
            if not (scratch / program.name).exists():
                raise _failure(program, go, output)
            (scratch / program.name).replace(target)
    except OSError as error:
        raise RehearsalError(
            f"{program.title} could not be built: {error}: free disk space, set XDG_CACHE_HOME to a folder "
            f"elsewhere, or {program.ways_out}"
        ) from None


def _failure(program: Program, go: Path, output: list[str]) -> RehearsalError:
    """Return what to say of a failed build, with the last error line of Go: earlier lines say the same."""
    telling = [line for line in output if ": " in line] or output or ["no output"]
    return RehearsalError(
        f"{program.title} could not be built with {toolchain.version(go)} ({telling[-1][:300]}): "
        f"connect to the Go module proxy once, or free disk space, or {program.ways_out}"
    )


def _compile(
    program: Program, go: Path, scratch: Path, guardian: Guardian, on_progress: Progress
) -> list[str]:
    """Run the compiler and report its progress; return its output."""
    log, temporary = scratch / "build.log", scratch / "tmp"
    temporary.mkdir()
    flags = ["-v", "-trimpath", "-ldflags", program.linker_flags, "-o", scratch / program.name]
    flags += ["-tags", program.tags] if program.tags else []
    environment = toolchain.environment() | {"GOTMPDIR": str(temporary)}
    if program.completed:
        _complete(program, go, scratch / "source", environment)
    compiling = guardian.spawn(
        [go, "build", *flags, program.package], log=log, cwd=scratch / "source", env=environment
    )
    told = -1
    while not compiling.ended.wait(0.5):
        compiled = sum("downloading" not in line for line in log.read_text().splitlines())
        tenth = min(compiled * 10 // program.packages, 9)
        if tenth > told:
            told = tenth
            on_progress(f"compiling {program.title} once: {tenth * 10} % of some {program.packages} packages")
    return log.read_text().splitlines()


def _complete(program: Program, go: Path, source: Path, environment: dict[str, str]) -> None:
    """Have the build use a copy of a module with the files that it lacks.

    Raises:
        RehearsalError: if the module cannot be had.
        OSError: if it cannot be copied.
    """

    def said(*words: str) -> str:
        done = subprocess.run(
            [go, *words], cwd=source, env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            # With -json Go tells of errors in what it prints.
            reason = json.loads(done.stdout)["Error"] if done.stdout else done.stderr
            raise _failure(program, go, reason.splitlines())
        return done.stdout

    there = json.loads(said("mod", "download", "-json", program.completed))["Dir"]
    copy = source / "completed"
    shutil.copytree(there, copy, copy_function=shutil.copyfile)
    for folder in (copy, *copy.rglob("*/")):
        folder.chmod(0o755)
    shutil.copytree(source / "missing", copy, dirs_exist_ok=True)
    # Go would otherwise look for packages of ours there.
    shutil.rmtree(source / "missing")
    said("mod", "edit", f"-replace={program.completed}=./{copy.name}")


def _linker_flags() -> str:
    """Return flags that strip symbols and set the Kubernetes version, which clients ask for."""
    found = re.search(r"k8s.io/kubernetes v((\d+)\.(\d+)\.\d+)", (SOURCE / "go.mod").read_text())
    if found is None:
        raise RuntimeError("source/go.mod does not require k8s.io/kubernetes")
    full, major, minor = found.groups()
    prefix = "-X k8s.io/component-base/version"
    return f"-s -w {prefix}.gitVersion=v{full} {prefix}.gitMajor={major} {prefix}.gitMinor={minor}"
