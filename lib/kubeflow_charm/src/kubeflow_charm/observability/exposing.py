"""The objects that let a Prometheus reach metrics, and nobody else."""

from __future__ import annotations

from collections.abc import Sequence

from kubeflow_charm.cluster.resources import Manifest
from kubeflow_charm.observability.programs import Target

INSTANCE = "app.kubernetes.io/instance"
MODELS = "model.juju.is/name"
"""Juju's label on the namespaces of its models (juju/juju 3.6, caas/kubernetes/provider/constants)."""


def service_name(app: str) -> str:
    """Return the name of the Service that leads to all metrics of an application."""
    return f"{app}-metrics"


def objects(app: str, namespace: str, instance: str, targets: Sequence[Target]) -> list[Manifest]:
    """Return a Service and two policies.

    One Service leads to the programs of several workloads: each of its ports leads to the pods that have a
    port of that name. So one address per unit is enough, which is all that the relation has room for.

    The policy of the mesh admits requests for metrics only, from whoever asks: a Prometheus is seldom in the
    mesh, so it has no identity. The policy of the network admits the namespaces of Juju's models; a profile
    is none.
    """
    if not targets:
        return []
    mesh = [
        {"to": [{"operation": {"ports": [str(each.port)], "methods": ["GET"], "paths": [each.path]}}]}
        for each in targets
    ]
    service = {
        "selector": {INSTANCE: instance},
        "ports": [
            {"name": f"http-{each.port_name}", "port": each.service_port, "targetPort": each.port_name}
            for each in targets
        ],
    }
    network = {
        "podSelector": {"matchLabels": {INSTANCE: instance}},
        "policyTypes": ["Ingress"],
        "ingress": [
            {
                "from": [
                    {"namespaceSelector": {"matchExpressions": [{"key": MODELS, "operator": "Exists"}]}}
                ],
                "ports": [
                    {"protocol": "TCP", "port": port} for port in sorted({each.port for each in targets})
                ],
            }
        ],
    }
    policy = {"action": "ALLOW", "selector": {"matchLabels": {INSTANCE: instance}}, "rules": mesh}
    metadata = {"name": service_name(app), "namespace": namespace}
    return [
        {"apiVersion": "v1", "kind": "Service", "metadata": {**metadata}, "spec": service},
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {**metadata},
            "spec": network,
        },
        {
            "apiVersion": "security.istio.io/v1",
            "kind": "AuthorizationPolicy",
            "metadata": {**metadata},
            "spec": policy,
        },
    ]
