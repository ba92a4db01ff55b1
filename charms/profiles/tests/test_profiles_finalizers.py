"""Profiles that outlive the application: its own finalizer goes, once its controller is gone, and no other."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import lightkube
import pytest
from lightkube.models.core_v1 import Container, PodSpec
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.core_v1 import Pod
from lightkube.types import PatchType

from kubeflow_charm.cluster import finalizers as releasing
from kubeflow_charm.cluster.executor import Cluster
from rehearsal import documents
from rehearsal.patience import PATIENCE

OURS, ANOTHER = "profile-finalizer", "example.com/backup"
SPEC = {"owner": {"kind": "User", "name": "ada@example.com"}}


@pytest.fixture
def finalizers(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module under test, found as the charm finds it."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "src"))
    return importlib.import_module("finalizers")


@pytest.fixture
def own(deployed: Any, model: str) -> Iterator[Cluster]:
    """The cluster as an application sees it that has been cleared away: without pods."""
    cluster = Cluster("gone", model)
    yield cluster
    cluster.close()


@pytest.fixture
def held(finalizers: Any, deployed: Any, client: lightkube.Client, served: Any) -> Iterator[Any]:
    """Make profiles with finalizers; return how to read those of each. They go when the test ends."""
    kind = documents.cluster_wide("kubeflow.org", "v1", "Profile", "profiles")
    served(finalizers.PROFILE)
    made: list[str] = []

    def held(profiles: dict[str, list[str]]) -> Any:
        for name, names in profiles.items():
            client.create(kind({"metadata": {"name": name, "finalizers": names}, "spec": SPEC}))
            made.append(name)
        return lambda: {name: client.get(kind, name)["metadata"].get("finalizers", []) for name in made}

    yield held
    for name in made:
        client.patch(kind, name, {"metadata": {"finalizers": None}}, patch_type=PatchType.MERGE)
        client.delete(kind, name)


def test_ours_goes_and_those_of_others_stay(finalizers: Any, own: Cluster, held: Any) -> None:
    read = held({"alice": [OURS], "bob": [ANOTHER, OURS], "carol": [ANOTHER]})
    finalizers.release(own, "gone")
    assert read() == {"alice": [], "bob": [ANOTHER], "carol": [ANOTHER]}


def test_it_stays_while_the_controller_runs(
    finalizers: Any, own: Cluster, held: Any, client: lightkube.Client, model: str, monkeypatch: Any
) -> None:
    """It would be put on again."""
    monkeypatch.setattr(releasing, "WITHIN", PATIENCE)
    looked = threading.Event()
    pods = own.pods

    def look() -> list[Any]:
        looked.set()
        return pods()

    monkeypatch.setattr(own, "pods", look)
    read = held({"alice": [OURS]})
    metadata = ObjectMeta(name="controller", namespace=model, labels=own.own.selector)
    spec = PodSpec(containers=[Container(name="a", image="none")], schedulerName="nobody")
    client.create(Pod(metadata=metadata, spec=spec))
    release = threading.Thread(target=finalizers.release, args=(own, "gone"))
    release.start()
    try:
        assert looked.wait(PATIENCE)
        assert read() == {"alice": [OURS]}
    finally:
        client.delete(Pod, "controller", namespace=model)
        release.join(PATIENCE)
    assert read() == {"alice": []}


def test_one_that_fails_or_is_gone_holds_up_no_other(
    finalizers: Any, own: Cluster, held: Any, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    """One is deleted between the list and the patch, the answer for another never comes."""
    read = held({name: [OURS] for name in ("alice", "bob", "carol", "dave")})
    listed, patched = own.client.list, own.client.patch

    def list_with_one_gone(*what: Any, **options: Any) -> list[Any]:
        items = list(listed(*what, **options))
        gone = [{**item, "metadata": {**item["metadata"], "name": "gone"}} for item in items[:1]]
        return gone + items

    def patch(kind: Any, name: str, *what: Any, **options: Any) -> Any:
        if name == "bob":
            raise httpx2.ReadTimeout("late")
        return patched(kind, name, *what, **options)

    monkeypatch.setattr(own.client, "list", list_with_one_gone)
    monkeypatch.setattr(own.client, "patch", patch)
    finalizers.release(own, "gone")
    assert read() == {"alice": [], "bob": [OURS], "carol": [], "dave": []}
    (said,) = [record.message for record in caplog.records if record.levelname == "ERROR"]
    assert said.startswith("Profile bob may not be deletable: ")
