"""Remove a controller's finalizers when its application goes, so that objects can be deleted without it.

A controller puts a finalizer on its objects, to tidy up when one is deleted. Without the controller,
`kubectl delete` would hang. A new controller adds it again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from typing import NamedTuple

from lightkube import ALL_NS
from lightkube.types import PatchType

from kubeflow_charm.cluster import errors
from kubeflow_charm.cluster.executor import Cluster
from kubeflow_charm.cluster.resources import Kind
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
    for each in held:
        try:
            if wait:
                _await_the_last_pod(cluster, deadline)
            with errors.explained(each.kind.plural, application):
                _release(cluster, each)
        except Problem as problem:
            if not errors.is_missing(problem.__cause__):  # the type went with its last object
                logger.error("%s may not be deletable: %s", each.kind.plural, problem)


def _release(cluster: Cluster, held: Held) -> None:
    kind = held.kind
    everywhere = {"namespace": ALL_NS} if kind.namespaced else {}
    for item in cluster.client.list(kind.resource, **everywhere):
        metadata = item["metadata"]
        present = metadata.get("finalizers") or []
        if held.finalizer not in present:
            continue
        rest = [each for each in present if each != held.finalizer]
        patch = {"metadata": {"finalizers": rest or None}}
        where = {"namespace": metadata["namespace"]} if kind.namespaced else {}
        cluster.client.patch(kind.resource, metadata["name"], patch, patch_type=PatchType.MERGE, **where)


def _await_the_last_pod(cluster: Cluster, deadline: float) -> None:
    while cluster.pods() and time.monotonic() < deadline:
        time.sleep(0.3)
