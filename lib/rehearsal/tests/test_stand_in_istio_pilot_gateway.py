"""The way in that the stand-in for istio-pilot keeps, on a real API server: guarded, encrypted, gone."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import ops
import pytest
from istio_objects import ENVOY_FILTER, GATEWAY, VIRTUAL_SERVICE, names, reachable, spec
from lightkube.resources.core_v1 import Secret
from ops import testing
from stand_in_bench import StandIn, greeting, kubeconfig, said, through, written

from rehearsal.cluster import crds
from rehearsal.cluster.controlplane import ControlPlane
from rehearsal.cluster.gate import Fault

GUARD = {
    "service": "oidc-gatekeeper",
    "port": 8080,
    "allowed-request-headers": ["cookie", "X-Auth-Token"],
    "allowed-response-headers": ["kubeflow-userid"],
}
PAIR = {"tls-crt": "certificate", "tls-key": "key"}


@pytest.fixture
def pilot(namespace: str, cluster: Any, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    monkeypatch.setenv("KUBECONFIG", str(cluster.admin_kubeconfig))
    return StandIn("istio-pilot", namespace)


def guard(bag: dict[str, str], application: str = "oidc-gatekeeper") -> testing.Relation:
    return testing.Relation("ingress-auth", remote_app_name=application, remote_app_data=bag)


def informed(application: str = "kserve") -> testing.Relation:
    return testing.Relation("gateway-info", remote_app_name=application)


def proxies() -> testing.Relation:
    return testing.Relation("istio-pilot", remote_app_name="proxies", remote_app_data=greeting())


def test_a_guard_is_asked_about_every_request(pilot, client, namespace):
    state = pilot.run(guard(greeting(data=GUARD)))
    assert said(state) == ("active", "stand-in")
    assert written(state, "oidc-gatekeeper") == {"_supported_versions": "- v1\n"}
    made = spec(client, ENVOY_FILTER, "istio-pilot-authn-filter", namespace)
    assert made["workloadSelector"] == {"labels": {"istio": "ingressgateway"}}
    ports = [each["match"]["listener"]["portNumber"] for each in made["configPatches"]]
    assert ports == [8080, 8443]
    for each in made["configPatches"]:
        assert (each["applyTo"], each["match"]["context"]) == ("HTTP_FILTER", "GATEWAY")
        assert each["patch"]["operation"] == "INSERT_BEFORE"
        service = each["patch"]["value"]["typed_config"]["http_service"]
        host = f"oidc-gatekeeper.{namespace}.svc.cluster.local"
        assert service["server_uri"]["uri"] == f"http://{host}:8080"
        assert service["server_uri"]["cluster"] == f"outbound|8080||{host}"
        assert service["authorization_request"] == {
            "allowed_headers": {"patterns": [{"exact": "cookie"}, {"exact": "X-Auth-Token"}]}
        }
        assert service["authorization_response"] == {
            "allowed_upstream_headers": {"patterns": [{"exact": "kubeflow-userid"}]}
        }
    assert names(client, GATEWAY, namespace) == {"istio-gateway"}


def test_a_guard_need_not_name_headers(pilot, client, namespace):
    state = pilot.run(guard(greeting(data={"service": "auth", "port": 80})))
    assert said(state) == ("active", "stand-in")
    assert names(client, ENVOY_FILTER, namespace) == {"istio-pilot-authn-filter"}


@pytest.mark.parametrize(
    ("guards", "status"),
    [
        ([guard({})], ("waiting", "versions not found for apps: oidc-gatekeeper")),
        ([guard(greeting())], ("waiting", "Waiting for the auth provider data.")),
        ([guard(greeting("v2"))], ("blocked", "No compatible ingress-auth versions found for apps")),
        (
            [guard(greeting(data={"service": "auth", "port": "80"}))],
            ("blocked", "wrong data on ingress-auth from oidc-gatekeeper: port: '80' is not of type"),
        ),
        (
            [guard(greeting(data=GUARD)), guard(greeting(data=GUARD), "other")],
            ("blocked", "Multiple ingress-auth relations are not supported."),
        ),
    ],
    ids=["no greeting", "no data", "another version", "garbage", "two"],
)
def test_without_the_guard_that_is_wanted_the_gateway_is_closed(pilot, client, namespace, guards, status):
    reachable(client, namespace, "NodePort")
    pilot.run(proxies())
    assert names(client, GATEWAY, namespace) == {"istio-gateway"}
    state = pilot.run(*guards, proxies(), informed())
    assert said(state)[0] == status[0]
    assert status[1] in said(state)[1]
    assert names(client, GATEWAY, namespace) == set()
    assert written(state, "kserve")["gateway_up"] == "false"


def test_the_gateway_opens_when_the_guard_is_there_and_when_none_is_wanted(pilot, client, namespace):
    reachable(client, namespace, "NodePort")
    pilot.run(guard(greeting()))
    there = guard(greeting(data=GUARD))
    state = pilot.run(there, proxies(), informed())
    assert written(state, "kserve")["gateway_up"] == "true"
    state = pilot.run(there, event=lambda on: on.relation_broken(there))
    assert said(state) == ("active", "stand-in")
    assert names(client, ENVOY_FILTER, namespace) == set()
    assert names(client, GATEWAY, namespace) == {"istio-gateway"}


def test_trouble_with_the_api_server_is_not_taken_for_a_missing_guard(
    cluster, gate, client, namespace, tmp_path: Path, monkeypatch
):
    monkeypatch.setenv("KUBECONFIG", str(through(gate, cluster, namespace, tmp_path / "config")))
    pilot, there = StandIn("istio-pilot", namespace), guard(greeting(data=GUARD))
    pilot.run(there)
    gate.faults.append(Fault(lambda request: request.resource == "envoyfilters", 503))
    with pytest.raises(testing.errors.UncaughtCharmError):
        pilot.run(there)
    assert names(client, GATEWAY, namespace) == {"istio-gateway"}


def test_a_closed_gateway_keeps_its_routes(pilot, client, namespace):
    route = testing.Relation(
        "ingress",
        remote_app_name="dash",
        remote_app_data=greeting(data={"service": "dash", "port": 80, "prefix": "/"}),
    )
    pilot.run(route, guard(greeting()))
    assert names(client, VIRTUAL_SERVICE, namespace) == {"dash"}


def tls(content: dict[str, str]) -> tuple[testing.Secret, dict[str, str]]:
    secret = testing.Secret(content)
    return secret, {"tls-secret-id": secret.id}


def test_a_users_secret_encrypts_the_gateway(pilot, client, namespace):
    secret, config = tls(PAIR)
    config |= {"default-gateway": "kubeflow-gateway"}
    assert said(pilot.run(secrets=[secret], config=config)) == ("active", "stand-in")
    assert spec(client, GATEWAY, "kubeflow-gateway", namespace)["servers"] == [
        {
            "hosts": ["*"],
            "port": {"name": "https", "number": 8443, "protocol": "HTTPS"},
            "tls": {"mode": "SIMPLE", "credentialName": "kubeflow-gateway-gateway-secret"},
        }
    ]
    made = client.get(Secret, "kubeflow-gateway-gateway-secret", namespace=namespace)
    assert made.type == "kubernetes.io/tls"
    decoded = {key: base64.b64decode(value).decode() for key, value in made.data.items()}
    assert decoded == {"tls.crt": "certificate", "tls.key": "key"}

    pilot.run(config={"default-gateway": "kubeflow-gateway"})
    assert names(client, Secret, namespace) == set()
    assert spec(client, GATEWAY, "kubeflow-gateway", namespace)["servers"][0]["port"]["number"] == 8080


def test_a_renewed_secret_is_taken(pilot, client, namespace):
    secret, config = tls(PAIR)
    pilot.run(secrets=[secret], config=config)
    renewed = testing.Secret(PAIR, latest_content=PAIR | {"tls-crt": "renewed"}, id=secret.id)
    pilot.run(secrets=[renewed], config=config, event=lambda on: on.secret_changed(renewed))
    made = client.get(Secret, "istio-gateway-gateway-secret", namespace=namespace)
    assert base64.b64decode(made.data["tls.crt"]) == b"renewed"


@pytest.mark.parametrize(
    ("secrets", "config", "message"),
    [
        (
            [],
            {"tls-secret-id": "secret:d2hq5r7mp25c762otf00"},
            "tls-secret-id was provided, but the secret could not be found - "
            "please provide a secret ID of a secret that exists.",
        ),
        (
            [testing.Secret({"tls-crt": "certificate"}, id="secret:d2hq5r7mp25c762otf0g")],
            {"tls-secret-id": "secret:d2hq5r7mp25c762otf0g"},
            "Missing TLS ('tls-key',) value(s), please add them to the TLS secret",
        ),
    ],
    ids=["no secret", "no key"],
)
def test_a_secret_that_cannot_be_used_blocks_and_changes_nothing(
    pilot, client, namespace, secrets, config, message
):
    pilot.run()
    before = spec(client, GATEWAY, "istio-gateway", namespace)
    assert said(pilot.run(secrets=secrets, config=config)) == ("blocked", message)
    assert spec(client, GATEWAY, "istio-gateway", namespace) == before


def test_a_secret_that_is_not_granted_names_the_command(pilot, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise ops.ModelError("ERROR permission denied")

    # Juju says so; ops' testing framework has no secret without a grant.
    monkeypatch.setattr(ops.Model, "get_secret", refuse)
    state = pilot.run(config={"tls-secret-id": "secret:d2hq5r7mp25c762otf00"})
    assert said(state) == (
        "blocked",
        "Permission denied trying to access TLS secret: "
        "juju grant-secret secret:d2hq5r7mp25c762otf00 istio-pilot",
    )


def test_certificates_are_not_played_and_it_says_so(pilot):
    state = pilot.run(testing.Relation("certificates", remote_app_name="self-signed-certificates"))
    assert said(state) == (
        "blocked",
        "certificates: not played by this stand-in; use the option tls-secret-id",
    )


@pytest.mark.parametrize("planned", [1, 0], ids=["one unit of two", "the last unit"])
def test_what_is_left_when_a_unit_goes(pilot, client, namespace, planned):
    secret, config = tls(PAIR)
    pilot.run(guard(greeting(data=GUARD)), secrets=[secret], config=config)
    pilot.run(secrets=[secret], config=config, event=lambda on: on.remove(), planned_units=planned)
    left = [names(client, kind, namespace) for kind in (GATEWAY, ENVOY_FILTER, Secret)]
    assert all(left) if planned else not any(left)


def test_it_goes_although_nothing_was_made(pilot):
    pilot.run(event=lambda on: on.remove(), planned_units=0)


def test_without_rights_it_names_the_command_and_still_greets(
    cluster, namespace, tmp_path: Path, monkeypatch
):
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig(cluster, namespace, "nobody", tmp_path / "config")))
    pilot = StandIn("istio-pilot", namespace)
    state = pilot.run(proxies())
    assert said(state)[0] == "blocked"
    assert said(state)[1].endswith(": juju trust istio-pilot --scope=cluster")
    assert "data" in written(state, "proxies")
    pilot.run(event=lambda on: on.remove(), planned_units=0)


def test_it_installs_the_types_where_they_are_not(tmp_path: Path, guardian, monkeypatch):
    """A cluster of its own, since those of other tests may have the types already."""
    with ControlPlane(tmp_path / "cluster", guardian) as bare:
        monkeypatch.setenv("KUBECONFIG", str(bare.admin_kubeconfig))
        state = StandIn("istio-pilot", "default").run(
            proxies(), guard(greeting(data=GUARD)), informed(), event=lambda on: on.install()
        )
        assert said(state) == ("active", "stand-in")
        assert written(state, "kserve")["gateway_name"] == "istio-gateway"
        listed = json.loads(bare.request("GET", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"))
        there = {item["metadata"]["name"] for item in listed["items"]}
        assert there == {crd["metadata"]["name"] for crd in crds.read("istio")}
