"""What the plan decides, in tables; nothing here asks an API server."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from kubeflow_charm.cluster import settled, sharing
from kubeflow_charm.cluster.ownership import INSTANCE, ApplySet, Record
from kubeflow_charm.cluster.plan import Existing, Plan, Wanted, Way, plan, undecided
from kubeflow_charm.cluster.resources import KINDS, Manifest, identity, kind_of

OWN = ApplySet("app", "model")
OURS = OWN.field_manager
SCHEMA = {"type": "object", "properties": {"spec": {"type": "object"}}}


def made(kind: str, name: str = "a", namespace: str = "model", **body: Any) -> Manifest:
    """Return an object without labels."""
    found = next(each for each in KINDS if each.kind == kind)
    metadata = {"name": name} | ({"namespace": namespace} if found.namespaced else {})
    return {"apiVersion": found.api_version, "kind": kind, "metadata": metadata, **copy.deepcopy(body)}


def crd(**version: Any) -> Manifest:
    """Return a definition with one version."""
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": SCHEMA}} | version
    names = {"kind": "Thing", "plural": "things"}
    spec = {"group": "example.org", "scope": "Namespaced", "names": names, "versions": [version]}
    return made("CustomResourceDefinition", "things.example.org", spec=spec)


def claimed(item: Manifest) -> Manifest:
    """Return the document that the executor would apply."""
    item = copy.deepcopy(item)
    OWN.claim(item)
    settled.stamp(item)
    return item


def fields(value: Any) -> dict[str, Any]:
    """Return `fieldsV1` for a document; lists are owned whole."""
    return {f"f:{key}": fields(item) for key, item in value.items()} if isinstance(value, dict) else {}


def entry(item: Manifest, manager: str, operation: str = "Apply", **more: Any) -> dict[str, Any]:
    """Return the entry of `managedFields` of who has written all of an object."""
    body = {key: item[key] for key in item if key not in ("apiVersion", "kind", "metadata")}
    body["metadata"] = {k: v for k, v in item["metadata"].items() if k in ("labels", "annotations")}
    return {"manager": manager, "operation": operation, "fieldsV1": fields(body), **more}


def live(item: Manifest) -> Manifest:
    """Return the object as it is after we have applied it."""
    item = claimed(item)
    item["metadata"] |= {"managedFields": [entry(item, OURS)], "resourceVersion": "1"}
    return item


def of_ada(item: Manifest, operation: str = "Update") -> Manifest:
    """Return the object as it is after somebody else has made it."""
    item = copy.deepcopy(item)
    item["metadata"] |= {"managedFields": [entry(item, "ada", operation)], "resourceVersion": "1"}
    return item


def parent(*names: str, shared: tuple[str, ...] = ()) -> Manifest:
    item = OWN.parent(Record(frozenset(names), frozenset(shared)))
    item["metadata"]["managedFields"] = [entry(item, OURS)]
    return item


def wanted(*core: Manifest, spread: tuple[Manifest, ...] = (), **more: Any) -> Wanted:
    return Wanted(
        {identity(item): claimed(item) for item in core},
        {identity(item): claimed(item) for item in spread},
        **more,
    )


def existing(*labelled: Manifest, unlabelled: tuple[Manifest, ...] = ()) -> Existing:
    return Existing({identity(i): i for i in labelled}, {identity(i): i for i in unlabelled})


def writes(done: Plan) -> list[list[tuple[str, bool]]]:
    return [
        [(f"{w.manifest['kind']}/{w.manifest['metadata']['name']}", w.force) for w in r] for r in done.ranks
    ]


def removals(done: Plan) -> list[list[tuple[str, Way]]]:
    return [[(r.manifest["kind"], r.way) for r in group] for group in done.removals]


def problems(refusals: Any) -> list[str]:
    return [str(problem) for _, problem in refusals]


CONFIG, ROLE, DEPLOYMENT = made("ConfigMap"), made("Role"), made("Deployment")
WEBHOOK, PRIORITY = made("ValidatingWebhookConfiguration"), made("PriorityClass", value=1)


def test_what_is_settled_is_left_alone() -> None:
    record = parent("ConfigMap", "Role.rbac.authorization.k8s.io")
    done = plan(OWN, wanted(CONFIG, ROLE), existing(live(CONFIG), live(ROLE), record))
    assert done == Plan(final=done.final)
    assert done.record_after([]) is None


def test_nothing_wanted_and_nothing_there_is_nothing_to_do() -> None:
    done = plan(OWN, wanted(), existing())
    assert done == Plan(final=done.final)
    assert done.record_after([]) is None
    assert undecided(OWN, wanted(), {}) == {}


def test_writes_follow_the_order_of_kinds_and_force_only_what_is_ours() -> None:
    drifted = live(DEPLOYMENT)
    drifted["metadata"]["annotations"][settled.APPLIED_HASH] = "of an older revision"
    unlabelled = live(CONFIG)
    del unlabelled["metadata"]["labels"]
    done = plan(
        OWN,
        wanted(WEBHOOK, DEPLOYMENT, CONFIG, ROLE, crd()),
        existing(drifted, unlabelled=(unlabelled,)),
    )
    assert writes(done) == [
        [("CustomResourceDefinition/things.example.org", False)],
        [("Role/a", False)],
        [("ConfigMap/a", True)],
        [("Deployment/a", True)],
        [("ValidatingWebhookConfiguration/a", False)],
    ]


@pytest.mark.parametrize(
    "item", [CONFIG, ROLE, PRIORITY, made("ServiceAccount"), WEBHOOK], ids=lambda i: i["kind"]
)
def test_what_belongs_to_another_blocks_everything(item: Manifest) -> None:
    done = plan(OWN, wanted(item, DEPLOYMENT), existing(unlabelled=(of_ada(item),)))
    assert done == Plan(blocked=done.blocked)
    (problem,) = problems(done.blocked)
    assert problem.endswith("a belongs to ada: remove or rename it")
    assert all(each.heals for _, each in done.blocked)  # Juju sends no event when ada removes it


def test_what_belongs_to_another_is_only_refused_where_objects_are_spread() -> None:
    secret, other = made("Secret", namespace="alice"), made("Secret", namespace="bob")
    done = plan(OWN, wanted(CONFIG, spread=(secret, other)), existing(unlabelled=(of_ada(secret),)))
    assert problems(done.refused) == ["Secret alice/a belongs to ada: remove or rename it"]
    assert [write.manifest["metadata"]["namespace"] for write in done.spread] == ["bob"]
    assert writes(done) == [[("ConfigMap/a", False)]]
    assert not done.blocked


@pytest.mark.parametrize("by", ["user", "template"])
def test_the_name_of_the_parent_is_asked_for_before_it_is_taken(by: str) -> None:
    there = made("ConfigMap", OWN.name, data={"a": "b"})
    if by == "user":
        assert identity(there) in undecided(OWN, wanted(ROLE), {})
        done = plan(OWN, wanted(ROLE), existing(unlabelled=(of_ada(there),)))
        expected = "ConfigMap model/app-applyset belongs to ada: remove or rename it"
    else:
        done = plan(OWN, wanted(there), existing())
        expected = "ConfigMap model/app-applyset: the charm needs that name, choose another"
    assert done == Plan(blocked=done.blocked)
    assert problems(done.blocked) == [expected]


def test_a_parent_that_lost_its_label_is_still_ours() -> None:
    unlabelled = parent("Role.rbac.authorization.k8s.io")
    del unlabelled["metadata"]["labels"]
    assert not plan(OWN, wanted(ROLE), existing(unlabelled=(unlabelled,))).blocked


class TestRecord:
    """What the parent says before and after."""

    def test_new_kinds_are_recorded_before_anything_is_written(self) -> None:
        done = plan(OWN, wanted(ROLE), existing())
        assert done.record == Record(frozenset({"ConfigMap", "Role.rbac.authorization.k8s.io"}))
        assert done.record_after([]) is None

    def test_a_kind_without_wanted_objects_is_dropped_once_they_are_gone(self) -> None:
        record = parent("ConfigMap", "Role.rbac.authorization.k8s.io")
        done = plan(OWN, wanted(CONFIG), existing(live(CONFIG), live(ROLE), record))
        assert done.record is None
        assert removals(done) == [[("Role", Way.DELETE)]]
        assert done.record_after([live(ROLE)]) is None
        assert done.record_after([]) == Record(frozenset({"ConfigMap"}))

    def test_kinds_of_a_newer_revision_stay(self) -> None:
        record = parent("ConfigMap", "Future.example.org")
        done = plan(OWN, wanted(CONFIG, ROLE), existing(live(CONFIG), record))
        assert done.record and "Future.example.org" in done.record.names
        assert "Future.example.org" in done.final.names

    def test_kinds_that_somebody_else_wrote_there_do_not(self) -> None:
        record = parent("ConfigMap", "other")
        record["metadata"]["managedFields"] = [entry(parent(), "ada", "Update")]
        done = plan(OWN, wanted(CONFIG, ROLE), existing(live(CONFIG), record))
        assert done.record and "other" not in done.record.names

    def test_a_kind_that_is_kept_stays(self) -> None:
        record = parent("ConfigMap", "Secret")
        secret = live(made("Secret"))
        done = plan(OWN, wanted(keep=lambda item: item["kind"] == "Secret"), existing(secret, record))
        assert not done.removals
        assert done.record_after([]) is None


class TestRemoval:
    """What is not wanted any more."""

    def test_webhooks_go_first_and_then_the_last_written(self) -> None:
        items = [crd(), ROLE, CONFIG, DEPLOYMENT, made("VirtualService"), WEBHOOK]
        done = plan(OWN, wanted(), existing(*map(live, items), parent()))
        assert [kind for group in removals(done) for kind, _ in group] == [
            "ValidatingWebhookConfiguration",
            "VirtualService",
            "Deployment",
            "ConfigMap",
            "Role",
            "CustomResourceDefinition",
        ]

    def test_objects_that_merely_carry_the_label_stay(self) -> None:
        theirs = of_ada(made("ConfigMap", labels={}))
        theirs["metadata"]["labels"] = {INSTANCE: OWN.instance}
        assert removals(plan(OWN, wanted(), existing(theirs, parent()))) == []

    def test_a_member_without_the_second_label_goes(self) -> None:
        item = live(CONFIG)
        item["metadata"]["labels"] = {INSTANCE: OWN.instance}
        assert removals(plan(OWN, wanted(), existing(item, parent()))) == [[("ConfigMap", Way.DELETE)]]

    @pytest.mark.parametrize(
        ("managers", "way"),
        [
            ([], Way.DELETE_UNUSED),
            ([entry(crd(), "ada", "Update")], Way.RELEASE),
            ([entry(crd(), "ada", "Update", subresource="status")], Way.DELETE_UNUSED),
            (
                [{"manager": "ada", "fieldsV1": {"f:metadata": {"f:annotations": {"f:a": {}}}}}],
                Way.DELETE_UNUSED,
            ),
        ],
        ids=["ours alone", "made by ada", "status only", "annotated"],
    )
    def test_a_type_goes_unless_it_is_another_s(self, managers: list[Any], way: Way) -> None:
        item = live(crd())
        item["metadata"]["managedFields"] += managers
        done = plan(OWN, wanted(), existing(item, parent()))
        assert removals(done) == [[("CustomResourceDefinition", way)]]


class TestSharedTypes:
    """CRDs that somebody else has made or changed."""

    def test_one_that_serves_us_is_used_as_it_is_and_noted_once(self) -> None:
        theirs = of_ada(crd())
        done = plan(OWN, wanted(crd()), existing(unlabelled=(theirs,)))
        assert writes(done) == []
        assert done.shared == {"things.example.org": ("ada",)}
        assert done.newly_shared == {"things.example.org"}
        record = parent(
            "ConfigMap", "CustomResourceDefinition.apiextensions.k8s.io", shared=("things.example.org",)
        )
        again = plan(OWN, wanted(crd()), existing(record, unlabelled=(theirs,)))
        assert (again.shared, again.newly_shared, again.record) == (done.shared, frozenset(), None)

    def test_one_that_does_not_serve_us_blocks(self) -> None:
        done = plan(OWN, wanted(crd()), existing(unlabelled=(of_ada(crd(name="v2")),)))
        assert done == Plan(blocked=done.blocked)
        assert problems(done.blocked) == [
            "CRD things.example.org of ada: v1 is not served; update or remove it"
        ]
        assert all(each.heals for _, each in done.blocked)

    @pytest.mark.parametrize("whose", [live, of_ada])
    def test_one_that_is_being_removed_is_waited_for(self, whose: Any) -> None:
        there = whose(crd())
        there["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
        (problem,) = (found for _, found in plan(OWN, wanted(crd()), existing(there)).blocked)
        assert problem.status.name == "waiting"
        assert "is being removed" in str(problem)

    def test_one_that_nobody_manages_is_taken(self) -> None:
        there = of_ada(crd())
        there["metadata"]["managedFields"] = []
        done = plan(OWN, wanted(crd()), existing(unlabelled=(there,)))
        assert writes(done) == [[("CustomResourceDefinition/things.example.org", True)]]

    def test_a_schema_that_we_alone_write_is_still_ours_to_update(self) -> None:
        item = live(crd())
        theirs = entry(crd(), "ada", "Update")
        del theirs["fieldsV1"]["f:spec"]["f:versions"]
        item["metadata"]["managedFields"].append(theirs)
        done = plan(OWN, wanted(crd(served=True, deprecated=True)), existing(item, parent()))
        assert writes(done) == [[("CustomResourceDefinition/things.example.org", True)]]

    def test_a_schema_that_another_applied_over_ours_is_theirs(self) -> None:
        item = live(crd())
        del item["metadata"]["managedFields"][0]["fieldsV1"]["f:spec"]["f:versions"]
        item["metadata"]["managedFields"].append(
            {"manager": "ada", "operation": "Update", "fieldsV1": {"f:spec": {"f:versions": {}}}}
        )
        done = plan(OWN, wanted(crd()), existing(item, parent()))
        assert (writes(done), done.shared) == ([], {"things.example.org": ("ada",)})

    def test_a_small_field_of_another_s_is_drift(self) -> None:
        item = live(crd())
        del item["metadata"]["managedFields"][0]["fieldsV1"]["f:spec"]["f:scope"]
        item["metadata"]["managedFields"].append(
            {"manager": "ada", "operation": "Update", "fieldsV1": {"f:spec": {"f:scope": {}}}}
        )
        done = plan(OWN, wanted(crd()), existing(item, parent()))
        assert writes(done) == [[("CustomResourceDefinition/things.example.org", True)]]


def schema(**spec: Any) -> Manifest:
    """Return the definition with a schema for `spec`."""
    node = {"type": "object", "properties": {"spec": {"type": "object", **spec}}}
    return crd(schema={"openAPIV3Schema": node})


TEXT, NUMBER = {"type": "string"}, {"type": "integer"}
OPEN = {"x-kubernetes-preserve-unknown-fields": True}


@pytest.mark.parametrize(
    ("ours", "theirs", "reason"),
    [
        (crd(), crd(), ""),
        (schema(properties={"a": TEXT}), schema(properties={"a": TEXT, "b": TEXT}), ""),
        (schema(properties={"a": TEXT}), schema(**OPEN), ""),
        (schema(properties={"a": TEXT}), crd(schema={"openAPIV3Schema": {"type": "object", **OPEN}}), ""),
        (schema(properties={"a": TEXT}), schema(additionalProperties=TEXT), ""),
        (schema(properties={"a": TEXT}), schema(properties={"b": TEXT}), "v1: no field spec.a"),
        (schema(properties={"a": TEXT}), schema(properties={"a": NUMBER}), "v1: spec.a is of type integer"),
        (
            schema(
                properties={"a": {"type": "array", "items": {"type": "object", "properties": {"b": TEXT}}}}
            ),
            schema(properties={"a": {"type": "array", "items": {"type": "object"}}}),
            "v1: no field spec.a[].b",
        ),
        (crd(subresources={"status": {}}), crd(), "v1: no subresource status"),
        (crd(), crd(served=False), "v1 is not served"),
        (crd(served=False), crd(name="v2"), ""),
        (crd(), {**crd(), "spec": {**crd()["spec"], "scope": "Cluster"}}, "its scope is Cluster"),
    ],
)
def test_whether_a_schema_serves_us(ours: Manifest, theirs: Manifest, reason: str) -> None:
    assert sharing.shortcoming(ours, theirs) == reason


def test_a_release_takes_off_what_is_ours_and_nothing_else() -> None:
    item = live(crd())
    item["metadata"]["labels"]["team"] = "ada"
    item["metadata"]["managedFields"].append(entry(crd(), "ada", "Update"))
    patch = sharing.release_patch(item, OURS)["metadata"]
    assert patch["managedFields"] == item["metadata"]["managedFields"][1:]
    assert set(patch["labels"].values()) == {None}
    assert "team" not in patch["labels"]
    alone = sharing.release_patch(live(crd()), OURS)["metadata"]
    assert alone["managedFields"] == [{}]


def test_the_record_keeps_a_kind_of_which_an_object_could_not_be_removed() -> None:
    role, account = live(made("Role")), live(made("ServiceAccount"))
    before = parent("ConfigMap", "Role.rbac.authorization.k8s.io", "ServiceAccount")
    there = {identity(item): item for item in (role, account, before)}
    done = plan(OWN, wanted(made("ConfigMap")), Existing(live=there))
    record = done.record_after([role])
    assert record is not None
    assert record.names == {"ConfigMap", "Role.rbac.authorization.k8s.io"}


def test_every_kind_is_written_before_what_needs_it() -> None:
    assert [kind.kind for kind in KINDS if kind.shared] == ["CustomResourceDefinition"]
    assert all(kind_of({"apiVersion": kind.api_version, "kind": kind.kind}) is kind for kind in KINDS)
