"""Remove a controller's finalizers when its application goes, so that objects can be deleted without it.

A controller puts a finalizer on its objects, to tidy up when one is deleted. Without the controller,
`kubectl delete` would hang. A new controller adds it again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from typing import NamedTuple

import httpx2
from lightkube import ALL_NS
from lightkube.types import PatchType

from kubeflow_charm.cluster import errors
from kubeflow_charm.cluster.executor import Cluster
from kubeflow_charm.cluster.parallel import each
from kubeflow_charm.cluster.plan import Refusal
from kubeflow_charm.cluster.resources import Kind, Manifest, described
from kubeflow_charm.problems import Problem

logger = logging.getLogger(__name__)

WITHIN = 30.0
"""Seconds to wait for the end of the controller's pod: while it runs, it would add the finalizer again. All
kinds together wait no longer."""


class Held(NamedTuple):
    """A kind, and the finalizer by which a controller holds its objects."""

    kind: Kind
    finalizer: str


def release(cluster: Cluster, application: str, held: Iterable[Held], *, wait: bool = True) -> None:
    """Remove finalizers from all objects.

    Never raises for a remote cause: it logs the failure, because nobody will try again.

    Args:
        cluster: the application's cluster, where the controller's objects have been deleted.
        application: the application's name.
        held: the kinds, in the order in which to release them.
        wait: first wait until no pod of the application runs any more; not when other pods of it stay.
    """
    deadline = time.monotonic() + WITHIN
    for of_kind in held:
        try:
            if wait:
                _await_the_last_pod(cluster, deadline)
            with errors.explained(of_kind.kind.plural, application):
                refused = _release(cluster, application, of_kind)
        except Problem as problem:
            if not errors.is_missing(problem.__cause__):  # the type went with its last object
                logger.error("%s may not be deletable: %s", of_kind.kind.plural, problem)
            continue
        for item, problem in refused:
            logger.error("%s may not be deletable: %s", described(item), problem)


def _release(cluster: Cluster, application: str, held: Held) -> list[Refusal]:
    """Release the objects of a kind; return those that could not be, and why."""
    kind, finalizer = held

    def let_go(item: Manifest) -> None:
        metadata = item["metadata"]
        rest = [name for name in metadata["finalizers"] if name != finalizer]
        patch = {"metadata": {"finalizers": rest or None}}
        where = {"namespace": metadata["namespace"]} if kind.namespaced else {}
        with errors.explained(described(item), application):
            try:
                cluster.client.patch(
                    kind.resource, metadata["name"], patch, patch_type=PatchType.MERGE, **where
                )
            except httpx2.HTTPStatusError as error:
                if not errors.is_missing(error):  # somebody has deleted it meanwhile
                    raise

    everywhere = {"namespace": ALL_NS} if kind.namespaced else {}
    found = cluster.client.list(kind.resource, **everywhere)
    return each(let_go, [item for item in found if finalizer in _finalizers(item)], lambda item: item)[1]


def _finalizers(item: Manifest) -> list[str]:
    return item["metadata"].get("finalizers") or []


def _await_the_last_pod(cluster: Cluster, deadline: float) -> None:
    while cluster.pods() and time.monotonic() < deadline:
        time.sleep(0.3)
