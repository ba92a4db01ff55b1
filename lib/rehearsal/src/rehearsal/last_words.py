"""What a program said last, for the sentence in which users read that it has ended or does not come up."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

LEAST_SPACE = 16 << 20
"""Bytes of disk without which nothing runs."""
_FULL = re.compile(r"(?i)no space left on device|not have enough free space|don't have enough free space")
_TELLING = re.compile(r"(?i)\berr(or)?\b|fatal|panic|failed")


def is_full(text: str, folder: Path) -> bool:
    """Return whether a program failed for want of disk: it says so, or its folder has no space."""
    return bool(_FULL.search(text)) or shutil.disk_usage(folder).free < LEAST_SPACE


def telling(text: str, folder: Path, otherwise: str) -> str:
    """Return the line of a program's output that tells most.

    Args:
        text: the output.
        folder: where the program writes, in the folder for temporary files.
        otherwise: what to say if the program said nothing.
    """
    if is_full(text, folder):
        return f"no space is left for {folder}: free some, or set TMPDIR to a folder elsewhere"
    lines = [line for line in text.splitlines() if line]
    words = ([line for line in lines if _TELLING.search(line)] or lines or [otherwise])[-1]
    if words.startswith("{"):  # etcd and KWOK write JSON
        said = json.loads(words)
        words = f"{said.get('msg')}: {said.get('error') or said.get('err')}"
    return words[:400]
