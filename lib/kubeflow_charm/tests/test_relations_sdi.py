"""The SDI handshake, against the library serialized-data-interface: the same bytes, read both ways."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import ops
import pytest
import serialized_data_interface as library
import yaml
from ops import testing

from kubeflow_charm.relations.k8s_service import Provides, Requires, Service

SCHEMA = {
    "type": "object",
    "properties": {"service-name": {"type": "string"}, "service-port": {"type": "string"}},
    "required": ["service-name", "service-port"],
}
"""canonical/operator-schemas, k8s-service.yaml."""

SERVICE = Service(service_name="kfp-api.kubeflow", service_port="8888")
DATA = {"service-name": "kfp-api.kubeflow", "service-port": "8888"}


class Library(ops.CharmBase):
    """A charm that speaks through the library."""


@pytest.fixture
def by_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Any, dict[str, str]]]:
    """Have the library do something at its end; return what it returns, and what it has written."""

    def by_library(role: str, received: dict[str, str], call: Callable[[Any], Any]) -> tuple[Any, Any]:
        endpoint = {
            "interface": "k8s-service",
            "schema": {"v1": {"provides": SCHEMA}},
            "versions": ["v1"],
        }
        meta = {"name": "theirs", role: {"there": endpoint}}
        (tmp_path / "metadata.yaml").write_text(yaml.safe_dump(meta))
        monkeypatch.chdir(tmp_path)
        context = testing.Context(Library, meta=meta)
        relation = testing.Relation("there", remote_app_name="ours", remote_app_data=received)
        state = testing.State(leader=True, relations=[relation])
        value = None
        with context(context.on.update_status(), state) as manager:
            try:
                value = call(library.get_interface(manager.charm, "there"))
            except library.NoVersionsListed:
                value = library.NoVersionsListed
            after = manager.run()
        return value, dict(after.get_relation(relation.id).local_app_data)

    return by_library


def first_data(interface: library.SerializedDataInterface) -> Any:
    """Return what the one related application sent."""
    return next((data for (_, app), data in interface.get_data().items() if app.name == "ours"), None)


def test_our_provider_writes_the_librarys_bytes(ask, by_library):
    said = ask(Provides, lambda end: end.send(SERVICE), {"kfp-ui": {"_supported_versions": "- v1\n"}})
    _, written = by_library("provides", {"_supported_versions": "- v1\n"}, lambda it: it.send_data(DATA))
    assert said.written["kfp-ui"] == written
    assert written == {
        "_supported_versions": "- v1\n",
        "data": "service-name: kfp-api.kubeflow\nservice-port: '8888'\n",
    }


def test_our_requirer_writes_the_librarys_bytes(ask, by_library):
    said = ask(Requires, lambda end: end.get(), {"kfp-api": {}})
    value, written = by_library("requires", {}, first_data)
    assert value is library.NoVersionsListed
    assert said.statuses == [("waiting", "kfp-api: no data on there yet")]
    assert said.written["kfp-api"] == written == {"_supported_versions": "- v1\n"}


def test_the_library_reads_what_our_provider_writes(ask, by_library):
    said = ask(Provides, lambda end: end.send(SERVICE), {"kfp-ui": {}})
    value, _ = by_library("requires", said.written["kfp-ui"], first_data)
    assert value == DATA


def test_our_requirer_reads_what_the_library_writes(ask, by_library):
    _, written = by_library("provides", {"_supported_versions": "- v1\n"}, lambda it: it.send_data(DATA))
    assert ask(Requires, lambda end: end.get(), {"kfp-api": written}).value == SERVICE


def test_a_handshake_with_the_library_ends_whoever_begins(ask, by_library):
    greeted = ask(Requires, lambda end: end.get(), {"kfp-api": {}}).written["kfp-api"]
    _, answer = by_library("provides", greeted, lambda it: it.send_data(DATA))
    assert ask(Requires, lambda end: end.get(), {"kfp-api": answer}).value == SERVICE
    _, greeted = by_library("provides", {}, lambda it: it.send_data(DATA))
    assert greeted == ask(Requires, lambda end: end.get(), {"kfp-api": greeted}).written["kfp-api"]


def test_every_related_application_is_greeted(ask):
    said = ask(Requires, lambda end: end.get(), {"one": {}, "two": {}})
    assert said.written == {name: {"_supported_versions": "- v1\n"} for name in ("one", "two")}


def test_an_optional_endpoint_is_greeted_too(ask):
    assert ask(Requires, lambda end: end.find(), {"one": {}}).written["one"]


@pytest.mark.parametrize(
    ("versions", "said"),
    [
        ("- v2\n", "it speaks ['v2'], not v1"),
        ("[]", "it speaks [], not v1"),
        ("v1", "it speaks 'v1', not v1"),
        ("{v1: 1}", "it speaks {'v1': 1}, not v1"),
        ("null", "no data on there yet"),
        ("", "no data on there yet"),
        ("[", "_supported_versions: not YAML: expected the node content"),
        ("&a [*a]", "_supported_versions: not YAML: aliases (*name) are not allowed"),
        ("!!bool v1", "_supported_versions: not YAML: 'v1'"),
        ("- v1\n" * 20_000, "_supported_versions: longer than 65536 characters"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_versions_without_ours_are_told(ask, versions, said):
    bag = {"_supported_versions": versions, "data": "service-name: a\nservice-port: '1'\n"}
    ((_, text),) = ask(Requires, lambda end: end.get(), {"kfp-api": bag}).statuses
    assert said in text
    assert text.startswith("kfp-api")


@pytest.mark.parametrize("versions", ["- v1\n- v2\n", "[v2, v1]", '["v1"]', "- [v9]\n- v1\n"])
def test_versions_with_ours_among_others_agree(ask, versions):
    bag = {"_supported_versions": versions, "data": "service-name: a\nservice-port: '1'\n"}
    assert ask(Requires, lambda end: end.get(), {"kfp-api": bag}).value.service_name == "a"


def test_one_application_of_another_version_does_not_keep_the_others_from_being_told(ask):
    bags = {"new": {"_supported_versions": "- v2\n"}, "fine": {"_supported_versions": "- v1\n"}, "late": {}}
    said = ask(Provides, lambda end: end.send(SERVICE), bags)
    assert said.statuses == [("blocked", "new sent wrong data on there: it speaks ['v2'], not v1")]
    assert ["data" in said.written[name] for name in bags] == [False, True, True]
