"""What was there before a charm is there after it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from bench import Bench

from rehearsal.cluster.existing import Refused
from rehearsal.patience import until

DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


@pytest.mark.library
def test_types_of_another_installation_are_used_and_left_as_they_are(
    make_bench: Callable[..., Bench],
) -> None:
    first = make_bench()
    first.converge()
    types = [item for item in first.objects() if item["kind"] == "CustomResourceDefinition"]
    first.remove()
    until(lambda: not first.objects(), within=90, every=0.3)
    before = {item["metadata"]["name"]: _created_by_ada(first, item) for item in types}
    second = make_bench()
    second.converge()
    requests = second.hook()
    assert not [request for request in requests if request.writes]
    assert not [item for item in second.objects() if item["metadata"]["name"] in before]
    second.remove()
    for name, created in before.items():
        after = json.loads(second.cluster.request("GET", f"{DEFINITIONS}/{name}"))
        assert after["spec"] == created["spec"]
        assert after["metadata"].get("labels") == {"team": "ada"}
        assert {entry["manager"] for entry in after["metadata"]["managedFields"]} == {"ada", "kube-apiserver"}
        second.cluster.request("DELETE", f"{DEFINITIONS}/{name}")


def test_two_in_one_cluster_never_fight(make_bench: Callable[..., Bench]) -> None:
    """The second is blocked, and names the first, if both want an object of the cluster's."""
    first, second = make_bench(), make_bench()
    first.converge()
    before = {uid: version for uid, version in _versions(first) if uid}
    second.relate()
    second.hook("install")
    state, text = second.status
    wide = [item for item in first.objects() if not item["metadata"].get("namespace")]
    if any(item["kind"] != "CustomResourceDefinition" for item in wide):
        assert state == "blocked", text
        assert f" belongs to {first.application.name} in model {first.model.name}: remove one" in text
    second.hook("update-status")
    first.hook()
    assert first.status[0] == "active", first.status
    second.remove()
    first.hook()
    assert first.status[0] == "active", first.status
    assert before.keys() <= {uid for uid, _ in _versions(first)}


def _versions(bench: Bench) -> list[tuple[str, str]]:
    return [(item["metadata"]["uid"], item["metadata"]["resourceVersion"]) for item in bench.objects()]


def test_a_config_map_in_the_place_of_the_record_blocks_before_anything_is_written(bench: Bench) -> None:
    name = f"{bench.application.name}-applyset"
    path = f"/api/v1/namespaces/{bench.model.name}/configmaps"
    theirs = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": "b"}}
    bench.cluster.request("POST", f"{path}?fieldManager=ada", json.dumps(theirs).encode())
    before = json.loads(bench.cluster.request("GET", f"{path}/{name}"))
    bench.relate()
    requests = bench.hook("install")
    assert not [request for request in requests if request.writes]
    state, text = bench.status
    assert (state, f"{name} belongs to ada" in text) == ("blocked", True)
    bench.remove()
    assert json.loads(bench.cluster.request("GET", f"{path}/{name}")) == before


def _created_by_ada(bench: Bench, item: dict[str, Any]) -> dict[str, Any]:
    """Make a type as somebody else, once its predecessor has gone."""
    metadata = {"name": item["metadata"]["name"], "labels": {"team": "ada"}}
    if approval := (item["metadata"].get("annotations") or {}).get("api-approved.kubernetes.io"):
        metadata["annotations"] = {"api-approved.kubernetes.io": approval}
    document = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": metadata,
        "spec": item["spec"],
    }
    made: dict[str, Any] = {}

    def accepted() -> bool:
        try:
            made.update(
                json.loads(
                    bench.cluster.request(
                        "POST", f"{DEFINITIONS}?fieldManager=ada", json.dumps(document).encode()
                    )
                )
            )
        except Refused as refusal:
            assert refusal.status == 409
            return False
        return True

    until(accepted, within=90, every=0.3)
    return made
