"""Whether a live object needs no write, from its hash and `managedFields`."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from kubeflow_charm.cluster import settled

MANAGER = "juju.model.app"
WANTED: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "a", "namespace": "model", "labels": {"team": "ours"}},
    "spec": {
        "replicas": 2,
        "paused": False,
        "args": ["b", "a"],
        "finalizers": ["x", 1],
        "containers": [{"name": "main", "image": "i", "ports": [{"containerPort": 80, "name": "http"}]}],
    },
}
FIELDS: dict[str, Any] = {
    "f:metadata": {
        "f:labels": {"f:team": {}},
        "f:annotations": {f"f:{settled.APPLIED_HASH}": {}},
    },
    "f:spec": {
        "f:replicas": {},
        "f:paused": {},
        "f:args": {},
        "f:finalizers": {'v:"x"': {}, "v:1": {}},
        "f:containers": {
            'k:{"name":"main"}': {
                ".": {},
                "f:name": {},
                "f:image": {},
                "f:ports": {
                    'k:{"containerPort":80,"protocol":"TCP"}': {".": {}, "f:containerPort": {}, "f:name": {}}
                },
            }
        },
    },
}
"""What the API server notes for WANTED: `protocol` is a default, `args` are owned whole."""


def wanted() -> dict[str, Any]:
    item = copy.deepcopy(WANTED)
    settled.stamp(item)
    return item


def live(fields: dict[str, Any] = FIELDS, **entry: Any) -> dict[str, Any]:
    item = wanted()
    item["metadata"]["managedFields"] = [
        {"manager": "another", "operation": "Update", "fieldsV1": {"f:spec": {"f:image": {}}}},
        {"manager": MANAGER, "operation": "Apply", "fieldsV1": copy.deepcopy(fields)} | entry,
    ]
    return item


def without(*path: str) -> dict[str, Any]:
    """Return FIELDS as they are once another has changed or removed one; no node stays without content."""
    fields = copy.deepcopy(FIELDS)
    nodes = [fields]
    for step in path[:-1]:
        nodes.append(nodes[-1][step])
    del nodes[-1][path[-1]]
    for node, step in reversed(list(zip(nodes, path[:-1], strict=False))):
        if not node[step]:
            del node[step]
    return fields


MAIN = ("f:spec", "f:containers", 'k:{"name":"main"}')
PORT = (*MAIN, "f:ports", 'k:{"containerPort":80,"protocol":"TCP"}')


def test_what_is_as_we_applied_it_is_settled() -> None:
    assert settled.Settled(MANAGER).is_settled(wanted(), live())


@pytest.mark.parametrize(
    "path",
    [
        ("f:metadata", "f:labels", "f:team"),
        ("f:spec", "f:replicas"),
        ("f:spec", "f:paused"),
        ("f:spec", "f:args"),
        ("f:spec", "f:finalizers", 'v:"x"'),
        ("f:spec", "f:finalizers", "v:1"),
        MAIN,
        (*MAIN, "f:image"),
        (*MAIN, "f:ports"),
        PORT,
        (*PORT, "f:name"),
    ],
    ids=lambda path: "/".join(path),
)
def test_a_field_that_is_ours_no_more_needs_a_write(path: tuple[str, ...]) -> None:
    assert not settled.Settled(MANAGER).is_settled(wanted(), live(without(*path)))


@pytest.mark.parametrize(
    "there",
    [
        None,
        live(manager="another"),
        live(operation="Update"),
        live(subresource="status"),
        {**live(), "metadata": {**live()["metadata"], "managedFields": None}},
        {**live(), "metadata": {**live()["metadata"], "annotations": None}},
        {**live(), "metadata": {**live()["metadata"], "annotations": {settled.APPLIED_HASH: "other"}}},
    ],
    ids=["absent", "of another", "an update", "its status", "no managers", "no hash", "another hash"],
)
def test_what_we_did_not_apply_needs_a_write(there: dict[str, Any] | None) -> None:
    assert not settled.Settled(MANAGER).is_settled(wanted(), there)


def test_what_was_found_for_one_object_is_not_believed_of_another() -> None:
    known = settled.Settled(MANAGER)
    assert known.is_settled(wanted(), live())
    assert not known.is_settled(wanted(), live(without("f:spec", "f:replicas")))
    assert known.is_settled(wanted(), live())


def test_the_hash_is_of_the_content_and_not_of_the_order_or_an_older_hash() -> None:
    first, second = wanted(), dict(reversed(wanted().items()))
    settled.stamp(second)
    assert first == second
    second["spec"]["replicas"] = 3
    settled.stamp(second)
    assert first["metadata"]["annotations"] != second["metadata"]["annotations"]
