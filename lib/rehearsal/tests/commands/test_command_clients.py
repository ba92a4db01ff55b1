"""Clients as they come from PyPI, in an environment of their own: pytest-jubilant, and what jubilant's users write.

A test suite like those that charm authors have runs as they run it: `pytest`, with `juju` on PATH.
"""

from __future__ import annotations

import os
import subprocess
import textwrap
from pathlib import Path

import pytest
import uv

PYTEST_JUBILANT = "pytest-jubilant==2.3.0"
SUITE = """
import jubilant
import pytest

CHARMS = {charms!r}


def all_idle_and_active(status):
    return jubilant.all_active(status) and jubilant.all_agents_idle(status)


@pytest.fixture(scope="module")
def shop(juju_factory):
    return juju_factory.get_juju("shop")


@pytest.mark.juju_setup
def test_deploy(juju: jubilant.Juju):
    resources = {{"image": "registry.example/web:2", "page": CHARMS + "/page.html"}}
    juju.deploy(CHARMS + "/web", resources=resources, config={{"workers": 4}}, trust=True)
    juju.deploy(CHARMS + "/store", num_units=2)
    juju.wait(all_idle_and_active, error=jubilant.any_error, timeout=120, delay=0.1, successes=2)


def test_status(juju: jubilant.Juju):
    status = juju.status()
    assert set(status.apps) == {{"web", "store"}}
    assert set(status.apps["store"].units) == {{"store/0", "store/1"}}
    assert any(unit.leader for unit in status.get_units("store").values())
    assert status.model.type == "caas"


def test_integrate_and_config(juju: jubilant.Juju):
    juju.integrate("web:db", "store:db")
    juju.wait(lambda status: "db" in status.apps["web"].relations, delay=0.1)
    juju.config("web", {{"workers": 5}})
    assert juju.config("web")["workers"] == 5
    juju.config("web", reset="workers")
    with pytest.raises(jubilant.CLIError):
        juju.config("web", {{"nothing": 1}})


def test_model_config_and_logs(juju: jubilant.Juju):
    juju.model_config({{"update-status-hook-interval": "10s"}})
    assert juju.model_config()["update-status-hook-interval"] == "10s"
    juju.model_config(reset="update-status-hook-interval")
    assert "hook" in juju.debug_log(limit=50)


def test_secrets(juju: jubilant.Juju):
    uri = juju.add_secret("password", {{"username": "ada", "password": "sesame"}})
    juju.grant_secret(uri, "web")
    revealed = juju.show_secret(uri, reveal=True)
    assert revealed.content == {{"username": "ada", "password": "sesame"}}
    juju.remove_secret(uri)


def test_two_models_and_an_offer(juju: jubilant.Juju, shop: jubilant.Juju):
    juju.offer("store", endpoint="second", name="shelf")
    shop.deploy(CHARMS + "/vault")
    shop.wait(jubilant.all_agents_idle, delay=0.1)
    shop.consume(f"{{juju.model}}.shelf")
    assert "shelf" in shop.status().app_endpoints
    shop.cli("remove-saas", "shelf")


def test_scale(juju: jubilant.Juju):
    juju.add_unit("store")
    juju.wait(lambda status: len(status.apps["store"].units) == 3, delay=0.1)
    juju.remove_unit("store", num_units=2)
    juju.wait(lambda status: len(status.apps["store"].units) == 1, delay=0.1)


def test_wait_gives_up_with_the_status(juju: jubilant.Juju):
    with pytest.raises(TimeoutError, match="store"):
        juju.wait(lambda status: False, timeout=0.3, delay=0.1)


def test_temporary_model(juju: jubilant.Juju):
    with jubilant.temp_model() as other:
        assert other.model != juju.model
        assert other.status().apps == {{}}


@pytest.mark.juju_teardown
def test_remove(juju: jubilant.Juju):
    juju.remove_application("web", destroy_storage=True)
    juju.wait(lambda status: "web" not in status.apps, delay=0.1)
"""


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory, charms: Path) -> Path:
    """A suite of tests as a charm's author writes it."""
    (charms / "page.html").write_text("<p>hello</p>")
    folder = tmp_path_factory.mktemp("suite")
    (folder / "test_shop.py").write_text(textwrap.dedent(SUITE.format(charms=str(charms))))
    return folder


def test_a_suite_with_pytest_jubilant_passes(programs: Path, engine: object, suite: Path) -> None:
    run = [uv.find_uv_bin(), "run", "--quiet", "--no-project", "--with", PYTEST_JUBILANT, "--with", "pytest"]
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("JUJU", "PYTEST"))}
    environment["PATH"] = f"{programs}{os.pathsep}{environment['PATH']}"
    done = subprocess.run(
        [*run, "pytest", "-q", "-p", "no:cacheprovider", "--juju-dump-logs", "logs", "."],
        cwd=suite,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "10 passed" in done.stdout
    assert list((suite / "logs").iterdir())
