"""What a machine must have for a real node, and what is said if it has not."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from rehearsal.errors import RehearsalError
from rehearsal.node import machine

ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")


def unified(able: Path, handed: str) -> None:
    """Give the machine cgroup v2."""
    (able / "cgroups" / "cgroup.controllers").write_text("cpu memory pids\n")
    (able / "cgroups" / "cgroup.subtree_control").write_text(handed)


def test_what_a_node_needs_is_found(able: Path) -> None:
    found = machine.find(Path("/tmp"))
    assert found.programs["containerd"] == str(able / "bin" / "containerd")
    assert (found.plugins, found.unified) == (able / "cni", False)


def test_programs_of_administrators_are_found_whatever_the_path(able: Path) -> None:
    (able / "sbin").mkdir()
    (able / "bin" / "iptables").rename(able / "sbin" / "iptables")
    assert machine.find(Path("/tmp")).programs["iptables"] == str(able / "sbin" / "iptables")


def test_cgroups_of_version_2_are_told_from_others(able: Path) -> None:
    unified(able, "cpuset cpu io memory pids\n")
    assert machine.find(Path("/tmp")).unified


def _without_root(able: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)


def _elsewhere(able: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")


def _without_programs(able: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("containerd", "ctr"):
        (able / "bin" / name).unlink()


def _without_plugins(able: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (able / "cni" / "ptp").unlink()


def _without_cgroups(able: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (able / "cgroups" / "memory").rmdir()


def _read_only(able: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Root may write everywhere but to a file system that is read-only.
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)


def _few_rights(able: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (able / "bin" / "unshare").write_text("#!/bin/sh\necho 'unshare failed: not permitted' >&2\nexit 1\n")


def _few_controllers(able: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unified(able, "memory\n")


@pytest.mark.parametrize(
    ("lack", "told"),
    [
        (_elsewhere, "a real node needs Linux: leave --real-node out"),
        (_without_root, "a real node needs root, .*: run it as root, or leave --real-node out"),
        (_without_programs, "a real node needs containerd, ctr: apt-get install containerd runc .*"),
        (_without_plugins, "a real node needs the CNI plugins: apt-get install .*"),
        (_without_cgroups, "a real node needs to make cgroups, and .*/memory cannot be written: run it .*"),
        (_read_only, "a real node needs to make cgroups, and .*/memory cannot be written: run it .*"),
        (_few_rights, r"a real node needs to make namespaces \(unshare failed: not permitted\): run it .*"),
        (_few_controllers, "a real node needs the cgroup controllers cpu, pids, which .*: run it outside .*"),
    ],
)
def test_what_is_missing_is_told_in_one_sentence(
    able: Path,
    monkeypatch: pytest.MonkeyPatch,
    lack: Callable[[Path, pytest.MonkeyPatch], None],
    told: str,
) -> None:
    lack(able, monkeypatch)
    with pytest.raises(RehearsalError, match=f"^{told}$"):
        machine.find(Path("/tmp"))


@pytest.mark.parametrize(
    ("folder", "told"),
    [
        ("/run/user/0/rehearsal-x", "a real node cannot have its data under /run: set TMPDIR to .*"),
        ("/var/lib/tmp/rehearsal-x", "a real node cannot have its data under /var/lib: set TMPDIR to .*"),
        ("/tmp/" + 70 * "x", "the paths of sockets in /tmp/x* are too long: set TMPDIR to a shorter one"),
    ],
)
def test_a_folder_where_no_node_can_be_is_told(able: Path, folder: str, told: str) -> None:
    with pytest.raises(RehearsalError, match=f"^{told}$"):
        machine.find(Path(folder))


def test_a_link_into_a_covered_folder_is_seen_through(able: Path) -> None:
    (able / "link").symlink_to("/run")
    with pytest.raises(RehearsalError, match="under /run"):
        machine.find(able / "link" / "rehearsal-x")


PROBE = """
import sys
from pathlib import Path
from rehearsal.node import machine
folder = Path(sys.argv[1])
print(machine.snapshotter(folder, {"mount": "mount", "unshare": "unshare"}), list(folder.iterdir()))
"""
ON_AN_OVERLAY = """
cd "$1" && mkdir lower upper work over
mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work over
"$2" -c "$3" over
"""


@ROOT
def test_images_are_layers_where_the_file_system_can_have_them(tmp_path: Path) -> None:
    said = subprocess.run(
        [sys.executable, "-c", PROBE, tmp_path], capture_output=True, text=True, check=True
    ).stdout
    assert said == "overlayfs []\n"


@ROOT
def test_images_are_copies_where_the_folder_is_on_an_overlay_itself(tmp_path: Path) -> None:
    command = ["unshare", "--mount", "sh", "-ec", ON_AN_OVERLAY, "-", tmp_path, sys.executable, PROBE]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert said == "native []\n"
    assert not any(str(tmp_path) in line for line in Path("/proc/self/mounts").read_text().splitlines())
