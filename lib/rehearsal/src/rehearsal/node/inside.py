"""The first process in the node's namespaces: it prepares them, starts the node's programs and watches them.

Run as `python inside.py FILE`, by `unshare`; it needs nothing but the standard library. It is the first
process of its PID namespace: when it ends, the kernel kills everything that runs on the node, and takes the
network and the mounts away.

FILE is JSON: `cgroups`, the files that take a process into its cgroup; `kept`, folders whose changes are kept
in memory and then forgotten; `commands`, run one after the other; `written`, texts by path; `daemons`, each
with `argv`, `log` and `after`, a Unix socket that must answer before it is started; `ready`, a file to make
then.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

_LONGEST = 30.0
"""Seconds that a daemon has to answer at its socket."""


def main(path: str) -> int:
    """Prepare the namespaces, run the daemons until one ends or a signal comes; return an exit status."""
    said = json.loads(Path(path).read_text())
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    try:
        for each in said["cgroups"]:
            Path(each).write_text("0\n")
        _forget(said["kept"])
        for command in said["commands"]:
            _do(*command)
        for file, text in said["written"].items():
            Path(file).write_text(text)
        names: dict[int, str] = {}
        for name, daemon in said["daemons"].items():
            _await(daemon.get("after"), names)
            names[_started(daemon)] = name
        Path(said["ready"]).touch()
        while True:
            _reap(names)
    except OSError as error:
        print(error, flush=True)
        return 1


def _do(*command: str) -> None:
    """Run a command; raise OSError with its words if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"{Path(command[0]).name} failed: {' '.join(done.stderr.split())}")


def _reap(names: dict[int, str], options: int = 0) -> None:
    """Take note of a process that has ended; raise OSError if it is one of the daemons."""
    pid, status = os.waitpid(-1, options)
    if pid in names:
        raise OSError(f"{names[pid]} has ended: {os.waitstatus_to_exitcode(status)}")


def _forget(kept: list[str]) -> None:
    """Cover folders with a memory of their own: what programs write there is not written to the machine.

    Some paths are not configurable: containerd's shims listen under /run, CNI's plugins and the kubelet write
    to /var/lib and /var/log.
    """
    _do("mount", "--make-rshared", "/")
    _do("mount", "-t", "tmpfs", "tmpfs", "/run")
    for folder in kept:
        over = Path("/run/rehearsal") / folder.strip("/").replace("/", "-")
        for name in ("upper", "work"):
            (over / name).mkdir(parents=True)
        layers = f"lowerdir={folder},upperdir={over / 'upper'},workdir={over / 'work'}"
        _do("mount", "-t", "overlay", "overlay", "-o", layers, folder)


def _await(path: str | None, names: dict[int, str]) -> None:
    """Wait until a Unix socket answers, if one is named; raise OSError if it does not, or a daemon ends."""
    deadline = time.monotonic() + _LONGEST
    while path and not _answers(path):
        _reap(names, os.WNOHANG)
        if time.monotonic() > deadline:
            raise TimeoutError(f"nothing answers at {path}")
        time.sleep(0.05)


def _started(daemon: dict[str, Any]) -> int:
    """Start a daemon; return its process ID."""
    with Path(daemon["log"]).open("ab") as log:
        process = subprocess.Popen(daemon["argv"], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    process.returncode = 0  # _reap() reaps it by its process ID
    return process.pid


def _answers(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(path) == 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
