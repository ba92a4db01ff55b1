"""What this machine must have for a real node, and where it has it.

A container runtime, a CNI and iptables come from the system; the rehearsal brings none. Debian's and Ubuntu's
packages: `containerd runc containernetworking-plugins iptables conntrack iproute2 mmdebstrap`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rehearsal.errors import RehearsalError

PACKAGES = (
    "containerd",
    "runc",
    "containernetworking-plugins",
    "iptables",
    "conntrack",
    "iproute2",
    "mmdebstrap",
)
"""Debian's packages of the programs below."""
PROGRAMS = ("unshare", "ip", "mount", "containerd", "runc", "ctr", "iptables", "conntrack", "mmdebstrap")
PLUGINS = ("loopback", "ptp", "host-local", "portmap")
_PLUGIN_FOLDERS = ("/opt/cni/bin", "/usr/lib/cni", "/usr/libexec/cni")
_SYSTEM = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_COVERED = ("/run", "/var/lib", "/var/log")
CGROUPS = Path("/sys/fs/cgroup")
_CONTROLLERS = {"cpu", "memory", "pids"}
"""Those without which the kubelet starts no pod, in cgroup v2."""
_DEEPEST = Path("node", "kubelet", "pod-resources", "kubelet.sock")
"""Of the Unix sockets in a rehearsal's folder, the one whose path is longest."""
_LONGEST = 107
"""Bytes of a Unix socket's path, on Linux."""


@dataclass(frozen=True)
class Machine:
    """What was found.

    Args:
        programs: the path of each program.
        plugins: the folder of the CNI plugins.
        unified: whether the machine has cgroup v2.
    """

    programs: dict[str, str]
    plugins: Path
    unified: bool


def find(folder: Path) -> Machine:
    """Return where the programs are that a node needs.

    Args:
        folder: of the rehearsal; the node's data go there.

    Raises:
        RehearsalError: if this machine cannot have a real node; the text says what to do, in one sentence.
    """
    if sys.platform != "linux":
        raise RehearsalError("a real node needs Linux: leave --real-node out")
    if os.geteuid() != 0:
        raise RehearsalError(
            "a real node needs root, as kubelet does: run it as root, or leave --real-node out"
        )
    path = f"{os.environ.get('PATH', '')}:{_SYSTEM}"
    found = {name: where for name in PROGRAMS if (where := shutil.which(name, path=path))}
    plugins = [
        Path(each) for each in _PLUGIN_FOLDERS if all((Path(each) / name).exists() for name in PLUGINS)
    ]
    missing = [name for name in PROGRAMS if name not in found] + ([] if plugins else ["the CNI plugins"])
    if missing:
        raise RehearsalError(
            f"a real node needs {', '.join(missing)}: apt-get install {' '.join(PACKAGES)}, "
            "or leave --real-node out"
        )
    _see_to_the_folder(folder)
    _namespaces(found)
    return Machine(found, plugins[0], _unified())


def snapshotter(folder: Path, programs: Mapping[str, str]) -> str:
    """Return how containerd can keep images in a folder: `overlayfs`, or else `native`, which copies them.

    A file system that is an overlay itself, as in a container, or a network's, cannot be a layer that is
    written to. Mounts say so, and nothing else does; this one ends with its own namespace.

    Raises:
        OSError: if the folder cannot be written.
    """
    with tempfile.TemporaryDirectory(prefix="overlay-", dir=folder) as scratch:
        layers = {name: Path(scratch) / name for name in ("lowerdir", "upperdir", "workdir", "merged")}
        for each in layers.values():
            each.mkdir()
        merged = str(layers.pop("merged"))
        options = ",".join(f"{name}={path}" for name, path in layers.items())
        mount = [programs["mount"], "-t", "overlay", "overlay", "-o", options, merged]
        command = [programs["unshare"], "--mount", "--propagation=private", *mount]
        done = subprocess.run(command, capture_output=True, check=False)
    return "native" if done.returncode else "overlayfs"


def _see_to_the_folder(folder: Path) -> None:
    """Raise RehearsalError if a node cannot have its data in a folder."""
    for covered in _COVERED:
        if folder.resolve().is_relative_to(covered):
            raise RehearsalError(
                f"a real node cannot have its data under {covered}: set TMPDIR to a folder elsewhere"
            )
    if len(os.fsencode(folder / _DEEPEST)) > _LONGEST:
        raise RehearsalError(f"the paths of sockets in {folder} are too long: set TMPDIR to a shorter one")


def _namespaces(found: dict[str, str]) -> None:
    """Make such namespaces as the node has, for a moment; raise RehearsalError if that is refused."""
    link = [found["ip"], "link", "add", "probe", "type", "bridge"]
    spaces = ["--net", "--mount", "--pid", "--ipc", "--uts", "--fork", "--mount-proc"]
    done = subprocess.run([found["unshare"], *spaces, *link], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RehearsalError(
            f"a real node needs to make namespaces ({done.stderr.strip()[-200:]}): "
            "run it outside a container or in a privileged one, or leave --real-node out"
        )


def _unified() -> bool:
    """Return whether cgroups are of version 2.

    Raises:
        RehearsalError: if no cgroup can be made.
    """
    unified = (CGROUPS / "cgroup.controllers").exists()
    there = CGROUPS if unified else CGROUPS / "memory"
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise RehearsalError(
            f"a real node needs to make cgroups, and {there} cannot be written: "
            "run it outside a container or in a privileged one, or leave --real-node out"
        )
    if unified:
        handed = set((there / "cgroup.subtree_control").read_text().split())
        if missing := sorted(_CONTROLLERS - handed):
            raise RehearsalError(
                f"a real node needs the cgroup controllers {', '.join(missing)}, which {there} does not hand "
                "down: run it outside a container, or leave --real-node out"
            )
    return unified
