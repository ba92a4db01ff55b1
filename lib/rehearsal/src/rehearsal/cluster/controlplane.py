"""etcd, API server, controller manager, scheduler and KWOK: Kubernetes in local processes.

Everything listens on 127.0.0.1 on free ports, so several can run side by side. Facts on flags are those of
Kubernetes v1.36 and KWOK v0.8.
"""

from __future__ import annotations

import base64
import functools
import os
import secrets
import socket
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from rehearsal.cluster import build, existing, nodes, stages
from rehearsal.errors import RehearsalError
from rehearsal.guardian import Guardian, Process

READY_WITHIN = 60.0
"""Seconds after which an API server that is not ready is given up."""

Phase = Callable[[str], None]


class ControlPlane:
    """A Kubernetes cluster without containers.

    Args:
        folder: where data, logs and credentials go; made if it is not there.
        guardian: starts the processes, and ends them when the rehearsal is gone.
        node_file: the nodes; the default ones if not given.
        misbehaviours: pods that do not come up.
        on_phase: told what is being waited for.
    """

    def __init__(
        self,
        folder: Path,
        guardian: Guardian,
        *,
        node_file: Path = nodes.DEFAULT,
        misbehaviours: tuple[stages.Misbehaviour, ...] = (),
        on_phase: Phase = lambda _: None,
    ):
        self.folder = folder
        self._guardian = guardian
        self._nodes = nodes.load(node_file)
        self._misbehaviours = misbehaviours
        self._on_phase = on_phase
        self._processes: dict[str, Process] = {}
        self._binary = Path()
        self.url = ""
        self.token = secrets.token_hex(16)
        """The administrator's bearer token."""

    @property
    def ca(self) -> Path:
        """The certificate that the API server shows."""
        return self.folder / "pki" / "apiserver.crt"

    @property
    def admin_kubeconfig(self) -> Path:
        """A kubeconfig file of the administrator."""
        return self.folder / "admin.kubeconfig"

    @property
    def kubectl(self) -> list[str]:
        """The command line that kubectl's arguments follow."""
        assets = os.environ.get("KUBEBUILDER_ASSETS")
        if assets and (Path(assets) / "kubectl").exists():
            return [str(Path(assets) / "kubectl")]
        return [str(self._binary), "kubectl"]

    def processes(self) -> dict[str, int]:
        """Return the living processes: name to number."""
        return {n: p.pid for n, p in self._processes.items() if not p.ended.is_set()}

    def start(self) -> None:
        """Start everything; return when the API server is ready and has its nodes.

        Raises:
            RehearsalError: if a part does not start; with its own last words.
        """
        self._binary = build.binary(self._on_phase)
        self._on_phase("starting the control plane")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._write_credentials()
            etcd, etcd_peer, api = _free_ports(3)
            self.url = f"https://127.0.0.1:{api}"
            self._spawn("etcd", *self._etcd(etcd, etcd_peer))
            self._spawn("kube-apiserver", *self._api_server(etcd, api))
            self._wait_ready()
            self.admin_kubeconfig.write_text(yaml.safe_dump(self.kubeconfig(self.token, "default")))
            self.admin_kubeconfig.chmod(0o600)
            self._create_nodes()
            self._spawn("kube-controller-manager", *self._controller_manager())
            self._spawn("kube-scheduler", *self._scheduler())
            self.misbehave(self._misbehaviours)
        except OSError as error:
            raise RehearsalError(f"the control plane cannot start in {self.folder}: {error}") from None

    def stop(self) -> None:
        """Stop everything; the API server before etcd, without which it would never end."""
        for name in ("kwok", "kube-scheduler", "kube-controller-manager", "kube-apiserver", "etcd"):
            if process := self._processes.pop(name, None):
                process.stop(2.0)
        if "_connection" in self.__dict__:
            self._connection.close()

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
        path.write_text(yaml.safe_dump_all(stages.documents(misbehaviours)))
        self._spawn(
            "kwok",
            f"--kubeconfig={self.admin_kubeconfig}",
            f"--config={path}",
            "--manage-all-nodes",
            # Leases would outlive a KWOK that is started anew, and keep the next one waiting.
            "--node-lease-duration-seconds=0",
            "--cidr=10.244.0.1/16",
        )

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

    # The parts

    def _spawn(self, name: str, *arguments: str) -> None:
        program = [str(self._binary), name]
        assets = os.environ.get("KUBEBUILDER_ASSETS")
        if assets and (Path(assets) / name).exists():
            program = [str(Path(assets) / name)]
        log = self.folder / f"{name}.log"
        self._processes[name] = self._guardian.spawn([*program, *arguments], log=log, name=name)

    def _etcd(self, port: int, peer: int) -> list[str]:
        client, peers = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{peer}"
        return [
            f"--data-dir={self.folder / 'etcd'}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peers}",
            f"--initial-advertise-peer-urls={peers}",
            f"--initial-cluster=default={peers}",
            "--unsafe-no-fsync",
            "--log-level=warn",
        ]

    def _api_server(self, etcd: int, port: int) -> list[str]:
        pki = self.folder / "pki"
        return [
            f"--etcd-servers=http://127.0.0.1:{etcd}",
            "--bind-address=127.0.0.1",
            f"--secure-port={port}",
            f"--cert-dir={pki}",
            "--authorization-mode=RBAC",
            f"--token-auth-file={pki / 'tokens.csv'}",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            f"--service-account-key-file={pki / 'service-account.pub'}",
            f"--service-account-signing-key-file={pki / 'service-account.key'}",
            "--service-cluster-ip-range=10.96.0.0/16",
            # 127.0.0.1 may not be an endpoint, and the reconciler would say so every ten seconds.
            "--endpoint-reconciler-type=none",
            # There is no pod behind a webhook here.
            "--disable-admission-plugins=MutatingAdmissionWebhook,ValidatingAdmissionWebhook",
            "--enable-priority-and-fairness=false",
            "--profiling=false",
        ]

    def _controller_manager(self) -> list[str]:
        return [
            f"--kubeconfig={self.admin_kubeconfig}",
            f"--service-account-private-key-file={self.folder / 'pki' / 'service-account.key'}",
            f"--root-ca-file={self.ca}",
            "--use-service-account-credentials",
            "--leader-elect=false",
            "--secure-port=0",
            # Nodes are ready once and for all; nobody sends heartbeats.
            "--node-monitor-grace-period=100000h",
        ]

    def _scheduler(self) -> list[str]:
        return [
            f"--kubeconfig={self.admin_kubeconfig}",
            "--leader-elect=false",
            "--secure-port=0",
        ]

    def _write_credentials(self) -> None:
        pki = self.folder / "pki"
        pki.mkdir(exist_ok=True, mode=0o700)
        (pki / "tokens.csv").write_text(f"{self.token},admin,admin,system:masters\n")
        key = ec.generate_private_key(ec.SECP256R1())
        (pki / "service-account.key").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.TraditionalOpenSSL,
                serialization.NoEncryption(),
            )
        )
        (pki / "service-account.pub").write_bytes(
            key.public_key().public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
        )

    def _wait_ready(self) -> None:
        deadline = time.monotonic() + READY_WITHIN
        while time.monotonic() < deadline:
            self._check_alive()
            try:
                if self.request("GET", "/readyz") == b"ok":
                    return
            except OSError:
                time.sleep(0.05)
        raise RehearsalError(f"the API server was not ready after {READY_WITHIN:.0f} s: see {self.folder}")

    def _check_alive(self) -> None:
        for name, process in self._processes.items():
            if process.ended.is_set():
                lines = (self.folder / f"{name}.log").read_text(errors="replace").splitlines()
                last = lines[-1][:300] if lines else f"exit status {process.returncode}"
                raise RehearsalError(f"{name} did not start: {last}")

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

    def _create_nodes(self) -> None:
        for node in self._nodes:
            self.request("POST", "/api/v1/nodes", yaml.safe_dump(node).encode())


def _free_ports(count: int) -> list[int]:
    """Return ports that were free a moment ago, each another one."""
    held = [socket.socket() for _ in range(count)]
    try:
        for each in held:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in held]
    finally:
        for each in held:
            each.close()
