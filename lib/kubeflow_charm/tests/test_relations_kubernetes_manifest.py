"""kubernetes_manifest: objects for profiles both ways, plain and in a secret, and garbage."""

from __future__ import annotations

import json
from typing import Any

import ops
import pytest
from ops import testing

from kubeflow_charm.cluster.resources import Manifest
from kubeflow_charm.problems import Problem
from kubeflow_charm.relations.kubernetes_manifest import (
    COUNT,
    DEPTH,
    LARGEST,
    LIMIT,
    Offer,
    Provides,
    Requires,
    SecretRequires,
)

DEFAULT = {
    "apiVersion": "kubeflow.org/v1alpha1",
    "kind": "PodDefault",
    "metadata": {"name": "gpu"},
    "spec": {"selector": {"matchLabels": {"gpu": "true"}}},
}


def bag(*documents: object) -> dict[str, str]:
    return {"kubernetes_manifests": json.dumps(documents)}


def reading(charm: ops.CharmBase, name: str) -> Provides:
    """Return the reading side of an endpoint for PodDefaults."""
    return Provides(charm, name, "kubeflow.org/v1alpha1", "PodDefault")


def test_what_is_sent_is_what_is_read(ask):
    written = ask(Requires, lambda end: end.send([DEFAULT]), {"dispatcher": {}}).written
    assert written == {"dispatcher": {"kubernetes_manifests": json.dumps([DEFAULT], separators=(",", ":"))}}
    read = ask(reading, lambda end: end.get(), {"notebooks": written["dispatcher"]})
    assert read.value == [Offer("notebooks", (DEFAULT,))]


def test_nothing_is_sent_as_an_empty_list_that_takes_back_what_was(ask):
    said = ask(Requires, lambda end: end.send([]), {"dispatcher": bag()})
    assert said.written == {"dispatcher": {"kubernetes_manifests": "[]"}}


def test_of_several_applications_each_has_its_own(ask):
    bags = {"a": bag(DEFAULT), "b": bag(DEFAULT, named("other")), "c": {}, "d": bag()}
    read = ask(reading, lambda end: end.get(), bags).value
    assert {offer.application: len(offer.manifests) for offer in read} == {"a": 1, "b": 2, "c": 0, "d": 0}


def named(name: str, **metadata: object) -> Manifest:
    return DEFAULT | {"metadata": {"name": name, **metadata}}


def nested(depth: int) -> Any:
    """Return a mapping with a list `depth` levels deep."""
    value: Any = []
    for _ in range(depth - 2):
        value = [value]
    return {"a": value}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[{", "kubernetes_manifests: not JSON"),
        ("[" * 30_000, "kubernetes_manifests: not JSON"),
        ("- &a [x]\n- *a\n", "kubernetes_manifests: not JSON"),
        (json.dumps([{}] * 10_000), f"kubernetes_manifests: more than {COUNT} documents"),
        (
            json.dumps([{"apiVersion": "v1", "kind": "List", "items": [DEFAULT]}]),
            "kubernetes_manifests.0: List of v1 is no PodDefault of kubeflow.org/v1alpha1",
        ),
        ("{}", "kubernetes_manifests: no list"),
        ('[{"kind": "a", "kind": "b"}]', "kubernetes_manifests: kind is there twice"),
        (json.dumps([DEFAULT] * (COUNT + 1)), f"kubernetes_manifests: more than {COUNT} documents"),
        (" " * (LIMIT + 1), f"kubernetes_manifests: longer than {LIMIT} characters"),
        (
            json.dumps([DEFAULT | {"spec": "x" * LARGEST}]),
            f"kubernetes_manifests.0: longer than {LARGEST} characters",
        ),
        ("[1]", "kubernetes_manifests.0: no object"),
        (json.dumps([{"kind": "Secret"}]), "kubernetes_manifests.0: Secret of None is no PodDefault of kube"),
        (json.dumps([DEFAULT | {"kind": "List"}]), "kubernetes_manifests.0: List of kubeflow.org/v1alpha1"),
        (json.dumps([DEFAULT | {"metadata": {}}]), "kubernetes_manifests.0.metadata.name: Field required"),
        (json.dumps([named("A b")]), "kubernetes_manifests.0.metadata.name: 'A b' is not a DNS name"),
        (json.dumps([named("a", ownerReferences=[])]), "kubernetes_manifests.0.metadata.ownerReferences: Ex"),
        (json.dumps([DEFAULT | {"spec": None}]), "kubernetes_manifests.0.spec: Input should be a valid dict"),
        (
            json.dumps([DEFAULT | {"spec": "text"}]),
            "kubernetes_manifests.0.spec: Input should be a valid dict",
        ),
        (json.dumps([DEFAULT | {"spec": [7]}]), "kubernetes_manifests.0.spec: Input should be a valid dict"),
        (
            json.dumps([DEFAULT | {"spec": {"template": "x"}}]),
            "kubernetes_manifests.0.spec.template: Input should be",
        ),
        (
            json.dumps([DEFAULT | {"spec": {"template": {"spec": {}, "metadata": None}}}]),
            "kubernetes_manifests.0.spec.template.metadata: Input should be",
        ),
        (
            json.dumps([DEFAULT | {"spec": nested(DEPTH)}]),
            f"kubernetes_manifests.0: nested more than {DEPTH}",
        ),
        (
            json.dumps([DEFAULT | {"spec": nested(600)}]),
            f"kubernetes_manifests.0: nested more than {DEPTH} deep",
        ),
        (
            json.dumps([DEFAULT | {"spec": {"a": "\ud800"}}]),
            "kubernetes_manifests.0: text that is no Unicode",
        ),
        (json.dumps([DEFAULT | {"\udfff": 1}]), "kubernetes_manifests.0: text that is no Unicode"),
        (
            json.dumps([DEFAULT | {"spec": {"a": float("nan")}}]),
            "kubernetes_manifests.0: a number that is none",
        ),
        ('[{"a": 1e999}]', "kubernetes_manifests.0: a number that is none, or too large"),
        (json.dumps([named("a", labels={"a": 1})]), "kubernetes_manifests.0.metadata.labels.a: Input should"),
    ],
)
def test_garbage_is_told_with_its_place_and_the_others_are_read(ask, text, said):
    bags = {"mlflow": {"kubernetes_manifests": text}, "ok": bag(DEFAULT)}
    wrong, good = ask(reading, lambda end: end.get(), bags).value
    (problem,) = wrong.problems
    assert problem.status.name == "blocked"
    assert problem.status.message.removesuffix("...").startswith(
        f"mlflow sent wrong data on there: {said}"[:110]
    )
    assert good == Offer("ok", (DEFAULT,))


def test_one_bad_document_does_not_stop_the_rest(ask):
    (offer,) = ask(reading, lambda end: end.get(), {"mlflow": bag(DEFAULT, 1, named("other"))}).value
    assert [document["metadata"]["name"] for document in offer.manifests] == ["gpu", "other"]
    (problem,) = offer.problems
    assert "kubernetes_manifests.1: no object" in problem.status.message


def test_a_document_may_be_as_deep_as_kubernetes_has_any(ask):
    deep = DEFAULT | {"spec": nested(DEPTH - 1)}
    (offer,) = ask(reading, lambda end: end.get(), {"mlflow": bag(deep)}).value
    assert offer == Offer("mlflow", (deep,))


def test_what_is_null_is_left_out(ask):
    said = named("a", namespace=None, creationTimestamp=None, labels={"b": "c"})
    (offer,) = ask(reading, lambda end: end.get(), {"kfp": bag(said)}).value
    assert offer.manifests[0]["metadata"] == {"name": "a", "labels": {"b": "c"}}


class Dispatcher(ops.CharmBase):
    """A charm with the reading side."""


def read_secret(content: dict[str, str] | None) -> Offer:
    """Return what the dispatcher reads where the data is in a secret; None is one that it may not read."""
    secret = testing.Secret({"manifests": "[]"} if content is None else content, id="secret:abc")
    data = {"kubernetes_manifests": "secret:abc", "is_secret": "true"}
    relation = testing.Relation("there", remote_app_name="kfp", remote_app_data=data)
    context = testing.Context(Dispatcher, meta={"name": "d", "provides": {"there": {"interface": "any"}}})
    state = testing.State(relations=[relation], secrets=[] if content is None else [secret])
    with context(context.on.update_status(), state) as manager:
        (offer,) = reading(manager.charm, "there").get()
        return offer


def test_a_secret_is_read():
    assert read_secret({"manifests": json.dumps([DEFAULT])}) == Offer("kfp", (DEFAULT,))


@pytest.mark.parametrize(
    ("content", "state", "text"),
    [
        (None, "waiting", "kfp: its secret on there cannot be read"),
        (
            {"other": "1"},
            "blocked",
            "kfp sent wrong data on there: kubernetes_manifests: the secret has no manifests",
        ),
        ({"manifests": "["}, "blocked", "kfp sent wrong data on there: kubernetes_manifests: not JSON"),
    ],
)
def test_a_secret_that_says_nothing_is_told(content, state, text):
    (problem,) = read_secret(content).problems
    assert (problem.status.name, problem.status.message) == (state, text)


class Sender(ops.CharmBase):
    """A charm that offers what the test says, in a secret."""

    offered: tuple[Manifest, ...] = ()

    def __init__(self, framework: ops.Framework):
        super().__init__(framework)
        framework.observe(self.on.update_status, self._send)
        for endpoint in self.meta.requires:
            framework.observe(self.on[endpoint].relation_broken, self._disconnect)

    def _disconnect(self, event: ops.RelationBrokenEvent) -> None:
        SecretRequires(self, "dispatcher", smaller="").disconnect(event.relation)

    def _send(self, _: ops.EventBase) -> None:
        try:
            SecretRequires(self, "dispatcher", smaller="juju config it less=true").send(list(self.offered))
        except Problem as problem:
            self.unit.status = problem.status


def sent(monkeypatch: pytest.MonkeyPatch, offered: list[Manifest], state: testing.State) -> testing.State:
    """Return the state after a hook of a charm that offers `offered`."""
    monkeypatch.setattr(Sender, "offered", tuple(offered))
    meta = {"name": "ours", "requires": {name: {"interface": "any"} for name in ("dispatcher", "other")}}
    context = testing.Context(Sender, meta=meta)
    return context.run(context.on.update_status(), state)


def test_what_is_secret_travels_in_a_secret_that_only_the_dispatcher_reads(monkeypatch):
    relation = testing.Relation("dispatcher", remote_app_name="resource-dispatcher")
    before = testing.State(leader=True, relations=[relation])
    key = named("key", annotations={"said": 'it\'s 100% "{{ odd }}" $(KEY)\n'})
    after = sent(monkeypatch, [key], before)
    written = dict(after.get_relation(relation.id).local_app_data)
    (secret,) = after.secrets
    assert written == {"kubernetes_manifests": secret.id, "is_secret": "true"}
    assert secret.label == f"manifest.dispatcher.{relation.id}"
    assert secret.remote_grants == {relation.id: {"resource-dispatcher"}}
    assert secret.latest_content is not None
    assert json.loads(secret.latest_content["manifests"]) == [key]


def test_there_is_no_secret_for_nothing(monkeypatch):
    relation = testing.Relation("dispatcher", remote_app_name="resource-dispatcher")
    after = sent(monkeypatch, [], testing.State(leader=True, relations=[relation]))
    assert not after.secrets
    assert after.get_relation(relation.id).local_app_data == {}


def test_a_secret_gets_a_revision_when_what_it_holds_changes_and_only_then(monkeypatch):
    relation = testing.Relation("dispatcher", remote_app_name="resource-dispatcher")
    first = sent(monkeypatch, [DEFAULT], testing.State(leader=True, relations=[relation]))
    again = sent(monkeypatch, [DEFAULT], first)
    assert again.secrets == first.secrets
    assert again.relations == first.relations
    changed = sent(monkeypatch, [], again)
    (secret,) = changed.secrets
    assert secret.latest_content == {"manifests": "[]"}
    assert changed.get_relation(relation.id) == first.get_relation(relation.id)


def test_the_secret_goes_with_its_relation_and_no_other_does(monkeypatch):
    kept, breaking, other = (
        testing.Relation(endpoint, remote_app_name=name)
        for endpoint, name in (("dispatcher", "a"), ("dispatcher", "b"), ("other", "c"))
    )
    state = testing.State(leader=True, relations=[kept, breaking, other])
    first = sent(monkeypatch, [DEFAULT], state)
    assert len(first.secrets) == 2
    meta = {"name": "ours", "requires": {name: {"interface": "any"} for name in ("dispatcher", "other")}}
    context = testing.Context(Sender, meta=meta)
    after = context.run(context.on.relation_broken(first.get_relation(breaking.id)), first)
    assert [each.label for each in after.secrets] == [f"manifest.dispatcher.{kept.id}"]
    assert context.run(context.on.relation_broken(other), first).secrets == first.secrets
    # Where it never had a secret, as where the hook is run again, nothing happens.
    assert (
        context.run(context.on.relation_broken(after.get_relation(breaking.id)), after).secrets
        == after.secrets
    )


@pytest.mark.parametrize("held", [[], [DEFAULT]])
def test_a_secret_that_juju_finds_too_large_is_blocked_and_the_one_before_stays(monkeypatch, held):
    """In the words of Juju 3.5, where a value has 8 KiB; of 3.6.9, see the rehearsal's tests of secrets."""
    relation = testing.Relation("dispatcher", remote_app_name="resource-dispatcher")
    state = testing.State(leader=True, relations=[relation])
    before = sent(monkeypatch, held, state) if held else state

    def refuse(*_: object, **__: object) -> str:
        raise ops.ModelError('ERROR secret content for key "manifests" too large: 9000 bytes')

    monkeypatch.setattr(ops.Application, "add_secret", refuse)
    monkeypatch.setattr(ops.Secret, "set_content", refuse)
    after = sent(monkeypatch, [named("another")], before)
    assert after.unit_status == testing.BlockedStatus(
        "what goes to dispatcher is too large for a Juju secret: juju config it less=true"
    )
    assert after.secrets == before.secrets
    assert after.get_relation(relation.id).local_app_data == before.get_relation(relation.id).local_app_data
