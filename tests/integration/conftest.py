"""Where the integration tests run: on the rehearsal, or with --juju=real on a bootstrapped Juju."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import jubilant
import pytest
from kubectl_as import Kubectl, as_somebody

from rehearsal.stage import Stage

ROOT = Path(__file__).parents[2]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the same tests run on a real Juju."""
    parser.addoption("--juju", choices=("rehearsed", "real"), default="rehearsed")


@pytest.fixture(scope="module")
def stage(request: pytest.FixtureRequest) -> Iterator[Stage | None]:
    """The rehearsal, with its commands first on PATH; None with a real Juju."""
    if request.config.getoption("--juju") == "real":
        yield None
        return
    before = dict(os.environ)
    with Stage() as stage:
        os.environ.update(stage.environment)
        yield stage
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="module")
def juju(stage: Stage | None) -> Iterator[jubilant.Juju]:
    """A model of its own for the tests of a module. Its name is not the usual one, on purpose."""
    juju = jubilant.Juju(wait_timeout=300 if stage else 1800)
    juju.add_model("mlops")
    yield juju
    if juju.model is not None:
        juju.destroy_model("mlops", force=True, destroy_storage=True)


@pytest.fixture
def kubectl(juju: jubilant.Juju) -> Kubectl:
    """Run kubectl in the model's namespace and return what it prints."""
    return as_somebody("-n", "mlops")
