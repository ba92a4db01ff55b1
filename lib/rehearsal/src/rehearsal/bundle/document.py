"""YAML files whose every value knows its line and column."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
Path_ = tuple[str | int, ...]


@dataclass(frozen=True, order=True)
class Finding:
    """Something wrong in a file."""

    file: str
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.message}"


@dataclass
class Document:
    """What a file says, and where."""

    file: str
    value: Any = None
    places: dict[Path_, tuple[int, int]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def finding(self, path: Path_, message: str) -> Finding:
        """Return a finding at a path; where it is not in the file, at the nearest thing above it."""
        while path and path not in self.places:
            path = path[:-1]
        line, column = self.places.get(path, (1, 1))
        return Finding(self.file, line, column, message)


def load(path: Path, shown: str = "") -> Document:
    """Read a file; what is no YAML, or has a key twice, is among the document's findings."""
    document = Document(shown or str(path))
    try:
        text = path.read_text()
    except OSError as error:
        document.findings.append(Finding(document.file, 1, 1, f"cannot be read: {error.strerror}"))
        return document
    try:
        node = yaml.compose(text, Loader=_Loader)
        if node is not None:
            document.value = _value(document, node, ())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        said = f"not YAML: {error.problem or error.context}"
        document.findings.append(Finding(document.file, line, column, said))
    except yaml.YAMLError as error:
        document.findings.append(Finding(document.file, 1, 1, f"not YAML: {error}"))
    return document


def _value(document: Document, node: yaml.Node, path: Path_) -> Any:
    mark = node.start_mark
    document.places.setdefault(path, (mark.line + 1, mark.column + 1))
    if isinstance(node, yaml.MappingNode):
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value)
            here = (*path, key)
            if key in found:
                mark = key_node.start_mark
                said = f'"{key}" is there twice'
                document.findings.append(Finding(document.file, mark.line + 1, mark.column + 1, said))
            document.places[here] = (key_node.start_mark.line + 1, key_node.start_mark.column + 1)
            found[key] = _value(document, value_node, here)
        return found
    if isinstance(node, yaml.SequenceNode):
        return [_value(document, item, (*path, number)) for number, item in enumerate(node.value)]
    return yaml.safe_load(yaml.serialize(node))
