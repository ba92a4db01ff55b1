"""The table of pods that run, and of those that are played."""

from __future__ import annotations

import json
from typing import Any

from rich.console import Console

from rehearsal.node import placed
from rehearsal.node.name import NAME


class Cluster:
    """A cluster that has some pods."""

    def __init__(self, *pods: dict[str, Any]):
        self._pods = pods

    def request(self, method: str, path: str) -> bytes:
        return json.dumps({"items": self._pods}).encode()


def pod(node: str | None, *images: str, first: str = "") -> dict[str, Any]:
    spec: dict[str, Any] = {"containers": [{"image": each} for each in images]}
    if first:
        spec["initContainers"] = [{"image": first}]
    if node:
        spec["nodeName"] = node
    return {"spec": spec}


def shown(*pods: dict[str, Any]) -> list[list[str]]:
    """Return the rows of the table, in words."""
    console = Console(width=160, no_color=True)
    with console.capture() as captured:
        console.print(placed.table(Cluster(*pods)))
    return [" ".join(line.split()).split(maxsplit=2) for line in captured.get().splitlines()[1:]]


def test_pods_are_counted_by_their_images() -> None:
    busy = "registry.example/busybox:1"
    rows = shown(
        pod(NAME, busy, busy),
        pod(NAME, "minio/minio:1", first=busy),
        pod("cpu-0", "registry.example/dex:1"),
        pod(None, busy),
    )
    assert [row[:2] for row in rows[:2]] == [["minio/minio:1", "1"], [busy, "2"]]
    assert rows[1][2].startswith("Debian's busybox")
    assert [" ".join(row) for row in rows[2:]] == [
        "all others 1 played: nothing runs in these pods",
        "no node yet 1 the scheduler has not placed these pods",
    ]


def test_a_pod_that_chose_the_node_itself_is_shown_though_its_image_is_not_here() -> None:
    assert shown(pod(NAME, "registry.example/unheard-of:1"))[0] == [
        "registry.example/unheard-of:1",
        "1",
        "nothing: it cannot be made",
    ]
