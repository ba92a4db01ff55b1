"""Read YAML files and keep the line and column of every value."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

Place = tuple[str | int, ...]
"""The place of a value in a document: the keys and indexes that lead to it."""

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MERGE = "tag:yaml.org,2002:merge"


@dataclass(frozen=True, order=True)
class Finding:
    """An error in a file, or what its author may not have meant; lines and columns count from 1."""

    file: str
    line: int
    column: int
    message: str
    warning: bool = False

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.message}"


@dataclass
class Document:
    """The content of a file, with the place of each value.

    Attributes:
        path: the file, as named.
        value: mappings, lists and scalars; None if the file is empty or not YAML.
        places: line and column of every value; for a value in a mapping, those of its key.
        findings: YAML errors and duplicate keys.
    """

    path: Path
    value: Any = None
    places: dict[Place, tuple[int, int]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def finding(self, place: Iterable[str | int], message: str, *, warning: bool = False) -> Finding:
        """Return a finding at a place, or at the nearest parent that is in the file."""
        place = tuple(place)
        while place and place not in self.places:
            place = place[:-1]
        return Finding(str(self.path), *self.places.get(place, (1, 1)), message, warning)

    def refuse(self, at: tuple[int, int], message: str) -> None:
        """Add a finding at a line and column."""
        self.findings.append(Finding(str(self.path), *at, message))


def load(path: Path) -> Document:
    """Read a file with one document; put its errors into the document's findings."""
    first, *more = load_all(path)
    if more:
        first.refuse(more[0].places.get((), (1, 1)), "a second document")
    return first


def load_all(path: Path) -> list[Document]:
    """Read a file with one document or more; put their errors into their findings."""
    document = Document(path)
    try:
        return parse_all(path.read_text(encoding="utf-8"), path)
    except OSError as error:
        document.refuse((1, 1), f"cannot be read: {error.strerror}")
    except UnicodeDecodeError:
        document.refuse((1, 1), "not YAML: expected UTF-8")
    return [document]


def parse_all(text: str, path: Path) -> list[Document]:
    """Parse a text into documents, at least one; findings name them `path`."""
    found = [Document(path)]
    document = found[0]
    try:
        loader = _Loader(text)
        while loader.check_node():
            if document.places:
                document = Document(path)
                found.append(document)
            document.value = _Reader(document, loader).read(loader.get_node(), (), ())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        at = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        document.refuse(at, _explained(error))
    except yaml.reader.ReaderError as error:
        at = (text.count("\n", 0, error.position) + 1, 1)
        document.refuse(at, f"not YAML: {error.reason}")
    return found


def _explained(error: yaml.MarkedYAMLError) -> str:
    """Return the parser's error in one line."""
    said = f"not YAML: {' '.join(str(error.problem or '').split())}"
    context = " ".join(str(error.context or "").split())
    return f"{said}, {context}" if context else said


def _start(node: yaml.Node) -> tuple[int, int]:
    return node.start_mark.line + 1, node.start_mark.column + 1


class _Reader:
    """Turns nodes into values and records their places."""

    def __init__(self, document: Document, loader: Any):
        self._document = document
        self._loader = loader

    def read(self, node: yaml.Node, place: Place, above: tuple[yaml.Node, ...]) -> Any:
        self._document.places.setdefault(place, _start(node))
        if node in above:
            self._document.refuse(_start(node), "an alias of what it is part of")
            return None
        above = (*above, node)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, place, above)
        if isinstance(node, yaml.SequenceNode):
            return [self.read(item, (*place, number), above) for number, item in enumerate(node.value)]
        return self._loader.construct_object(node)

    def _mapping(self, node: yaml.MappingNode, place: Place, above: tuple[yaml.Node, ...]) -> Any:
        found: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self._document.refuse(_start(key_node), "expected a key that is a word")
                continue
            if key_node.tag == _MERGE:
                merged = self._merged(value_node, place, above) | merged
                continue
            key = str(key_node.value)
            if key in found:
                self._document.refuse(_start(key_node), f'key "{key}" already set in this mapping')
            self._document.places[*place, key] = _start(key_node)
            found[key] = self.read(value_node, (*place, key), above)
        return merged | found

    def _merged(self, node: yaml.Node, place: Place, above: tuple[yaml.Node, ...]) -> dict[str, Any]:
        """Return the keys that `<<` merges in; if several mappings have a key, the first one wins."""
        nodes = node.value if isinstance(node, yaml.SequenceNode) else [node]
        found: dict[str, Any] = {}
        for each in nodes:
            if not isinstance(each, yaml.MappingNode):
                self._document.refuse(_start(each), 'expected a mapping after "<<"')
                continue
            found = self._mapping(each, place, above) | found
        return found
