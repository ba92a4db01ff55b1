import json

import pytest

from rehearsal.cluster import crds


@pytest.mark.parametrize(
    ("project", "groups", "kinds"),
    [
        ("istio", {"networking.istio.io", "security.istio.io"}, {"VirtualService", "AuthorizationPolicy"}),
        ("gateway-api", {"gateway.networking.k8s.io"}, {"Gateway", "HTTPRoute"}),
        ("knative", {"serving.knative.dev"}, {"Service", "Configuration"}),
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
