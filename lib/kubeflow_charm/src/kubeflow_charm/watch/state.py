"""The file with the objects to follow, the access to Kubernetes, and the identity of the process."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

State = dict[str, Any]
"""`watched`: the objects to follow, and the hook to ask for; `api`: the access to Kubernetes
(`apiserver.py`); `retry_after`; `logs`: what to send where (`logs/forwarding.py`), or None; `pid` and
`started` of the process."""


def read(path: Path) -> State:
    """Return the state; an empty one if the file is missing or garbage."""
    try:
        state = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return state if isinstance(state, dict) else {}


def write(path: Path, state: State) -> None:
    """Replace the state atomically. Nobody else may read it, because it may have a token."""
    scratch = path.with_suffix(".new")
    scratch.unlink(missing_ok=True)
    with open(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:  # noqa: PTH123
        json.dump(state, file)
    scratch.replace(path)


def positions(path: Path) -> Path:
    """Return the file, beside a state, that says up to where logs have been sent."""
    return path.with_name(f"{path.stem}-logs.json")


def started(pid: int) -> str:
    """Return the start of a process in clock ticks since boot; empty if it is missing or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[19]  # proc(5)


def lives(state: State) -> bool:
    """Whether the process of the state exists, and is not another process with its number."""
    pid = state.get("pid")
    return isinstance(pid, int) and bool(started(pid)) and started(pid) == state.get("started")
