"""Lists without what is in the objects, from a real API server."""

from __future__ import annotations

import lightkube
import pytest
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.core_v1 import Secret

from kubeflow_charm.cluster import connection, metadata_only
from kubeflow_charm.cluster.resources import by_group_kind
from rehearsal.cluster.controlplane import ControlPlane


def test_a_list_has_the_metadata_and_nothing_else(
    cluster: ControlPlane, client: lightkube.Client, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(cluster.admin_kubeconfig))
    kind = by_group_kind("Secret")
    assert kind
    made = Secret(metadata=ObjectMeta(name="s", namespace=namespace, labels={"a": "b"}), data={"k": "dg=="})
    with connection.client(namespace, "ours") as reader:
        with metadata_only.requested():
            assert list(reader.list(kind.resource, namespace=namespace)) == []
            client.create(made)
            (found,) = reader.list(kind.resource, namespace=namespace)
        (whole,) = reader.list(kind.resource, namespace=namespace)
    assert whole["data"] == {"k": "dg=="}
    assert found["metadata"]["name"] == "s"
    assert found["metadata"]["labels"] == {"a": "b"}
    assert found["metadata"]["managedFields"]
    assert not found.keys() & {"data", "type"}
