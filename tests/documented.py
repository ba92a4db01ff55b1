"""The code that a page of the documentation shows."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"
_BLOCK = re.compile(r"(?:^ {4}.*\n|^\n(?= {4}))+", re.MULTILINE)


def cell(page: str, containing: str) -> str:
    """Return the one block of code that contains a text; blank lines are part of a block.

    Args:
        page: its path below `docs`.
        containing: a text that stands in one block only.
    """
    blocks = map(textwrap.dedent, _BLOCK.findall((DOCS / page).read_text()))
    (found,) = [block.strip() + "\n" for block in blocks if containing in block]
    return found
