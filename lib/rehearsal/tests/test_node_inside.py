"""The node's first process: what it starts, and what it says when something ends."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from node_network import ROOT

from rehearsal.node import inside
from rehearsal.patience import PATIENCE

SPACES = ["unshare", "--net", "--mount", "--pid", "--propagation=private", "--mount-proc", "--fork"]
LISTENS = """
import socket, sys, time
time.sleep(0.3)
with socket.socket(socket.AF_UNIX) as made:
    made.bind(sys.argv[1])
    made.listen()
    print("listens", flush=True)
    time.sleep(600)
"""

pytestmark = ROOT


def said(folder: Path, **daemons: dict[str, Any]) -> dict[str, Any]:
    """Return what the process is told, for these daemons."""
    for name, daemon in daemons.items():
        daemon["log"] = str(folder / f"{name}.log")
    ready = str(folder / "ready")
    return {"cgroups": [], "kept": [], "commands": [], "written": {}, "daemons": daemons, "ready": ready}


def run(folder: Path, told: dict[str, Any]) -> tuple[int, str]:
    """Run it to its end; return its status, and what it said."""
    path = folder / "inside.json"
    path.write_text(json.dumps(told))
    command = [*SPACES, "--kill-child=SIGKILL", sys.executable, "-ISE", inside.__file__, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert not done.stderr
    return done.returncode, done.stdout


def test_a_daemon_starts_when_what_it_needs_answers_and_all_end_with_one(tmp_path: Path) -> None:
    socket = str(tmp_path / "socket")
    looks = f"import socket; socket.socket(socket.AF_UNIX).connect({socket!r}); raise SystemExit(3)"
    told = said(
        tmp_path,
        first={"argv": [sys.executable, "-c", LISTENS, socket]},
        second={"argv": [sys.executable, "-c", looks], "after": socket},
    )
    assert run(tmp_path, told) == (1, "second has ended: 3\n")
    assert (tmp_path / "ready").exists()
    assert (tmp_path / "first.log").read_text() == "listens\n"
    # A process of this folder would have it in its arguments.
    assert socket not in subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout


def test_nobody_waits_for_a_daemon_that_has_ended(tmp_path: Path) -> None:
    told = said(
        tmp_path,
        first={"argv": ["sh", "-c", "echo broken; exit 2"]},
        second={"argv": ["true"], "after": str(tmp_path / "socket")},
    )
    assert run(tmp_path, told) == (1, "first has ended: 2\n")
    assert not (tmp_path / "ready").exists()


def test_what_cannot_be_prepared_is_told_in_one_line(tmp_path: Path) -> None:
    told = said(tmp_path) | {"commands": [["ip", "link", "set", "nothing", "up"]]}
    assert run(tmp_path, told) == (1, 'ip failed: Cannot find device "nothing"\n')
    told = said(tmp_path) | {"cgroups": [str(tmp_path / "none" / "cgroup.procs")]}
    status, words = run(tmp_path, told)
    assert status == 1 and "No such file or directory" in words and words.count("\n") == 1
    told = said(tmp_path, first={"argv": [str(tmp_path / "no-program")]})
    status, words = run(tmp_path, told)
    assert status == 1 and "no-program" in words and words.count("\n") == 1


def test_what_is_written_to_the_machines_folders_is_forgotten(tmp_path: Path) -> None:
    kept, seen = tmp_path / "var", tmp_path / "seen"
    kept.mkdir()
    (kept / "before").write_text("of the machine")
    script = f"ls {kept} > {seen}; echo x > {kept}/new; cat {kept}/new >> {seen}; ls /run >> {seen}; exit 4"
    told = said(tmp_path, first={"argv": ["sh", "-c", script]}) | {"kept": [str(kept)]}
    assert run(tmp_path, told) == (1, "first has ended: 4\n")
    # `mount` keeps a note there, too.
    assert [each for each in seen.read_text().split() if each != "mount"] == ["before", "x", "rehearsal"]
    assert [each.name for each in kept.iterdir()] == ["before"]


@pytest.mark.parametrize("value", ["0", "1"])
def test_settings_are_those_of_its_own_network(tmp_path: Path, value: str) -> None:
    setting, seen = "/proc/sys/net/ipv4/ip_forward", tmp_path / "seen"
    before = Path(setting).read_text()
    told = said(tmp_path, first={"argv": ["sh", "-c", f"cat {setting} > {seen}"]})
    run(tmp_path, told | {"written": {setting: value}})
    assert seen.read_text().strip() == value
    assert Path(setting).read_text() == before
