"""What others see of the stand-in for dex-auth."""

from __future__ import annotations

import pytest
import yaml
from ops import testing
from stand_in_bench import StandIn, greeting, said, versions, written

CLIENT = {
    "id": "authservice-oidc",
    "name": "Ambassador Auth OIDC",
    "redirectURIs": ["/authservice/oidc/callback"],
    "secret": "s3cret",
}


@pytest.fixture
def dex() -> StandIn:
    return StandIn("dex-auth", "mlops")


def ingress(bag: dict[str, str] | None = None) -> testing.Relation:
    return testing.Relation("ingress", remote_app_name="istio-pilot", remote_app_data=bag or {})


def client(bag: dict[str, str] | None = None) -> testing.Relation:
    return testing.Relation("oidc-client", remote_app_name="oidc-gatekeeper", remote_app_data=bag or {})


def test_alone_it_is_active_as_the_real_one_is(dex):
    assert said(dex.run()) == ("active", "stand-in")


@pytest.mark.parametrize(
    ("config", "issuer"),
    [
        ({}, "http://dex-auth.mlops.svc:5556/dex"),
        ({"port": 5557}, "http://dex-auth.mlops.svc:5557/dex"),
        ({"issuer-url": "https://id.example.com/dex"}, "https://id.example.com/dex"),
        ({"public-url": "https://example.com"}, "https://example.com/dex"),
        ({"public-url": "example.com:8443"}, "http://example.com:8443/dex"),
        ({"public-url": "example.com", "issuer-url": "https://id.example.com"}, "https://id.example.com"),
    ],
)
def test_it_tells_its_issuer(dex, config, issuer):
    relation = testing.Relation("dex-oidc-config", remote_app_name="oidc-gatekeeper")
    assert written(dex.run(relation, config=config), "oidc-gatekeeper") == {"issuer-url": issuer}


def test_the_issuer_is_told_under_another_name_of_the_application():
    relation = testing.Relation("dex-oidc-config", remote_app_name="oidc-gatekeeper")
    state = StandIn("dex-auth", "mlops", "login").run(relation)
    assert written(state, "oidc-gatekeeper") == {"issuer-url": "http://login.mlops.svc:5556/dex"}


@pytest.mark.parametrize(
    ("bag", "status", "answer"),
    [
        (
            {},
            ("waiting", "for apps: istio-pilot"),
            {"_supported_versions": "- v1\n"},
        ),
        (
            greeting("v1", "v2"),
            ("active", "stand-in"),
            {
                "_supported_versions": "- v1\n",
                "data": "port: 5556\nprefix: /dex\nrewrite: /dex\nservice: dex-auth\n",
            },
        ),
        (
            greeting("v2"),
            ("blocked", "No compatible ingress versions found for apps: istio-pilot"),
            {"_supported_versions": "- v1\n"},
        ),
        (
            greeting("v1", data={"service": "theirs", "port": 1, "prefix": "/"}),
            ("blocked", "wrong data on ingress from istio-pilot: No provides schema found for data"),
            {"_supported_versions": "- v1\n"},
        ),
    ],
    ids=["nothing yet", "greeted", "another version", "data from the wrong side"],
)
def test_it_asks_for_a_route_in_two_rounds(dex, bag, status, answer):
    state = dex.run(ingress(bag))
    assert said(state)[0] == status[0]
    assert status[1] in said(state)[1]
    assert written(state, "istio-pilot") == answer


def test_a_route_follows_the_port(dex):
    state = dex.run(ingress(greeting()), config={"port": 5600})
    assert yaml.safe_load(written(state, "istio-pilot")["data"])["port"] == 5600
    assert {port.port for port in state.opened_ports} == {5600, 5558}


@pytest.mark.parametrize("bag", [greeting(), greeting(data=CLIENT)], ids=["greeted", "told"])
def test_it_is_active_with_a_client(dex, bag):
    state = dex.run(client(bag))
    assert said(state) == ("active", "stand-in")
    assert written(state, "oidc-gatekeeper") == {"_supported_versions": versions("v1")}


@pytest.mark.parametrize(
    ("bag", "reason"),
    [
        (
            greeting(data=CLIENT | {"redirectURIs": "/callback"}),
            "redirectURIs: '/callback' is not of type 'array'",
        ),
        (greeting(data={"id": "authservice-oidc"}), "'name' is a required property"),
        (greeting(data="[not, a, mapping]"), "is not of type 'object'"),
        (greeting(data="{"), "Failed to deserialize data"),
        (greeting(data="id: 2020-13-45"), "no YAML: month must be in 1..12"),
        (greeting(data="id: !!bool maybe"), "no YAML: 'maybe'"),
        (greeting(data="[" * 5000), "no YAML: maximum recursion depth exceeded"),
        ({"_supported_versions": "5"}, "Failed to deserialize data"),
        ({"_supported_versions": "- one"}, "one is not an int or 'vX' string"),
        (greeting(data="id: \x1b[31m\n: "), "oidc-client from oidc-gatekeeper: "),
    ],
)
def test_a_client_that_sends_garbage_is_named(dex, bag, reason):
    state, message = said(dex.run(client(bag)))
    assert state == "blocked"
    assert message.startswith("wrong data on oidc-client from oidc-gatekeeper: ")
    assert reason in message
    assert len(message) <= 120
    assert message.isprintable()


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"connectors": "- {"}, "option connectors is no YAML: "),
        ({"connectors": "github"}, "option connectors: expected a list"),
        (
            {"connectors": "- github"},
            "option connectors: ID, Type and Name fields are required for a connector",
        ),
        (
            {"connectors": "- {type: github, id: github}"},
            "option connectors: ID, Type and Name fields are required for a connector",
        ),
        (
            {"enable-password-db": False},
            "Please add a connectors configuration to proceed without a static login.",
        ),
    ],
)
def test_options_that_let_nobody_in_block(dex, config, message):
    issuer = testing.Relation("dex-oidc-config", remote_app_name="oidc-gatekeeper")
    state = dex.run(issuer, config=config)
    assert said(state)[0] == "blocked"
    assert said(state)[1].startswith(message)
    # Its issuer is told all the same, as the real one's library does.
    assert written(state, "oidc-gatekeeper")


def test_a_connector_is_a_login(dex):
    config = {"enable-password-db": False, "connectors": "- {type: github, id: github, name: GitHub}"}
    assert said(dex.run(config=config)) == ("active", "stand-in")


def test_it_waits_for_its_pod(dex):
    assert said(dex.run(started=False)) == ("maintenance", "Waiting for pod startup to complete")


def test_who_is_no_leader_waits_and_writes_nothing(dex):
    relations = [
        ingress(greeting()),
        client(greeting()),
        testing.Relation("dex-oidc-config", remote_app_name="other"),
    ]
    state = dex.run(*relations, leader=False)
    assert said(state) == ("waiting", "Waiting for leadership")
    assert not any(relation.local_app_data for relation in state.relations)


def test_it_goes_quietly(dex):
    dex.run(event=lambda on: on.stop(), planned_units=0)
    dex.run(event=lambda on: on.remove(), planned_units=0)
