"""What others see of the stand-in for istio-pilot, on a real API server: handshakes and routes."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from istio_objects import GATEWAY, VIRTUAL_SERVICE, names, reachable, spec
from lightkube.types import PatchType
from ops import testing
from stand_in_bench import StandIn, greeting, said, versions, written

DASHBOARD = {"service": "dash", "port": 8082, "prefix": "/", "rewrite": "/", "namespace": "other"}


@pytest.fixture
def pilot(namespace: str, cluster: Any, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    monkeypatch.setenv("KUBECONFIG", str(cluster.admin_kubeconfig))
    return StandIn("istio-pilot", namespace)


def related(endpoint: str, application: str, bag: dict[str, str] | None = None) -> testing.Relation:
    return testing.Relation(endpoint, remote_app_name=application, remote_app_data=bag or {})


def asks(application: str, data: object, *spoken: str) -> testing.Relation:
    """Return the relation of an application that asks for a route."""
    return related("ingress", application, greeting(*spoken, data=data))


@pytest.mark.parametrize(
    ("endpoint", "spoken"),
    [("istio-pilot", ("v1",)), ("ingress", ("v1", "v2")), ("ingress-auth", ("v1",))],
)
def test_it_greets_who_has_not_greeted_and_waits(pilot, endpoint, spoken):
    state = pilot.run(related(endpoint, "them"))
    assert said(state)[0] == "waiting"
    assert said(state)[1].endswith("versions not found for apps: them")
    assert written(state, "them") == {"_supported_versions": versions(*spoken)}


def test_it_tells_gateways_where_the_control_plane_is(pilot, namespace):
    state = pilot.run(related("istio-pilot", "istio-ingressgateway", greeting("v1")))
    assert said(state) == ("active", "stand-in")
    assert written(state, "istio-ingressgateway") == {
        "_supported_versions": "- v1\n",
        "data": f"service-name: istiod.{namespace}.svc\nservice-port: '15012'\n",
    }


@pytest.mark.parametrize(
    ("service", "up"),
    [
        ((), "false"),
        (("NodePort",), "true"),
        (("ClusterIP",), "true"),
        (("LoadBalancer", "10.64.140.1"), "true"),
    ],
    ids=["no Service", "NodePort", "ClusterIP", "LoadBalancer"],
)
def test_it_tells_of_the_gateway(pilot, client, namespace, service, up):
    if service:
        reachable(client, namespace, *service)
    state = pilot.run(related("gateway-info", "kserve"), config={"default-gateway": "kubeflow-gateway"})
    assert written(state, "kserve") == {
        "gateway_name": "kubeflow-gateway",
        "gateway_namespace": namespace,
        "gateway_up": up,
    }


def test_while_a_load_balancer_owes_the_address_hooks_fail(pilot, client, namespace):
    reachable(client, namespace, "LoadBalancer")
    with pytest.raises(testing.errors.UncaughtCharmError, match="gateway_service_type=NodePort"):
        pilot.run(related("gateway-info", "kserve"))
    pilot.run(event=lambda on: on.remove(), planned_units=0)
    reachable(client, namespace, "NodePort")
    state = pilot.run(related("gateway-info", "kserve"))
    assert written(state, "kserve")["gateway_up"] == "true"


def test_an_address_that_comes_in_a_moment_is_waited_for(pilot, client, namespace):
    reachable(client, namespace, "LoadBalancer")
    timer = threading.Timer(0.3, reachable, (client, namespace, "LoadBalancer", "10.64.140.2"))
    timer.start()
    state = pilot.run(related("gateway-info", "kserve"))
    timer.join()
    assert written(state, "kserve")["gateway_up"] == "true"


def test_the_proxies_service_may_have_another_name(pilot, client, namespace):
    reachable(client, namespace, "LoadBalancer")
    state = pilot.run(related("gateway-info", "kserve"), config={"gateway-service-name": "mine"})
    assert written(state, "kserve")["gateway_up"] == "false"
    assert said(pilot.run(config={"gateway-service-name": "../pods"})) == (
        "blocked",
        "Kubernetes refuses Service ../pods: no name of an object",
    )


def test_the_gateway_takes_what_comes_in(pilot, client, namespace):
    pilot.run()
    assert spec(client, GATEWAY, "istio-gateway", namespace) == {
        "selector": {"istio": "ingressgateway"},
        "servers": [{"hosts": ["*"], "port": {"name": "http", "number": 8080, "protocol": "HTTP"}}],
    }


def test_a_gateway_of_another_name_replaces_the_former_one(pilot, client, namespace):
    pilot.run()
    pilot.run(config={"default-gateway": "kubeflow-gateway"})
    assert names(client, GATEWAY, namespace) == {"kubeflow-gateway"}


@pytest.mark.parametrize(
    ("spoken", "data", "host", "rewrite"),
    [
        (("v1",), DASHBOARD, "dash.other.svc.cluster.local", "/"),
        (("v1", "v2"), DASHBOARD, "dash.other.svc.cluster.local", "/"),
        (
            ("v1",),
            {"service": "dash", "port": 8082, "prefix": "/x/"},
            "dash.{namespace}.svc.cluster.local",
            "/x/",
        ),
        (("v1",), DASHBOARD | {"more": [1]}, "dash.other.svc.cluster.local", "/"),
    ],
    ids=["v1", "v2", "least", "an unknown key"],
)
def test_a_route_is_made_of_what_is_asked(pilot, client, namespace, spoken, data, host, rewrite):
    state = pilot.run(
        asks("kubeflow-dashboard", data, *spoken), config={"default-gateway": "kubeflow-gateway"}
    )
    assert said(state) == ("active", "stand-in")
    assert written(state, "kubeflow-dashboard") == {"_supported_versions": "- v1\n- v2\n"}
    destination = {"host": host.format(namespace=namespace), "port": {"number": 8082}}
    assert spec(client, VIRTUAL_SERVICE, "dash", namespace) == {
        "gateways": [f"{namespace}/kubeflow-gateway"],
        "hosts": ["*"],
        "http": [
            {
                "match": [{"uri": {"prefix": data["prefix"]}}],
                "rewrite": {"uri": rewrite},
                "route": [{"destination": destination}],
            }
        ],
    }


def test_json_is_read_as_well(pilot, client, namespace):
    pilot.run(asks("dash", '{"service": "dash", "port": 1, "prefix": "/"}'))
    assert names(client, VIRTUAL_SERVICE, namespace) == {"dash"}


def test_who_has_greeted_and_not_asked_yet_has_no_route(pilot, client, namespace):
    state = pilot.run(related("ingress", "dash", greeting()))
    assert said(state) == ("active", "stand-in")
    assert names(client, VIRTUAL_SERVICE, namespace) == set()


@pytest.mark.parametrize(
    ("bag", "reason"),
    [
        (greeting(data=DASHBOARD | {"port": "8082"}), "port: '8082' is not of type 'integer'"),
        (greeting(data={"service": "dash", "port": 8082}), "'prefix' is a required property"),
        (
            greeting("v2", data={"service": "dash", "port": 8082, "prefix": "/"}),
            "'namespace' is a required property",
        ),
        (greeting(data="- service: dash"), "is not of type 'object'"),
        (greeting(data="service: ["), "Failed to deserialize data on ingress"),
        (greeting(data="at: 2020-13-45"), "no YAML: month"),
        ({"_supported_versions": "- [v1]"}, "Failed to deserialize data on ingress"),
        ({"_supported_versions": "- v1\n- latest"}, "latest is not an int or 'vX' string"),
        (greeting(data=DASHBOARD | {"port": 2**40}), "spec.http[0].route[0].destination.port.number"),
        (greeting(data=DASHBOARD | {"service": "No Name"}), "no name of an object"),
        (greeting(data=DASHBOARD | {"service": ""}), "no name of an object"),
        (greeting(data=DASHBOARD | {"service": "../gateways/istio-gateway"}), "no name of an object"),
    ],
)
def test_who_asks_nonsense_is_named_and_no_route_is_made(pilot, client, namespace, bag, reason):
    state, message = said(pilot.run(related("ingress", "kubeflow-dashboard", bag)))
    assert state == "blocked"
    assert message.startswith("wrong data on ingress from kubeflow-dashboard: ")
    assert reason in message
    assert len(message) <= 120
    assert names(client, VIRTUAL_SERVICE, namespace) == set()


def test_who_speaks_another_version_is_named(pilot):
    state = pilot.run(related("ingress", "dash", greeting("v3")))
    assert said(state) == ("blocked", "No compatible ingress versions found for apps: dash")


def test_one_unfinished_neighbour_stops_the_routes_of_all(pilot, client, namespace):
    state = pilot.run(asks("dash", DASHBOARD), related("ingress", "slow"))
    assert said(state)[1].endswith("versions not found for apps: slow")
    assert names(client, VIRTUAL_SERVICE, namespace) == set()


def test_a_bad_neighbour_does_not_take_the_routes_of_others(pilot, client, namespace):
    pilot.run(asks("dash", DASHBOARD))
    state = pilot.run(asks("dash", DASHBOARD), asks("bad", "nonsense"))
    assert said(state)[1].startswith("wrong data on ingress from bad: ")
    assert names(client, VIRTUAL_SERVICE, namespace) == {"dash"}


def test_a_route_goes_with_its_relation_and_the_others_stay(pilot, client, namespace):
    one = asks("dash", DASHBOARD)
    other = asks("katib-ui", {"service": "katib-ui", "port": 8080, "prefix": "/katib/"})
    pilot.run(one, other)
    assert names(client, VIRTUAL_SERVICE, namespace) == {"dash", "katib-ui"}
    pilot.run(one, other, event=lambda on: on.relation_broken(one))
    assert names(client, VIRTUAL_SERVICE, namespace) == {"katib-ui"}


def test_a_route_follows_what_is_asked(pilot, client, namespace):
    pilot.run(asks("dash", DASHBOARD))
    pilot.run(asks("dash", DASHBOARD | {"service": "centraldashboard", "port": 80}))
    assert names(client, VIRTUAL_SERVICE, namespace) == {"centraldashboard"}


def test_of_two_that_ask_for_the_same_service_the_later_one_wins(pilot, client, namespace):
    first, second = asks("one", DASHBOARD), asks("two", DASHBOARD | {"prefix": "/two"})
    for _ in range(2):  # it does not go back and forth
        assert said(pilot.run(first, second)) == ("active", "stand-in")
        route = spec(client, VIRTUAL_SERVICE, "dash", namespace)["http"][0]
        assert route["match"] == [{"uri": {"prefix": "/two"}}]


def test_a_settled_hook_writes_nothing_and_drift_is_healed(pilot, client, namespace):
    pilot.run(asks("dash", DASHBOARD))
    before = client.get(VIRTUAL_SERVICE, "dash", namespace=namespace)["metadata"]
    pilot.run(asks("dash", DASHBOARD))
    assert client.get(VIRTUAL_SERVICE, "dash", namespace=namespace)["metadata"] == before

    drift = {"spec": {"hosts": ["evil.example.com"]}}
    client.patch(VIRTUAL_SERVICE, "dash", drift, namespace=namespace, patch_type=PatchType.MERGE)
    pilot.run(asks("dash", DASHBOARD))
    assert spec(client, VIRTUAL_SERVICE, "dash", namespace)["hosts"] == ["*"]


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ("pilot-image: [", "option image-configuration is no YAML: "),
        (
            "pilot",
            "option image-configuration does not say global-hub, global-proxy-image, "
            "global-proxy-init-image, global-tag, pilo",
        ),
        (
            "{pilot-image: a, global-tag: b, global-proxy-image: c, global-proxy-init-image: d}",
            "option image-configuration does not say global-hub",
        ),
    ],
)
def test_images_that_cannot_be_installed_block(pilot, images, message):
    state = pilot.run(config={"image-configuration": images})
    assert said(state)[0] == "blocked"
    assert said(state)[1].startswith(message)


def test_a_gateway_of_no_name_blocks(pilot):
    state = pilot.run(config={"default-gateway": "Kubeflow Gateway"})
    assert said(state) == (
        "blocked",
        "Kubernetes refuses Gateway Kubeflow Gateway: no name of an object",
    )


def test_who_is_no_leader_waits_and_writes_nothing(pilot, client, namespace):
    relations = [asks("dash", DASHBOARD), related("gateway-info", "kserve")]
    state = pilot.run(*relations, leader=False)
    assert said(state) == ("waiting", "Waiting for leadership")
    assert not any(relation.local_app_data for relation in state.relations)
    assert names(client, GATEWAY, namespace) == set()
