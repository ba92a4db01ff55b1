"""Names in the order in which Juju prints them."""

from __future__ import annotations

import re


def natural(text: str) -> list[tuple[int, str]]:
    """Return a sort key that puts `app/10` after `app/9`."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", text)]
