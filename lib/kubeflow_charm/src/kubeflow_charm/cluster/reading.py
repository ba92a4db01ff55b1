"""Reads single objects back from the cluster, for charms that remember something on one."""

from __future__ import annotations

from typing import Any

from lightkube import ALL_NS
from lightkube.core.exceptions import ApiError

from kubeflow_charm.cluster import errors
from kubeflow_charm.cluster.executor import Cluster
from kubeflow_charm.cluster.resources import Manifest


def found(cluster: Cluster, resource: Any, name: str, application: str) -> Manifest | None:
    """Return an object of the application's namespace, or None if there is none.

    Args:
        cluster: the application's.
        resource: lightkube's class of the kind, such as `lightkube.resources.core_v1.Secret`.
        name: the object's.
        application: ours, for the problem.

    Raises:
        Problem: if Kubernetes does not tell.
    """
    with errors.explained(f"{resource.__name__} {name}", application):
        try:
            return cluster.client.get(resource, name, namespace=cluster.own.namespace).to_dict()
        except ApiError as error:
            if error.status.code != 404:
                raise
            return None


def everywhere(cluster: Cluster, resource: Any, name: str, application: str) -> list[Manifest]:
    """Return the objects of one name, of all namespaces; arguments and problems are those of `found`."""
    with errors.explained(f"{resource.__name__} {name}", application):
        items = cluster.client.list(resource, namespace=ALL_NS, fields={"metadata.name": name})
        return [item.to_dict() for item in items]
