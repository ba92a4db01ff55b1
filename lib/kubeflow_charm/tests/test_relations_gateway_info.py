"""istio-gateway-info: what is read, what is waited for, what is refused, what is written."""

from __future__ import annotations

import pytest

from kubeflow_charm.relations.gateway_info import CAUSE, Gateway, Provides, Requires

NAMES = {"gateway_name": "kubeflow-gateway", "gateway_namespace": "istio-system"}
GATEWAY = Gateway(gateway_name="kubeflow-gateway", gateway_namespace="istio-system")


@pytest.mark.parametrize("up", [{}, {"gateway_up": "true"}, {"gateway_up": "True"}])
def test_a_gateway_that_is_up_or_does_not_say_is_read(ask, up):
    gateway = ask(Requires, lambda end: end.get(), {"istio-pilot": NAMES | up}).value
    assert gateway == GATEWAY
    assert gateway.reference == "istio-system/kubeflow-gateway"


def test_a_key_that_a_later_version_may_add_is_left_alone(ask):
    bag = NAMES | {"gateway_class": "istio"}
    assert ask(Requires, lambda end: end.get(), {"istio-pilot": bag}).value == GATEWAY


@pytest.mark.parametrize(
    ("bag", "said"),
    [
        ({}, "no data on there yet"),
        ({"gateway_up": "true"}, "no data on there yet"),
        ({"gateway_name": "kubeflow-gateway"}, "no data on there yet"),
        ({"gateway_namespace": "istio"}, "no data on there yet"),
        (NAMES | {"gateway_up": "false"}, f"gateway istio-system/kubeflow-gateway is not up yet: {CAUSE}"),
        (NAMES | {"gateway_up": "False"}, f"gateway istio-system/kubeflow-gateway is not up yet: {CAUSE}"),
    ],
)
def test_what_is_not_there_yet_is_waited_for(ask, bag, said):
    assert ask(Requires, lambda end: end.get(), {"istio-pilot": bag}).statuses == [
        ("waiting", f"istio-pilot: {said}")
    ]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"gateway_name": "My Gateway"}, "gateway_name: 'My Gateway' is not a DNS name in lower case"),
        ({"gateway_name": "a..b"}, "gateway_name: 'a..b' is not a DNS name in lower case"),
        ({"gateway_name": "a\n"}, r"gateway_name: 'a\n' is not a DNS name in lower case"),
        ({"gateway_name": "é"}, "gateway_name: 'é' is not a DNS name in lower case"),
        ({"gateway_namespace": "a.b"}, "gateway_namespace: 'a.b' is not a namespace"),
        ({"gateway_namespace": "x" * 64}, f"gateway_namespace: '{'x' * 40}' is not a namespace"),
        ({"gateway_up": "yes"}, "gateway_up: Input should be 'true' or 'false'"),
    ],
)
def test_what_kubernetes_would_refuse_blocks_and_names_the_field(ask, wrong, said):
    (status,) = ask(Requires, lambda end: end.get(), {"istio-pilot": NAMES | wrong}).statuses
    assert status[0] == "blocked"
    assert status[1].startswith(f"istio-pilot sent wrong data on there: {said}")


@pytest.mark.parametrize("up", ["true", "false"])
def test_what_is_written_is_what_istio_pilot_writes(ask, up):
    gateway = Gateway.model_validate(NAMES | {"gateway_up": up})
    said = ask(Provides, lambda end: end.send(gateway), {"dashboard": {}})
    assert said.written["dashboard"] == NAMES | {"gateway_up": up}


def test_of_two_gateways_one_must_go(ask):
    said = ask(Requires, lambda end: end.get(), {"old": NAMES, "new": NAMES})
    assert said.statuses == [("blocked", "there is related twice: juju remove-relation ours:there new")]
