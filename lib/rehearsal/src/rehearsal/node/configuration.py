"""The configuration files of the node's programs: containerd 1.6 to 2, Kubernetes v1.36, CNI 1.0.

Facts: each program's own reference; and, as measured, runc fails with "can't get final child's PID from pipe"
where it may not set `oom_score_adj`, so containerd is told not to.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NODE_ADDRESS = "10.63.0.1"
"""The node's own address, and the API server's for pods; it exists in the node's network only."""
POD_RANGE = "10.64.0.0/16"
DNS_ADDRESS = "10.96.0.10"
"""The Service address of the cluster's DNS: the tenth, as everywhere."""
DOMAIN = "cluster.local"
API_PORT, KUBELET_PORT = 6443, 10250
PAUSE = "registry.k8s.io/pause:3.10"


@dataclass(frozen=True)
class Settings:
    """What the files say that differs from run to run.

    Args:
        folder: of the node: files, images, volumes, logs.
        name: the node's.
        cgroup: under which everything of the node runs, `/rehearsal-...`.
        plugins: the CNI plugins' folder.
        snapshotter: containerd's, `overlayfs` or `native`.
        client_authority: the certificate that API servers show to the kubelet.
    """

    folder: Path
    name: str
    cgroup: str
    plugins: Path
    snapshotter: str
    client_authority: Path

    @property
    def containerd_socket(self) -> Path:
        """Where containerd listens."""
        return self.folder / "containerd.sock"


def containerd(settings: Settings) -> str:
    """Return containerd's file, TOML of version 2, which newer ones read, too."""
    folder = settings.folder
    return f"""version = 2
root = "{folder / "containerd"}"
state = "{folder / "containerd-state"}"
oom_score = 0
disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
  "io.containerd.internal.v1.opt", "io.containerd.tracing.processor.v1.otlp"]

[grpc]
  address = "{settings.containerd_socket}"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "{settings.snapshotter}"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{settings.plugins}"
    conf_dir = "{folder / "cni"}"
"""


def network(settings: Settings) -> str:
    """Return the CNI configuration: each pod has a link of its own to the node, which routes.

    With a bridge, an answer from one pod to another would pass by what kube-proxy has translated, unless the
    kernel has `br_netfilter`, which it need not have.
    """
    ipam = {
        "type": "host-local",
        "ranges": [[{"subnet": POD_RANGE}]],
        "routes": [{"dst": "0.0.0.0/0"}],
        "dataDir": str(settings.folder / "addresses"),
    }
    plugins = [
        {"type": "ptp", "ipMasq": False, "ipam": ipam},
        {"type": "portmap", "capabilities": {"portMappings": True}},
    ]
    return json.dumps({"cniVersion": "1.0.0", "name": "rehearsal", "plugins": plugins})


def kubelet(settings: Settings) -> dict[str, Any]:
    """Return the kubelet's configuration."""
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": NODE_ADDRESS,
        "port": KUBELET_PORT,
        "healthzPort": 0,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(settings.client_authority)},
        },
        "authorization": {"mode": "Webhook"},
        "clusterDNS": [DNS_ADDRESS],
        "clusterDomain": DOMAIN,
        "resolvConf": "",
        "containerRuntimeEndpoint": f"unix://{settings.containerd_socket}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": settings.cgroup,
        "cgroupsPerQOS": True,
        "enforceNodeAllocatable": ["pods"],
        "failCgroupV1": False,
        "failSwapOn": False,
        "localStorageCapacityIsolation": False,
        "podLogsDir": str(settings.folder / "pod-logs"),
        "staticPodPath": "",
        "volumePluginDir": str(settings.folder / "volume-plugins"),
        "registerNode": True,
        "nodeStatusUpdateFrequency": "5s",
        "syncFrequency": "10s",
        "serializeImagePulls": False,
        # A laptop's disk may be as full as it is: the node's data go with the rehearsal.
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "0%", "imagefs.available": "0%"},
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "crashLoopBackOff": {"maxContainerRestartPeriod": "10s"},
        "featureGates": {"KubeletCrashLoopBackOffMax": True},
        "maxPods": 250,
    }


def proxy(settings: Settings) -> dict[str, Any]:
    """Return kube-proxy's configuration."""
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "hostnameOverride": settings.name,
        "clientConnection": {"kubeconfig": str(settings.folder / "kube-proxy.kubeconfig")},
        "clusterCIDR": POD_RANGE,
        "healthzBindAddress": f"{NODE_ADDRESS}:10256",
        "metricsBindAddress": f"{NODE_ADDRESS}:10249",
        "nodePortAddresses": [f"{NODE_ADDRESS}/32"],
        "iptables": {"minSyncPeriod": "0s", "syncPeriod": "30s"},
        "conntrack": {
            "maxPerCore": 0,
            "min": 0,
            "tcpEstablishedTimeout": "0s",
            "tcpCloseWaitTimeout": "0s",
        },
    }
