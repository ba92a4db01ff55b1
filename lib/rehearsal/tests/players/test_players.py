"""Who plays, as whom, and for how long."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from player_bench import Bench, Reached, until

from rehearsal.cluster.controlplane import ControlPlane
from rehearsal.cluster.gate import Fault, Gate
from rehearsal.patience import PATIENCE
from rehearsal.players import kinds
from rehearsal.players.players import Players

PROGRAM = "notebook-controller"


def book(bench: Bench, name: str = "book") -> None:
    containers = [{"name": name, "image": "jupyter:1"}]
    bench.make(kinds.NOTEBOOK, name, {"template": {"spec": {"containers": containers}}})


def patch_container(bench: Bench, **fields: Any) -> None:
    patch = {"spec": {"template": {"spec": {"containers": [{"name": "manager", **fields}]}}}}
    bench.client.patch(kinds.DEPLOYMENT, "any-name", patch, namespace=bench.namespace)


def route(bench: Bench) -> Any:
    return bench.get(kinds.VIRTUAL_SERVICE, f"notebook-{bench.namespace}-book")["spec"]


def plays(bench: Bench, players: Players) -> None:
    until(lambda: players.playing() == [f"{bench.namespace}/any-name"], "a player")


def test_it_is_silent_while_no_pod_is_available(bench: Bench, players: Players):
    bench.deploy()
    plays(bench, players)
    bench.scale(0)
    until(lambda: players.playing() == [], "no player")
    book(bench)
    time.sleep(0.5)
    assert bench.find(kinds.STATEFUL_SET, "book") is None
    assert "status" not in bench.get(kinds.NOTEBOOK, "book")
    bench.scale(1)
    assert bench.get(kinds.STATEFUL_SET, "book")


def test_it_is_silent_when_the_deployment_is_gone(bench: Bench, players: Players):
    bench.deploy()
    plays(bench, players)
    bench.client.delete(kinds.DEPLOYMENT, "any-name", namespace=bench.namespace)
    until(lambda: players.playing() == [], "no player")


def test_another_image_is_nobody(bench: Bench, players: Players):
    bench.deploy(image="mirror.example/notebook-controller/other:v1.10.0")
    until(lambda: bench.get(kinds.DEPLOYMENT, "any-name").get("status", {}).get("availableReplicas"), "a pod")
    assert players.playing() == []
    patch_container(bench, image="notebook-controller")
    plays(bench, players)


def test_a_program_that_runs_outside_is_not_played(bench: Bench, reached: Any):
    bench.deploy()
    with Players(reached, outside={"workflow-controller"}) as others:
        plays(bench, others)
    with Players(reached, outside={PROGRAM}) as none:
        until(lambda: bench.get(kinds.DEPLOYMENT, "any-name")["status"].get("availableReplicas"), "a pod")
        time.sleep(0.5)
        assert none.playing() == []


def test_settings_are_read_anew_when_a_new_pod_has_taken_over(bench: Bench, players: Players):
    bench.deploy({"USE_ISTIO": "true", "ISTIO_GATEWAY": "one/gateway"})
    book(bench)
    assert route(bench)["gateways"] == ["one/gateway"]
    patch_container(bench, env=[{"name": "ISTIO_GATEWAY", "value": "two/gateway"}])
    until(lambda: route(bench)["gateways"] == ["two/gateway"], "another gateway")


def test_a_pod_that_does_not_come_up_changes_nothing(bench: Bench, players: Players):
    bench.deploy({"USE_ISTIO": "true", "ISTIO_GATEWAY": "one/gateway"})
    book(bench)
    assert route(bench)["gateways"] == ["one/gateway"]
    template = {"spec": {"nodeSelector": {"no": "such-node"}}}
    bench.client.patch(
        kinds.DEPLOYMENT, "any-name", {"spec": {"template": template}}, namespace=bench.namespace
    )
    patch_container(bench, env=[{"name": "ISTIO_GATEWAY", "value": "two/gateway"}])
    until(
        lambda: bench.get(kinds.DEPLOYMENT, "any-name")["status"].get("unavailableReplicas"),
        "a pod that waits",
    )
    time.sleep(0.5)
    assert route(bench)["gateways"] == ["one/gateway"]
    assert players.playing() == [f"{bench.namespace}/any-name"]


def test_a_missing_config_map_keeps_a_pod_from_starting(bench: Bench, players: Players):
    bench.deploy(envFrom=[{"configMapRef": {"name": "settings"}}])
    book(bench)
    said = f'{bench.namespace}/any-name: ConfigMap "settings" not found'
    until(lambda: any(said in each for each in players.refusals()), "a refusal")
    assert players.playing() == []
    bench.create(
        kinds.CONFIG_MAP,
        {"metadata": {"name": "settings"}, "data": {"USE_ISTIO": "true", "ISTIO_HOST": "host.example"}},
    )
    assert route(bench)["hosts"] == ["host.example"]


def test_a_flag_that_is_none_keeps_the_program_from_starting(bench: Bench, players: Players):
    bench.deploy(args=["--enable-leader-election", "--no-such-flag"])
    said = f"{bench.namespace}/any-name: flag provided but not defined: -no-such-flag"
    until(lambda: any(said in each for each in players.refusals()), "a refusal")


def test_an_expired_token_is_renewed(bench: Bench, players: Players, reached: Reached):
    bench.deploy()
    plays(bench, players)
    account = f"system:serviceaccount:{bench.namespace}:played"

    def tokens() -> int:
        return len([each for each in reached.tokens if bench.namespace in each])

    assert tokens() == 1
    expired = Fault(lambda request: request.caller == account and tokens() == 1, 401, "Unauthorized")
    bench.gate.faults.append(expired)
    book(bench)
    assert bench.get(kinds.STATEFUL_SET, "book")
    assert tokens() == 2
    assert players.refusals() == []


@pytest.mark.parametrize("status", [409, 500, 0])
def test_what_fails_is_tried_again(bench: Bench, players: Players, status: int):
    bench.deploy()
    plays(bench, players)
    account = f"system:serviceaccount:{bench.namespace}:played"
    fault = Fault(lambda request: request.caller == account and request.writes, status=status, times=3)
    bench.gate.faults.append(fault)
    book(bench)
    assert bench.get(kinds.STATEFUL_SET, "book")
    assert fault.times == 0


def test_watches_are_begun_anew_when_they_end(bench: Bench, players: Players, gate: Gate):
    bench.deploy()
    plays(bench, players)
    begun = len([each for each in gate.requests() if each.verb == "watch"])
    for handler in list(gate._handlers):
        handler.abort()
    until(
        lambda: len([each for each in gate.requests() if each.verb == "watch"]) >= 2 * begun, "other watches"
    )
    book(bench)
    assert bench.get(kinds.STATEFUL_SET, "book")


def threads() -> set[threading.Thread]:
    ours = ("follow ", "players", PROGRAM)
    return {each for each in threading.enumerate() if each.name.startswith(ours)}


@pytest.mark.parametrize("gone", [False, True], ids=["it is there", "it is gone"])
def test_they_end_at_once_whether_or_not_the_api_server_is_there(
    bench: Bench, players: Players, make_players: Callable[[], Players], gate: Gate, gone: bool
):
    before = threads()
    others = make_players()
    others.start()
    bench.deploy()
    plays(bench, others)
    assert len(threads()) > len(before)
    if gone:
        gate.close()
        time.sleep(0.3)  # long enough for everybody to notice
    begin = time.monotonic()
    others.stop()
    # A watch that was waited for would take minutes.
    assert time.monotonic() - begin < PATIENCE / 2
    players.stop()
    assert threads() == set()


def test_they_need_no_gate(bench: Bench, cluster: ControlPlane, players: Players):
    players.stop()
    with Players(cluster) as direct:
        bench.deploy()
        book(bench)
        assert bench.get(kinds.STATEFUL_SET, "book")
        plays(bench, direct)
    assert threads() == set()


def test_idle_ones_ask_nothing(bench: Bench, players: Players, gate: Gate):
    bench.deploy()
    book(bench)
    until(lambda: bench.get(kinds.NOTEBOOK, "book").get("status", {}).get("readyReplicas"), "ready")
    bench.assert_settled()
    before = len(gate.requests())
    time.sleep(1.0)
    asked = [each for each in gate.requests()[before:] if each.namespace in ("", bench.namespace)]
    assert [each for each in asked if each.verb != "watch"] == []
