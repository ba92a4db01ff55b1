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
    for each in said["cgroups"]:
        Path(each).write_text("0\n")
    _forget(said["kept"])
    for command in said["commands"]:
        subprocess.run(command, check=True)
    for file, text in said["written"].items():
        Path(file).write_text(text)
    names = {_started(daemon): name for name, daemon in said["daemons"].items()}
    Path(said["ready"]).touch()
    while True:
        pid, status = os.wait()
        if pid in names:
            print(f"{names[pid]} has ended: {os.waitstatus_to_exitcode(status)}", flush=True)
            return 1


def _forget(kept: list[str]) -> None:
    """Cover folders with a memory of their own: what programs write there is not written to the machine.

    Some paths are not configurable: containerd's shims listen under /run, CNI's plugins and the kubelet write
    to /var/lib and /var/log.
    """
    subprocess.run(["mount", "--make-rshared", "/"], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run"], check=True)
    for folder in kept:
        over = Path("/run/rehearsal") / folder.strip("/").replace("/", "-")
        for name in ("upper", "work"):
            (over / name).mkdir(parents=True)
        layers = f"lowerdir={folder},upperdir={over / 'upper'},workdir={over / 'work'}"
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", layers, folder], check=True)


def _started(daemon: dict[str, Any]) -> int:
    """Start a daemon when what it needs answers; return its process ID."""
    deadline = time.monotonic() + _LONGEST
    while daemon.get("after") and not _answers(daemon["after"]):
        if time.monotonic() > deadline:
            raise TimeoutError(f"nothing answers at {daemon['after']}")
        time.sleep(0.05)
    with Path(daemon["log"]).open("ab") as log:
        return subprocess.Popen(daemon["argv"], stdout=log, stderr=log, stdin=subprocess.DEVNULL).pid


def _answers(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(path) == 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
