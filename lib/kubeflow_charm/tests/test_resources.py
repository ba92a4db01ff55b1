"""Every kind that a charm may own."""

from __future__ import annotations

import json

import pytest

from kubeflow_charm.cluster.resources import KINDS, Kind, by_group_kind, described, identity, kind_of
from rehearsal.cluster.controlplane import ControlPlane

BUILT_IN = [kind for kind in KINDS if not kind.group.endswith(("istio.io", "kubeflow.org", "kserve.io"))]


@pytest.mark.parametrize("kind", BUILT_IN, ids=lambda kind: kind.kind)
def test_a_kind_is_what_the_api_server_says(kind: Kind, cluster: ControlPlane) -> None:
    root = f"/apis/{kind.api_version}" if kind.group else f"/api/{kind.api_version}"
    resources = json.loads(cluster.request("GET", root))["resources"]
    (found,) = (each for each in resources if each["name"] == kind.plural)
    assert (found["kind"], found["namespaced"]) == (kind.kind, kind.namespaced)


def test_kinds_are_declared_once() -> None:
    assert len({kind.group_kind for kind in KINDS}) == len(KINDS)


def test_only_types_are_shared() -> None:
    assert [kind.kind for kind in KINDS if kind.shared] == ["CustomResourceDefinition"]


def test_nothing_that_may_have_state_is_replaceable() -> None:
    stateful = {"Namespace", "CustomResourceDefinition", "PersistentVolumeClaim", "StatefulSet", "Service"}
    assert not stateful & {kind.kind for kind in KINDS if kind.replaceable}


def test_an_object_is_identified_without_its_version() -> None:
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "a", "namespace": "model"},
    }
    assert identity(role) == ("Role.rbac.authorization.k8s.io", "model", "a")
    assert described(role) == "Role model/a"
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "a"}}
    assert identity(namespace) == ("Namespace", "", "a")
    assert described(namespace) == "Namespace a"


def test_a_kind_that_is_not_declared_is_a_bug_and_in_a_record_unknown() -> None:
    with pytest.raises(LookupError, match=r"Thing of example.org/v1 is not declared"):
        kind_of({"apiVersion": "example.org/v1", "kind": "Thing"})
    assert by_group_kind("Thing.example.org") is None
