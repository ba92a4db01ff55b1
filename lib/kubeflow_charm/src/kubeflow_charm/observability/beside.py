"""Files that operators may put beside a charm's own: whatever they are, a hook goes on.

The file with the charm's name is its own; it comes first.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

LIMIT = 1024 * 1024
"""Bytes of a file that we read: large dashboards have some hundred thousand."""


def files(folder: Path, charm: str) -> list[Path]:
    """Return everything in a folder that is not hidden, the charm's own first; nothing without a folder."""
    found = sorted(path for path in folder.glob("*") if not path.name.startswith("."))
    return sorted(found, key=lambda path: is_operators(path, charm))


def is_operators(path: Path, charm: str) -> bool:
    """Return whether a file in a charm's folder is an operator's."""
    return path.name != f"{charm}.yaml"


def text(path: Path, suffixes: Iterable[str]) -> str:
    """Return what is in a file.

    Raises:
        ValueError: with the reason: it is called otherwise, too long, no file or no text.
        OSError: if it cannot be read.
    """
    path.name.encode()  # a name that is no text reaches no relation
    if path.suffix not in suffixes:
        raise ValueError(f"its name ends in none of {', '.join(suffixes)}")
    if not path.is_file():  # a pipe would never end
        raise ValueError("no file")
    if path.stat().st_size > LIMIT:
        raise ValueError(f"longer than {LIMIT} bytes")
    return path.read_text(encoding="utf-8")


def content(path: Path) -> bytes:
    """Return the bytes that a fingerprint is made of; none of what cannot be read."""
    try:
        return path.read_bytes() if path.is_file() and path.stat().st_size <= LIMIT else b""
    except OSError:
        return b""


def shown(path: Path) -> str:
    """Return the name of a file for a log or a status."""
    return "".join(c if c.isprintable() else "?" for c in path.name)
