"""A gang starts as a whole, or not at all."""

from __future__ import annotations

from typing import Any

import pytest
from player_bench import Bench, until

from rehearsal.players import kinds

PROGRAM = "vc-scheduler"


def gang(bench: Bench, count: int, cpu: str) -> None:
    """Make a group and its pods, as a controller does that waits for the group to be let in."""
    spec = {"minMember": count, "minResources": {"cpu": cpu}}
    bench.make(kinds.VOLCANO_POD_GROUP, "gang", spec)

    def look() -> Any:
        return bench.get(kinds.VOLCANO_POD_GROUP, "gang").get("status", {}).get("phase") == "Inqueue"

    until(look, "the group to be let in")
    container = {"name": "main", "image": "train:1", "resources": {"requests": {"cpu": cpu}}}
    for index in range(count):
        bench.make(
            kinds.POD,
            f"gang-{index}",
            {"schedulerName": "volcano", "containers": [container]},
            annotations={"scheduling.k8s.io/group-name": "gang"},
        )


def nodes(bench: Bench, count: int) -> list[str]:
    pods = (bench.get(kinds.POD, f"gang-{index}") for index in range(count))
    return [pod["spec"].get("nodeName", "") for pod in pods]


@pytest.fixture
def scheduler(bench: Bench) -> Bench:
    bench.deploy()
    until(lambda: bench.get(kinds.DEPLOYMENT, "any-name").get("status", {}).get("availableReplicas"))
    return bench


def test_a_gang_that_fits_starts(scheduler: Bench):
    gang(scheduler, 2, "100m")
    until(lambda: all(nodes(scheduler, 2)), "all to have a node")
    until(lambda: scheduler.get(kinds.POD, "gang-1")["status"]["phase"] == "Running", "it to run")


def test_of_a_gang_of_which_only_part_fits_nothing_starts(scheduler: Bench):
    # As much as the largest node has; so not all of them find room.
    largest = max(int(each["status"]["allocatable"]["cpu"]) for each in scheduler.client.list(kinds.NODE))
    count = len(list(scheduler.client.list(kinds.NODE))) + 1
    gang(scheduler, count, str(largest // 2 + 1))

    def look() -> bool:
        events = scheduler.client.list(kinds.EVENT, namespace=scheduler.namespace)
        return any(f"{count} of {count} tasks in gang unschedulable" in each["message"] for each in events)

    until(look, "an event")
    assert not any(nodes(scheduler, count))
