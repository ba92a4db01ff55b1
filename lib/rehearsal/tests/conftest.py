"""Fixtures for the tests of the model of Juju."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from juju_model import Juju

from rehearsal.guardian import Guardian
from rehearsal.juju.charm_process.zygote import Zygote
from rehearsal.juju.controller.engine import Engine


@pytest.fixture(scope="session")
def zygote(tmp_path_factory: pytest.TempPathFactory, guardian: Guardian) -> Iterator[Zygote]:
    """The process that charms' processes are forked from, for the whole run."""
    zygote = Zygote(tmp_path_factory.mktemp("zygote"), guardian)
    yield zygote
    zygote.stop()


@pytest.fixture
def juju(tmp_path: Path, guardian: Guardian, zygote: Zygote) -> Iterator[Juju]:
    """A model without Kubernetes, whose hooks run."""
    engine = Engine(tmp_path / "e", guardian, update_status_interval=3600, zygote=zygote)
    with engine.lock:
        model = engine.add_model("test")
    engine.start()
    yield Juju(engine, model)
    engine.stop()
