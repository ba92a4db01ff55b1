"""The code that a page of the documentation shows."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"
_BLOCK = re.compile(r"(?:^ {4}.*\n|^\n+(?= {4}))+", re.MULTILINE)


def blocks(page: Path) -> list[str]:
    """Return the blocks of code of a page as people would type them; blank lines are part of a block."""
    return [textwrap.dedent(block).strip() + "\n" for block in _BLOCK.findall(page.read_text())]


def cell(page: str, containing: str) -> str:
    """Return the one block of code that contains a text.

    Args:
        page: its path below `docs`.
        containing: a text that stands in one block only.
    """
    (found,) = [block for block in blocks(DOCS / page) if containing in block]
    return found
