"""Render Jinja2 templates into Kubernetes objects; an undefined variable is an error."""

from __future__ import annotations

import base64
import functools
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
import yaml

from kubeflow_charm.cluster.resources import Manifest

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_SHARED = Path(__file__).parent / "templates"
"""Macros that the templates of several charms import."""


def render(folder: Path, values: Mapping[str, Any]) -> list[Manifest]:
    """Render every `*.yaml.j2` of a folder, in the order of names, and return the documents.

    Templates put a value into YAML with `| to_json`, which quotes it whatever it holds. `| b64encode` is for
    Secrets. `| fingerprint` is for an annotation on a pod template: the pods restart when the value changes.
    Null fields are left out.

    Raises:
        jinja2.TemplateError: for an undefined variable: a bug of the charm.
        ValueError: for a document that is not a Kubernetes object.
    """
    environment = _environment(folder)
    documents: list[Manifest] = []
    for name in environment.list_templates(filter_func=lambda name: name.endswith(".yaml.j2")):
        text = environment.get_template(name).render(values)
        for document in yaml.load_all(text, Loader=_Loader):
            if document is None:
                continue
            documents.append(_checked(_without_nulls(document), name))
    return documents


@functools.cache
def _environment(folder: Path) -> jinja2.Environment:
    environment = jinja2.Environment(  # noqa: S701 (YAML is not HTML)
        loader=jinja2.FileSystemLoader([folder, _SHARED]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["b64encode"] = lambda text: base64.b64encode(text.encode()).decode()
    # Jinja's own tojson escapes HTML characters, which would show in every ConfigMap.
    environment.filters["to_json"] = json.dumps
    environment.filters["fingerprint"] = _fingerprint
    return environment


def _fingerprint(value: Any) -> str:
    """Return 16 characters: a fingerprint of the value, which does not reveal a strong password.

    The first character is a letter. Otherwise one in two thousand fingerprints would have only digits. YAML
    reads those as a number, and the API server refuses a number as an annotation.
    """
    return "f" + hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:15]


def _checked(document: Any, template: str) -> Manifest:
    metadata = document.get("metadata") if isinstance(document, dict) else None
    if not (metadata and metadata.get("name") and document.get("kind")):
        raise ValueError(f"{template}: a document has no kind or no name")
    return document


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value
