"""Types of Kubernetes inside our kinds: compared with the API server's own OpenAPI."""

from __future__ import annotations

import functools
from typing import Any

import lightkube
import pytest
from lightkube.models import apiextensions_v1, apps_v1, batch_v1, core_v1, meta_v1, policy_v1

from kubeflow_charm.definitions import embedded
from kubeflow_charm.definitions.embedded import Kubernetes, Node

_CORE = "io.k8s.api.core.v1."
_WRITTEN_OUT = {
    "io.k8s.apimachinery.pkg.api.resource.Quantity": embedded.QUANTITY,
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": embedded.INT_OR_STRING,
    "io.k8s.apimachinery.pkg.apis.meta.v1.Time": embedded.TIME,
    "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta": embedded.METADATA,
}
_UNKEYED = {"env", "hostAliases", "imagePullSecrets", "conditions"}
"""Lists that the API server merges by keys, and of which pods may repeat items."""


class Oracle:
    """The schemas of the API server, in the form of a CRD's."""

    def __init__(self, client: lightkube.Client):
        self._client = client

    @functools.cached_property
    def _types(self) -> dict[str, Node]:
        http = self._client._client._client  # pyright: ignore[reportPrivateUsage]
        found: dict[str, Node] = {}
        for path in ("api/v1", "apis/apps/v1", "apis/batch/v1", "apis/policy/v1"):
            found |= http.get(f"/openapi/v3/{path}").json()["components"]["schemas"]
        return found

    def type(self, name: str) -> Node:
        """Return the schema of a type by its whole name."""
        if name in _WRITTEN_OUT:
            return _WRITTEN_OUT[name]
        return self._node(self._types[name])

    def _node(self, node: Node) -> Node:
        if len(node.get("allOf", ())) == 1:
            return self.type(node["allOf"][0]["$ref"].rpartition("/")[2])
        if "$ref" in node:
            return self.type(node["$ref"].rpartition("/")[2])
        result = {key: node[key] for key in ("type", "format", "required") if key in node}
        if "properties" in node:
            result["properties"] = {name: self._node(each) for name, each in node["properties"].items()}
        for key in ("items", "additionalProperties"):
            if key in node:
                result[key] = self._node(node[key])
        if node.get("x-kubernetes-list-type") == "map":
            result["keys"] = node["x-kubernetes-list-map-keys"]
        return result


@pytest.fixture(scope="module")
def oracle(client: lightkube.Client) -> Oracle:
    return Oracle(client)


def differences(ours: Any, theirs: Any, place: str) -> list[str]:
    """Return where two schemas differ, but for fields that are newer than the API server."""
    if not isinstance(ours, dict) or not isinstance(theirs, dict):
        same = sorted(ours, key=str) == sorted(theirs, key=str) if isinstance(ours, list) else ours == theirs
        return [] if same else [f"{place}: {ours} is {theirs}"]
    ours, field = dict(ours), place.rpartition(".")[2]
    if ours.pop("x-kubernetes-list-type", None):
        ours["keys"] = ours.pop("x-kubernetes-list-map-keys")
    elif field in _UNKEYED:
        theirs = {key: value for key, value in theirs.items() if key != "keys"}
    if field == "protocol":
        ours.pop("default", None)
    if "properties" in ours:
        newer = ours["properties"].keys() - theirs["properties"].keys()
        ours["properties"] = {k: v for k, v in ours["properties"].items() if k not in newer}
    missing = [f"{place}.{key}: ours has it not" for key in theirs.keys() - ours.keys()]
    more = [f"{place}.{key}: theirs has it not" for key in ours.keys() - theirs.keys()]
    deeper = [
        each
        for key in ours.keys() & theirs.keys()
        for each in differences(ours[key], theirs[key], f"{place}.{key}")
    ]
    return missing + more + deeper


@pytest.mark.parametrize(
    ("model", "name"),
    [
        (core_v1.PodTemplateSpec, f"{_CORE}PodTemplateSpec"),
        (core_v1.PodSpec, f"{_CORE}PodSpec"),
        (core_v1.Container, f"{_CORE}Container"),
        (core_v1.Volume, f"{_CORE}Volume"),
        (core_v1.Affinity, f"{_CORE}Affinity"),
        (core_v1.PersistentVolumeClaimSpec, f"{_CORE}PersistentVolumeClaimSpec"),
        (core_v1.ResourceQuotaSpec, f"{_CORE}ResourceQuotaSpec"),
        (core_v1.LimitRangeSpec, f"{_CORE}LimitRangeSpec"),
        (meta_v1.LabelSelector, "io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelector"),
        (batch_v1.JobSpec, "io.k8s.api.batch.v1.JobSpec"),
        (apps_v1.DeploymentSpec, "io.k8s.api.apps.v1.DeploymentSpec"),
        (policy_v1.PodDisruptionBudgetSpec, "io.k8s.api.policy.v1.PodDisruptionBudgetSpec"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_type_is_the_api_servers_own(oracle, model, name):
    assert differences(embedded.schema(model), oracle.type(name), model.__name__) == []


def test_what_our_kind_says_otherwise_changes_no_other_kind():
    marker = Kubernetes(core_v1.Container, ((("required",), None), (("properties", "image", "minLength"), 1)))
    node = marker.node()
    assert "required" not in node
    assert node["properties"]["image"] == {"type": "string", "minLength": 1}
    assert embedded.schema(core_v1.Container)["required"] == ["name"]
    assert embedded.schema(core_v1.Container)["properties"]["image"] == {"type": "string"}


def test_a_type_within_itself_is_an_error():
    with pytest.raises(TypeError, match="JSONSchemaProps"):
        embedded.schema(apiextensions_v1.JSONSchemaProps)
