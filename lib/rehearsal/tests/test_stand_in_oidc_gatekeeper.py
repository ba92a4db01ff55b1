"""What others see of the stand-in for oidc-gatekeeper."""

from __future__ import annotations

import re

import pytest
from ops import testing
from stand_in_bench import StandIn, greeting, said, written

ISSUER = {"issuer-url": "http://dex-auth.mlops.svc:5556/dex"}
SECRET = "ABCDEFGHIJ0123456789ABCDEFGHIJ"


@pytest.fixture
def gatekeeper() -> StandIn:
    return StandIn("oidc-gatekeeper", "mlops")


def dex(bag: dict[str, str] | None = None) -> testing.Relation:
    return testing.Relation("dex-oidc-config", remote_app_name="dex-auth", remote_app_data=bag or {})


def related(endpoint: str, application: str, bag: dict[str, str]) -> testing.Relation:
    return testing.Relation(endpoint, remote_app_name=application, remote_app_data=bag)


def peers() -> testing.PeerRelation:
    return testing.PeerRelation("client-secret", local_app_data={"client-secret": SECRET})


@pytest.mark.parametrize(
    ("relations", "status"),
    [
        (
            [],
            (
                "blocked",
                "Missing relation with a Dex OIDC config provider. Please add the missing relation.",
            ),
        ),
        (
            [dex()],
            (
                "waiting",
                "Empty or missing data in dex-oidc-config relation. "
                "This may be transient, but if it persists it is likely an error.",
            ),
        ),
        (
            [dex({"issuer-url": "dex-auth:5556"})],
            ("blocked", "wrong data on dex-oidc-config from dex-auth: issuer-url: no URL: dex-auth:5556"),
        ),
        (
            [dex({"issuer-url": "http://[dex"})],
            ("blocked", "wrong data on dex-oidc-config from dex-auth: issuer-url: no URL: http://[dex"),
        ),
        (
            [dex(ISSUER), related("dex-oidc-config", "keycloak", ISSUER)],
            ("blocked", "Too many remote applications on dex-oidc-config: dex-auth, keycloak"),
        ),
        ([dex(ISSUER)], ("active", "stand-in")),
    ],
    ids=["none", "no data", "no URL", "no host", "two", "told"],
)
def test_it_needs_an_issuer(gatekeeper, relations, status):
    assert said(gatekeeper.run(*relations)) == status


def test_nothing_is_sent_before_dex_is_known(gatekeeper):
    state = gatekeeper.run(dex(), related("ingress-auth", "istio-pilot", greeting()))
    assert written(state, "istio-pilot") == {}


HANDSHAKES = [
    (
        "oidc-client",
        "dex-auth",
        "id: authservice-oidc\nname: Ambassador Auth OIDC\nredirectURIs:\n- /authservice/oidc/callback\n"
        f"secret: {SECRET}\n",
    ),
    ("ingress", "istio-pilot", "port: 8080\nprefix: /authservice\nrewrite: /\nservice: oidc-gatekeeper\n"),
    (
        "ingress-auth",
        "istio-pilot",
        "allowed-request-headers:\n- cookie\n- X-Auth-Token\nallowed-response-headers:\n- kubeflow-userid\n"
        "port: 8080\nservice: oidc-gatekeeper\n",
    ),
]
"""Endpoint, the application at the other end, and the data on the wire."""

EACH_HANDSHAKE = pytest.mark.parametrize(
    ("endpoint", "application", "data"), HANDSHAKES, ids=[endpoint for endpoint, _, _ in HANDSHAKES]
)


@EACH_HANDSHAKE
def test_a_handshake_has_two_rounds(gatekeeper, endpoint, application, data):
    first = gatekeeper.run(dex(ISSUER), peers(), related(endpoint, application, {}))
    assert said(first)[0] == "waiting"
    assert said(first)[1].endswith(f"versions not found for apps: {application}")
    assert written(first, application, endpoint) == {"_supported_versions": "- v1\n"}

    second = gatekeeper.run(dex(ISSUER), peers(), related(endpoint, application, greeting("v1")))
    assert said(second) == ("active", "stand-in")
    assert written(second, application, endpoint) == {"_supported_versions": "- v1\n", "data": data}


@EACH_HANDSHAKE
def test_who_speaks_another_version_is_named(gatekeeper, endpoint, application, data):
    state = gatekeeper.run(dex(ISSUER), peers(), related(endpoint, application, greeting("v9")))
    assert said(state) == ("blocked", f"No compatible {endpoint} versions found for apps: {application}")
    assert "data" not in written(state, application, endpoint)


@EACH_HANDSHAKE
def test_who_sends_what_it_should_not_is_named(gatekeeper, endpoint, application, data):
    bag = greeting(data={"anything": 1})
    state = gatekeeper.run(dex(ISSUER), peers(), related(endpoint, application, bag))
    assert said(state)[0] == "blocked"
    assert said(state)[1].startswith(f"wrong data on {endpoint} from {application}: No ")


def test_an_unfinished_neighbour_stops_all_but_greetings(gatekeeper):
    state = gatekeeper.run(
        dex(ISSUER),
        peers(),
        related("ingress", "istio-pilot", greeting()),
        related("ingress-auth", "istio-pilot", {}),
    )
    for endpoint in ("ingress", "ingress-auth"):
        assert written(state, "istio-pilot", endpoint) == {"_supported_versions": "- v1\n"}


def test_the_secret_is_made_once_and_kept_among_the_units(gatekeeper):
    client = related("oidc-client", "dex-auth", greeting())
    state = gatekeeper.run(dex(ISSUER), client)
    (kept,) = [each for each in state.relations if isinstance(each, testing.PeerRelation)]
    secret = kept.local_app_data["client-secret"]
    assert re.fullmatch(r"[A-Z0-9]{30}", secret)
    assert f"secret: {secret}\n" in written(state, "dex-auth", "oidc-client")["data"]

    again = gatekeeper.run(
        dex(ISSUER), client, testing.PeerRelation("client-secret", local_app_data=dict(kept.local_app_data))
    )
    assert written(again, "dex-auth", "oidc-client") == written(state, "dex-auth", "oidc-client")


def test_a_client_is_called_as_configured(gatekeeper):
    config = {"client-id": "kubeflow", "client-name": "Kubeflow"}
    client = related("oidc-client", "dex-auth", greeting())
    state = gatekeeper.run(dex(ISSUER), client, config=config)
    assert written(state, "dex-auth", "oidc-client")["data"].startswith("id: kubeflow\nname: Kubeflow\n")


def test_it_blocks_when_dex_goes(gatekeeper):
    leaving = dex(ISSUER)
    state = gatekeeper.run(leaving, event=lambda on: on.relation_broken(leaving))
    assert said(state)[0] == "blocked"


def test_it_waits_for_its_pod(gatekeeper):
    assert said(gatekeeper.run(dex(ISSUER), started=False)) == (
        "maintenance",
        "Waiting for pod startup to complete",
    )


def test_who_is_no_leader_waits_and_writes_nothing(gatekeeper):
    relations = [dex(ISSUER), *(related(end, app, greeting()) for end, app, _ in HANDSHAKES)]
    state = gatekeeper.run(*relations, leader=False)
    assert said(state) == ("waiting", "Waiting for leadership")
    assert not any(relation.local_app_data for relation in state.relations)
