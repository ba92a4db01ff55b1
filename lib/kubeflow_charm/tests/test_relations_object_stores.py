"""object-storage and s3: one store, whichever of the two tells of it."""

from __future__ import annotations

import json

import pytest
import yaml
from ops import testing

from kubeflow_charm.relations import object_storage, s3
from kubeflow_charm.relations.object_store import ObjectStore

MINIO = {
    "access-key": "minio",
    "secret-key": "minio123",
    "service": "minio",
    "port": 9000,
    "secure": False,
    "namespace": "storage",
}
S3 = {"version": "1", "secret-extra": "secret:s3", "endpoint": "https://s3.example.com", "data": "{}"}
KEYS = {"access-key": "AKIA", "secret-key": "s"}
PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----"
ODD = [
    "%s",
    "$(HOME) ${x} $$",
    'it\'s "quoted" \\',
    "{{ x }} {% y %}",
    "two\nlines",
    "0123",
    "1e3",
    "true",
    "ü",
]


def minio(ask, **data):
    bag = {"_supported_versions": "- v1\n", "data": yaml.safe_dump(MINIO | data)}
    return ask(object_storage.Requires, lambda end: end.store(), {"minio": bag})


def other(ask, bag, keys=None):
    secret = testing.Secret(keys or KEYS, id="secret:s3")
    return ask(s3.Requires, lambda end: end.store("mlpipeline"), {"s3-integrator": bag}, secrets=[secret])


def test_minio_is_read_with_the_rights_of_its_administrator(ask):
    assert minio(ask).value == ObjectStore(
        host="minio.storage",
        port=9000,
        secure=False,
        access_key="minio",
        secret_key="minio123",
        root=True,
        application="minio",
    )


@pytest.mark.parametrize(("service", "host"), [("s3.example.com", "s3.example.com"), ("m", "m.storage")])
def test_a_service_in_another_domain_keeps_its_name(ask, service, host):
    assert minio(ask, service=service).value.host == host


@pytest.mark.parametrize("key", ODD)
def test_a_key_is_what_it_is_by_either_interface(ask, key):
    one = minio(ask, **{"access-key": key, "secret-key": key}).value
    two = other(ask, S3, {"access-key": key, "secret-key": key}).value
    three = other(ask, {"endpoint": "http://old:9000", "access-key": key, "secret-key": key}).value
    assert {(store.access_key, store.secret_key) for store in (one, two, three)} == {(key, key)}


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"port": "9000x"}, "port: Input should be a valid integer, unable to parse string as an integer"),
        ({"port": 0}, "port: Input should be greater than or equal to 1"),
        ({"service": "Mi nio"}, "service: 'Mi nio' is not a DNS name in lower case"),
        ({"secret-key": ""}, "secret-key: String should have at least 1 character"),
        ({"access-key": 12345}, "access-key: Input should be a valid string"),
    ],
)
def test_what_minio_cannot_mean_is_blocked(ask, data, said):
    (state, text) = minio(ask, **data).statuses[0]
    assert (state, text[:120]) == ("blocked", f"minio sent wrong data on there: {said}"[:119] + text[119:120])


def test_it_asks_s3_integrator_as_version_1_does(ask):
    assert other(ask, {}).written == {
        "s3-integrator": {
            "version": "1",
            "requested-secrets": '["access-key", "secret-key"]',
            "bucket": "mlpipeline",
        }
    }


@pytest.mark.parametrize(
    ("endpoint", "host", "port", "secure"),
    [
        ("https://s3.example.com", "s3.example.com", 443, True),
        ("http://minio.storage:9000/", "minio.storage", 9000, False),
        ("s3.example.com", "s3.example.com", 443, True),
        ("s3.example.com:8443", "s3.example.com", 8443, True),
        ("http://[2001:db8::7]:9000", "2001:db8::7", 9000, False),
        ("HTTPS://S3.example.com", "s3.example.com", 443, True),
    ],
)
def test_every_kind_of_endpoint_is_read(ask, endpoint, host, port, secure):
    store = other(ask, {**S3, "endpoint": endpoint}).value
    assert (store.host, store.port, store.secure) == (host, port, secure)
    assert store.url_host == (f"[{host}]" if ":" in host else host)


def test_what_else_s3_integrator_says_is_read(ask):
    chain = json.dumps([PEM, PEM])
    bag = {**S3, "bucket": "team", "path": "/a/b/", "region": "eu-west-1", "tls-ca-chain": chain}
    store = other(ask, bag).value
    assert (store.bucket, store.path, store.region) == ("team", "a/b", "eu-west-1")
    assert store.tls_ca == f"{PEM}\n{PEM}\n"
    assert not store.root


@pytest.mark.parametrize(
    ("bag", "said"),
    [
        ({"endpoint": "ftp://x"}, "endpoint: 'ftp://x' is not http(s)://host[:port]"),
        ({"endpoint": "https://x/path"}, "endpoint: 'https://x/path' is not http(s)://host[:port]"),
        ({"endpoint": "https://x:port"}, "endpoint: 'https://x:port' is not http(s)://host[:port]"),
        ({"endpoint": "https://[::1"}, "endpoint: 'https://[::1' is not http(s)://host[:port]"),
        ({"tls-ca-chain": "{}"}, "tls-ca-chain: no list of certificates"),
        ({"path": "a b"}, "path: 'a b' is not of letters, digits, ._-/"),
        ({"secret-extra": "mine"}, "secret-extra: not the URI of a secret"),
    ],
)
def test_what_s3_integrator_cannot_mean_is_blocked(ask, bag, said):
    assert other(ask, S3 | bag).statuses == [
        ("blocked", f"s3-integrator sent wrong data on there: {said}"[:120])
    ]


def test_amazons_own_store_needs_no_endpoint(ask):
    bag = {"version": "1", "secret-extra": "secret:s3", "region": "eu-west-1"}
    store = other(ask, bag).value
    assert (store.host, store.port, store.secure) == ("s3.eu-west-1.amazonaws.com", 443, True)


def test_an_endpoint_that_nobody_configured_is_said_with_the_command(ask):
    said = other(ask, {key: value for key, value in S3.items() if key != "endpoint"})
    assert said.statuses == [
        (
            "blocked",
            "s3-integrator names no endpoint: juju config s3-integrator endpoint=https://<host>",
        )
    ]


def test_a_store_that_has_not_answered_is_waited_for(ask):
    assert other(ask, {}).statuses == [("waiting", "s3-integrator: no data on there yet")]
    assert other(ask, {**S3, "secret-extra": "secret:else"}).statuses == [
        ("waiting", "s3-integrator: its secret on there cannot be read")
    ]


def test_a_key_is_in_no_traceback(ask):
    assert "minio123" not in repr(minio(ask).value)
