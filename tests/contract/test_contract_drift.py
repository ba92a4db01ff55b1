"""What others change in our objects is put back, in lists as elsewhere; and what is not wanted goes last."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

from bench import Bench

from kubeflow_charm.cluster.ownership import ApplySet
from rehearsal.cluster.existing import Refused
from rehearsal.cluster.gate import Fault

Place = tuple[str | int, ...]
ADDED: Place = ("metadata", "annotations", "example.com/added")


def test_drift_in_any_owned_field_is_healed_and_what_others_add_stays(settled: Bench) -> None:
    changed: dict[str, list[Place]] = {}
    objects = {item["path"]: item for item in settled.objects()}
    for path, item in objects.items():
        places = list(_owned(item, f"juju.{settled.model.name}.{settled.application.name}"))
        changed[path] = _meddled(settled, path, item, places)
        _patch(settled, path, [{"op": "add", "path": _pointer(ADDED), "value": "by another"}])
    names = {place[-1] for places in changed.values() for place in places}
    assert {"image", "targetPort", "value"} <= names or not settled.charm.resources
    assert all(changed.values()), [path for path, places in changed.items() if not places]
    settled.hooks()
    for path, places in changed.items():
        now = json.loads(settled.cluster.request("GET", path))
        for place in places:
            assert _at(now, place) == _at(objects[path], place), (path, place)
        assert _at(now, ADDED) == "by another"
    assert not [request for request in settled.hook() if request.writes]


def test_what_is_not_wanted_goes_last_and_not_after_a_failed_apply(settled: Bench) -> None:
    stale = _left_by_an_older_revision(settled)
    lost = next(
        item for item in settled.objects() if item["path"] != stale and "applyset" not in item["path"]
    )
    settled.cluster.request("DELETE", lost["path"])
    applies = Fault(lambda request: request.caller == settled.caller and request.verb == "apply", 500)
    settled.gate.faults.append(applies)
    settled.hook()
    assert settled.status[0] == "waiting"
    if settled.charm.name != "resource-dispatcher":  # whose objects do not depend on one another
        assert stale in {item["path"] for item in settled.objects()}
    settled.gate.faults.clear()
    deadline = time.monotonic() + 90
    writes: list[str] = []
    while stale in {item["path"] for item in settled.objects()}:
        assert time.monotonic() < deadline
        writes = [request.verb for request in settled.hook() if request.writes]
        time.sleep(0.3)
    assert writes == sorted(writes)  # apply, and then delete


def _left_by_an_older_revision(bench: Bench) -> str:
    """Make an object of ours that no template has any more; return its path."""
    own = ApplySet(bench.application.name, bench.model.name)
    item = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "of-an-older-revision"}}
    own.claim(item)
    path = f"/api/v1/namespaces/{bench.model.name}/configmaps/of-an-older-revision"
    body = json.dumps(item).encode()
    bench.cluster.request(
        "PATCH", f"{path}?fieldManager={own.field_manager}", body, "application/apply-patch+yaml"
    )
    return path


def _owned(item: dict[str, Any], manager: str) -> Iterator[Place]:
    """Yield the places of values that the charm has applied, without those that tell items of a list apart."""
    entries = item["metadata"]["managedFields"]
    fields = next(entry["fieldsV1"] for entry in entries if entry["manager"] == manager)
    for place in _applied(item, fields, ()):
        if item["kind"] == "CustomResourceDefinition" and place[0] == "spec":
            continue  # the API server refuses other names, and a schema that somebody else writes is theirs
        if place[:2] == ("metadata", "labels") and "instance" in str(place[2]):
            continue  # without it the object is not found as ours: that is for the tests of ownership
        yield place


def _applied(value: Any, fields: dict[str, Any], place: Place) -> Iterator[Place]:
    """Yield the places of scalars that `fieldsV1` has; below an empty node, everything is ours."""
    if isinstance(value, dict):
        for key, item in value.items():
            if not fields or f"f:{key}" in fields:
                yield from _applied(item, fields.get(f"f:{key}", {}), (*place, key))
    elif isinstance(value, list):
        nodes = [(json.loads(key[2:]), node) for key, node in fields.items() if key.startswith("k:")]
        for index, item in enumerate(value):
            if not fields:
                yield from _applied(item, {}, (*place, index))
            for keys, node in nodes:
                if isinstance(item, dict) and keys.items() <= item.items():
                    rest = {key: each for key, each in item.items() if key not in keys}
                    yield from _applied(rest, node, (*place, index))
    elif isinstance(value, str | int | bool):
        yield place


def _meddled(bench: Bench, path: str, item: dict[str, Any], places: list[Place]) -> list[Place]:
    """Change values as somebody else, in as few requests as possible; return those that could be changed."""
    if not places:
        return []
    changes = [{"op": "replace", "path": _pointer(each), "value": _other(_at(item, each))} for each in places]
    try:
        _patch(bench, path, changes)
    except Refused:  # one is immutable, or takes no such value
        if len(places) == 1:
            return []
        half = len(places) // 2
        parts = (places[:half], places[half:])
        return [place for part in parts for place in _meddled(bench, path, item, part)]
    return places


def _other(value: Any) -> Any:
    return not value if isinstance(value, bool) else value + 1 if isinstance(value, int) else "other"


def _patch(bench: Bench, path: str, changes: list[dict[str, Any]]) -> None:
    body = json.dumps(changes).encode()
    bench.cluster.request("PATCH", f"{path}?fieldManager=somebody", body, "application/json-patch+json")


def _pointer(place: Place) -> str:
    return "/" + "/".join(str(step).replace("~", "~0").replace("/", "~1") for step in place)


def _at(item: Any, place: Place) -> Any:
    for step in place:
        item = item[step]
    return item
