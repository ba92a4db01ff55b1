"""Values in manifests, whoever wrote them."""

from __future__ import annotations

from pathlib import Path

import pytest

from rehearsal.stand_ins.manifests import Manifest, load, render


@pytest.fixture
def manifest(tmp_path: Path) -> list[Manifest]:
    path = tmp_path / "manifest.yaml"
    path.write_text("kind: A\nspec: {one: $one, text: 'a $one b', dollar: $$5}\n---\nkind: B\n$one: [$one]\n")
    return load(path)


def test_a_value_alone_keeps_its_type_and_one_in_a_text_becomes_text(manifest):
    assert render(manifest, {"one": 1}) == [
        {"kind": "A", "spec": {"one": 1, "text": "a 1 b", "dollar": "$5"}},
        {"kind": "B", 1: [1]},
    ]


@pytest.mark.parametrize("value", ["x\nkind: Secret", "{}", "$one", "'", "\x00", "- a: b", "{{ one }}"])
def test_no_value_changes_the_structure(manifest, value):
    first, _ = render(manifest, {"one": value})
    assert first["spec"]["one"] == value
    assert first["spec"]["text"] == f"a {value} b"
    assert first.keys() == {"kind", "spec"}


def test_a_missing_value_is_an_error(manifest):
    with pytest.raises(KeyError, match="one"):
        render(manifest, {})


def test_what_is_rendered_can_be_changed(manifest):
    render(manifest, {"one": 1})[0]["spec"]["one"] = 2
    assert render(manifest, {"one": 1})[0]["spec"]["one"] == 1
