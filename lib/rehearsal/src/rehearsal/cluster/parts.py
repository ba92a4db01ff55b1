"""The command-line arguments of each part of the control plane: Kubernetes v1.36, etcd 3.6 and KWOK v0.8."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rehearsal.cluster.joining import Joining
from rehearsal.cluster.nodes import PLAYED

_LIVES = 127
"""How often KWOK can be started before it counts pods' addresses from the beginning again."""
_WEBHOOKS = "MutatingAdmissionWebhook,ValidatingAdmissionWebhook"


COLLECTOR = {"GOGC": "300", "GOMEMLIMIT": "3GiB"}
"""How Go collects garbage in a part, unless the user's own environment says: seldom.

At Go's usual 100 the API server spends a third of its CPU time on it while a bundle is deployed: definitions
are large, and each write copies one several times. At 300 the deployment takes a sixth less time. Near the
limit Go collects more often.
"""


def etcd(folder: Path, port: int, peer: int) -> list[str]:
    """Return etcd's arguments; what it stores need not survive a crash of the machine."""
    client, peers = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{peer}"
    return [
        f"--data-dir={folder / 'etcd'}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peers}",
        f"--initial-advertise-peer-urls={peers}",
        f"--initial-cluster=default={peers}",
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]


AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata"}],
}
"""Who asked for what, and the answer's status, of every request; no content, so no secret."""


def api_server(
    pki: Path,
    store: int,
    port: int,
    egress: Path | None = None,
    audit: tuple[Path, Path] | None = None,
    joining: Joining | None = None,
) -> list[str]:
    """Return the API server's arguments; RBAC is on, and so is Pod Security admission, by default.

    Args:
        pki: the folder of certificates and tokens.
        store: etcd's port.
        port: to listen on.
        egress: the file that says how the cluster's network is reached. Without one there is no way to any
            webhook, and none is called.
        audit: the files of the audit log's policy and of the log, if there shall be one.
        joining: the real node that will join, if one will.
    """
    return [
        f"--etcd-servers=http://127.0.0.1:{store}",
        "--bind-address=127.0.0.1",
        # Without it the server looks for the default route's address, and ends where there is no such route.
        "--advertise-address=127.0.0.1",
        f"--secure-port={port}",
        f"--cert-dir={pki}",
        *(_joined(joining) if joining else ["--authorization-mode=RBAC"]),
        # As every distribution has it: whether a pod may be privileged is for Pod Security admission to say.
        "--allow-privileged",
        f"--token-auth-file={pki / 'tokens.csv'}",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-account-key-file={pki / 'service-account.pub'}",
        f"--service-account-signing-key-file={pki / 'service-account.key'}",
        "--service-cluster-ip-range=10.96.0.0/16",
        # 127.0.0.1 may not be an endpoint, and the reconciler would say so every ten seconds.
        "--endpoint-reconciler-type=none",
        f"--egress-selector-config-file={egress}" if egress else f"--disable-admission-plugins={_WEBHOOKS}",
        # Other addresses of played nodes lead nowhere; at this one the kubelet of all of them listens. A real
        # node has no such name.
        "--kubelet-preferred-address-types=InternalDNS,InternalIP",
        "--enable-priority-and-fairness=false",
        "--profiling=false",
        *(_audit(*audit) if audit else ()),
    ]


def _joined(joining: Joining) -> list[str]:
    """Return the API server's arguments for a kubelet that is a stranger to it, as kubeadm has them."""
    return [
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        f"--kubelet-client-certificate={joining.certificate}",
        f"--kubelet-client-key={joining.key}",
    ]


def _audit(policy: Path, log: Path) -> list[str]:
    """Return the API server's arguments for an audit log, which is one file however long it gets."""
    return [f"--audit-policy-file={policy}", f"--audit-log-path={log}", "--audit-log-maxsize=1000000"]


def egress(proxy: Path) -> dict[str, Any]:
    """Return the API server's configuration that has it reach the cluster through a proxy's Unix socket."""
    transport = {"uds": {"udsName": str(proxy)}}
    return {
        "apiVersion": "apiserver.k8s.io/v1beta1",
        "kind": "EgressSelectorConfiguration",
        "egressSelections": [
            {"name": "cluster", "connection": {"proxyProtocol": "HTTPConnect", "transport": transport}}
        ],
    }


def controller_manager(kubeconfig: Path, pki: Path) -> list[str]:
    """Return the controller manager's arguments."""
    return [
        f"--kubeconfig={kubeconfig}",
        f"--service-account-private-key-file={pki / 'service-account.key'}",
        f"--root-ca-file={pki / 'apiserver.crt'}",
        "--use-service-account-credentials",
        "--leader-elect=false",
        "--secure-port=0",
        # The usual 20 a second would hold the controllers' start back for five seconds.
        "--kube-api-qps=2000",
        "--kube-api-burst=2000",
        # Nodes are ready once and for all; nobody sends heartbeats.
        "--node-monitor-grace-period=100000h",
    ]


def scheduler(configuration: Path) -> list[str]:
    """Return the scheduler's arguments."""
    return [f"--config={configuration}", "--secure-port=0"]


def scheduling(kubeconfig: Path, joining: Joining | None) -> dict[str, Any]:
    """Return the scheduler's configuration."""
    return {
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        "clientConnection": {"kubeconfig": str(kubeconfig)},
        "leaderElection": {"leaderElect": False},
        "extenders": [joining.extender] if joining else [],
    }


def kwok(kubeconfig: Path, stages: Path, life: int) -> list[str]:
    """Return KWOK's arguments.

    Args:
        kubeconfig: the administrator's.
        stages: the file of Stage documents.
        life: how often KWOK has been started before. All pods' addresses are of 10.128.0.0/9, but KWOK does
            not ask which ones pods have already, and so begins elsewhere each time.
    """
    return [
        f"--kubeconfig={kubeconfig}",
        f"--config={stages}",
        f"--manage-nodes-with-annotation-selector={'='.join(PLAYED)}",
        # Leases would outlive a KWOK that is started anew, and keep the next one waiting.
        "--node-lease-duration-seconds=0",
        f"--cidr=10.{128 + life % _LIVES}.0.1/9",
    ]
