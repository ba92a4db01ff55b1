"""The real node, from its first namespace to the moment when pods can run on it."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import re
import shutil
import socket
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import yaml

from rehearsal import last_words
from rehearsal.cluster import programs
from rehearsal.cluster.controlplane import ControlPlane
from rehearsal.cluster.joining import Joining
from rehearsal.errors import RehearsalError
from rehearsal.guardian import Guardian, Process
from rehearsal.node import cgroups, configuration, credentials, dns, inside, machine, relay
from rehearsal.node.configuration import API_PORT, NODE_ADDRESS, PAUSE, POD_RANGE, Settings
from rehearsal.node.images.recipes import RECIPES
from rehearsal.node.images.store import Store
from rehearsal.node.name import NAME
from rehearsal.node.namespace import Network
from rehearsal.node.placement import Placement
from rehearsal.patience import PATIENCE

SERVED = {"minio": "minio", "mysql-k8s": "charmed-mysql"}
"""Charms whose stand-ins can run the real program (`rehearsal.stand_ins.serving`), and its image."""
_PATIENCE = 30.0
"""Seconds that a server in a pod has to accept a connection."""
_RANGES = (ipaddress.ip_network(POD_RANGE), ipaddress.ip_network(f"{NODE_ADDRESS}/32"))
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class RealNode:
    """A node in namespaces of its own: network, mounts, processes.

    Args:
        folder: of its data; below the rehearsal's.
        guardian: starts its processes, and ends them and removes its cgroup when the rehearsal is gone.
        images: the images that pods can have, by the last part of their path: names of `recipes.RECIPES`, by
            default all of them.
        on_phase: told what is being waited for.

    Raises:
        RehearsalError: if this machine cannot have one.
    """

    def __init__(
        self,
        folder: Path,
        guardian: Guardian,
        images: Iterable[str] = RECIPES,
        on_phase: Callable[[str], None] = lambda _: None,
    ):
        self._machine = machine.find(folder.parent)
        self._folder = folder
        self._guardian = guardian
        self._on_phase = on_phase
        self._network: Network | None = None
        self._cluster: ControlPlane | None = None
        self._processes: list[Process] = []
        self._ours: dict[str, list[str]] = {}
        try:
            self._credentials = credentials.make(folder / "pki")
            self._settings = Settings(
                folder=folder,
                name=NAME,
                cgroup=f"/rehearsal-{os.getpid()}-{folder.parent.name}",
                plugins=self._machine.plugins,
                snapshotter=machine.snapshotter(folder, self._machine.programs),
                client_authority=self._credentials.certificate,
            )
            self._images = Store(self._machine.programs["ctr"], self._settings.containerd_socket, images)
            self._placement = Placement(NAME, self._images.load)
        except OSError as error:
            raise self._hindered(error) from None

    @property
    def joining(self) -> Joining:
        """What the control plane must know of this node."""
        made = self._credentials
        return Joining(
            made.lines(NAME),
            made.certificate,
            made.key,
            self._placement.configuration,
            self._folder / "volumes",
        )

    def prepare(self) -> None:
        """Make the programs and images that the cache does not have; it may take long, once.

        Raises:
            RehearsalError: if one cannot be made.
        """
        self._ours = programs.locate(("kubelet", "kube-proxy"), self._on_phase)
        self._images.make(self._on_phase)

    def start(self, cluster: ControlPlane) -> None:
        """Start the node; return when it is ready, and so is the cluster's DNS.

        Raises:
            RehearsalError: if it does not; with the last words of what failed.
        """
        if not self._ours:
            self.prepare()
        self._on_phase("starting the real node")
        try:
            self._write(cluster)
            self._cluster = cluster
            process = self._enter()
            self._network = Network(process.pid)
            way = f"in:{NODE_ADDRESS}:{API_PORT}=127.0.0.1:{cluster.url.rpartition(':')[2]}"
            self._spawn("relay", [sys.executable, "-m", relay.__name__, str(process.pid), way])
            self._wait("containerd", lambda: self._settings.containerd_socket.exists())
            for image in (PAUSE, dns.IMAGE):
                self._images.load(image)
            self._wait("kubelet", lambda: _ready(cluster))
            _tell_of_disk(cluster, shutil.disk_usage(self._folder).free)
            _introduce(cluster)
            self._wait("kubelet", lambda: _resolves(cluster))
        except OSError as error:
            raise self._hindered(error) from None

    def check(self) -> None:
        """Do nothing if everything that the node consists of is alive.

        Raises:
            RehearsalError: if something has ended; with its own last words.
        """
        for process in self._processes:
            if process.ended.is_set():
                raise RehearsalError(f"the real node has ended: {self._last_words(process.name)}")

    def stop(self) -> None:
        """Stop everything on the node, pods included, without asking any of them; once more does nothing."""
        self._placement.close()
        while self._processes:
            self._processes.pop().stop(2.0)
        if self._network is not None:
            self._network.close()
            self._network = None

    def has(self, host: str) -> bool:
        """Return whether an address is the node's or one of its pods'."""
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return False
        return any(address in each for each in _RANGES)

    def connect(self, host: str, port: int, timeout: float) -> socket.socket:
        """Return a connection to an address of the node or of one of its pods.

        Raises:
            OSError: if nobody listens.
        """
        if self._network is None:
            raise ConnectionRefusedError("the real node is not up")
        return self._network.connect(host, port, timeout)

    @property
    def images(self) -> set[str]:
        """The images that it has, by the last part of their path: nobody plays their programs."""
        return self._images.names

    @property
    def served(self) -> list[str]:
        """The charms whose stand-ins run their program on the node."""
        return [charm for charm, image in SERVED.items() if image in self.images]

    def dial(self, address: str) -> socket.socket:
        """Return a connection to a Service, by `name.namespace:port`, as pods have it.

        Raises:
            OSError: if there is no such Service, or nobody listens.
        """
        host, _, port = address.partition(":")
        name, namespace, *_ = [*host.split("."), ""]
        if self._cluster is None:
            raise ConnectionRefusedError("the real node is not up")
        path = f"/api/v1/namespaces/{namespace}/services/{name}"
        found = json.loads(self._cluster.request("GET", path))
        return self.connect(found["spec"]["clusterIP"], int(port or 80), _PATIENCE)

    def _write(self, cluster: ControlPlane) -> None:
        """Write the configuration of all programs."""
        folder, settings = self._folder, self._settings
        for name in ("cni", "volumes", "pod-logs"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / "containerd.toml").write_text(configuration.containerd(settings))
        (folder / "cni" / "10-rehearsal.conflist").write_text(configuration.network(settings))
        (folder / "kubelet.yaml").write_text(yaml.safe_dump(configuration.kubelet(settings)))
        (folder / "kube-proxy.yaml").write_text(yaml.safe_dump(configuration.proxy(settings)))
        for name, token in (("kubelet", self._credentials.kubelet), ("kube-proxy", self._credentials.proxy)):
            said = cluster.kubeconfig(token, "default", server=f"https://{NODE_ADDRESS}:{API_PORT}")
            # The API server's certificate has its Service's name and address, but not this one.
            said["clusters"][0]["cluster"]["tls-server-name"] = "kubernetes"
            path = folder / f"{name}.kubeconfig"
            path.write_text(yaml.safe_dump(said))
            path.chmod(0o600)

    def _enter(self) -> Process:
        """Start the node's first process, and return it when the node's programs are started."""
        unified = self._machine.unified
        places = cgroups.places(self._settings.cgroup.strip("/"), unified=unified)
        self._guardian.keep_cgroups(places)
        cgroups.make(places, unified=unified)
        ready = self._folder / "entered"
        said = {
            "cgroups": [str(each / "node" / "cgroup.procs") for each in places],
            "kept": [each for each in ("/var/lib", "/var/log") if Path(each).is_dir()],
            "commands": self._links(),
            "written": {"/proc/sys/net/ipv4/ip_forward": "1"},
            "daemons": self._daemons(),
            "ready": str(ready),
        }
        path = self._folder / "inside.json"
        path.write_text(json.dumps(said))
        spaces = ["--net", "--mount", "--pid", "--ipc", "--uts", "--propagation=private", "--mount-proc"]
        first = [sys.executable, "-ISE", inside.__file__, str(path)]
        enter = [self._machine.programs["unshare"], *spaces, "--fork", "--kill-child=SIGKILL", *first]
        process = self._spawn("inside", enter)
        self._wait("inside", ready.exists)
        return process

    def _links(self) -> list[list[str]]:
        """Return the commands that make the network: it has no way out."""
        ip = self._machine.programs["ip"]
        return [
            [ip, "link", "set", "lo", "up"],
            [ip, "link", "add", "node0", "type", "bridge"],
            [ip, "address", "add", f"{NODE_ADDRESS}/32", "dev", "node0"],
            [ip, "link", "set", "node0", "up"],
            # Until a packet has a route, kube-proxy's rules do not see it.
            [ip, "route", "add", "10.96.0.0/16", "dev", "node0"],
        ]

    def _daemons(self) -> dict[str, Any]:
        folder, ours = self._folder, self._ours
        kubelet = [
            f"--config={folder / 'kubelet.yaml'}",
            f"--kubeconfig={folder / 'kubelet.kubeconfig'}",
            f"--root-dir={folder / 'kubelet'}",
            f"--cert-dir={folder / 'pki'}",
            f"--hostname-override={NAME}",
            f"--node-ip={NODE_ADDRESS}",
        ]
        proxy = [f"--config={folder / 'kube-proxy.yaml'}"]
        containerd = [self._machine.programs["containerd"], "--config", str(folder / "containerd.toml")]
        socket_of = str(self._settings.containerd_socket)
        return {
            "containerd": {"argv": containerd, "log": self._log("containerd")},
            "kubelet": {"argv": ours["kubelet"] + kubelet, "log": self._log("kubelet"), "after": socket_of},
            "kube-proxy": {"argv": ours["kube-proxy"] + proxy, "log": self._log("kube-proxy")},
        }

    def _log(self, name: str) -> str:
        return str(self._folder / f"{name}.log")

    def _spawn(self, name: str, command: list[str]) -> Process:
        environment = os.environ | {"PATH": f"{os.environ.get('PATH', '')}:{_PATH}"}
        log = Path(self._log(name))
        process = self._guardian.spawn(command, log=log, name=name, env=environment)
        self._processes.append(process)
        return process

    def _wait(self, name: str, done: Callable[[], object]) -> None:
        """Wait for something.

        Raises:
            RehearsalError: with the last words of a program, if it takes too long, or cannot come any more.
        """
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and not any(each.ended.is_set() for each in self._processes):
            with contextlib.suppress(OSError):  # not there yet
                if done():
                    return
            if self._cluster is not None:
                self._cluster.check()
            if last_words.is_full("", self._folder):
                break
            time.sleep(0.05)
        ended = [each.name for each in self._processes if each.ended.is_set()]
        raise RehearsalError(
            f"the real node did not come up ({self._last_words(*ended[:1] or [name])}): mend that, or leave "
            "--real-node out"
        )

    def _last_words(self, name: str) -> str:
        """Return the last words of a program; those of a daemon if the node has ended with it."""
        text = self._text(name)
        if ended := re.findall(r"(?m)^(\S+) has ended: ", text):
            name = f"{ended[-1]} has ended"
            text = self._text(ended[-1])
        return f"{name}: {last_words.telling(text, self._folder, 'it said nothing')}"

    def _text(self, name: str) -> str:
        """Return what a program has said."""
        path = Path(self._log(name))
        return path.read_text(errors="replace") if path.exists() else ""

    def _hindered(self, error: OSError) -> RehearsalError:
        return RehearsalError(
            f"the real node cannot start in {self._folder}: {error}: free disk space, set TMPDIR to a folder "
            "elsewhere, or leave --real-node out"
        )


def _tell_of_disk(cluster: ControlPlane, free: int) -> None:
    """Tell the scheduler of the node's disk, which the kubelet need not be able to measure.

    In a container the device of a file system may be unknown to it, so it is told not to look
    (`localStorageCapacityIsolation`), and then a pod that requests `ephemeral-storage` would fit nowhere.
    What it does not report itself it leaves as it is.
    """
    body = json.dumps({"status": {"capacity": {"ephemeral-storage": str(free)}}}).encode()
    kind = "application/merge-patch+json"
    cluster.request("PATCH", f"/api/v1/nodes/{NAME}/status", body, kind)


def _introduce(cluster: ControlPlane) -> None:
    """Make what a cluster has for its pods: a way to the API server, names, and rights of kube-proxy."""
    endpoint = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": "kubernetes",
            "namespace": "default",
            "labels": {"kubernetes.io/service-name": "kubernetes"},
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": [NODE_ADDRESS], "conditions": {"ready": True}}],
        "ports": [{"name": "https", "port": API_PORT, "protocol": "TCP"}],
    }
    for each in (endpoint, *dns.objects()):
        cluster.apply(_path(each), json.dumps(each).encode())


_PLURALS = {
    "ServiceAccount": "serviceaccounts",
    "ClusterRole": "clusterroles",
    "ClusterRoleBinding": "clusterrolebindings",
    "ConfigMap": "configmaps",
    "Deployment": "deployments",
    "Service": "services",
    "EndpointSlice": "endpointslices",
}


def _path(each: dict[str, Any]) -> str:
    version, metadata = each["apiVersion"], each["metadata"]
    root = f"/apis/{version}" if "/" in version else f"/api/{version}"
    within = f"/namespaces/{metadata['namespace']}" if "namespace" in metadata else ""
    name = f"{_PLURALS[each['kind']]}/{metadata['name']}"
    return f"{root}{within}/{name}?fieldManager=rehearsal&force=true"


def _ready(cluster: ControlPlane) -> bool:
    """Return whether the node is ready, and nothing keeps pods away; raises OSError if nobody knows yet."""
    node = json.loads(cluster.request("GET", f"/api/v1/nodes/{NAME}"))
    states = {each["type"]: each["status"] for each in node["status"].get("conditions", [])}
    return states.get("Ready") == "True" and not node["spec"].get("taints")


def _resolves(cluster: ControlPlane) -> bool:
    """Return whether the DNS answers."""
    path = "/apis/apps/v1/namespaces/kube-system/deployments/coredns"
    return json.loads(cluster.request("GET", path)).get("status", {}).get("readyReplicas", 0) > 0
