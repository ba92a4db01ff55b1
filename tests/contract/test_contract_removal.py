"""Removal leaves nothing behind, whatever happens on the way; and a first hook may end anywhere."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

import pytest
from bench import Bench

from rehearsal.cluster.gate import Fault
from rehearsal.cluster.request import Request
from rehearsal.juju.model.state import Hook, Life
from rehearsal.patience import until

WEBHOOKS = {
    "mutatingadmissionpolicies",
    "mutatingadmissionpolicybindings",
    "mutatingwebhookconfigurations",
    "validatingadmissionpolicies",
    "validatingadmissionpolicybindings",
    "validatingwebhookconfigurations",
}
"""What the API server asks about other objects: webhooks, and policies, which come and go with them."""


def test_webhooks_go_first_and_the_record_last(bench: Bench) -> None:
    bench.converge()
    since = time.monotonic()
    bench.remove()
    deletes = [r for r in bench.gate.requests(caller=bench.caller, since=since) if r.verb == "delete"]
    resources = [request.resource for request in deletes]
    webhooks = [place for place, resource in enumerate(resources) if resource in WEBHOOKS]
    assert webhooks == list(range(len(webhooks)))
    assert deletes[-1].name == f"{bench.application.name}-applyset"
    workloads = [place for place, resource in enumerate(resources) if resource == "deployments"]
    rights = [place for place, resource in enumerate(resources) if resource == "serviceaccounts"]
    assert not workloads or max(workloads) < min(rights)


@pytest.mark.library
@pytest.mark.parametrize("answer", [0, 429, 500], ids=lambda code: f"answer-{code}")
def test_every_delete_may_fail_once(bench: Bench, answer: int) -> None:
    bench.converge()
    bench.gate.faults.append(Fault(_first_of_its_name(bench), answer))
    bench.remove()
    until(lambda: bench.objects() == [], within=90, every=0.3)


@pytest.mark.library
def test_the_process_may_be_killed_at_any_delete(bench: Bench) -> None:
    bench.converge()
    bench.application.life = Life.DYING
    step = max(len(bench.objects()) // 6, 2)
    kills = _repeat_until_it_ends(bench, "remove", _is_delete, lambda _: step)
    assert kills
    until(lambda: bench.objects() == [], within=90, every=0.3)


@pytest.mark.library
def test_the_process_may_be_killed_at_any_request_of_the_first_hook(bench: Bench) -> None:
    bench.relate()
    kills = _repeat_until_it_ends(bench, "install", lambda _: True, lambda number: 2**number)
    assert kills
    until(lambda: not bench.hook() or bench.status[0] == "active", within=90, every=0.3)
    assert not [request for request in bench.hook() if request.writes]


def _repeat_until_it_ends(
    bench: Bench, hook: str, matches: Callable[[Request], bool], at: Callable[[int], int]
) -> int:
    """Run a hook again and again, killing it each time, until it ends; return how often it was killed.

    Args:
        bench: the bench.
        hook: its name.
        matches: at which requests it may be killed.
        at: returns for each run, counted from 1, at which of them it is.
    """
    pids: list[int] = []
    bench.engine.host(bench.model, bench.unit).on_pid = pids.append
    for number in range(1, 100):
        seen = 0

        def kill(request: Request, last: int = at(number)) -> bool:
            nonlocal seen
            if request.caller != bench.caller or bench.is_watcher(request) or not matches(request):
                return False
            seen += 1
            if seen == last:
                os.kill(pids[-1], signal.SIGKILL)
            return seen >= last

        bench.gate.faults[:] = [Fault(kill, 0)]
        result = bench.engine.run_now(bench.model, bench.unit, Hook(hook, "lifecycle"))
        bench.gate.faults.clear()
        if result["ok"]:
            return number - 1
        assert result["reason"] == "signal: killed", result
    raise AssertionError("it never ended")


def _is_delete(request: Request) -> bool:
    return request.verb == "delete"


def _first_of_its_name(bench: Bench) -> Callable[[Request], bool]:
    """Return what matches each delete of the charm's once."""
    seen: set[str] = set()

    def first(request: Request) -> bool:
        path = request.path.partition("?")[0]
        if request.caller != bench.caller or request.verb != "delete" or path in seen:
            return False
        seen.add(path)
        return True

    return first
