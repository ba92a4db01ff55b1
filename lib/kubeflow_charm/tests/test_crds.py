"""CRDs from models: what becomes of each field, and that the API server then takes what the model takes."""

from __future__ import annotations

import datetime
import enum
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Literal

import lightkube
import pydantic
import pytest
import tenacity
from lightkube.core.exceptions import ApiError
from lightkube.generic_resource import create_namespaced_resource

from kubeflow_charm.cluster.resources import KINDS, Manifest
from kubeflow_charm.definitions.crds import (
    Column,
    Converter,
    Embedded,
    Names,
    Scale,
    Version,
    atomic,
    definition,
    keyed,
    rules,
)
from kubeflow_charm.definitions.embedded import Affinity, IntOrString, PodTemplate, Quantity
from kubeflow_charm.definitions.schemas import Schema, structural
from kubeflow_charm.webhooks import issuing
from rehearsal.patience import PATIENCE

CRD = next(kind.resource for kind in KINDS if kind.kind == "CustomResourceDefinition")
ANYTHING = {"x-kubernetes-preserve-unknown-fields": True}


class Mood(enum.Enum):
    CALM = "calm"
    WILD = "wild"


class Inner(Schema):
    """Within another."""

    host_path: str = "/data"
    other: int | None = None


def model(default: Any = ..., /, **fields: Any) -> type[Schema]:
    """Return a model with one field, called like the argument."""
    (name,) = fields
    body: dict[str, Any] = {"__annotations__": fields, "__module__": __name__, "__doc__": None}
    if default is not ...:
        body[name] = default
    return type("Model", (Schema,), body)


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        (str, {"type": "string"}),
        (int, {"type": "integer"}),
        (float, {"type": "number"}),
        (bool, {"type": "boolean"}),
        (Any, ANYTHING),
        (
            Annotated[str, pydantic.Field(description="what it is")],
            {"type": "string", "description": "what it is"},
        ),
        (Annotated[str, pydantic.Field(title="x", examples=["a"], deprecated=True)], {"type": "string"}),
        (
            Annotated[str, pydantic.Field(pattern="^a", max_length=9)],
            {"type": "string", "pattern": "^a", "maxLength": 9},
        ),
        (Annotated[int, pydantic.Field(ge=1, le=9)], {"type": "integer", "minimum": 1, "maximum": 9}),
        (
            Annotated[int, pydantic.Field(gt=1, lt=9)],
            {
                "type": "integer",
                "minimum": 1,
                "exclusiveMinimum": True,
                "maximum": 9,
                "exclusiveMaximum": True,
            },
        ),
        (
            Annotated[str, pydantic.Field(json_schema_extra={"format": "int64"})],
            {"type": "string", "format": "int64"},
        ),
        (Literal["a", "b"], {"type": "string", "enum": ["a", "b"]}),
        (Literal["a"], {"type": "string", "enum": ["a"]}),
        (Mood, {"type": "string", "enum": ["calm", "wild"]}),
        (list[str], {"type": "array", "items": {"type": "string"}}),
        (list, {"type": "array", "items": ANYTHING}),
        (set[str], {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"}),
        (
            Annotated[list[str], atomic()],
            {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "atomic"},
        ),
        (dict[str, int], {"type": "object", "additionalProperties": {"type": "integer"}}),
        (dict[str, Any], {"type": "object"} | ANYTHING),
        (list[str | None], {"type": "array", "items": {"type": "string", "nullable": True}}),
        (str | None, {"type": "string", "nullable": True}),
        (Mood | None, {"type": "string", "enum": ["calm", "wild"], "nullable": True}),
        (Embedded, {"type": "object"} | ANYTHING),
        (Embedded | None, {"type": "object", "nullable": True} | ANYTHING),
        (
            IntOrString,
            {"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}, {"type": "string"}]},
        ),
        (
            Inner,
            {
                "type": "object",
                "description": "Within another.",
                "properties": {
                    "hostPath": {"type": "string", "default": "/data"},
                    "other": {"type": "integer"},
                },
            },
        ),
        (
            Annotated[str, pydantic.Field(json_schema_extra=rules(("self != 'no'", "is no"), ("true", "")))],
            {
                "type": "string",
                "x-kubernetes-validations": [
                    {"rule": "self != 'no'", "message": "is no"},
                    {"rule": "true", "message": ""},
                ],
            },
        ),
    ],
    ids=str,
)
def test_each_kind_of_field_has_its_structural_form(field, expected):
    schema = structural(model(title=field))
    assert schema == {"type": "object", "required": ["title"], "properties": {"title": expected}}


@pytest.mark.parametrize(
    ("field", "default", "expected"),
    [
        (str | None, None, {"type": "string"}),
        (Mood, Mood.WILD, {"type": "string", "enum": ["calm", "wild"], "default": "wild"}),
        (int, 0, {"type": "integer", "default": 0}),
        (bool, False, {"type": "boolean", "default": False}),
        (list[str], [], {"type": "array", "items": {"type": "string"}, "default": []}),
        (dict[str, int], {}, {"type": "object", "additionalProperties": {"type": "integer"}, "default": {}}),
        (Any, None, ANYTHING),
    ],
    ids=str,
)
def test_what_has_a_default_is_not_required(field, default, expected):
    assert structural(model(default, it=field)) == {"type": "object", "properties": {"it": expected}}


def test_a_default_that_is_made_when_it_is_needed_is_not_the_apis():
    made = model(pydantic.Field(default_factory=list), it=list[str])
    assert structural(made)["properties"]["it"] == {"type": "array", "items": {"type": "string"}}


class Endless(Schema):
    more: list[Endless]


@pytest.mark.parametrize(
    ("field", "said"),
    [
        (int | str, "Model.it: a choice of 2 types"),
        (Inner | Endless, "Model.it: a choice of 2 types"),
        (Literal["a", 1], "Model.it: values of several types"),
        (tuple[int, str], "Model.it: tuple has no place in a structural schema"),
        (dict[Mood, int], "Model.it: a mapping's keys are plain text in a structural schema"),
        (list[dict[str, int | str]], r"Model.it\[\].\*: a choice of 2 types"),
        (Endless, r"Model.it.more\[\]: Endless is within itself, without end"),
        (
            Annotated[str, pydantic.Field(json_schema_extra={"kubernetes-x-typo": True})],
            "Model.it: kubernetes-x-typo has no place in a structural schema",
        ),
    ],
    ids=str,
)
def test_what_no_structural_schema_can_say_is_an_error_with_its_place(field, said):
    with pytest.raises(TypeError, match=said):
        structural(model(it=field))


def test_a_definition_may_leave_pieces_unchecked():
    class Piece(Schema, piece=True):
        known: int

    it = model(it=Affinity), {"it": {"type": "object"} | ANYTHING}
    for made, properties in (it, (model(it=Piece), it[1])):
        assert structural(made, pieces=False)["properties"] == properties
        assert structural(made)["properties"] != properties


@pytest.mark.parametrize("stored", [[], [True, True], [False]])
def test_one_version_is_stored(stored):
    versions = [Version(f"v{n}", Inner, storage=each) for n, each in enumerate(stored, 1)]
    with pytest.raises(ValueError, match="Pet: one version is stored, no more and no less"):
        definition(Names("Pet", "pets", "test.kubeflow.org"), versions)


class Port(Schema):
    name: str
    protocol: Literal["TCP", "UDP"] = "TCP"
    number: Annotated[int, pydantic.Field(ge=1, le=65535)]


class PetSpec(Schema, keywords=rules(("self.least <= self.replicas", "fewer than least"))):
    """What is asked for."""

    replicas: Annotated[int, pydantic.Field(ge=0)] = 1
    least: int = 0
    mood: Mood = Mood.CALM
    nick: Annotated[str, pydantic.Field(pattern="^[a-z]*$", max_length=5)] | None = None
    size: IntOrString = "1"
    tags: dict[str, str] | None = None
    ports: Annotated[list[Port], keyed("name", "protocol")] | None = None
    toys: set[str] | None = None
    template: PodTemplate | None = None
    affinity: Affinity | None = None
    rest: Embedded | None = None
    food: Quantity | None = None
    born: Annotated[str, pydantic.Field(json_schema_extra={"format": "date-time"})] | None = None
    mother: str | None = pydantic.Field(default="none")
    friend: Annotated[str, pydantic.Field(json_schema_extra=rules(("self != 'dog'", "no dogs")))] | None = (
        None
    )


class PetStatus(Schema):
    replicas: int | None = None
    phase: str | None = None
    selector: str | None = None


class Pet(Schema):
    """An animal."""

    spec: PetSpec
    status: PetStatus | None = None


class OldPet(Schema):
    spec: Embedded | None = None


COLUMNS = (
    Column("Mood", "string", ".spec.mood", description="how it is"),
    Column("Age", "date", ".metadata.creationTimestamp", priority=1),
)


def pets(group: str = "test.kubeflow.org", **others: Any) -> Manifest:
    """Return a definition with everything in it."""
    names = Names("Pet", "pets", group, short=("pt",), categories=("zoo",))
    scale = Scale(selector=".status.selector")
    versions = [
        Version("v1", Pet, storage=True, columns=COLUMNS, scale=scale),
        Version("v1beta1", Pet),
        Version("v1alpha1", OldPet, served=False, status=False),
    ]
    return definition(names, versions, **others)


def test_the_same_models_give_the_same_bytes_in_another_process():
    script = "import json, test_crds; print(json.dumps(test_crds.pets()))"
    found = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": __file__.rpartition("/")[0]},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(found) == 1


@pytest.fixture(scope="module")
def established(client: lightkube.Client) -> Iterator[Manifest]:
    """The definition of pets, as the API server has it once it has looked at it."""
    manifest = pets(f"test-{uuid.uuid4().hex[:8]}.kubeflow.org")
    client.apply(CRD(manifest), field_manager="test", force=True)
    yield _once_established(client, manifest)
    client.delete(CRD, manifest["metadata"]["name"])


def resource(manifest: Manifest) -> Any:
    """Return what reads and writes the pets of a definition."""
    return create_namespaced_resource(manifest["spec"]["group"], "v1", "Pet", "pets")


@tenacity.retry(stop=tenacity.stop_after_delay(PATIENCE), wait=tenacity.wait_fixed(0.05), reraise=True)
def _once_established(client: lightkube.Client, manifest: Manifest) -> Manifest:
    live = client.get(CRD, manifest["metadata"]["name"])
    conditions = {each["type"]: each["status"] for each in live["status"]["conditions"]}
    assert conditions["Established"] == "True"
    list(client.list(resource(manifest), namespace="default"))
    return live


@pytest.fixture
def create(client: lightkube.Client, established: Manifest) -> Callable[[Any], Any]:
    """Have the API server check a pet, and return the spec that it would store."""

    def create(spec: Any) -> Any:
        pet = resource(established).from_dict({"metadata": {"name": "rex"}, "spec": spec})
        return dict(client.create(pet, namespace="default", dry_run=True)["spec"])

    return create


def test_the_api_server_finds_nothing_to_say_against_the_schema(established):
    conditions = {each["type"]: each["status"] for each in established["status"]["conditions"]}
    assert conditions == {"NamesAccepted": "True", "Established": "True"}
    assert established["status"]["acceptedNames"]["shortNames"] == ["pt"]
    assert established["status"]["acceptedNames"]["categories"] == ["zoo"]


def test_the_api_server_keeps_every_version_as_it_was_written(established):
    written, kept = pets()["spec"]["versions"], established["spec"]["versions"]
    assert kept == written


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"replicas": 0},
        {"mood": "wild", "nick": "rex"},
        {"size": 5},
        {"size": "5Gi"},
        {"tags": {"a": "b"}},
        {"ports": [{"name": "a", "number": 1}, {"name": "a", "protocol": "UDP", "number": 1}]},
        {"toys": ["ball", "bone"]},
        {"template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "a"}]}}},
        {"affinity": {"nodeAffinity": {}}},
        {"rest": {"any": {"depth": None}}},
        {"food": "1.5Gi"},
        {"born": "2026-11-23T20:00:00Z"},
        {"friend": "cat"},
        {"replicas": 3, "least": 3},
    ],
    ids=str,
)
def test_what_the_model_allows_the_api_server_takes_and_keeps(create, spec):
    kept = create(spec)
    assert spec.items() <= kept.items() or "ports" in spec


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"replicas": -1}, "spec.replicas: Invalid value: -1"),
        ({"replicas": "1"}, "spec.replicas: Invalid value: "),
        ({"replicas": 1.5}, "spec.replicas: Invalid value: "),
        ({"mood": "sad"}, 'spec.mood: Unsupported value: "sad"'),
        ({"nick": "Rex"}, "spec.nick: Invalid value: "),
        ({"nick": "rexrex"}, "spec.nick: Too long"),
        ({"size": 1.5}, "spec.size: Invalid value: "),
        ({"tags": {"a": 1}}, "spec.tags.a: Invalid value: "),
        ({"ports": [{"name": "a"}]}, "spec.ports[0].number: Required value"),
        ({"ports": [{"name": "a", "number": 70000}]}, "spec.ports[0].number: Invalid value: 70000"),
        ({"ports": {"name": "a"}}, "spec.ports: Invalid value: "),
        ({"template": {"spec": "x"}}, "spec.template.spec: Invalid value: "),
        ({"affinity": "x"}, "spec.affinity: Invalid value: "),
        ({"rest": "x"}, "spec.rest: Invalid value: "),
        ({"food": "2.0GB"}, "spec.food: Invalid value: "),
        ({"born": "yesterday"}, "spec.born: Invalid value: "),
        ({"friend": "dog"}, "no dogs"),
        ({"replicas": 1, "least": 2}, "fewer than least"),
        ({"toys": ["ball", "ball"]}, 'spec.toys[1]: Duplicate value: "ball"'),
        ({"ports": [{"name": "a", "number": 1}] * 2}, "spec.ports[1]: Duplicate value"),
        (None, "spec: Required value"),
        ([], "spec: Invalid value"),
    ],
    ids=str,
)
def test_what_the_model_does_not_allow_the_api_server_refuses_and_says_where(create, spec, said):
    with pytest.raises(ApiError) as error:
        create(spec)
    assert error.value.status.code == 422
    assert said in error.value.status.message


def test_defaults_are_filled_in_by_the_api_server(create):
    filled = {"replicas": 1, "least": 0, "mood": "calm", "size": "1", "mother": "none"}
    assert create({}) == filled
    assert create({"ports": [{"name": "a", "number": 1}]})["ports"] == [
        {"name": "a", "number": 1, "protocol": "TCP"}
    ]


def test_null_for_what_is_optional_is_as_good_as_nothing(create):
    kept = create({"nick": None, "mother": None, "replicas": None})
    assert (kept.get("nick"), kept["mother"], kept["replicas"]) == (None, "none", 1)


def test_a_converter_is_written_with_its_authority():
    converter = Converter("hook", "mlops", "/convert", "PEM", port=8443)
    assert pets(converter=converter)["spec"]["conversion"] == {
        "strategy": "Webhook",
        "webhook": {
            "clientConfig": {
                "service": {"name": "hook", "namespace": "mlops", "path": "/convert", "port": 8443},
                "caBundle": "UEVN",
            },
            "conversionReviewVersions": ["v1"],
        },
    }


def test_the_api_server_takes_a_converter(client):
    now = datetime.datetime.now(datetime.UTC)
    ca = issuing.authority("hook", now, now + datetime.timedelta(days=1)).certificate
    names = Names("Toy", "toys", "test.kubeflow.org")
    converter = Converter("hook", "mlops", "/convert", ca)
    document = definition(names, [Version("v1", Pet, storage=True)], converter=converter)
    kept = client.apply(CRD(document), field_manager="test", dry_run=True)
    assert kept["spec"]["conversion"] == document["spec"]["conversion"]


@pytest.mark.parametrize(("namespaced", "scope"), [(True, "Namespaced"), (False, "Cluster")])
def test_the_scope_is_what_was_asked_for(namespaced, scope):
    assert pets(namespaced=namespaced)["spec"]["scope"] == scope
