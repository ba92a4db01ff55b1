"""The unit of all times: what importing the libraries of every charm takes here and now."""

from __future__ import annotations

import pytest
from benchmarks.importing import LIBRARIES, imported


@pytest.fixture(scope="session")
def unit() -> float:
    """CPU seconds that the libraries of every charm take to import: the unit of the ratios."""
    return min(imported(LIBRARIES)[0] for _ in range(6))
