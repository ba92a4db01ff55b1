"""How overlays are merged into a bundle, and which file a finding is in."""

from __future__ import annotations

from pathlib import Path

import pytest

from rehearsal import yaml_document as document
from rehearsal.juju.bundle import merge

BUNDLE = """\
bundle: kubernetes
applications:
  web:
    charm: ./web
    scale: 1
    trust: true
    options: {port: 80, title: first}
  store: {charm: ./store}
relations:
  - [web:db, store:db]
  - [store:peer, web]
"""


@pytest.fixture
def merged(tmp_path: Path):
    """Merge overlays into the bundle above."""

    def merged(*overlays: str) -> merge.Merged:
        paths = [tmp_path / "bundle.yaml", *(tmp_path / f"{n}.yaml" for n in range(1, len(overlays) + 1))]
        for path, text in zip(paths, (BUNDLE, *overlays), strict=True):
            path.write_text(text)
        return merge.files(paths)

    return merged


def said(found: merge.Merged) -> list[str]:
    return [f"{Path(f.file).name}:{f.line}:{f.column}: {f.message}" for f in found.findings]


OVERLAYS = {
    "a scalar replaces": ("{web: {scale: 3}}", "web", {"scale": 3}),
    "an option is added": (
        "{web: {options: {debug: true}}}",
        "web",
        {"options": {"port": 80, "title": "first", "debug": True}},
    ),
    "an option replaces": (
        "{web: {options: {port: 81}}}", "web", {"options": {"port": 81, "title": "first"}}
    ),
    "an option that is null is unset": (
        "{web: {options: {port: null}}}", "web", {"options": {"title": "first"}}
    ),
    "options that are null are all unset": ("{web: {options: null}}", "web", {"options": {}}),
    "a new application": ("{more: {charm: more}}", "more", {"charm": "more"}),
}  # fmt: skip


@pytest.mark.parametrize(("overlay", "name", "expected"), OVERLAYS.values(), ids=OVERLAYS)
def test_an_overlay_changes_what_it_says(merged, overlay: str, name: str, expected: dict):
    found = merged(f"applications: {overlay}\n")
    assert said(found) == []
    assert expected.items() <= found.applications[name].items()
    assert found.applications["store"] == {"charm": "./store"}


def test_an_application_that_is_null_goes_with_its_relations(merged):
    found = merged("applications: {store: null}\n")
    assert set(found.applications) == {"web"}
    assert found.relations == []


def test_relations_of_an_overlay_are_added(merged):
    found = merged("relations: [[web, more]]\n")
    assert [ends for ends, _, _ in found.relations] == [
        ["web:db", "store:db"],
        ["store:peer", "web"],
        ["web", "more"],
    ]


def test_later_overlays_win(merged):
    found = merged("applications: {web: {scale: 2}}\n", "applications: {web: {scale: 3}}\n")
    assert found.applications["web"]["scale"] == 3


def test_a_charm_is_relative_to_the_file_that_names_it(merged):
    found = merged("applications: {web: {scale: 2}}\n", "applications: {store: {charm: ./new}}\n")
    assert found.origin("web", "charm").path.name == "bundle.yaml"
    assert found.origin("store", "charm").path.name == "2.yaml"


def test_a_finding_is_in_the_file_that_says_the_value(merged):
    found = merged("applications:\n  web:\n    options:\n      port: 81\n")
    changed = found.finding("web", "options", "port", message="no")
    kept = found.finding("web", "options", "title", message="no")
    assert (Path(changed.file).name, changed.line, changed.column) == ("1.yaml", 4, 7)
    assert (Path(kept.file).name, kept.line, kept.column) == ("bundle.yaml", 7, 25)


@pytest.mark.parametrize(
    ("directive", "expected"), [("include-file://", "ä\n"), ("include-base64://", "w6QK")]
)
def test_an_option_can_be_a_file(merged, tmp_path: Path, directive: str, expected: str):
    (tmp_path / "title.txt").write_text("ä\n", encoding="utf-8")
    found = merged(f"applications: {{web: {{options: {{title: '{directive}title.txt'}}}}}}\n")
    assert said(found) == []
    assert found.applications["web"]["options"]["title"] == expected


def test_an_anchor_serves_several_applications(merged):
    found = merged(
        "variables: {own: &own {scale: 2, trust: true}}\n"
        "applications:\n  web:\n    <<: *own\n    scale: 4\n  store:\n    <<: *own\n"
    )
    assert said(found) == []
    assert (found.applications["web"]["scale"], found.applications["store"]["scale"]) == (4, 2)


def test_what_is_wrong_in_bundle_and_overlay_is_said_of_both(merged, tmp_path: Path):
    found = merged("applications: {web: {scale: many, optinos: {}}}\n", "relation: []\n")
    assert sorted(said(found)) == [
        '1.yaml:1:22: "scale": expected a valid integer',
        '1.yaml:1:35: key "optinos" has no effect: Juju does not know it',
        '2.yaml:1:1: key "relation" has no effect: Juju does not know it',
    ]
    assert found.applications["web"]["scale"] == 1


def test_a_broken_overlay_leaves_nothing_to_say_of_the_rest(merged):
    found = merged("applications: [\n")
    assert not found.whole
    assert len(found.findings) == 1


def test_a_file_that_is_not_there(tmp_path: Path):
    (finding,) = merge.files([tmp_path / "bundle.yaml"]).findings
    assert str(finding) == f"{tmp_path}/bundle.yaml:1:1: cannot be read: No such file or directory"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: 1\nb: [x, {c: yes}]\n", {"a": 1, "b": ["x", {"c": True}]}),
        ("a: '1'\nb: 1.5\nc: ~\n", {"a": "1", "b": 1.5, "c": None}),
        ("1: a\n", {"1": "a"}),
        ("x: &x {p: 1, q: 2}\ny: {<<: *x, p: 3}\n", {"x": {"p": 1, "q": 2}, "y": {"p": 3, "q": 2}}),
        ("", None),
    ],
)
def test_a_document_is_read_as_yaml(text: str, value: object):
    (read,) = document.parse_all(text, Path("x.yaml"))
    assert read.findings == []
    assert read.value == value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: b: c", "1:5: not YAML: mapping values are not allowed in this context"),
        ("a: *b", "1:4: not YAML: found undefined alias"),
        ("a: &a [*a]", "1:4: an alias of what it is part of"),
        ("[a]: b", "1:1: expected a key that is a word"),
        ("a: !secret b", "1:4: not YAML: could not determine a constructor for the tag '!secret'"),
        ("a: 1\nb: \x00", "2:1: not YAML: control characters are not allowed"),
        ("<<: a", '1:5: expected a mapping after "<<"'),
    ],
)
def test_a_document_that_is_refused(text: str, expected: str):
    (read,) = document.parse_all(text, Path("x.yaml"))
    assert [str(finding) for finding in read.findings] == [f"x.yaml:{expected}"]
