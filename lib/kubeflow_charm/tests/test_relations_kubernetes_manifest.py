"""kubernetes_manifest: objects for profiles both ways, plain and in a secret, and garbage."""

from __future__ import annotations

import json

import ops
import pytest
from ops import testing

from kubeflow_charm.problems import Problem, flattened
from kubeflow_charm.relations.kubernetes_manifest import LIMIT, Provides, Requires
from kubeflow_charm.resources import Manifest

DEFAULT = {
    "apiVersion": "kubeflow.org/v1alpha1",
    "kind": "PodDefault",
    "metadata": {"name": "gpu"},
    "spec": {"selector": {"matchLabels": {"gpu": "true"}}},
}


def bag(*documents: object) -> dict[str, str]:
    return {"kubernetes_manifests": json.dumps(documents)}


def test_what_is_sent_is_what_is_read(ask):
    written = ask(Requires, lambda end: end.send([DEFAULT]), {"dispatcher": {}}).written
    assert written == {"dispatcher": {"kubernetes_manifests": json.dumps([DEFAULT])}}
    read = ask(Provides, lambda end: end.get(), {"notebooks": written["dispatcher"]})
    assert read.value == {"notebooks": [DEFAULT]}


def test_nothing_is_sent_as_an_empty_list_that_takes_back_what_was(ask):
    said = ask(Requires, lambda end: end.send([]), {"dispatcher": bag()})
    assert said.written == {"dispatcher": {"kubernetes_manifests": "[]"}}


def test_of_several_applications_each_has_its_own(ask):
    bags = {"a": bag(DEFAULT), "b": bag(DEFAULT, DEFAULT | {"kind": "Secret"}), "c": {}, "d": bag()}
    read = ask(Provides, lambda end: end.get(), bags).value
    assert {name: len(documents) for name, documents in read.items()} == {"a": 1, "b": 2}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[{", "kubernetes_manifests: not JSON"),
        ("[" * 30_000, "kubernetes_manifests: not JSON"),
        ("{}", "kubernetes_manifests: Input should be a valid list"),
        ("[1]", "kubernetes_manifests.0: Input should be a valid dictionary"),
        (json.dumps([{"kind": "Secret"}]), "kubernetes_manifests.0.apiVersion: Field required"),
        (json.dumps([DEFAULT | {"metadata": {}}]), "kubernetes_manifests.0.metadata.name: Field required"),
        (" " * (LIMIT + 1), f"kubernetes_manifests: longer than {LIMIT} characters"),
    ],
)
def test_garbage_is_blocked_naming_the_application_and_the_others_are_read(ask, text, said):
    read = ask(
        Provides, lambda end: end.get(), {"mlflow": {"kubernetes_manifests": text}, "ok": bag(DEFAULT)}
    )
    ((state, message),) = read.statuses
    assert state == "blocked"
    assert message.startswith(f"mlflow sent wrong data on there: {said}"[:117])


class Dispatcher(ops.CharmBase):
    """A charm with the reading side."""


def read_secret(content: dict[str, str] | None) -> tuple[dict[str, list[Manifest]], list[Problem]]:
    """Return what the dispatcher reads where the data is in a secret; None is one that it may not read."""
    secret = testing.Secret({"manifests": "[]"} if content is None else content, id="secret:abc")
    data = {"kubernetes_manifests": "secret:abc", "is_secret": "true"}
    relation = testing.Relation("there", remote_app_name="kfp", remote_app_data=data)
    context = testing.Context(Dispatcher, meta={"name": "d", "provides": {"there": {"interface": "any"}}})
    state = testing.State(relations=[relation], secrets=[] if content is None else [secret])
    with context(context.on.update_status(), state) as manager:
        try:
            return Provides(manager.charm, "there").get(), []
        except* Problem as group:
            found = flattened(group)
        return {}, found


def test_a_secret_is_read():
    assert read_secret({"manifests": json.dumps([DEFAULT])}) == ({"kfp": [DEFAULT]}, [])


def test_a_secret_that_may_not_be_read_is_waited_for():
    _, (problem,) = read_secret(None)
    assert (problem.status.name, problem.status.message) == (
        "waiting",
        "kfp: its secret on there cannot be read",
    )


def test_a_secret_without_manifests_is_garbage():
    _, (problem,) = read_secret({"other": "1"})
    assert problem.status.name == "blocked"
    assert "the secret has no manifests" in problem.status.message
