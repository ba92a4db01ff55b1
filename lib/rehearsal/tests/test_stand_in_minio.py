"""What others see of the stand-in for minio: read back by the library of the real charms, and by our own."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import ops
import pytest
import serialized_data_interface as library
import yaml
from ops import testing
from stand_in_bench import StandIn, greeting, said, written

from kubeflow_charm.relations import object_storage
from kubeflow_charm.relations.object_store import ObjectStore

KEY = "a-key-of-mine"
SCHEMA = {
    "type": "object",
    "properties": {
        "access-key": {"type": "string"},
        "namespace": {"type": ["string", "null"]},
        "port": {"type": "number"},
        "secret-key": {"type": "string"},
        "secure": {"type": "boolean"},
        "service": {"type": "string"},
    },
    "required": ["access-key", "port", "secret-key", "secure", "service"],
}
"""canonical/operator-schemas, object-storage.yaml."""

ODD = [
    "%s %(x)s %%",
    "$(HOME) ${x} $$ $store",
    'it\'s "quoted" \\ \\n',
    "{{ x }} {% y %} {",
    "two\nlines\n",
    "---\nsecret-key: mine",
    "0123456789",
    "12345678",
    "1_000_000.5",
    "2020-01-01",
    "!!int '12345678'",
    " - a: b # c ",
    "*anchor &anchor",
    "\t\x85\u2028 blanks",
    "ü☃😀 letters",
]
"""Keys of MinIO that some code on the way may take for something else."""


@pytest.fixture
def minio() -> StandIn:
    return StandIn("minio", "mlops")


def reader(bag: dict[str, str] | None = None, application: str = "mlflow-server") -> testing.Relation:
    return testing.Relation("object-storage", remote_app_name=application, remote_app_data=bag or {})


def told(state: testing.State, application: str = "mlflow-server") -> dict[str, Any]:
    """Return the data that an application was sent."""
    return yaml.safe_load(written(state, application)["data"])


class Theirs(ops.CharmBase):
    """A charm that reads through the library of the real ones."""


class Ours(ops.CharmBase):
    """A charm that reads through the charms' own library."""

    def __init__(self, framework: ops.Framework):
        super().__init__(framework)
        self.storage = object_storage.Requires(self, "object-storage")


def test_a_handshake_has_two_rounds(minio):
    first = minio.run(reader(), config={"secret-key": KEY})
    assert said(first)[0] == "waiting"
    assert said(first)[1].endswith("versions not found for apps: mlflow-server")
    assert written(first, "mlflow-server") == {"_supported_versions": "- v1\n"}

    second = minio.run(reader(greeting("v1")), config={"secret-key": KEY})
    assert said(second) == ("active", "stand-in")
    assert written(second, "mlflow-server") == {
        "_supported_versions": "- v1\n",
        "data": f"access-key: minio\nnamespace: mlops\nport: 9000\nsecret-key: {KEY}\nsecure: false\n"
        "service: minio\n",
    }


def test_alone_it_is_active(minio):
    assert said(minio.run()) == ("active", "stand-in")


def test_the_service_is_called_as_the_application():
    state = StandIn("minio", "mlops", "mlflow-minio").run(reader(greeting()))
    assert (told(state)["service"], told(state)["namespace"]) == ("mlflow-minio", "mlops")


@pytest.mark.parametrize(
    ("config", "changed", "ports"),
    [
        ({}, {}, {9000, 9001}),
        ({"port": 9100}, {"port": 9100}, {9100, 9001}),
        ({"console-port": 9101}, {}, {9000, 9101}),
        ({"access-key": "12ab34"}, {"access-key": "12ab34"}, {9000, 9001}),
    ],
    ids=["none", "port", "console-port", "access-key"],
)
def test_options(minio, config, changed, ports):
    state = minio.run(reader(greeting()), config={"secret-key": KEY} | config)
    assert told(state) == changed | {
        "access-key": changed.get("access-key", "minio"),
        "namespace": "mlops",
        "port": changed.get("port", 9000),
        "secret-key": KEY,
        "secure": False,
        "service": "minio",
    }
    assert {each.port for each in state.opened_ports} == ports


@pytest.mark.parametrize("key", ODD)
def test_the_library_of_the_real_charms_reads_every_key(minio, key, tmp_path: Path, monkeypatch):
    bag = written(minio.run(reader(greeting()), config={"secret-key": key}), "mlflow-server")
    endpoint = {"interface": "object-storage", "schema": {"v1": {"provides": SCHEMA}}, "versions": ["v1"]}
    meta = {"name": "theirs", "requires": {"object-storage": endpoint}}
    # The library reads the charm's metadata where it is run.
    (tmp_path / "metadata.yaml").write_text(yaml.safe_dump(meta))
    monkeypatch.chdir(tmp_path)
    here = testing.Relation("object-storage", remote_app_name="minio", remote_app_data=bag)
    context = testing.Context(Theirs, meta=meta)
    with context(context.on.start(), testing.State(leader=True, relations=[here])) as manager:
        interface = library.get_interface(manager.charm, "object-storage")
        assert interface is not None
        (data,) = interface.get_data().values()
    assert data == {
        "access-key": "minio",
        "namespace": "mlops",
        "port": 9000,
        "secret-key": key,
        "secure": False,
        "service": "minio",
    }
    assert {name: type(value) for name, value in data.items()} == {
        "access-key": str,
        "namespace": str,
        "port": int,
        "secret-key": str,
        "secure": bool,
        "service": str,
    }


@pytest.mark.parametrize("key", ODD)
def test_our_library_reads_every_key(minio, key):
    config = {"access-key": key, "secret-key": key, "port": 9100}
    bag = written(minio.run(reader(greeting()), config=config), "mlflow-server")
    here = testing.Relation("object-storage", remote_app_name="minio", remote_app_data=bag)
    meta = {"name": "ours", "requires": {"object-storage": {"interface": "object-storage"}}}
    context = testing.Context(Ours, meta=meta)
    with context(context.on.start(), testing.State(leader=True, relations=[here])) as manager:
        assert manager.charm.storage.store() == ObjectStore(
            host="minio.mlops",
            port=9100,
            secure=False,
            access_key=key,
            secret_key=key,
            root=True,
            application="minio",
        )


def test_a_key_is_made_up_once_and_kept(minio):
    first = minio.run(reader(greeting()))
    key = told(first)["secret-key"]
    assert re.fullmatch("[A-Z0-9]{30}", key)

    second = minio.run(reader(greeting()), stored_states=first.stored_states)
    assert told(second)["secret-key"] == key

    # An option is used as long as it is set, and what was made up is not forgotten.
    third = minio.run(
        reader(greeting()), stored_states=second.stored_states, config={"secret-key": KEY, "port": 9100}
    )
    assert told(third)["secret-key"] == KEY
    fourth = minio.run(reader(greeting()), stored_states=third.stored_states)
    assert told(fourth)["secret-key"] == key


def test_another_store_has_another_key(minio):
    keys = {told(minio.run(reader(greeting())))["secret-key"] for _ in range(2)}
    assert len(keys) == 2


def test_everybody_is_told_the_same(minio):
    state = minio.run(reader(greeting(), "kfp-api"), reader(greeting(), "mlflow-server"))
    assert told(state, "kfp-api") == told(state, "mlflow-server")


@pytest.mark.parametrize("key", ["1", "1234567"])
def test_a_key_that_minio_would_refuse_blocks(minio, key):
    state = minio.run(reader(greeting()), config={"secret-key": key})
    assert said(state) == ("blocked", "The 'secret-key' config value must be at least 8 characters long.")
    assert "data" not in written(state, "mlflow-server")


def test_a_key_of_eight_characters_is_taken(minio):
    assert told(minio.run(reader(greeting()), config={"secret-key": "12345678"}))["secret-key"] == "12345678"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"mode": "cluster"}, "Invalid mode 'cluster'. Supported values: 'server', 'gateway'"),
        ({"mode": ""}, "Invalid mode ''. Supported values: 'server', 'gateway'"),
        (
            {"mode": "gateway"},
            "MinIO gateway mode requires 'gateway-storage-service' configuration. Supported values: 's3', 'azure'",
        ),
    ],
    ids=["no such mode", "no mode", "a gateway to nothing"],
)
def test_a_mode_that_cannot_be_blocks(minio, config, message):
    state = minio.run(reader(greeting()), config=config)
    assert said(state) == ("blocked", message)
    assert "data" not in written(state, "mlflow-server")


@pytest.mark.parametrize("service", ["s3", "azure"])
def test_a_gateway_is_told_of_as_a_store_of_its_own(minio, service):
    config = {"mode": "gateway", "gateway-storage-service": service, "secret-key": KEY}
    state = minio.run(reader(greeting()), config=config)
    assert said(state) == ("active", "stand-in")
    assert told(state)["service"] == "minio"


@pytest.mark.parametrize(
    ("bag", "status"),
    [
        (greeting("v2"), ("blocked", "No compatible object-storage versions found for apps: kfp-api")),
        (
            greeting(data={"service": "theirs"}),
            ("blocked", "wrong data on object-storage from kfp-api: No requires schema found for data"),
        ),
        (
            {"_supported_versions": "5"},
            ("blocked", "wrong data on object-storage from kfp-api: Failed to deserialize data"),
        ),
    ],
    ids=["another version", "data from the wrong side", "no versions"],
)
def test_who_cannot_be_told_is_named_and_stops_all(minio, bag, status):
    state = minio.run(reader(greeting()), reader(bag, "kfp-api"))
    assert said(state)[0] == status[0]
    assert said(state)[1].startswith(status[1])
    for application in ("kfp-api", "mlflow-server"):
        assert written(state, application) == {"_supported_versions": "- v1\n"}


def test_it_waits_for_its_pod(minio):
    assert said(minio.run(started=False)) == ("maintenance", "Waiting for pod startup to complete")


def test_who_is_no_leader_waits_and_writes_nothing(minio):
    state = minio.run(reader(greeting()), leader=False, config={"secret-key": KEY})
    assert said(state) == ("waiting", "Waiting for leadership")
    assert written(state, "mlflow-server") == {}


def test_it_goes_quietly(minio):
    minio.run(event=lambda on: on.stop(), planned_units=0)
    minio.run(event=lambda on: on.remove(), planned_units=0)
