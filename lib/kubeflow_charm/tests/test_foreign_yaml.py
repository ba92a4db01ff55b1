"""YAML that means harm, or nothing: a ValueError with the reason, soon, and never anything else."""

from __future__ import annotations

import pytest

from kubeflow_charm import foreign_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("- v1\n", ["v1"]),
        ("port: 8082\nprefix: /\n", {"port": 8082, "prefix": "/"}),
        ('{"a": [1, 2.5, true, null, "é"]}', {"a": [1, 2.5, True, None, "é"]}),
    ],
)
def test_yaml_and_json_are_read(text, value):
    assert foreign_yaml.load(text) == value


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[1,", "not YAML: expected the node content, but found '<stream end>' at line 1, column 4"),
        ("a: b: c", "not YAML: mapping values are not allowed here at line 1, column 5"),
        ("a: \0", "not YAML: unacceptable character #x0000: special characters are not allowed"),
        ("\ud800", "not YAML: unacceptable character #xd800"),
        ("- 1\n---\n- 2\n", "not YAML: but found another document"),
        ("? [a]\n: b", "not YAML: found unhashable key"),
        ("a: &x [1]\nb: *x", "not YAML: aliases (*name) are not allowed"),
        ("&a [*a]", "not YAML: aliases (*name) are not allowed"),
        ("!!python/object:os.system x", "not YAML: could not determine a constructor"),
        ("!!bool maybe", "not YAML: 'maybe'"),
        ("!!int ''", "not YAML: string index out of range"),
        ("!!timestamp x", "not YAML: 'NoneType' object has no attribute"),
        ("2020-13-45", "not YAML: month must be in 1..12"),
        ("9" * 5000, "not YAML: Exceeds the limit"),
        ("1:" * 300 + "1.0", "not YAML: int too large to convert to float"),
        ("[" * 60_000, "not YAML: nested too deeply"),
        ("{a: " * 15_000, "not YAML: nested too deeply"),
        ("- " * 30_000, "not YAML: nested too deeply"),
        (" " * 65_537, "longer than 65536 characters"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_everything_else_is_a_value_error_with_the_reason(text, reason):
    with pytest.raises(ValueError) as error:
        foreign_yaml.load(text)
    assert str(error.value).startswith(reason)
