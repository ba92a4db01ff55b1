"""k8s-service in both of its formats: what each reads, and that neither takes the other for its own."""

from __future__ import annotations

import pytest

from kubeflow_charm.relations import k8s_service, k8s_service_info

VERSIONS = {"_supported_versions": "- v1\n"}


def sdi(data: str) -> dict[str, str]:
    return VERSIONS | {"data": data}


@pytest.mark.parametrize(
    ("name", "host"),
    [
        ("profiles-kfam", "profiles-kfam.mlops"),
        ("kfp-api.kubeflow", "kfp-api.kubeflow"),
        ("istiod.istio.svc", "istiod.istio.svc"),
    ],
)
def test_a_host_resolves_from_any_namespace(ask, name, host):
    flat = {"name": name, "port": "8081"}
    one = ask(
        k8s_service.Requires, lambda end: end.get(), {"app": sdi(f"service-name: {name}\nservice-port: '1'")}
    )
    two = ask(k8s_service_info.Requires, lambda end: end.get(), {"app": flat})
    assert one.value.host("mlops") == two.value.host("mlops") == host


@pytest.mark.parametrize(
    "data",
    [
        "service-name: kfam\nservice-port: '8081'\n",
        '{"service-name": "kfam", "service-port": "8081"}',
        "service-name: kfam\nservice-port: '8081'\nadded-later: [1, 2]\n",
    ],
)
def test_sdi_data_is_read_as_yaml_and_further_keys_are_left_alone(ask, data):
    service = ask(k8s_service.Requires, lambda end: end.get(), {"app": sdi(data)}).value
    assert (service.service_name, service.service_port) == ("kfam", "8081")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("service-name: kfam\nservice-port: 8081\n", "service-port: Input should be a valid string"),
        ("service-name: kfam\n", "service-port: Field required"),
        ("service_name: kfam\nservice_port: '1'\n", "service-name: Field required"),
        ("service-name: kfam\nservice-port: '0'\n", "service-port: '0' is not a port number"),
        ("service-name: kfam\nservice-port: '65536'\n", "service-port: '65536' is not a port number"),
        ("service-name: kfam\nservice-port: '٣'\n", "service-port: '٣' is not a port number"),
        ("service-name: k fam\nservice-port: '1'\n", "service-name: 'k fam' is not a DNS name in lower case"),
        ("service-name: null\nservice-port: '1'\n", "service-name: Input should be a valid string"),
        ("kfam:8081", "data: Input should be a valid dictionary"),
        ("[kfam, '8081']", "data: Input should be a valid dictionary"),
        ("{", "data: not YAML: expected the node content, but found '<stream end>' at line 1, column 2"),
    ],
)
def test_wrong_sdi_data_blocks_and_names_application_and_field(ask, data, said):
    (status,) = ask(k8s_service.Requires, lambda end: end.get(), {"kfp-api": sdi(data)}).statuses
    assert status[0] == "blocked"
    text = f"kfp-api sent wrong data on there: {said}"
    assert status[1].startswith(text[:119])


@pytest.mark.parametrize("data", ["", "null", "{}", "[]", "''"])
def test_empty_sdi_data_is_no_data_yet(ask, data):
    said = ask(k8s_service.Requires, lambda end: end.get(), {"kfp-api": sdi(data)})
    assert said.statuses == [("waiting", "kfp-api: no data on there yet")]


@pytest.mark.parametrize(
    ("bag", "said"),
    [
        ({"name": "Katib", "port": "6789"}, "name: 'Katib' is not a DNS name in lower case"),
        ({"name": "katib", "port": "grpc"}, "port: 'grpc' is not a port number"),
    ],
)
def test_wrong_flat_data_blocks_and_names_application_and_field(ask, bag, said):
    assert ask(k8s_service_info.Requires, lambda end: end.get(), {"katib-db": bag}).statuses == [
        ("blocked", f"katib-db sent wrong data on there: {said}")
    ]


@pytest.mark.parametrize("bag", [{}, {"name": "katib"}, {"port": "6789"}])
def test_flat_data_that_is_not_all_there_is_waited_for(ask, bag):
    said = ask(k8s_service_info.Requires, lambda end: end.get(), {"katib-db": bag})
    assert said.statuses == [("waiting", "katib-db: no data on there yet")]


def test_a_provider_of_the_other_format_is_told_apart_from_one_that_is_late(ask):
    flat, versioned = {"name": "katib", "port": "6789"}, VERSIONS
    assert ask(k8s_service.Requires, lambda end: end.get(), {"katib-db": flat}).statuses == [
        ("blocked", "katib-db sent wrong data on there: flat k8s-service, where SDI v1 is spoken here")
    ]
    assert ask(k8s_service_info.Requires, lambda end: end.get(), {"kfp-api": versioned}).statuses == [
        ("blocked", "kfp-api sent wrong data on there: SDI, where flat k8s-service is spoken here")
    ]


def test_the_flat_format_is_two_keys(ask):
    service = k8s_service_info.Service(service_name="metadata-grpc-service", service_port="8080")
    said = ask(k8s_service_info.Provides, lambda end: end.send(service), {"envoy": {}})
    assert said.written["envoy"] == {"name": "metadata-grpc-service", "port": "8080"}
