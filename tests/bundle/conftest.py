"""Marks of the bundle's tests."""

from __future__ import annotations

import pytest


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "pack: packs a charm with the real charmcraft")
