"""What others see of the stand-in for istio-gateway, on a real API server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightkube
import pytest
from lightkube.resources.apps_v1 import Deployment
from lightkube.resources.core_v1 import Service, ServiceAccount
from lightkube.resources.rbac_authorization_v1 import Role, RoleBinding
from ops import testing
from stand_in_bench import StandIn, greeting, kubeconfig, said, through, written

from rehearsal.cluster.gate import Fault

ADDRESS = {"service-name": "istiod.mlops.svc", "service-port": "15012"}
OURS = {"app.juju.is/created-by": "istio-ingressgateway"}


def pilot(bag: dict[str, str] | None = None) -> testing.Relation:
    return testing.Relation("istio-pilot", remote_app_name="istio-pilot", remote_app_data=bag or {})


@pytest.fixture
def gateway(namespace: str, cluster: Any, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    monkeypatch.setenv("KUBECONFIG", str(cluster.admin_kubeconfig))
    return StandIn("istio-gateway", namespace, "istio-ingressgateway")


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """Where there is no cluster at all."""
    monkeypatch.setenv("KUBECONFIG", "/nonexistent")
    return StandIn("istio-gateway", "mlops", "istio-ingressgateway")


@pytest.mark.parametrize(
    ("relations", "config", "status"),
    [
        ([], {}, ("blocked", "Config item `kind` must be set")),
        ([], {"kind": "sideways"}, ("blocked", "Config item `kind` must be set")),
        ([], {"kind": "ingress"}, ("blocked", "Please add required relation to istio-pilot")),
        ([pilot(greeting())], {"kind": "ingress"}, ("waiting", "Waiting for istio-pilot relation data")),
        (
            [pilot(greeting("v2"))],
            {"kind": "ingress"},
            ("blocked", "No compatible istio-pilot versions found for apps: istio-pilot"),
        ),
        (
            [pilot(greeting(data=ADDRESS | {"service-port": 15012}))],
            {"kind": "ingress"},
            (
                "blocked",
                "wrong data on istio-pilot from istio-pilot: service-port: 15012 is not of type 'string'",
            ),
        ),
        (
            [pilot(greeting(data={"service-name": "istiod"}))],
            {"kind": "ingress"},
            ("blocked", "wrong data on istio-pilot from istio-pilot: 'service-port' is a required property"),
        ),
        (
            [pilot(greeting(data=ADDRESS))],
            {"kind": "ingress", "gateway_service_type": "ExternalName"},
            (
                "blocked",
                "Ingress Gateway Service must one of type: ['LoadBalancer', 'ClusterIP', 'NodePort']",
            ),
        ),
    ],
    ids=["no kind", "no such kind", "alone", "no data", "v2", "port no text", "no port", "no such type"],
)
def test_before_it_makes_anything_it_says_what_is_missing(away, relations, config, status):
    assert said(away.run(*relations, config=config)) == status


def test_it_greets_first(away):
    state = away.run(pilot(), config={"kind": "ingress"})
    assert said(state)[0] == "waiting"
    assert said(state)[1].endswith("versions not found for apps: istio-pilot")
    assert written(state, "istio-pilot") == {"_supported_versions": "- v1\n"}


def test_it_makes_the_workload_under_the_names_that_others_rely_on(
    gateway: StandIn, client: lightkube.Client, namespace: str
):
    state = gateway.run(pilot(greeting(data=ADDRESS)), config={"kind": "ingress"})
    assert said(state) == ("active", "stand-in")

    deployment = client.get(Deployment, "istio-ingressgateway-workload", namespace=namespace)
    assert deployment.spec and deployment.spec.template.spec and deployment.spec.template.metadata
    pod = deployment.spec.template.spec
    assert pod.serviceAccountName == "istio-ingressgateway-workload-service-account"
    assert client.get(ServiceAccount, pod.serviceAccountName, namespace=namespace)
    assert pod.containers[0].image == "docker.io/istio/proxyv2:1.28.0"
    environment = {each.name: each.value for each in pod.containers[0].env or []}
    assert environment["CA_ADDR"] == "istiod.mlops.svc:15012"
    assert {port.containerPort for port in pod.containers[0].ports or []} >= {8080, 8443}

    service = client.get(Service, "istio-ingressgateway-workload", namespace=namespace)
    assert service.spec
    assert service.spec.type == "LoadBalancer"
    assert {(p.port, p.targetPort) for p in service.spec.ports or []} == {(80, 8080), (443, 8443)}
    # The Gateway and the guard choose these pods by this label.
    assert service.spec.selector == {"istio": "ingressgateway"}
    assert (deployment.spec.template.metadata.labels or {})["istio"] == "ingressgateway"
    assert client.get(Service, "istio-gateway-metrics", namespace=namespace)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"gateway_service_type": "NodePort"}, ("NodePort", None)),
        ({"annotations": "example.com/a=b, c=d-1,"}, ("LoadBalancer", {"example.com/a": "b", "c": "d-1"})),
        ({"annotations": "a=b,nonsense"}, ("LoadBalancer", None)),
        ({"annotations": "k8s.io/a=b"}, ("LoadBalancer", None)),
        ({"annotations": "a=b c"}, ("LoadBalancer", None)),
        ({"annotations": "-a=b"}, ("LoadBalancer", None)),
    ],
)
def test_options_of_the_service(gateway, client, namespace, config, expected):
    state = gateway.run(pilot(greeting(data=ADDRESS)), config={"kind": "ingress"} | config)
    assert said(state) == ("active", "stand-in")
    service = client.get(Service, "istio-ingressgateway-workload", namespace=namespace)
    assert (service.spec.type, service.metadata.annotations) == expected
    (relation,) = state.get_relations("istio-pilot")
    assert relation.local_unit_data["service-type"] == expected[0]


def test_options_of_the_proxies(gateway, client, namespace):
    config = {"kind": "ingress", "proxy-image": "registry.example/proxyv2:1", "replicas": 2}
    gateway.run(pilot(greeting(data=ADDRESS)), config=config)
    deployment = client.get(Deployment, "istio-ingressgateway-workload", namespace=namespace)
    assert deployment.spec.replicas == 2
    assert deployment.spec.template.spec.containers[0].image == "registry.example/proxyv2:1"


def test_a_value_that_kubernetes_refuses_blocks(gateway):
    state = gateway.run(pilot(greeting(data=ADDRESS)), config={"kind": "ingress", "replicas": -1})
    assert said(state)[0] == "blocked"
    assert said(state)[1].startswith("Kubernetes refuses Deployment istio-ingressgateway-workload: ")


def test_an_annotation_goes_with_its_option(gateway, client, namespace):
    for value in ("a=b", ""):
        gateway.run(pilot(greeting(data=ADDRESS)), config={"kind": "ingress", "annotations": value})
    service = client.get(Service, "istio-ingressgateway-workload", namespace=namespace)
    assert not service.metadata.annotations


def test_another_kind_replaces_the_former_one(gateway, client, namespace):
    for kind in ("ingress", "egress"):
        gateway.run(pilot(greeting(data=ADDRESS)), config={"kind": kind})
    deployments = [each.metadata.name for each in client.list(Deployment, namespace=namespace)]
    assert deployments == ["istio-egressgateway-workload"]
    service = client.get(Service, "istio-egressgateway-workload", namespace=namespace)
    assert service.spec.type == "ClusterIP"


def test_nothing_changes_when_nothing_has_changed(gateway, client, namespace):
    def versions() -> dict[str, str]:
        kinds = (Deployment, Service, ServiceAccount, Role, RoleBinding)
        found = [each for kind in kinds for each in client.list(kind, namespace=namespace, labels=OURS)]
        return {f"{type(each).__name__} {each.metadata.name}": each.metadata.uid for each in found}

    states = []
    for _ in range(2):
        gateway.run(pilot(greeting(data=ADDRESS)), config={"kind": "ingress"})
        generation = client.get(
            Deployment, "istio-ingressgateway-workload", namespace=namespace
        ).metadata.generation
        states.append((versions(), generation))
    assert states[0] == states[1]
    assert len(states[0][0]) == 6


def test_the_proxies_stay_when_the_control_plane_goes(gateway, client, namespace):
    relation = pilot(greeting(data=ADDRESS))
    gateway.run(relation, config={"kind": "ingress"})
    state = gateway.run(relation, config={"kind": "ingress"}, event=lambda on: on.relation_broken(relation))
    assert said(state) == ("blocked", "Please add required relation to istio-pilot")
    assert client.get(Deployment, "istio-ingressgateway-workload", namespace=namespace)


@pytest.mark.parametrize(("planned", "left"), [(1, 6), (0, 0)], ids=["one unit of two", "the last unit"])
def test_what_is_left_when_a_unit_goes(gateway, client, namespace, planned, left):
    relation = pilot(greeting(data=ADDRESS))
    gateway.run(relation, config={"kind": "ingress"})
    gateway.run(relation, config={"kind": "ingress"}, event=lambda on: on.remove(), planned_units=planned)
    kinds = (Deployment, Service, ServiceAccount, Role, RoleBinding)
    assert sum(len(list(client.list(k, namespace=namespace, labels=OURS))) for k in kinds) == left


def test_without_rights_it_names_the_command(cluster, namespace, tmp_path: Path, monkeypatch):
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig(cluster, namespace, "nobody", tmp_path / "config")))
    gateway = StandIn("istio-gateway", namespace, "istio-ingressgateway")
    state = gateway.run(pilot(greeting(data=ADDRESS)), config={"kind": "ingress"})
    assert said(state) == (
        "blocked",
        "no rights on ServiceAccount: juju trust istio-ingressgateway --scope=cluster",
    )
    # It goes all the same.
    gateway.run(event=lambda on: on.remove(), planned_units=0)


def test_a_hook_fails_while_the_api_server_is_busy_and_juju_runs_it_again(
    cluster, gate, namespace, tmp_path: Path, monkeypatch
):
    monkeypatch.setenv("KUBECONFIG", str(through(gate, cluster, namespace, tmp_path / "config")))
    gateway = StandIn("istio-gateway", namespace, "istio-ingressgateway")
    relation = pilot(greeting(data=ADDRESS))
    gate.faults.append(Fault(lambda request: request.resource == "deployments", 503))
    with pytest.raises(testing.errors.UncaughtCharmError):
        gateway.run(relation, config={"kind": "ingress"})
    gate.faults.clear()
    assert said(gateway.run(relation, config={"kind": "ingress"})) == ("active", "stand-in")


def test_who_is_no_leader_waits_and_writes_nothing(away):
    state = away.run(pilot(greeting(data=ADDRESS)), config={"kind": "ingress"}, leader=False)
    assert said(state) == ("waiting", "Waiting for leadership")
    assert written(state, "istio-pilot") == {}
