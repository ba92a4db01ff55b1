"""The program that applies mutations: on a small tree of its own, and the list on the real one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("run.py")
SOURCE = "def double(number):\n    return number * 2\n"
TESTS = """
import pathlib, time
from double import double

def test_it():
    assert double(3) == 6

def test_nothing():
    pass

def test_slow():
    pathlib.Path({started!r}).touch()
    time.sleep(600)

def test_broken():
    raise ValueError
"""
LIST = """
- {{name: one, file: double.py, old: "number * 2", new: "{new}", tests: "test_double.py -k {test}", why: because}}
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A work tree with a module and its tests."""
    root = tmp_path / "tree"
    root.mkdir()
    (root / "double.py").write_text(SOURCE)
    (root / "test_double.py").write_text(TESTS.format(started=str(tmp_path / "started")))
    (root / "pyproject.toml").write_text("[tool.pytest.ini_options]\npythonpath = '.'\n")
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    return root


def program(tree: Path, new: str, test: str, *arguments: str) -> subprocess.Popen[str]:
    """Start the program on one mutation."""
    (tree.parent / "list.yaml").write_text(LIST.format(new=new, test=test))
    command = [sys.executable, PROGRAM, "--root", tree, "--list", tree.parent / "list.yaml", *arguments]
    environment = os.environ | {"TMPDIR": str(tree.parent)}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize(
    ("new", "test", "word", "code"),
    [
        ("number * 3", "test_it", "killed", 0),
        ("number + number", "test_it", "survived", 1),
        ("number * 3", "test_nothing", "survived", 1),
        ("number * 3", "test_broken", "fails without it", 1),
        ("number * 3", "test_absent", "fails without it", 1),
        ("(", "test_it", "does not run", 1),
        ("number * 2", "test_it", "no longer applies", 1),
    ],
)
def test_what_becomes_of_a_mutation(tree: Path, new: str, test: str, word: str, code: int) -> None:
    running = program(tree, new, test)
    text, _ = running.communicate(timeout=120)
    assert (running.returncode, text.startswith(word)) == (code, True), text
    assert text.splitlines()[-1] == f"1 {word}"
    assert (tree / "double.py").read_text() == SOURCE
    assert not list(tree.parent.glob("mutations-*"))


def test_an_interrupt_leaves_nothing(tree: Path) -> None:
    running = program(tree, "number * 3", "test_slow")
    started = tree.parent / "started"
    deadline = time.monotonic() + 60
    while not started.exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    running.communicate(timeout=60)
    assert running.returncode == 130
    assert not list(tree.parent.glob("mutations-*"))
    processes = subprocess.run(["pgrep", "-f", str(tree.parent)], capture_output=True, text=True).stdout
    assert processes == ""


def test_every_mutation_of_the_list_applies() -> None:
    done = subprocess.run([sys.executable, PROGRAM, "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert int(done.stdout.split()[0]) >= 75
