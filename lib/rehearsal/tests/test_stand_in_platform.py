"""The four stand-ins wired to each other as in the platform's bundle, on a real API server."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import ops
import pytest
from istio_objects import ENVOY_FILTER, GATEWAY, VIRTUAL_SERVICE, names
from lightkube.resources.apps_v1 import Deployment
from ops import testing
from stand_in_bench import Model, StandIn, said

from kubeflow_charm.relations import gateway_info, k8s_service

CHARMS = {
    "istio-pilot": "istio-pilot",
    "istio-ingressgateway": "istio-gateway",
    "dex-auth": "dex-auth",
    "oidc-gatekeeper": "oidc-gatekeeper",
}
CONFIG = {
    "istio-pilot": {"default-gateway": "kubeflow-gateway"},
    # This control plane has no load balancer.
    "istio-ingressgateway": {"kind": "ingress", "gateway_service_type": "NodePort"},
}
RELATIONS = [
    ("istio-ingressgateway:istio-pilot", "istio-pilot:istio-pilot"),
    ("oidc-gatekeeper:ingress-auth", "istio-pilot:ingress-auth"),
    ("oidc-gatekeeper:ingress", "istio-pilot:ingress"),
    ("dex-auth:ingress", "istio-pilot:ingress"),
    ("dex-auth:oidc-client", "oidc-gatekeeper:oidc-client"),
    ("oidc-gatekeeper:dex-oidc-config", "dex-auth:dex-oidc-config"),
]
"""Requirer first, as the bundle relates them (interfaces of CKF 1.11, sidecar)."""


@pytest.fixture
def platform(namespace: str, cluster: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Model]:
    """Wire the four to each other, with or without some of the relations."""
    monkeypatch.setenv("KUBECONFIG", str(cluster.admin_kubeconfig))

    def platform(*without: tuple[str, str]) -> Model:
        applications = [StandIn(charm, namespace, name) for name, charm in CHARMS.items()]
        return Model(applications, CONFIG, [pair for pair in RELATIONS if pair not in without])

    return platform


def in_order(hooks: list[Any]) -> None:
    """Leave hooks in the order in which they were found due."""


@pytest.mark.parametrize(
    "order",
    [in_order, list.reverse, random.Random(3).shuffle, random.Random(11).shuffle],
    ids=["first", "reversed", "shuffled", "shuffled again"],
)
def test_everything_becomes_active_in_any_order(platform, client, namespace, order):
    model = platform()
    assert model.settle(order) <= 8
    assert model.statuses() == dict.fromkeys(CHARMS, ("active", "stand-in"))
    assert names(client, GATEWAY, namespace) == {"kubeflow-gateway"}
    assert names(client, ENVOY_FILTER, namespace) == {"istio-pilot-authn-filter"}
    assert names(client, VIRTUAL_SERVICE, namespace) == {"dex-auth", "oidc-gatekeeper"}
    assert client.get(Deployment, "istio-ingressgateway-workload", namespace=namespace)


def test_what_is_on_the_wire(platform, namespace):
    model = platform()
    model.settle()
    (peers,) = (
        each for each in model.states["oidc-gatekeeper"].relations if isinstance(each, testing.PeerRelation)
    )
    secret = peers.local_app_data["client-secret"]
    both, one = {"_supported_versions": "- v1\n- v2\n"}, {"_supported_versions": "- v1\n"}
    expected = {
        ("istio-pilot:istio-pilot", "istio-ingressgateway"): one
        | {"data": f"service-name: istiod.{namespace}.svc\nservice-port: '15012'\n"},
        ("istio-ingressgateway:istio-pilot", "istio-pilot"): one,
        ("istio-pilot:ingress", "dex-auth"): both,
        ("istio-pilot:ingress", "oidc-gatekeeper"): both,
        ("istio-pilot:ingress-auth", "oidc-gatekeeper"): one,
        ("dex-auth:ingress", "istio-pilot"): one
        | {"data": "port: 5556\nprefix: /dex\nrewrite: /dex\nservice: dex-auth\n"},
        ("oidc-gatekeeper:ingress", "istio-pilot"): one
        | {"data": "port: 8080\nprefix: /authservice\nrewrite: /\nservice: oidc-gatekeeper\n"},
        ("oidc-gatekeeper:ingress-auth", "istio-pilot"): one
        | {
            "data": "allowed-request-headers:\n- cookie\n- X-Auth-Token\n"
            "allowed-response-headers:\n- kubeflow-userid\nport: 8080\nservice: oidc-gatekeeper\n"
        },
        ("oidc-gatekeeper:oidc-client", "dex-auth"): one
        | {
            "data": "id: authservice-oidc\nname: Ambassador Auth OIDC\n"
            f"redirectURIs:\n- /authservice/oidc/callback\nsecret: {secret}\n"
        },
        ("dex-auth:oidc-client", "oidc-gatekeeper"): one,
        ("dex-auth:dex-oidc-config", "oidc-gatekeeper"): {
            "issuer-url": f"http://dex-auth.{namespace}.svc:5556/dex"
        },
        ("oidc-gatekeeper:dex-oidc-config", "dex-auth"): {},
    }
    assert {ends: model.bag(*ends) for ends in expected} == expected


@pytest.mark.parametrize(
    ("missing", "statuses", "open_"),
    [
        (
            RELATIONS[0],
            {"istio-ingressgateway": ("blocked", "Please add required relation to istio-pilot")},
            True,
        ),
        (RELATIONS[1], {}, True),
        (RELATIONS[4], {}, True),
        (
            RELATIONS[5],
            {
                "oidc-gatekeeper": (
                    "blocked",
                    "Missing relation with a Dex OIDC config provider. Please add the missing relation.",
                ),
                "istio-pilot": ("waiting", None),
                "dex-auth": ("waiting", None),
            },
            False,
        ),
    ],
    ids=["istio-pilot", "ingress-auth", "oidc-client", "dex-oidc-config"],
)
def test_what_a_missing_relation_does(platform, client, namespace, missing, statuses, open_):
    model = platform(missing)
    model.settle()
    expected = dict.fromkeys(CHARMS, ("active", "stand-in")) | statuses
    assert {
        name: (state, message if expected[name][1] else None)
        for name, (state, message) in model.statuses().items()
    } == expected
    # A guard that cannot do its work closes the gateway; one that nobody wants does not.
    assert bool(names(client, GATEWAY, namespace)) == open_


class Ours(ops.CharmBase):
    """A charm that speaks through the charms' own library."""

    def __init__(self, framework: ops.Framework):
        super().__init__(framework)
        self.gateway = gateway_info.Requires(self, "gateway-info")
        self.control_plane = k8s_service.Provides(self, "istio-pilot")
        framework.observe(self.on.update_status, self._send)

    def _send(self, _: ops.EventBase) -> None:
        self.control_plane.send(k8s_service.Service(service_name="istiod.mesh.svc", service_port="15012"))


OURS = {
    "name": "ours",
    "requires": {"gateway-info": {"interface": "istio-gateway-info"}},
    "provides": {"istio-pilot": {"interface": "k8s-service"}},
}


def test_our_librarys_requirer_reads_the_gateway(platform, namespace):
    model = platform()
    model.settle()
    pilot = StandIn("istio-pilot", namespace)
    told = testing.Relation("gateway-info", id=10**6, remote_app_name="ours")
    state = pilot.run(*model.states["istio-pilot"].relations, told, config=CONFIG["istio-pilot"])
    bag = dict(state.get_relation(told.id).local_app_data)

    here = testing.Relation("gateway-info", remote_app_name="istio-pilot", remote_app_data=bag)
    context = testing.Context(Ours, meta=OURS)
    with context(context.on.start(), testing.State(relations=[here])) as manager:
        assert manager.charm.gateway.get().reference == f"{namespace}/kubeflow-gateway"


def test_our_librarys_provider_is_read_by_the_gateway(platform, client, namespace):
    platform()
    there = testing.Relation("istio-pilot", remote_app_name="istio-ingressgateway")
    context = testing.Context(Ours, meta=OURS)
    state = context.run(context.on.update_status(), testing.State(leader=True, relations=[there]))
    bag = dict(state.get_relation(there.id).local_app_data)

    here = testing.Relation("istio-pilot", remote_app_name="ours", remote_app_data=bag)
    state = StandIn("istio-gateway", namespace).run(here, config={"kind": "ingress"})
    assert said(state) == ("active", "stand-in")
    deployment = client.get(Deployment, "istio-ingressgateway-workload", namespace=namespace)
    environment = {each.name: each.value for each in deployment.spec.template.spec.containers[0].env}
    assert environment["CA_ADDR"] == "istiod.mesh.svc:15012"
