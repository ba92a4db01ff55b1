"""What holds for every charm, on a real API server."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from bench import Bench
from cluster_policies import refusing

from rehearsal.cluster.gate import Fault
from rehearsal.patience import until

DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


def test_nothing_related_is_blocked_and_names_every_required_endpoint(bench: Bench) -> None:
    requests = bench.hook("install")
    writes = [request for request in requests if request.writes]
    state, text = bench.status
    if not bench.needed:  # it works alone
        assert writes and (state, text) != ("active", "")
        return
    assert not writes
    if not bench.required:  # it has nothing to do yet
        assert (state, text) == ("active", "")
        return
    assert state == "blocked"
    for endpoint in bench.required:
        assert endpoint in text
    assert f"juju integrate {bench.application.name}:" in text


def test_the_first_hook_costs_a_write_for_each_object_and_a_constant(bench: Bench) -> None:
    bench.relate()
    requests = bench.hook("install")
    objects = bench.objects()
    writes = [request for request in requests if request.writes]
    assert len(writes) <= len(objects) + 1
    kinds = {(item["apiVersion"], item["kind"]) for item in objects}
    # Once for what is ours, once for what may be in the way; what is not its own; the pods for the status.
    assert len(requests) - len(writes) <= 2 * len(kinds) + 4


def test_deleted_objects_come_back(bench: Bench) -> None:
    bench.converge()
    before = {item["path"] for item in bench.objects()}
    for path in sorted(before, key=lambda path: "customresourcedefinitions" in path):  # types after objects
        bench.cluster.request("DELETE", path)
    until(lambda: not bench.objects(), every=0.3)
    # Objects of a type of ours come when the type is there.
    until(lambda: (bench.hooks(), {item["path"] for item in bench.objects()} == before)[1], every=0.3)


@pytest.mark.library
def test_an_object_of_somebody_else_is_neither_changed_nor_deleted(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench()
    bench.converge()
    made = next(item for item in bench.objects() if item["kind"] in ("ServiceAccount", "Secret"))
    name = made["metadata"]["name"]
    bench.remove()
    other = make_bench()
    path = made["path"].replace(bench.model.name, other.model.name)
    theirs = {
        "apiVersion": "v1",
        "kind": made["kind"],
        "metadata": {"name": name, "labels": {"team": "ada"}},
    }
    other.cluster.request("POST", path.rpartition("/")[0] + "?fieldManager=ada", json.dumps(theirs).encode())
    before = json.loads(other.cluster.request("GET", path))
    other.relate()
    other.hook("install")
    other.hooks()  # the types that went with the other application may still be going
    state, text = other.status
    if made["metadata"]["namespace"] == bench.model.name:
        assert state == "blocked"
        assert f"{name} belongs to ada" in text
    else:  # in a user's namespace it is the user's choice, which must not stop the platform
        assert state == "active"
        assert "users keep some out of 1 profile" in text
    other.remove()
    assert json.loads(other.cluster.request("GET", path)) == before


def test_a_standby_unit_is_active_and_asks_nothing(bench: Bench) -> None:
    bench.relate()
    bench.application.leader = "another/7"
    assert bench.hook("install") == []
    assert bench.status == ("active", "standby")


def test_removal_leaves_nothing_but_types_that_still_have_objects(bench: Bench) -> None:
    bench.converge()
    kept = {_make_object_of(bench, item) for item in bench.objects() if _is_definition(item)}
    bench.remove()
    until(lambda: bench.objects() == [], every=0.3)
    names = {item["metadata"]["name"] for item in bench.definitions()}
    assert names >= {name for name, _ in kept}
    for _, path in kept:
        bench.cluster.request("DELETE", path)
    for name, _ in kept:
        bench.cluster.request("DELETE", f"{DEFINITIONS}/{name}")


def test_without_trust_it_is_blocked_with_the_command_and_nothing_is_written(
    make_bench: Callable[..., Bench],
) -> None:
    bench = make_bench(trust=False)
    bench.relate()
    bench.hook("install")
    state, text = bench.status
    assert state == "blocked"
    assert f"juju trust {bench.application.name} --scope=cluster" in text
    assert bench.objects() == []


@pytest.mark.library
def test_an_api_server_in_trouble_means_waiting_and_it_heals(bench: Bench) -> None:
    bench.relate()
    for answer in (0, 429, 500, 503):
        bench.gate.faults[:] = [Fault(lambda request: request.caller == bench.caller, answer)]
        bench.hook("install")
        assert bench.status[0] == "waiting", answer
        assert "Kubernetes API" in bench.status[1]
    bench.gate.faults.clear()
    until(lambda: not bench.hook() or bench.status[0] == "active", every=0.3)


@pytest.mark.library
def test_what_a_policy_of_the_cluster_refuses_is_blocked_in_its_words_and_heals(bench: Bench) -> None:
    bench.relate()
    for reason in ("Invalid", "Forbidden"):
        with refusing(bench.cluster, bench.model.name, "no such thing in this cluster", reason) as policy:
            bench.hook("install")
            assert bench.status[0] == "blocked", reason
            assert bench.status[1].startswith(f"{policy} refuses ")
            assert ": no such" in bench.status[1]
    until(lambda: not bench.hook() or bench.status[0] == "active", every=0.3)


def test_wrong_data_of_a_neighbour_is_blocked_naming_it(bench: Bench) -> None:
    bench.relate()
    for relation in bench.model.relations.values():
        remote = relation.remote(bench.application.name)
        good = dict(relation.application_data[remote].data)
        for key in good:
            relation.application_data[remote].data = good | {key: "\x00 { not [ data"}
            bench.hook()
            state, text = bench.status
            assert state == "blocked", (key, text)
            assert remote in text
        relation.application_data[remote].data = good


def _is_definition(item: dict[str, Any]) -> bool:
    return item["kind"] == "CustomResourceDefinition"


_RULED: dict[str, Any] = {
    "Experiment": {
        "objective": {},
        "algorithm": {},
        "parameters": [{"name": "lr"}],
        "trialTemplate": {"configMap": {}},
    },
    "Notebook": {"template": {"spec": {"containers": [{"name": "somebodys", "image": "busybox"}]}}},
    "PVCViewer": {"pvc": "data"},
    "Tensorboard": {"logspath": "pvc://data/logs"},
    "Profile": {"owner": {"kind": "User", "name": "ada@example.com"}},
}
"""Kind to a spec that its rules take, where they ask for more than the schema requires."""


def _make_object_of(bench: Bench, crd: dict[str, Any]) -> tuple[str, str]:
    """Make an object of a type; return the type's name, and the object's path."""
    spec = crd["spec"]
    version = next(each for each in spec["versions"] if each["storage"])
    where = f"namespaces/{bench.model.name}/" if spec["scope"] == "Namespaced" else ""
    path = f"/apis/{spec['group']}/{version['name']}/{where}{spec['names']['plural']}"
    item = _least(version["schema"]["openAPIV3Schema"]) | {
        "apiVersion": f"{spec['group']}/{version['name']}",
        "kind": spec["names"]["kind"],
        "metadata": {"name": "somebodys"},
    }
    if item["kind"] in _RULED:
        item["spec"] = _RULED[item["kind"]]
    bench.cluster.request("POST", path, json.dumps(item).encode())
    return crd["metadata"]["name"], f"{path}/somebodys"


def _least(schema: dict[str, Any]) -> Any:
    """Return the least that a schema takes."""
    match schema.get("type"):
        case "object":
            required = schema.get("required", ())
            return {name: _least(schema["properties"][name]) for name in required}
        case "array":
            return [_least(schema["items"])] * schema.get("minItems", 0)
        case "string":
            return schema.get("enum", ["x"])[0]
        case "integer" | "number":
            return schema.get("minimum", 0)
        case "boolean":
            return False
        case _:
            return "x"
