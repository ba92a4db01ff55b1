"""The settings of the metadata store: odd credentials are read back as they were, by protobuf's own rules."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest
import yaml

from kubeflow_charm.relations.mysql_client import Database

SOURCE = str(Path(__file__).parents[1] / "src")


@pytest.fixture
def module(monkeypatch):
    """The module under test, found as the charm finds it."""
    monkeypatch.syspath_prepend(SOURCE)
    return importlib.import_module("metadata_store")


def read_back(text: str, field: str) -> str:
    """Return a string of a message in text format: its only escapes here are octal."""
    (literal,) = re.findall(rf'^ *{field}: "((?:[^"\\]|\\[0-7]{{3}})*)"$', text, re.MULTILINE)
    return re.sub(rb"\\([0-7]{3})", lambda found: bytes([int(found[1], 8)]), literal.encode()).decode()


@pytest.mark.parametrize(
    "password",
    ["p", "%s $(X) ${Y}", 'it\'s "quoted"', "back\\slash\\101", "{{ x }} {", "two\nlines\t", "ü€", "\x7f"],
)
def test_a_password_is_read_back_as_it_was(module, password):
    text = module.server(Database("db", 3306, "mlpipeline", "relation-7", password))
    assert read_back(text, "password") == password
    assert read_back(text, "host") == "db"
    assert "ssl_options" not in text
    assert "skip_db_creation: true" in text


@pytest.mark.parametrize(
    ("authority", "trusted"), [("PEM", 'ca: "/kfp/certs/ca.crt"'), ("", 'capath: "/etc/ssl/certs"')]
)
def test_with_tls_the_server_is_checked(module, authority, trusted):
    text = module.server(Database("::1", 3306, "d", "u", "p", tls=True, tls_ca=authority))
    assert trusted in text
    assert "verify_server_cert: true" in text
    assert read_back(text, "host") == "::1"


def test_envoy_has_browsers_reach_the_store_and_nobody_its_administration(module):
    config = yaml.safe_load(module.envoy())
    assert config["admin"]["address"]["socket_address"]["address"] == "127.0.0.1"
    listeners, (store, admin) = (
        config["static_resources"]["listeners"],
        config["static_resources"]["clusters"],
    )
    assert [each["address"]["socket_address"]["port_value"] for each in listeners] == [9090, 9902]
    (way,) = _routes(listeners[1])
    assert way["match"]["path"] == "/metrics"
    assert way["match"]["headers"] == [{"name": ":method", "string_match": {"exact": "GET"}}]
    assert way["route"] == {"cluster": admin["name"], "prefix_rewrite": "/stats/prometheus"}
    (endpoint,) = store["load_assignment"]["endpoints"][0]["lb_endpoints"]
    assert endpoint["endpoint"]["address"]["socket_address"] == {
        "address": "metadata-grpc-service",
        "port_value": 8080,
    }


def test_browsers_read_metadata_and_write_none(module):
    config = yaml.safe_load(module.envoy())
    (route,) = _routes(config["static_resources"]["listeners"][0])
    assert route["match"] == {"prefix": "/ml_metadata.MetadataStoreService/Get"}


def _routes(listener):
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    (host,) = manager["route_config"]["virtual_hosts"]
    return host["routes"]
