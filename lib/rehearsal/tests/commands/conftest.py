"""The juju command on a model of Juju without Kubernetes: as programs type it, and as people do."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import jubilant
import pytest

from rehearsal.guardian import Guardian
from rehearsal.juju.controller.engine import Engine
from rehearsal.juju.server import Server, install
from rehearsal.patience import PATIENCE

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of `juju` and `juju-exec`."""
    folder = tmp_path_factory.mktemp("bin")
    install(folder, folder / "socket")
    return folder


@pytest.fixture(scope="module")
def engine(programs: Path, tmp_path_factory: pytest.TempPathFactory, guardian: Guardian) -> Iterator[Engine]:
    """An engine behind the programs."""
    socket = programs / "socket"
    engine = Engine(
        tmp_path_factory.mktemp("e"),
        guardian,
        path=programs,
        environment={"REHEARSAL_SOCKET": str(socket)},
    )
    server = Server(engine, socket)
    engine.start()
    yield engine
    server.close()
    engine.stop()


@pytest.fixture(scope="module")
def juju(programs: Path, engine: Engine) -> jubilant.Juju:
    """Jubilant, with a model of its own for the tests of a module."""
    juju = jubilant.Juju(cli_binary=programs / "juju", wait_timeout=PATIENCE)
    juju.add_model("test")
    return juju


@pytest.fixture(scope="module")
def run(programs: Path, engine: Engine) -> Run:
    """Type a command; the answer is what it printed and its exit status."""

    def run(*words: object, input: str = "", cwd: Path | None = None, **environment: str):
        return subprocess.run(
            [programs / "juju", *map(str, words)],
            capture_output=True,
            text=True,
            check=False,
            input=input,
            cwd=cwd,
            env=os.environ | {"JUJU_MODEL": "test"} | environment,
        )

    return run


@pytest.fixture(scope="module")
def charms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the charms `web` and `store`, which a test may change."""
    folder = tmp_path_factory.mktemp("charms")
    return shutil.copytree(Path(__file__).with_name("charms"), folder / "charms")


@pytest.fixture(scope="module")
def settle(engine: Engine) -> Callable[[], None]:
    """Wait until no hook is left to run."""

    def settle() -> None:
        settled = engine.idle(PATIENCE)
        log = [f"{line.entity} {line.message}" for model in engine.models.values() for line in model.log]
        assert settled, "\n".join(log)

    return settle


@pytest.fixture(scope="module")
def web(juju: jubilant.Juju, charms: Path, settle: Callable[[], None]) -> str:
    """An application `web`, active."""
    page = charms / "page.html"
    page.write_text("<p>hello</p>")
    juju.deploy(charms / "web", resources={"image": "registry.example/web:2", "page": str(page)})
    settle()
    return "web"


@pytest.fixture(scope="module")
def store(juju: jubilant.Juju, charms: Path, settle: Callable[[], None]) -> str:
    """An application `store`, active."""
    juju.deploy(charms / "store")
    settle()
    return "store"
