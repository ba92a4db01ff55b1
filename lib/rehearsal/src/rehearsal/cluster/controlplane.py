"""etcd, API server, controller manager, scheduler and KWOK: Kubernetes in local processes.

Everything listens on 127.0.0.1 on free ports, so several can run side by side.
"""

from __future__ import annotations

import base64
import functools
import json
import os
import secrets
import socket
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from rehearsal import last_words
from rehearsal.cluster import credentials, existing, nodes, parts, programs, stages
from rehearsal.cluster.joining import Joining
from rehearsal.cluster.kubelet import Kubelet
from rehearsal.errors import RehearsalError
from rehearsal.guardian import Guardian, Process
from rehearsal.patience import PATIENCE

READY_WITHIN = PATIENCE
"""Seconds after which a control plane that is not ready is given up."""

Phase = Callable[[str], None]


class ControlPlane:
    """A Kubernetes cluster without containers.

    Args:
        folder: where data, logs and credentials go; made if it is not there.
        guardian: starts the processes, and ends them when the rehearsal is gone.
        node_file: the nodes; the default ones if not given.
        misbehaviours: pods that do not come up.
        network: the socket of the proxy through which the API server reaches pods (see `rehearsal.network`).
            Without one it calls no webhook.
        audit_log: the file that the API server adds a line to for each request, as JSON.
        joining: a real node that will join.
        on_phase: told what is being waited for.
    """

    def __init__(
        self,
        folder: Path,
        guardian: Guardian,
        *,
        node_file: Path = nodes.DEFAULT,
        misbehaviours: tuple[stages.Misbehaviour, ...] = (),
        network: Path | None = None,
        audit_log: Path | None = None,
        joining: Joining | None = None,
        on_phase: Phase = lambda _: None,
    ):
        self.folder = folder
        self._network = network
        self._audit_log = audit_log
        self._joining = joining
        self._pki = folder / "pki"
        self._guardian = guardian
        self._nodes = nodes.load(node_file)
        self._misbehaviours = misbehaviours
        self._on_phase = on_phase
        self._processes: dict[str, Process] = {}
        self._programs: dict[str, list[str]] = {}
        self._kwok_lives = 0
        self.url = ""
        self.kubelet: Kubelet | None = None
        """What answers for the logs of all pods, while the control plane is up."""
        self.token = secrets.token_hex(16)
        """The administrator's bearer token."""

    @property
    def ca(self) -> Path:
        """The certificate that the API server shows."""
        return self._pki / "apiserver.crt"

    @property
    def admin_kubeconfig(self) -> Path:
        """A kubeconfig file of the administrator."""
        return self.folder / "admin.kubeconfig"

    @property
    def kubectl(self) -> list[str]:
        """The command line that kubectl's arguments follow."""
        return programs.locate(("kubectl",))["kubectl"]

    def processes(self) -> dict[str, int]:
        """Return the living processes: name to number."""
        return {n: p.pid for n, p in self._processes.items() if not p.ended.is_set()}

    def start(self) -> None:
        """Start everything; return when the API server is ready and pods can be scheduled on every node.

        Raises:
            RehearsalError: if a part does not start; with its own last words.
        """
        self._programs = programs.locate(on_progress=self._on_phase)
        self._on_phase("starting the control plane")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            credentials.write(self._pki, self.token, self._joining.tokens if self._joining else ())
            self._start_api_server()
            self.admin_kubeconfig.write_text(yaml.safe_dump(self.kubeconfig(self.token, "default")))
            self.admin_kubeconfig.chmod(0o600)
            self._spawn("kube-controller-manager", parts.controller_manager(self.admin_kubeconfig, self._pki))
            scheduling = self.folder / "scheduler.yaml"
            scheduling.write_text(yaml.safe_dump(parts.scheduling(self.admin_kubeconfig, self._joining)))
            self._spawn("kube-scheduler", parts.scheduler(scheduling))
            self.misbehave(self._misbehaviours)
            self.kubelet = Kubelet(self, self.ca, self.ca.with_suffix(".key"))
            endpoint = {"daemonEndpoints": {"kubeletEndpoint": {"Port": self.kubelet.port}}}
            self._create("/api/v1/nodes", *({**n, "status": n["status"] | endpoint} for n in self._nodes))
            self._create("/apis/storage.k8s.io/v1/storageclasses", stages.STORAGE_CLASS)
            self._wait(self._nodes_ready, "the nodes were not ready")
        except OSError as error:
            raise RehearsalError(f"the control plane cannot start in {self.folder}: {error}") from None

    def stop(self) -> None:
        """Stop everything; the API server before etcd, without which it would never end."""
        if self.kubelet is not None:
            self.kubelet.close()
            self.kubelet = None
        for name in reversed(programs.PARTS):
            if process := self._processes.pop(name, None):
                process.stop(2.0)
        if connection := self.__dict__.pop("_connection", None):
            connection.close()

    def check(self) -> None:
        """Do nothing if all parts are alive.

        Raises:
            RehearsalError: if one has ended; with its own last words.
        """
        for name, process in self._processes.items():
            if process.ended.is_set():
                raise RehearsalError(f"{name} has ended: {self._last_words(name, process)}")

    def __enter__(self) -> ControlPlane:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def misbehave(self, misbehaviours: tuple[stages.Misbehaviour, ...]) -> None:
        """Have these pods misbehave, and no others, from now on."""
        self._misbehaviours = misbehaviours
        if process := self._processes.pop("kwok", None):
            process.stop(1.0)
        path = self.folder / "kwok.yaml"
        volumes = self._joining.volumes if self._joining else stages.NOWHERE
        path.write_text(yaml.safe_dump_all(stages.documents(misbehaviours, volumes)))
        self._spawn("kwok", parts.kwok(self.admin_kubeconfig, path, self._kwok_lives))
        self._kwok_lives += 1

    def kubeconfig(self, token: str, namespace: str, *, server: str | None = None) -> dict[str, Any]:
        """Return a kubeconfig document for the bearer of `token`; `server` is another way in."""
        cluster: dict[str, Any] = {"server": server or self.url}
        if cluster["server"].startswith("https:"):
            authority = base64.b64encode(self.ca.read_bytes()).decode()
            cluster["certificate-authority-data"] = authority
        return existing.kubeconfig(cluster, token, namespace)

    def tls(self) -> ssl.SSLContext:
        """Return how to speak to the API server."""
        return ssl.create_default_context(cafile=str(self.ca))

    def apply(self, path: str, body: bytes) -> bytes:
        """Apply an object on the server side, as the administrator; raises as `request`."""
        return self.request("PATCH", path, body, "application/apply-patch+yaml")

    def request(
        self, method: str, path: str, body: bytes | None = None, kind: str = "application/yaml"
    ) -> bytes:
        """Send one request as the administrator and return the answer's body.

        Raises:
            OSError: if there is none; `existing.Refused` if it is a refusal.
        """
        if not self.ca.exists():
            raise OSError("the API server has no certificate yet")
        return self._connection.send(method, path, body, kind)

    @functools.cached_property
    def _connection(self) -> existing.Connection:
        return existing.Connection(self.url, self.tls(), {"Authorization": f"Bearer {self.token}"})

    def _start_api_server(self) -> None:
        """Start etcd and the API server, on other ports if one was taken after it was found free."""
        egress, audit = self._write_egress(), self._write_audit_policy()
        for again in (True, True, False):
            store, peer, port = free_ports(3)
            self.url = f"https://127.0.0.1:{port}"
            self._spawn("etcd", parts.etcd(self.folder, store, peer))
            self._spawn(
                "kube-apiserver", parts.api_server(self._pki, store, port, egress, audit, self._joining)
            )
            try:
                self._wait(self._api_ready, "the API server was not ready")
            except RehearsalError as error:
                if not again or "address already in use" not in str(error):
                    raise
                self.stop()
            else:
                return

    def _write_egress(self) -> Path | None:
        if self._network is None:
            return None
        path = self.folder / "egress.yaml"
        path.write_text(yaml.safe_dump(parts.egress(self._network)))
        return path

    def _write_audit_policy(self) -> tuple[Path, Path] | None:
        """Return the files of the audit log's policy and of the log."""
        if self._audit_log is None:
            return None
        path = self.folder / "audit-policy.yaml"
        path.write_text(yaml.safe_dump(parts.AUDIT_POLICY))
        return path, self._audit_log.resolve()

    def _spawn(self, name: str, arguments: list[str]) -> None:
        command = self._programs[name] + arguments
        env = parts.COLLECTOR | os.environ
        self._processes[name] = self._guardian.spawn(command, log=self._log(name), name=name, env=env)

    def _log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def _last_words(self, name: str, process: Process) -> str:
        text = self._log(name).read_text(errors="replace")
        return last_words.telling(text, self.folder, f"exit status {process.returncode}")

    def _wait(self, done: Callable[[], bool], otherwise: str) -> None:
        deadline = time.monotonic() + READY_WITHIN
        while time.monotonic() < deadline:
            self.check()
            try:
                if done():
                    return
            except OSError:
                pass  # not there yet
            time.sleep(0.05)
        raise RehearsalError(f"{otherwise} after {READY_WITHIN:.0f} s: see the logs in {self.folder}")

    def _api_ready(self) -> bool:
        return self.request("GET", "/readyz") == b"ok"

    def _nodes_ready(self) -> bool:
        """Tell whether KWOK has made the nodes ready, and the controller manager has untainted them since."""
        found = json.loads(self.request("GET", "/api/v1/nodes"))["items"]
        states = [c for node in found for c in node["status"].get("conditions", []) if c["type"] == "Ready"]
        taints = [taint["key"] for node in found for taint in node["spec"].get("taints", [])]
        ready = sum(state["status"] == "True" for state in states) == len(self._nodes)
        return ready and not any(key.startswith("node.kubernetes.io/") for key in taints)

    def _create(self, path: str, *objects: dict[str, Any]) -> None:
        for each in objects:
            self.request("POST", path, yaml.safe_dump(each).encode())


def free_ports(count: int) -> list[int]:
    """Return ports that were free a moment ago, each another one."""
    held = [socket.socket() for _ in range(count)]
    try:
        for each in held:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in held]
    finally:
        for each in held:
            each.close()
