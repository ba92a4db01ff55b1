"""Acting as a pod does: with its service account's token, and no right more than that account has."""

from __future__ import annotations

import json
import urllib.parse
from typing import TYPE_CHECKING

import httpx2
import lightkube

if TYPE_CHECKING:
    from rehearsal.cluster.controlplane import ControlPlane

_SECONDS = 24 * 3600


def client(
    cluster: ControlPlane, namespace: str, account: str, *, transport: httpx2.BaseTransport | None = None
) -> lightkube.Client:
    """Return a client that is a service account; the caller closes it.

    Args:
        cluster: asked for a token, as its administrator.
        namespace: of the account; the client's own namespace, too.
        account: the service account's name.
        transport: what requests go through, if not through the client's own.

    Raises:
        OSError: if there is no such account (`existing.Refused`), or no API server.
    """
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{urllib.parse.quote(account)}/token"
    body = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"expirationSeconds": _SECONDS},
    }
    answer = json.loads(cluster.request("POST", path, json.dumps(body).encode(), "application/json"))
    document = cluster.kubeconfig(answer["status"]["token"], namespace)
    config = lightkube.KubeConfig.from_dict(document).get()
    return lightkube.Client(
        config=config, namespace=namespace, field_manager=account, trust_env=False, transport=transport
    )


def administrator(
    cluster: ControlPlane, *, transport: httpx2.BaseTransport | None = None
) -> lightkube.Client:
    """Return a client for what is the kubelet's work, not the program's; the caller closes it."""
    config = lightkube.KubeConfig.from_dict(cluster.kubeconfig(cluster.token, "default")).get()
    return lightkube.Client(config=config, field_manager="kubelet", trust_env=False, transport=transport)
