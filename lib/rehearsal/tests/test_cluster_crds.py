import json

import pytest

from rehearsal.cluster import crds


@pytest.mark.parametrize(
    ("project", "groups", "kinds"),
    [
        ("istio", {"networking.istio.io", "security.istio.io"}, {"VirtualService", "AuthorizationPolicy"}),
        ("gateway-api", {"gateway.networking.k8s.io"}, {"Gateway", "HTTPRoute"}),
        ("knative-serving", {"serving.knative.dev"}, {"Service", "Configuration"}),
        ("prometheus-operator", {"monitoring.coreos.com"}, {"ServiceMonitor", "PrometheusRule"}),
    ],
)
def test_definitions_of_a_project_are_established(cluster, project, groups, kinds):
    definitions = crds.read(project, groups, kinds)
    assert {crd["spec"]["names"]["kind"] for crd in definitions} == kinds
    crds.install(cluster, definitions)
    for crd in definitions:
        group, plural = crd["spec"]["group"], crd["spec"]["names"]["plural"]
        version = next(v["name"] for v in crd["spec"]["versions"] if v["storage"])
        assert json.loads(cluster.request("GET", f"/apis/{group}/{version}/{plural}"))["items"] == []
    crds.install(cluster, definitions)  # once more changes nothing


def test_all_definitions_of_a_project_are_read_without_a_filter():
    assert {crd["spec"]["group"] for crd in crds.read("istio")} == {
        "extensions.istio.io",
        "networking.istio.io",
        "security.istio.io",
        "telemetry.istio.io",
    }


def test_groups_are_filtered():
    found = crds.read("istio", ["security.istio.io"])
    assert {crd["spec"]["group"] for crd in found} == {"security.istio.io"}


def test_a_definition_that_is_on_its_way_out_comes_back(cluster):
    (definition,) = crds.read("knative-serving", ["serving.knative.dev"], ["Route"])
    crds.install(cluster, [definition])
    path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{definition['metadata']['name']}"
    cluster.request("DELETE", path)
    crds.install(cluster, [definition])
    found = json.loads(cluster.request("GET", path))
    assert "deletionTimestamp" not in found["metadata"]
    assert json.loads(cluster.request("GET", "/apis/serving.knative.dev/v1/routes"))["items"] == []
    cluster.request("DELETE", path)
