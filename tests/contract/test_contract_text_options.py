"""Text that YAML would take for something else stays text, whatever option it is given by."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from charm_harness import unwatched
from ops import testing
from rendering import COMPONENTS, Related

from kubeflow_charm import Problem
from kubeflow_charm.cluster.resources import Manifest

TRAPS = [
    "1.5",
    "yes",
    "null",
    "1e3",
    "~",
    "007",
    "0x1f",
    "2026-01-01",
    "1:30",
    "on",
    "a: b",
    "#x",
    "- a",
    "x'\"y",
]
TEXTS = (
    "args",
    "command",
    "labels",
    "annotations",
    "data",
    "stringData",
    "matchLabels",
    "hosts",
    "principals",
)
"""Fields that hold nothing but texts."""

OPTIONS = [
    pytest.param(source, name, id=f"{source.name}-{name}")
    for source in COMPONENTS
    for name, option in Related.metadata(source)["config"]["options"].items()
    if option["type"] == "string"
]


@pytest.fixture(scope="module")
def charms(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, Related]:
    with unwatched():
        return {source: Related(source, tmp_path_factory.mktemp("charm")) for source in COMPONENTS}


@pytest.fixture(scope="module")
def usual(charms: dict[Path, Related]) -> dict[Path, dict[str, Manifest]]:
    return {source: charm.render() for source, charm in charms.items()}


@pytest.mark.parametrize(("source", "option"), OPTIONS)
def test_a_text_stays_a_text(
    charms: dict[Path, Related], usual: dict[Path, dict[str, Manifest]], source: Path, option: str
) -> None:
    expected = {place: type(value) for place, value in leaves(_rendered(usual[source]), ())}
    for trap in TRAPS:
        if not charms[source].takes({option: trap}):
            continue
        try:
            rendered = charms[source].render({option: trap})
        except (ExceptionGroup, Problem, testing.ActionFailed):
            continue  # it does not go with other options
        for place, value in leaves(_rendered(rendered), ()):
            if place in expected and type(value) is not expected[place]:
                raise AssertionError(f"{trap!r} became {value!r} at {place}")
            if place[-2] in TEXTS or place[-3:-2] == ("env",):
                assert isinstance(value, str | dict), (trap, place, value)


def leaves(value: Any, place: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Yield place and value of everything that is neither a mapping nor a list."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, (*place, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from leaves(item, (*place, index))
    else:
        yield place, value


def _rendered(objects: dict[str, Manifest]) -> dict[str, Manifest]:
    """Return what templates made: definitions of types are made otherwise, and take long to walk."""
    return {key: item for key, item in objects.items() if item["kind"] != "CustomResourceDefinition"}
