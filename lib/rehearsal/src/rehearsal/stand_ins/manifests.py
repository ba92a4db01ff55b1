"""Manifests in YAML files, with `$name` in place of values.

Values go into the parsed document, not into its text, so no value can change its structure, and a value that
stands alone keeps its type. A file is plain YAML; `$$` is a dollar sign.
"""

from __future__ import annotations

import string
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

Manifest = dict[str, Any]


def load(path: Path) -> list[Manifest]:
    """Return a file's documents; call it at the charm's import, since hooks start after the import."""
    return list(yaml.safe_load_all(path.read_text()))


def render(documents: Iterable[Manifest], values: Mapping[str, Any]) -> list[Manifest]:
    """Return copies of documents with the values filled in; KeyError if one is missing."""
    return [_filled(document, values) for document in documents]


def _filled(node: Any, values: Mapping[str, Any]) -> Any:
    match node:
        case dict():
            return {_filled(key, values): _filled(value, values) for key, value in node.items()}
        case list():
            return [_filled(item, values) for item in node]
        case str() if node[:1] == "$" and node[1:].isidentifier():
            return values[node[1:]]
        case str():
            return string.Template(node).substitute(values)
        case _:
            return node
