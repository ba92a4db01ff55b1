"""kubectl as people type it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

Kubectl = Callable[..., str]
"""Runs kubectl with some words, and `input` if that is given; returns what it prints."""


def as_somebody(*who: str) -> Kubectl:
    """Return what runs kubectl as somebody; it raises `AssertionError` with kubectl's own words.

    Args:
        who: the options that say who asks, and in which namespace.
    """

    def run(*words: str, input: str | None = None) -> str:
        done = subprocess.run(
            ["kubectl", *who, *words], capture_output=True, text=True, input=input, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def as_user(user: str, namespace: str) -> Kubectl:
    """Return what runs kubectl as a user of the platform, in a namespace."""
    return as_somebody("-n", namespace, "--as", user, "--as-group", "system:authenticated")
