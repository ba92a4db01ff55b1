"""Which nodes the scheduler is given for a pod."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from rehearsal.errors import RehearsalError
from rehearsal.node.placement import Placement


def runs(reference: str) -> bool:
    """Have images of one registry."""
    if reference.endswith("/broken"):
        raise RehearsalError("containerd refuses an image: it is broken")
    return reference.startswith("here/")


@pytest.fixture
def placement() -> Iterator[Placement]:
    placement = Placement("real", runs)
    yield placement
    placement.close()


def ask(placement: Placement, *images: str, nodes: list[str] | None, first: tuple[str, ...] = ()) -> Any:
    """Ask as the scheduler does."""
    spec: dict[str, Any] = {"containers": [{"image": each} for each in images]}
    if first:
        spec["initContainers"] = [{"image": each} for each in first]
    said = placement.configuration
    url = f"{said['urlPrefix']}/{said['filterVerb']}"
    request = urllib.request.Request(url, json.dumps({"Pod": {"spec": spec}, "NodeNames": nodes}).encode())
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


BOTH = ["played", "real"]


def test_a_pod_whose_images_are_there_goes_to_the_real_node_alone(placement: Placement) -> None:
    said = ask(placement, "here/a", "here/b", nodes=BOTH, first=("here/c",))
    assert said == {"NodeNames": ["real"]}


@pytest.mark.parametrize(
    ("images", "first"),
    [(("there/a",), ()), (("here/a", "there/b"), ()), (("here/a",), ("there/b",))],
    ids=["none", "one of two", "before the others"],
)
def test_a_pod_that_lacks_an_image_goes_to_any_other(
    placement: Placement, images: tuple[str, ...], first: tuple[str, ...]
) -> None:
    said = ask(placement, *images, nodes=["played", "real", "more"], first=first)
    assert said == {
        "NodeNames": ["played", "more"],
        "FailedNodes": {"real": "it has no image of the pod"},
    }


def test_a_pod_that_the_real_node_cannot_take_stays_with_the_others(placement: Placement) -> None:
    assert ask(placement, "here/a", nodes=["gpu"]) == {"NodeNames": ["gpu"]}
    assert ask(placement, "here/a", nodes=None) == {"NodeNames": []}


def test_an_image_that_cannot_be_loaded_is_told_to_the_scheduler(placement: Placement) -> None:
    said = ask(placement, "here/broken", nodes=BOTH)
    assert said == {"Error": "containerd refuses an image: it is broken"}


def test_nobody_answers_when_it_is_closed(placement: Placement) -> None:
    placement.close()
    with pytest.raises(OSError, match="refused"):
        ask(placement, "here/a", nodes=BOTH)
