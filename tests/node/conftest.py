"""A real node for the tests of this folder; it takes root, and packages that Debian has."""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from conformance import servers

from rehearsal.errors import RehearsalError
from rehearsal.node import machine


@functools.cache
def hindrance() -> str:
    """Return why this machine cannot have a real node, even if packages are installed; nothing if it can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "a real node needs root on Linux"
    try:
        machine.find(Path("/tmp"))
    except RehearsalError as error:
        if shutil.which("apt-get") is None or "apt-get install" not in str(error):
            return str(error)
    return ""


@pytest.fixture(scope="session", autouse=True)
def packages() -> None:
    """Install what the node needs of the system, where it is not there."""
    try:
        machine.find(Path("/tmp"))
    except RehearsalError:
        servers.install(*machine.PACKAGES)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    if reason := hindrance():
        for item in items:
            if here in item.path.parents:
                item.add_marker(pytest.mark.skip(reason=reason))


@contextlib.contextmanager
def short_folder() -> Iterator[Path]:
    """Make a folder whose path leaves room for the names of sockets, unlike pytest's own."""
    with tempfile.TemporaryDirectory(prefix="node-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@pytest.fixture
def short_path() -> Iterator[Path]:
    with short_folder() as folder:
        yield folder


def machine_state() -> dict[str, object]:
    """Return what a node must leave as it was: links, rules, mounts, cgroups and folders of the machine."""

    def said(*command: str) -> list[str]:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()

    return {
        "links": [line.split(":")[1] for line in said("ip", "-o", "link")],
        "routes": said("ip", "route"),
        "rules": [line for line in said("iptables-save") if not line.startswith("#")],
        "mounts": sorted(line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()),
        "cgroups": sorted(map(str, Path("/sys/fs/cgroup").glob("*/rehearsal-*"))),
        "folders": [str(each) for name in ("cni", "kubelet") for each in Path("/var/lib").glob(name)],
    }
