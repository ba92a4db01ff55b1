"""Apply mutations one by one, each to a scratch copy of the tree, and see a named test kill each.

    python tests/mutations/run.py            every mutation of mutations.yaml
    python tests/mutations/run.py plan gpu   those whose name contains one of the words
    python tests/mutations/run.py --check    only whether each still applies

A mutation is killed if its tests fail with it and pass without it. The program prints a line for each, how far
it is if it writes to a terminal, and ends with 1 if a mutation survives, no longer applies, or has tests that do
not work without it. The tree itself is never changed; Ctrl-C ends the tests that run and removes the copies.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import dataclasses
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pydantic
import yaml
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

ROOT = Path(__file__).parents[2]
SHIPPED = ("lib/kubeflow_charm/src", "lib/rehearsal/src")
"""Packages that are installed editable: the copy's must come before those of the tree."""
SECONDS = 600.0
"""The longest that the tests of one mutation may take."""
PATIENCE = 30.0
"""Seconds that tests have to end by themselves after an interrupt."""
PASSED, FAILED = 0, 1
"""Exit codes of pytest; all others say that the tests did not run as they should."""
WORDS = {"killed": 0, "survived": 1, "no longer applies": 1, "fails without it": 1, "does not run": 1}
"""What can become of a mutation, and the exit code of the program for it."""


class Mutation(pydantic.BaseModel):
    """One change that a test must notice."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    name: str
    file: str
    """Relative to the root of the repository."""
    old: str
    """Text that is in the file exactly once."""
    new: str
    tests: str
    """Arguments of pytest: files, and `-k` with an expression."""
    why: str
    """What goes wrong for users or operators if nobody notices."""

    def applied(self, root: Path) -> str | None:
        """Return the file's text with the mutation; None if it does not apply."""
        path = root / self.file
        text = path.read_text() if path.is_file() else ""
        return (
            text.replace(self.old, self.new) if text.count(self.old) == 1 and self.old != self.new else None
        )


@dataclasses.dataclass(frozen=True)
class Result:
    """What became of a mutation."""

    mutation: Mutation
    word: str
    seconds: float = 0.0


def load(path: Path, words: Sequence[str] = ()) -> list[Mutation]:
    """Return the mutations of a file whose names contain one of these words; all of them without words."""
    found = pydantic.TypeAdapter(list[Mutation]).validate_python(yaml.safe_load(path.read_text()))
    twice = [name for name, times in collections.Counter(each.name for each in found).items() if times > 1]
    if twice:
        raise ValueError(f"several mutations are called {', '.join(twice)}")
    return [each for each in found if not words or any(word in each.name for word in words)]


@contextlib.contextmanager
def copied(root: Path) -> Iterator[Path]:
    """Make a copy of a Git work tree, with its uncommitted changes, and remove it afterwards."""
    listed = ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    names = subprocess.run(listed, cwd=root, check=True, capture_output=True, text=True).stdout.split("\0")
    with tempfile.TemporaryDirectory(prefix="mutations-") as folder:
        copy = Path(folder) / root.name
        for name in names:
            source, target = root / name, copy / name
            if name and source.is_file():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, target)
        yield copy


def tested(copy: Path, tests: str) -> int:
    """Run tests in a copy and return pytest's exit code; 1 as well if they do not end in time."""
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(str(copy / each) for each in SHIPPED),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    quiet = ["-x", "-q", "--no-header", "--tb=no", "-p", "no:cacheprovider", "--benchmark-disable"]
    command = [sys.executable, "-m", "pytest", *quiet, *_arguments(tests)]
    process = subprocess.Popen(
        command,
        cwd=copy,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        return process.wait(SECONDS)
    except subprocess.TimeoutExpired:
        return FAILED
    finally:
        _end(process)


def _arguments(tests: str) -> list[str]:
    paths, _, expression = tests.partition(" -k ")
    return [*paths.split(), *(["-k", expression.strip("'\"")] if expression else [])]


def _end(process: subprocess.Popen[bytes]) -> None:
    """End pytest and what it has started; pytest itself first, so that it can stop its control plane."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(PATIENCE)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def run(mutations: Sequence[Mutation], root: Path) -> Iterator[Result]:
    """Apply mutations one by one to a copy of the tree, and yield what becomes of each."""
    works: dict[str, bool] = {}
    with copied(root) as copy:
        for mutation in mutations:
            begun = time.monotonic()
            word = _outcome(mutation, copy, works)
            yield Result(mutation, word, time.monotonic() - begun)


def _outcome(mutation: Mutation, copy: Path, works: dict[str, bool]) -> str:
    mutated = mutation.applied(copy)
    if mutated is None:
        return "no longer applies"
    if mutation.tests not in works:
        works[mutation.tests] = tested(copy, mutation.tests) == PASSED
    if not works[mutation.tests]:
        return "fails without it"
    path = copy / mutation.file
    before = path.read_text()
    path.write_text(mutated)
    try:
        code = tested(copy, mutation.tests)
    finally:
        path.write_text(before)
    return {PASSED: "survived", FAILED: "killed"}.get(code, "does not run")


def shown(mutations: Sequence[Mutation], root: Path, console: Console) -> collections.Counter[str]:
    """Run mutations and print what becomes of each; return how often each word of `WORDS` did."""
    count: collections.Counter[str] = collections.Counter()
    width = max((len(each.name) for each in mutations), default=0)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("mutations", total=len(mutations))
        for result in run(mutations, root):
            word, mutation = result.word, result.mutation
            count[word] += 1
            console.print(
                f"{word:17} {mutation.name:{width}} {result.seconds:5.0f} s  {mutation.tests}",
                style="bold red" if WORDS[word] else None,
            )
            if WORDS[word]:
                console.print(f"{'':17} {mutation.why}")
            progress.advance(task)
    summary = ", ".join(f"{number} {word}" for word, number in count.most_common())
    console.print(summary or "no mutation has that name")
    return count


def main(arguments: Sequence[str]) -> int:
    """Run the program, and return its exit code."""
    parser = argparse.ArgumentParser(
        description="Apply mutations to a copy of the tree; tests must kill each."
    )
    parser.add_argument("words", nargs="*", help="only mutations whose name contains one of these")
    parser.add_argument("--check", action="store_true", help="only look whether each mutation still applies")
    parser.add_argument("--list", type=Path, default=Path(__file__).with_name("mutations.yaml"))
    parser.add_argument("--root", type=Path, default=ROOT)
    options = parser.parse_args(arguments)
    mutations = load(options.list, options.words)
    if options.check:
        stale = [each.name for each in mutations if each.applied(options.root) is None]
        print(
            "\n".join(f"no longer applies: {name}" for name in stale) or f"{len(mutations)} mutations apply"
        )
        return bool(stale)
    count = shown(mutations, options.root, Console(highlight=False, markup=False, soft_wrap=True))
    return max((WORDS[word] for word in count), default=1)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
