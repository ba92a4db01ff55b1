"""What a control plane must know of a node that really runs pods, before that node joins."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Joining:
    """A node's side of the agreement.

    Args:
        tokens: lines for the API server's token file: `token,user,uid,"group,group"`.
        certificate: the API server's client certificate, which the kubelet accepts; PEM.
        key: its private key, PEM.
        extender: the scheduler's entry for who decides which pods the node gets.
        volumes: the folder of what pods keep in persistent volumes.
    """

    tokens: tuple[str, ...]
    certificate: Path
    key: Path
    extender: dict[str, Any]
    volumes: Path
