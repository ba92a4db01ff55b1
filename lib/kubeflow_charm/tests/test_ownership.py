"""Labels, names and the record of an application's set of objects."""

from __future__ import annotations

from typing import Any

import pytest

from kubeflow_charm.cluster.ownership import INSTANCE, KINDS, PART_OF, ApplySet, Record
from kubeflow_charm.cluster.resources import by_group_kind

OWN = ApplySet("app", "model")
OF_APP = "V7FTNaibPnXe1NarrBsKJnpqd_NkPV1dcbElyQrcZKM"
"""Of `printf app-applyset.model.ConfigMap. | openssl dgst -sha256 -binary | basenc --base64url`."""


def test_the_id_is_that_of_the_convention() -> None:
    """It is the hash of name, namespace, kind and group (KEP-3659), in base64 for URLs, without padding."""
    assert OWN.id == f"applyset-{OF_APP}-v1"
    assert OWN.id != ApplySet("app", "other").id != ApplySet("ap", "pmodel").id


@pytest.mark.parametrize(
    ("application", "model"), [("app", "model"), ("a" * 40, "m" * 40), ("a" * 40, "m" * 39 + "n")]
)
def test_labels_fit_and_differ(application: str, model: str) -> None:
    own = ApplySet(application, model)
    assert len(own.instance) <= 63
    assert len(own.field_manager) <= 128
    assert own.instance != ApplySet(application, f"{model}x").instance


@pytest.mark.parametrize(
    "spec",
    [
        None,
        "text",
        [],
        {"template": "text"},
        {"template": {}},
        {"template": {"spec": {}}},
        {"template": {"spec": {}, "metadata": None}},
        {"template": {"spec": {}, "metadata": {"labels": None}}},
    ],
    ids=str,
)
def test_a_claim_labels_the_object_and_its_pods_whatever_the_spec(spec: Any) -> None:
    metadata = {"name": "a", "labels": {"team": "ada"}}
    item = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}
    OWN.claim(item)
    assert item["metadata"]["labels"] == {"team": "ada", INSTANCE: OWN.instance, PART_OF: OWN.id}
    assert OWN.is_member(item)
    if isinstance(spec, dict) and "spec" in spec.get("template", ""):
        assert spec["template"]["metadata"]["labels"] == {INSTANCE: OWN.instance}


@pytest.mark.parametrize("labels", [{}, {"labels": None}], ids=str)
def test_a_claim_works_without_spec_and_labels(labels: dict[str, None]) -> None:
    item = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", **labels}}
    OWN.claim(item)
    assert OWN.is_member(item)


def test_the_parent_is_no_member_and_known_by_its_place() -> None:
    parent = OWN.parent(Record())
    assert not OWN.is_member(parent)
    assert OWN.is_parent(parent)
    assert not OWN.is_parent({**parent, "kind": "Secret"})
    assert not OWN.is_parent({**parent, "metadata": {"name": OWN.name, "namespace": "other"}})


def test_the_record_is_read_as_it_was_written() -> None:
    record = Record(frozenset({"ConfigMap", "Future.example.org"}), frozenset({"things.example.org"}))
    parent = OWN.parent(record)
    annotations = {f"f:{key}": {} for key in parent["metadata"]["annotations"]}
    fields = {"f:metadata": {"f:annotations": annotations}}
    entry = {"manager": OWN.field_manager, "operation": "Apply", "fieldsV1": fields}
    parent["metadata"]["managedFields"] = [entry]
    assert OWN.recorded([parent]) == record
    assert record.kinds == {by_group_kind("ConfigMap")}
    assert record.unknown == {"Future.example.org"}


@pytest.mark.parametrize("annotations", [None, {}, {KINDS: ""}, {KINDS: ",,"}, {KINDS: "x"}], ids=str)
def test_a_record_that_was_meddled_with_has_no_names(annotations: Any) -> None:
    parent = OWN.parent(Record())
    parent["metadata"]["annotations"] = annotations
    assert OWN.recorded([parent]) == Record()


def test_without_a_parent_there_is_no_record() -> None:
    assert OWN.recorded([]) is None


def test_a_template_of_other_things_than_pods_stays_as_it_is() -> None:
    """The template of a runtime is a JobSet: with our label on it, users' JobSets would look like ours."""
    item = {
        "apiVersion": "trainer.kubeflow.org/v1alpha1",
        "kind": "ClusterTrainingRuntime",
        "metadata": {"name": "a"},
        "spec": {"template": {"spec": {}}},
    }
    OWN.claim(item)
    assert item["metadata"]["labels"][INSTANCE] == OWN.instance
    assert item["spec"] == {"template": {"spec": {}}}
