"""Templates become documents."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2
import pytest

from kubeflow_charm import manifests

SECRET = """\
apiVersion: v1
kind: Secret
metadata: {name: a}
data:
  key: {{ value | b64encode }}
"""
CONFIG = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: {{ value | to_json }}}
"""


def rendered(folder: Path, text: str, **values: Any) -> list[dict[str, Any]]:
    (folder / "a.yaml.j2").write_text(text)
    return manifests.render(folder, values)


def test_templates_come_in_the_order_of_their_names_and_others_do_not(tmp_path: Path) -> None:
    (tmp_path / "b.yaml.j2").write_text(SECRET)
    (tmp_path / "_part.j2").write_text("{{ not_defined }}")
    found = rendered(tmp_path, CONFIG + "---\n" + SECRET + "---\n", value="x")
    assert [item["kind"] for item in found] == ["ConfigMap", "Secret", "Secret"]
    assert found[1]["data"] == {"key": "eA=="}


@pytest.mark.parametrize(
    "value",
    [
        "x",
        "1.5",
        "yes",
        "null",
        "a: b",
        "- a",
        "{}",
        '"',
        "'",
        "\\",
        "#",
        "ü",
        "a\nb",
        "0o17",
        "\u2028",
        "<&>",
    ],
)
def test_any_text_goes_through_to_json_unchanged(tmp_path: Path, value: str) -> None:
    assert rendered(tmp_path, CONFIG, value=value)[0]["metadata"]["name"] == value


def test_fields_without_a_value_are_left_out_at_any_depth(tmp_path: Path) -> None:
    text = "{kind: A, metadata: {name: a, labels: null}, items: [{b: null, c: 0, d: '', e: false, f: []}]}"
    assert rendered(tmp_path, text) == [
        {"kind": "A", "metadata": {"name": "a"}, "items": [{"c": 0, "d": "", "e": False, "f": []}]}
    ]


def test_a_variable_that_is_not_given_is_a_bug(tmp_path: Path) -> None:
    with pytest.raises(jinja2.UndefinedError):
        rendered(tmp_path, SECRET)


@pytest.mark.parametrize(
    "text", ["text", "[]", "{kind: A}", "{metadata: {name: a}}", "{kind: A, metadata: {}}"]
)
def test_what_is_no_object_is_a_bug(tmp_path: Path, text: str) -> None:
    with pytest.raises(ValueError, match=r"a.yaml.j2: a document has no kind or no name"):
        rendered(tmp_path, text)


def test_a_fingerprint_differs_with_the_value_and_not_with_its_order(tmp_path: Path) -> None:
    text = "{kind: A, metadata: {name: {{ value | fingerprint | to_json }}}}"
    names = [
        rendered(tmp_path, text, value=value)[0]["metadata"]["name"]
        for value in ({"a": 1, "b": 2}, {"b": 2, "a": 1}, {"a": 1, "b": 3}, None)
    ]
    assert names[0] == names[1]
    assert len(set(names)) == 3
    assert all(len(name) == 16 for name in names)
