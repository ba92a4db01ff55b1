"""A node whose programs are scripts: how it comes up, how it ends, and what is left of it."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rehearsal import last_words
from rehearsal.cluster import programs
from rehearsal.errors import RehearsalError
from rehearsal.guardian import Guardian
from rehearsal.node import machine
from rehearsal.node.images import store
from rehearsal.node.machine import CGROUPS, Machine
from rehearsal.node.node import RealNode
from rehearsal.patience import until

SYSTEM = ("unshare", "ip", "mount")
pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not all(map(shutil.which, SYSTEM)) or not os.access(CGROUPS, os.W_OK),
    reason="only root makes namespaces and cgroups, by util-linux and iproute2",
)
LISTENS = f"""#!{sys.executable}
import socket, sys, time
from pathlib import Path
with socket.socket(socket.AF_UNIX) as made:
    made.bind(str(Path(sys.argv[2]).with_name("containerd.sock")))
    made.listen()
    print("level=info listens", flush=True)
    time.sleep(600)
"""
"""containerd that does nothing but listen; its configuration's folder is the node's."""
DIES = "#!/bin/sh\necho 'level=fatal no snapshots here'\necho bye\nexit 1\n"


class Cluster:
    """A cluster in which everything that a node waits for has already happened."""

    url = "https://127.0.0.1:1"

    def check(self) -> None:
        """Find nothing that has ended."""

    def kubeconfig(self, token: str, namespace: str, *, server: str) -> dict[str, Any]:
        return {"clusters": [{"cluster": {"server": server}}]}

    def apply(self, path: str, body: bytes) -> bytes:
        return body

    def request(self, method: str, path: str, body: bytes | None = None, kind: str = "") -> bytes:
        ready = {"conditions": [{"type": "Ready", "status": "True"}], "readyReplicas": 1}
        return json.dumps({"status": ready, "spec": {}}).encode()


@dataclasses.dataclass
class Run:
    """A rehearsal's folder and guardian, and the node in it."""

    folder: Path
    guardian: Guardian
    node: RealNode

    def start(self) -> None:
        self.node.start(Cluster())  # pyright: ignore[reportArgumentType]

    def left(self) -> list[str]:
        """Return the processes and cgroups of the node that are still there."""
        return [*self.processes().values(), *map(str, _cgroups(self.folder.name))]

    def processes(self) -> dict[int, str]:
        """Return the processes of the node: number to log, which is what they have in common."""
        found: dict[int, str] = {}
        for each in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                log = (each / "fd" / "1").readlink()
                if log.parent == self.folder / "node":
                    found[int(each.name)] = log.name
        return found


Maker = Callable[[str], Run]


def _cgroups(name: str) -> list[Path]:
    return [*CGROUPS.glob(f"rehearsal-*-{name}"), *CGROUPS.glob(f"*/rehearsal-*-{name}")]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Iterator[Maker]:
    """Make a node, of which containerd is a script and the other programs only sleep."""
    folder = Path(tempfile.mkdtemp(prefix="node-"))
    started: list[Run] = []

    def make(containerd: str) -> Run:
        found = {name: shutil.which(name) or "" for name in SYSTEM}
        for name, text in (
            ("containerd", containerd),
            ("ctr", "#!/bin/sh\n"),
            ("sleeps", "#!/bin/sh\nsleep 600\n"),
        ):
            found[name] = str(folder / name)
            (folder / name).write_text(text)
            (folder / name).chmod(0o755)
        unified = (CGROUPS / "cgroup.controllers").exists()
        monkeypatch.setattr(machine, "find", lambda _: Machine(found, folder, unified))
        monkeypatch.setattr(store, "ALWAYS", ())
        sleeping = {name: [found["sleeps"]] for name in ("kubelet", "kube-proxy")}
        monkeypatch.setattr(programs, "locate", lambda names, on_progress: sleeping)
        guardian = Guardian(folder)
        started.append(Run(folder, guardian, RealNode(folder / "node", guardian, ())))
        return started[-1]

    yield make
    for each in started:
        each.guardian.close()
        assert each.left() == []
        assert not folder.exists()
        each.node.stop()  # also when all has ended
    shutil.rmtree(folder, ignore_errors=True)


def test_a_node_comes_up_and_nothing_runs_when_it_is_stopped(run: Maker) -> None:
    rehearsal = run(LISTENS)
    rehearsal.start()
    rehearsal.node.check()
    programs = {"inside", "relay", "containerd", "kubelet", "kube-proxy"}
    assert set(rehearsal.processes().values()) == {f"{name}.log" for name in programs}
    assert _cgroups(rehearsal.folder.name)
    until(lambda: _listens(rehearsal.node, 6443))
    rehearsal.node.stop()
    until(lambda: not rehearsal.processes(), rehearsal.processes)
    with pytest.raises(ConnectionRefusedError, match="not up"):
        rehearsal.node.connect("10.63.0.1", 6443, 5)
    rehearsal.node.check()


def _listens(node: RealNode, port: int) -> bool:
    with contextlib.suppress(OSError):
        node.connect("10.63.0.1", port, 5).close()
        return True
    return False


def test_containerd_that_dies_at_the_start_has_the_last_word(run: Maker) -> None:
    with pytest.raises(RehearsalError) as caught:
        run(DIES).start()
    assert str(caught.value) == (
        "the real node did not come up (containerd has ended: level=fatal no snapshots here): "
        "mend that, or leave --real-node out"
    )


def test_a_program_that_cannot_be_started_is_named(run: Maker) -> None:
    with pytest.raises(RehearsalError, match=r"did not come up \(inside: .*Exec format error"):
        run("nothing that runs").start()


def test_a_disk_that_gets_full_is_told_at_once(run: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    rehearsal = run(LISTENS)
    monkeypatch.setattr(last_words, "LEAST_SPACE", 1 << 60)
    with pytest.raises(RehearsalError, match=r"no space is left for .*: free some, or set TMPDIR"):
        rehearsal.start()


def test_a_control_plane_that_ends_meanwhile_is_told(run: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    def check(cluster: Cluster) -> None:
        raise RehearsalError("etcd has ended: it is broken")

    def request(cluster: Cluster, *_: object) -> bytes:
        raise ConnectionRefusedError(111, "Connection refused")

    monkeypatch.setattr(Cluster, "check", check)
    monkeypatch.setattr(Cluster, "request", request)
    with pytest.raises(RehearsalError, match=r"^etcd has ended: it is broken$"):
        run(LISTENS).start()


def test_a_cgroup_that_cannot_be_made_is_told(run: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    rehearsal = run(LISTENS)
    made = Path.mkdir

    def mkdir(path: Path, *args: Any, **said: Any) -> None:
        # The second folder, so that the first is there and must go.
        if path.name == "node" and CGROUPS in path.parents:
            raise OSError(30, "Read-only file system", str(path))
        made(path, *args, **said)

    monkeypatch.setattr(Path, "mkdir", mkdir)
    with pytest.raises(RehearsalError) as caught:
        rehearsal.start()
    assert str(caught.value).startswith(f"the real node cannot start in {rehearsal.folder}/node: ")
    assert "Read-only file system" in str(caught.value)
    assert _cgroups(rehearsal.folder.name)


@pytest.mark.parametrize(
    ("killed", "told"),
    [
        ("containerd", "the real node has ended: containerd has ended: level=info listens"),
        ("kubelet", "the real node has ended: kubelet has ended: it said nothing"),
        ("relay", "the real node has ended: relay: it said nothing"),
    ],
)
def test_what_ends_early_is_noticed_with_its_last_words(run: Maker, killed: str, told: str) -> None:
    rehearsal = run(LISTENS)
    rehearsal.start()
    numbers = [pid for pid, log in rehearsal.processes().items() if log == f"{killed}.log"]
    os.kill(numbers[0], signal.SIGKILL)

    def noticed() -> str:
        try:
            rehearsal.node.check()
        except RehearsalError as error:
            return str(error)
        return ""

    assert until(noticed) == told
