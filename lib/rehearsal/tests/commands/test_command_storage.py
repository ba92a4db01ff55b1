"""Storage, as people look at it and remove it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import jubilant
import pytest

TABLE = """\
Unit     Storage ID  Type        Pool        Size     Status    Message
vault/0  data/0      filesystem  kubernetes  2.0 GiB  attached  Successfully provisioned volume {data}
vault/0  logs/1      filesystem  kubernetes  100 MiB  attached  Successfully provisioned volume {logs}
"""
MOUNTED = "vault/0       data/0      filesystem  kubernetes  /srv/data                     2.0 GiB  attached"


@pytest.fixture
def vault(juju: jubilant.Juju, charms: Path, settle: Callable[[], None]) -> Iterator[str]:
    """An application with storage in a model of its own, which is destroyed."""
    model = jubilant.Juju(cli_binary=juju.cli_binary)
    model.add_model("vaults")
    model.deploy(charms / "vault", storage={"data": "2G", "logs": "100M"})
    settle()
    yield "vaults"
    model.destroy_model("vaults", destroy_storage=True, force=True)


def claim(run: Callable, vault: str, name: str) -> str:
    said = json.loads(run("storage", "--format", "json", JUJU_MODEL=vault).stdout)
    return next(each["provider-id"] for each in said["filesystems"].values() if each["storage"] == name)


def test_it_is_listed_with_its_claim(run, vault: str) -> None:
    data, logs = (claim(run, vault, name) for name in ("data/0", "logs/1"))
    assert data.startswith("vault-data-")
    assert data.endswith("-vault-0")
    assert run("storage", JUJU_MODEL=vault).stdout == TABLE.format(data=data, logs=logs)
    assert MOUNTED in run("status", "--storage", JUJU_MODEL=vault).stdout
    assert "Storage ID" not in run("status", JUJU_MODEL=vault).stdout
    shown = json.loads(run("show-storage", "data/0", "--format", "json", JUJU_MODEL=vault).stdout)
    assert shown["data/0"]["status"]["current"] == "attached"
    assert shown["data/0"]["attachments"] == {"units": {"vault/0": {"life": "alive"}}}
    status = json.loads(run("status", "--format", "json", JUJU_MODEL=vault).stdout)
    assert set(status["storage"]["storage"]) == {"data/0", "logs/1"}


def test_without_storage_there_is_nothing_to_display(run, juju: jubilant.Juju) -> None:
    assert run("storage").stderr == "No storage to display.\n"
    assert "kubernetes  kubernetes" in run("storage-pools").stdout
    assert json.loads(run("storage-pools", "--format", "json").stdout)["kubernetes"] == {
        "provider": "kubernetes"
    }


def test_it_stays_detached_until_it_is_removed(run, settle, vault: str) -> None:
    refused = run("remove-storage", "data/0", JUJU_MODEL=vault)
    assert refused.returncode == 1
    assert refused.stderr == (
        "failed to remove data/0: storage data/0 is attached to unit vault/0: remove the unit first\n"
    )
    removed = run("remove-application", "vault", "--no-prompt", JUJU_MODEL=vault)
    assert "- will detach storage data/0\n" in removed.stdout
    settle()
    assert "data/0      filesystem  kubernetes  2.0 GiB  detached" in run("storage", JUJU_MODEL=vault).stdout
    done = run("remove-storage", "data/0", "logs/1", "data/7", "x", JUJU_MODEL=vault)
    assert (done.returncode, done.stderr) == (
        1,
        "removing data/0\nremoving logs/1\n"
        'failed to remove data/7: storage instance "data/7" not found\n'
        "failed to remove x: invalid storage id x\n",
    )
    assert run("storage", JUJU_MODEL=vault).stdout == ""


def test_it_goes_with_the_application_if_told(run, settle, vault: str) -> None:
    removed = run("remove-application", "vault", "--destroy-storage", "--no-prompt", JUJU_MODEL=vault)
    assert "- will remove storage logs/1\n" in removed.stdout
    settle()
    assert run("storage", JUJU_MODEL=vault).stdout == ""


def test_a_model_with_storage_is_not_destroyed_by_chance(run, vault: str) -> None:
    refused = run("destroy-model", "--no-prompt", vault)
    assert refused.returncode == 1
    assert f'ERROR cannot destroy model "{vault}"' in refused.stderr
    assert "2 volumes and 2 filesystems" in refused.stderr
    assert '"--destroy-storage" option' in refused.stderr
    assert run("status", JUJU_MODEL=vault).returncode == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["data=1X"], 'unrecognized storage directive "1X" in "1X"'),
        (["data=fast"], 'pool "fast" not found'),
        (["other=1G"], 'charm "vault" has no store called "other"'),
        (["logs=50M"], 'charm "vault" store "logs": minimum storage size is 100MB, 50MB specified'),
        (["data"], 'expected key=value, got "data"'),
        (["data=1G", "data=2G"], 'storage "data" specified more than once'),
    ],
)
def test_what_cannot_be_is_refused(
    run, juju: jubilant.Juju, charms: Path, words: list[str], message: str
) -> None:
    asked = [part for word in words for part in ("--storage", word)]
    done = run("deploy", charms / "vault", *asked)
    assert done.returncode
    assert f"ERROR {message}\n" in done.stderr
    assert "vault" not in juju.status().apps


def test_a_refresh_keeps_what_is_used(run, charms: Path, vault: str, tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "charm.py").write_text((charms / "vault" / "src" / "charm.py").read_text())
    (tmp_path / "charmcraft.yaml").write_text("name: vault\ntype: charm\nsummary: s\ndescription: d\n")
    done = run("refresh", "vault", "--path", tmp_path, JUJU_MODEL=vault)
    assert done.returncode == 1
    assert 'ERROR cannot upgrade application "vault" to charm "vault": in-use storage "' in done.stderr
