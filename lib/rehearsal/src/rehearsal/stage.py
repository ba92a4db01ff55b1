"""Put together all parts of a rehearsal, and take them down again."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from rehearsal.cluster import nodes
from rehearsal.cluster.controlplane import ControlPlane
from rehearsal.cluster.existing import ExistingCluster
from rehearsal.cluster.gate import Gate
from rehearsal.cluster.stages import Misbehaviour
from rehearsal.errors import RehearsalError
from rehearsal.guardian import Guardian
from rehearsal.juju import client
from rehearsal.juju.controller.engine import Engine
from rehearsal.juju.controller.ordering import Order
from rehearsal.juju.model.charms import Finder
from rehearsal.juju.model.workloads import Workloads
from rehearsal.juju.server import Server
from rehearsal.network.outside import Outside
from rehearsal.network.proxy import Network
from rehearsal.node.node import RealNode
from rehearsal.players.players import Players
from rehearsal.players.program import Clock, Kernels, now, unreachable
from rehearsal.players.programs import PROGRAMS


class Stage:
    """A cluster, a model of Juju on it, and the commands to use both.

    Args:
        kubeconfig: of a cluster to use instead of a local control plane.
        node_file: the nodes of the local control plane.
        misbehaviours: pods that do not come up.
        finder: finds charms.
        order: decides which hook runs next where Juju promises no order.
        lease: seconds without a leader after one is gone.
        kernels: what notebook servers answer when asked whether they are idle.
        clock: the time that programs in pods see.
        audit_log: the file to which the local control plane adds a line for each request to the API server.
        outside: the programs that are not played, but run elsewhere; connections to their pods lead to them.
        workloads: what is in workload containers.
        load_balancer: whether the local control plane has one, so that such Services get an address.
        real_node: the images whose pods really run, on a node of their own (`rehearsal.node.images.recipes`);
            without it there is no such node.
        on_phase: called with the current work.
    """

    def __init__(
        self,
        *,
        kubeconfig: Path | None = None,
        node_file: Path = nodes.DEFAULT,
        misbehaviours: tuple[Misbehaviour, ...] = (),
        finder: Finder | None = None,
        order: Order | None = None,
        lease: float = 0.0,
        kernels: Kernels = unreachable,
        clock: Clock = now,
        audit_log: Path | None = None,
        outside: Sequence[Outside] = (),
        workloads: Workloads | None = None,
        load_balancer: bool = True,
        real_node: Collection[str] | None = None,
        on_phase: Callable[[str], None] = lambda _: None,
    ):
        if kubeconfig is not None and (audit_log or outside or real_node is not None):
            raise RehearsalError(
                "the audit log, programs outside and a real node need the local control plane"
            )
        try:
            self.folder = Path(tempfile.mkdtemp(prefix="rehearsal-"))
        except OSError as error:
            raise RehearsalError(f"no folder for temporary files can be written: {error}") from None
        self._guardian = Guardian(self.folder)
        self._network: Network | None = None
        self.node: RealNode | None = None
        """Where pods really run, if they do."""
        try:
            if real_node is not None:
                self.node = RealNode(self.folder / "node", self._guardian, real_node, on_phase)
            if kubeconfig is not None:
                self.cluster: ControlPlane | ExistingCluster = ExistingCluster(kubeconfig)
            else:
                self.cluster = ControlPlane(
                    self.folder / "cluster",
                    self._guardian,
                    node_file=node_file,
                    misbehaviours=misbehaviours,
                    network=self.folder / "network.sock",
                    audit_log=audit_log,
                    joining=self.node.joining if self.node else None,
                    on_phase=on_phase,
                )
        except BaseException:
            self._close()
            raise
        self._finder = finder or Finder()
        self._order, self._lease = order, lease
        self._kernels, self._clock = kernels, clock
        self._outside = tuple(outside)
        self._load_balancer = load_balancer
        self._workloads = workloads or {}
        self.bin = self.folder / "bin"
        """The folder of `juju`, `juju-exec` and `kubectl`."""
        self.players: Players | None = None
        """Simulate Kubeflow's controllers; None where real pods run."""

    def __enter__(self) -> Stage:
        try:
            if isinstance(self.cluster, ControlPlane):
                socket = self.folder / "network.sock"
                self._network = Network(socket, self.cluster, PROGRAMS, self._outside, self.node)
            if self.node is not None:
                self.node.prepare()
            self.cluster.start()
            if self.node is not None and isinstance(self.cluster, ControlPlane):
                self.node.start(self.cluster)
            self._write_commands()
            self.gate = Gate(self.cluster.url, self.cluster.tls())
            self.engine = Engine(
                self.folder / "juju",
                self._guardian,
                cluster=self.cluster,
                server=self.gate.url,
                path=self.bin,
                environment={"REHEARSAL_SOCKET": str(self._socket)},
                order=self._order,
                lease=self._lease,
                served=self.node.served if self.node else (),
                dial=self.node.dial if self.node else None,
            )
            self.engine.workloads = self._workloads
            self.server = Server(self.engine, self._socket, self._finder)
            self.engine.start()
            if isinstance(self.cluster, ControlPlane):
                self.players = Players(
                    self.cluster,
                    kernels=self._kernels,
                    clock=self._clock,
                    outside={each.image for each in self._outside}
                    | (self.node.images if self.node else set()),
                    load_balancer=self._load_balancer,
                    dial=self.node.dial if self.node else None,
                )
                self.players.start()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.server.close()
            if self.players is not None:
                self.players.stop()
            self.engine.stop()
            self.gate.close()
            if self.node is not None:
                self.node.stop()
            self.cluster.stop()
        finally:
            self._close()
            shutil.rmtree(self.folder, ignore_errors=True)

    def check(self) -> None:
        """Do nothing if all parts of the local control plane and of the real node are alive.

        Raises:
            RehearsalError: if one has ended; with its own last words.
        """
        if isinstance(self.cluster, ControlPlane):
            self.cluster.check()
        if self.node is not None:
            self.node.check()

    def _close(self) -> None:
        if self.node is not None:
            self.node.stop()
        self._guardian.close()
        if self._network is not None:
            self._network.close()

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables that point `juju` and `kubectl` at this rehearsal."""
        return {
            "PATH": f"{self.bin}{os.pathsep}{os.environ.get('PATH', '')}",
            "KUBECONFIG": str(self.cluster.admin_kubeconfig),
            "REHEARSAL_SOCKET": str(self._socket),
        }

    def juju(self, *words: object) -> str:
        """Run a `juju` command as a user would type it; return its messages (stderr).

        Raises:
            RehearsalError: if it fails; the text is the command's own.
        """
        done = subprocess.run(
            [self.bin / "juju", *map(str, words)],
            env=os.environ | self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RehearsalError(f"juju {words[0]} failed:\n{done.stderr.strip()}")
        return done.stderr

    @property
    def _socket(self) -> Path:
        return self.folder / "juju.sock"

    def _write_commands(self) -> None:
        self.bin.mkdir()
        python, program = shlex.quote(sys.executable), shlex.quote(client.__file__)
        for name in ("juju", "juju-exec"):
            # -S and -E speed up the start: Python skips what the client does not use.
            line = (
                f'REHEARSAL_SOCKET="${{REHEARSAL_SOCKET:-{self._socket}}}" exec {python} -SE {program} {name}'
            )
            self._write_command(name, line)
        kubeconfig = f'KUBECONFIG="${{KUBECONFIG:-{self.cluster.admin_kubeconfig}}}" '
        self._write_command("kubectl", f"{kubeconfig}exec {shlex.join(self.cluster.kubectl)}")

    def _write_command(self, name: str, line: str) -> None:
        path = self.bin / name
        path.write_text(f'#!/bin/sh\n{line} "$@"\n')
        path.chmod(0o755)
