"""What operators write about scheduling: the models and the API server agree on what a pod can have."""

from __future__ import annotations

from typing import Any

import lightkube
import pydantic
import pytest
from lightkube.generic_resource import create_namespaced_resource

from kubeflow_charm.gpu.kubernetes_labels import ExtendedResource
from kubeflow_charm.gpu.pod_scheduling import Affinity, Toleration, document

POD = create_namespaced_resource("", "v1", "Pod", "pods", verbs=["post"])


def in_terms(*terms: Any) -> dict[str, Any]:
    return {
        "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": list(terms)}}
    }


def expressions(*said: Any) -> dict[str, Any]:
    return in_terms({"matchExpressions": list(said)})


def near(kind: str, term: Any) -> dict[str, Any]:
    return {kind: {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}


IN = "In"  # codespell:ignore
AFFINITIES: list[tuple[Any, bool]] = [
    ({}, True),
    (expressions({"key": "a", "operator": IN, "values": ["b"]}), True),
    (expressions({"key": "example.com/a", "operator": "NotIn", "values": ["b", "c"]}), True),
    (expressions({"key": "a", "operator": "Exists"}), True),
    (expressions({"key": "a", "operator": "Gt", "values": ["5"]}), True),
    (expressions({"key": "a", "operator": "Lt", "values": ["9223372036854775807"]}), True),
    (expressions({"key": "a", "operator": IN, "values": [""]}), True),
    (expressions({"key": "a", "operator": IN, "values": ["b" * 63]}), True),
    (near("podAffinity", {"topologyKey": "zone", "namespaces": ["team-a"]}), True),
    (in_terms({"matchFields": [{"key": "metadata.name", "operator": IN, "values": ["n" * 64 + ".x"]}]}), True),
    (in_terms({"matchFields": [{"key": "metadata.name", "operator": IN, "values": ["n"]}]}), True),
    (near("podAntiAffinity", {"topologyKey": "kubernetes.io/hostname", "namespaceSelector": {}}), True),
    (
        near("podAffinity", {"topologyKey": "zone", "labelSelector": {"matchLabels": {"a": "b"}}}),
        True,
    ),
    (expressions({"key": "a", "operator": IN}), False),
    (expressions({"key": "a", "operator": IN, "values": ["NVIDIA A100-SXM4-40GB"]}), False),
    (expressions({"key": "a", "operator": "NotIn", "values": ["b", "-c"]}), False),
    (expressions({"key": "a", "operator": IN, "values": ["b" * 64]}), False),
    (expressions({"key": "a", "operator": IN, "values": ["ü"]}), False),
    (expressions({"key": "a", "operator": "Gt", "values": ["-5"]}), False),
    (expressions({"key": "a", "operator": "Gt"}), False),
    (expressions({"key": "a", "operator": "DoesNotExist", "values": ["b"]}), False),
    (in_terms({"matchFields": [{"key": "metadata.name", "operator": IN, "values": ["a b"]}]}), False),
    (in_terms({"matchFields": [{"key": "metadata.name", "operator": IN, "values": ["Node"]}]}), False),
    (in_terms({"matchFields": [{"key": "metadata.name", "operator": IN, "values": ["a", "b"]}]}), False),
    (near("podAffinity", {"topologyKey": "zone", "namespaces": ["Team A"]}), False),
    (expressions({"key": "a", "operator": IN, "values": []}), False),
    (expressions({"key": "a", "operator": "Exists", "values": ["b"]}), False),
    (expressions({"key": "a", "operator": "Gt", "values": ["5", "6"]}), False),
    (expressions({"key": "a", "operator": "Equals", "values": ["5"]}), False),
    (expressions({"key": "not a key", "operator": "Exists"}), False),
    (expressions({"key": "UPPER.com/a", "operator": "Exists"}), False),
    (expressions({"operator": "Exists"}), False),
    (in_terms(), False),
    (in_terms({"matchFields": [{"key": "spec.x", "operator": IN, "values": ["n"]}]}), False),
    (in_terms({"matchFields": [{"key": "metadata.name", "operator": "Exists"}]}), False),
    (in_terms({"expressions": []}), False),
    (near("podAntiAffinity", {"labelSelector": {}}), False),
    (near("podAntiAffinity", {"topologyKey": ""}), False),
    (near("podAffinity", {"topologyKey": "a", "labelSelector": {"matchLabels": {"a": "b c"}}}), False),
    ({"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
        {"weight": 0, "preference": {"matchExpressions": [{"key": "a", "operator": "Exists"}]}}]}}, False),
    ({"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
        {"weight": 101, "preference": {"matchExpressions": [{"key": "a", "operator": "Exists"}]}}]}}, False),
    ({"nodeaffinity": {}}, False),
    ([], False),
    ("gpu", False),
]  # fmt: skip

NEVER_SCHEDULED: list[Any] = [
    expressions({"key": "a", "operator": "Gt", "values": ["five"]}),
    expressions({"key": "a", "operator": "Lt", "values": ["9223372036854775808"]}),
    expressions({"key": "a", "operator": "Lt", "values": [""]}),
    {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
        {"weight": 1, "preference": {"matchExpressions": [{"key": "a", "operator": IN, "values": ["b c"]}]}}]}},
    {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
        {"weight": 1, "preference": {"matchExpressions": [{"key": "a", "operator": "Gt", "values": ["x"]}]}}]}},
]  # fmt: skip

TOLERATIONS: list[tuple[Any, bool]] = [
    ({"operator": "Exists"}, True),
    ({"key": "a", "operator": "Exists"}, True),
    ({"key": "a", "value": "b"}, True),
    ({"key": "example.com/a", "operator": "Equal", "value": "", "effect": "NoSchedule"}, True),
    ({"key": "a", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 30}, True),
    ({}, False),
    ({"operator": "Equal", "value": "b"}, False),
    ({"key": "", "operator": "Equal", "value": "b"}, False),
    ({"key": "a", "operator": "Exists", "value": "b"}, False),
    ({"key": "a", "operator": "Matches"}, False),
    ({"key": "a", "operator": "Exists", "effect": "NoWay"}, False),
    ({"key": "a", "operator": "Exists", "effect": "NoSchedule", "tolerationSeconds": 30}, False),
    ({"key": "a", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": "30"}, False),
    ({"key": "not a key", "operator": "Exists"}, False),
    ({"key": "a", "value": "b c"}, False),
    ({"key": "a", "operator": "Exists", "tolerationseconds": 1}, False),
]


def accepts(client: lightkube.Client, namespace: str, piece: dict[str, Any]) -> bool:
    """Tell whether the API server takes a pod with this, every field of which it must know."""
    spec = {"containers": [{"name": "a", "image": "a"}], **piece}
    document = {"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "a-"}, "spec": spec}
    path = f"/api/v1/namespaces/{namespace}/pods"
    answer = client._client._client.post(  # the library's own create has no dry run
        path, json=document, params={"dryRun": "All", "fieldValidation": "Strict"}
    )
    assert answer.status_code in (201, 400, 422), answer.text
    return answer.status_code == 201


def valid(model: type[pydantic.BaseModel], said: Any) -> bool:
    try:
        given = document(model.model_validate(said))
    except pydantic.ValidationError:
        return False
    assert given == said
    return True


@pytest.mark.parametrize(("said", "good"), AFFINITIES)
def test_an_affinity_is_taken_exactly_if_the_api_server_takes_it(client, namespace, said, good):
    assert valid(Affinity, said) is good
    assert accepts(client, namespace, {"affinity": said}) is good


@pytest.mark.parametrize("said", NEVER_SCHEDULED)
def test_an_affinity_that_no_scheduler_can_read_is_refused_although_the_api_server_takes_it(
    client, namespace, said
):
    """The bundle's tests show that the scheduler does not place a pod with one of these."""
    assert not valid(Affinity, said)
    assert accepts(client, namespace, {"affinity": said})


@pytest.mark.parametrize(("said", "good"), TOLERATIONS)
def test_a_toleration_is_taken_exactly_if_the_api_server_takes_it(client, namespace, said, good):
    assert valid(Toleration, said) is good
    assert accepts(client, namespace, {"tolerations": [said]}) is good


@pytest.mark.parametrize(
    ("said", "good"),
    [
        ("nvidia.com/gpu", True),
        ("nvidia.com/mig-1g.5gb", True),
        ("amd.com/cpx_nps4", True),
        ("example.com/NPU", True),
        ("gpu", False),
        ("cpu", False),
        ("kubernetes.io/gpu", False),
        ("NVIDIA.com/gpu", False),
        ("nvidia.com/", False),
        ("nvidia.com/a/b", False),
        ("requests.nvidia.com/gpu", False),
    ],
)
def test_an_extended_resource_is_what_the_api_server_takes_for_one(client, namespace, said, good):
    adapter = pydantic.TypeAdapter(ExtendedResource)
    try:
        assert adapter.validate_python(said) == said
        found = True
    except pydantic.ValidationError:
        found = False
    assert found is good
    if said not in ("cpu", "kubernetes.io/gpu"):  # which are Kubernetes' own, and no extended ones
        container = {"name": "a", "image": "a", "resources": {"limits": {said: "1"}}}
        assert accepts(client, namespace, {"containers": [container]}) is good
