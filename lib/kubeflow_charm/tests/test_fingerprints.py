"""Fingerprints in pod templates: text to YAML, and another one for another value."""

from __future__ import annotations

from pathlib import Path

from kubeflow_charm import manifests

TEMPLATE = """
apiVersion: v1
kind: ConfigMap
metadata:
  name: all
  annotations:
{% for value in values %}
    "{{ value }}": {{ value | fingerprint }}
{% endfor %}
"""


def test_a_fingerprint_is_text_whatever_its_digits_and_differs_for_another_value(tmp_path: Path) -> None:
    (tmp_path / "all.yaml.j2").write_text(TEMPLATE)
    values = range(20_000)  # ten of which would have digits only
    (document,) = manifests.render(tmp_path, {"values": values})
    found = document["metadata"]["annotations"].values()
    assert {type(each) for each in found} == {str}
    assert len(set(found)) == len(values)
