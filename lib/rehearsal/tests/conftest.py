"""Fixtures for the tests of the model of Juju, and of the real node."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from juju_model import Juju

from rehearsal.guardian import Guardian
from rehearsal.juju.charm_process.zygote import Zygote
from rehearsal.juju.controller.engine import Engine
from rehearsal.node import machine


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


@pytest.fixture
def able(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine that has everything, in a folder: programs, plugins and cgroups of version 1."""
    for folder, names in (("bin", machine.PROGRAMS), ("cni", machine.PLUGINS)):
        (tmp_path / folder).mkdir()
        for name in names:
            (tmp_path / folder / name).write_text("#!/bin/sh\n")
            (tmp_path / folder / name).chmod(0o755)
    (tmp_path / "cgroups" / "memory").mkdir(parents=True)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(machine, "_SYSTEM", str(tmp_path / "sbin"))
    monkeypatch.setattr(machine, "_PLUGIN_FOLDERS", (str(tmp_path / "none"), str(tmp_path / "cni")))
    monkeypatch.setattr(machine, "CGROUPS", tmp_path / "cgroups")
    return tmp_path
