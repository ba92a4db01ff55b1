"""Several requests at a time, each of which may fail for itself."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from kubeflow_charm.cluster.plan import Refusal
from kubeflow_charm.cluster.resources import Manifest
from kubeflow_charm.problems import Problem

_PARALLEL = 4
"""Enough to hide the round trip, few enough for a busy API server."""

_Item = TypeVar("_Item")


def each(
    work: Callable[[_Item], Any], items: Iterable[_Item], manifest: Callable[[_Item], Manifest]
) -> tuple[list[Any], list[Refusal]]:
    """Do `work` for each item, a few in parallel; return the results in order, and the failures.

    Any other error than a `Problem` is a bug; it is raised when all items are done.

    Args:
        work: raises a `Problem` if it fails for an item.
        items: what to work on.
        manifest: returns the object that an item is about.
    """

    def attempt(item: _Item) -> tuple[Any, Problem | None]:
        try:
            return work(item), None
        except Problem as problem:
            return None, problem

    items = list(items)
    if len(items) < 2:
        outcomes = [attempt(item) for item in items]
    else:
        with concurrent.futures.ThreadPoolExecutor(_PARALLEL) as pool:
            outcomes = list(pool.map(attempt, items))
    done = [result for result, problem in outcomes if problem is None]
    failed = [
        (manifest(item), problem)
        for item, (_, problem) in zip(items, outcomes, strict=True)
        if problem is not None
    ]
    return done, failed
