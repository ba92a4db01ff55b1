"""Feast as profiles get it: a real Feast reads real PostgreSQL with exactly what was dispatched."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from conformance import servers
from kubeflow_users import Requests
from partial_bundle import written

from rehearsal.guardian import Guardian
from rehearsal.patience import until
from rehearsal.stage import Stage

ROOT = Path(__file__).parents[2]
MODEL = "kubeflow"
PARTS = (
    "kubeflow-dashboard",
    "kubeflow-profiles",
    "resource-dispatcher",
    "istio-pilot",
    "istio-ingressgateway",
)
STORES = ("registry", "offline_store", "online_store")
ODD = "p%ss/w+rd@:#?"
FEATURES = {"driver_id": [1, 2], "trips": [7, 9], "rating": [4.5, 3.25]}


def _programs() -> Path | None:
    """Return the folder of PostgreSQL's programs: Debian has them in none that is on PATH."""
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/postgres")]
    if on_path := shutil.which("postgres"):
        found.append(Path(on_path).resolve().parent)
    whole = [folder for folder in found if all((folder / name).exists() for name in ("initdb", "psql"))]
    return whole[0] if whole else None


pytestmark = pytest.mark.skipif(
    _programs() is None and (os.geteuid() != 0 or shutil.which("apt-get") is None),
    reason="PostgreSQL is not here, and cannot be installed: apt install postgresql",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for the servers, with PostgreSQL installed."""
    if _programs() is None:
        servers.install("postgresql")
    return tmp_path_factory.mktemp("feast")


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The platform's part that Feast needs, with Feast, and two profiles."""
    with Stage() as stage:
        stage.juju("add-model", MODEL)
        bundle = written(tmp_path_factory.mktemp("bundle"), PARTS)
        stage.juju("deploy", bundle, "--overlay", ROOT / "overlays/feast.yaml", "--trust")
        _settle(stage)
        yield stage


def _settle(stage: Stage) -> None:
    model = stage.engine.models[MODEL]

    def states() -> list[str]:
        return [f"{unit.name} {unit.workload.current}: {unit.workload.message}" for unit in model.units()]

    until(
        lambda: all(unit.workload.current == "active" for unit in model.units()) and stage.engine.idle(1.0),
        states,
        within=240,
    )


@pytest.fixture(scope="module")
def admin(stage: Stage) -> Iterator[Requests]:
    """The administrator, when both profiles have Feast's Secret."""
    admin = Requests(stage.cluster)
    for name in ("ada", "bob"):
        spec = {"owner": {"kind": "User", "name": f"{name}@example.com"}}
        document = {
            "apiVersion": "kubeflow.org/v1",
            "kind": "Profile",
            "metadata": {"name": name},
            "spec": spec,
        }
        admin.create("/apis/kubeflow.org/v1/profiles", document)
    for name in ("ada", "bob"):
        until(lambda name=name: _configured(admin, name))
    yield admin
    admin.close()


def _configured(admin: Requests, profile: str) -> dict[str, Any]:
    """Return the configuration in a profile's Secret; empty if there is none."""
    found = admin.find(f"/api/v1/namespaces/{profile}/secrets/feature-store-yaml")
    return yaml.safe_load(base64.b64decode(found["data"]["feature_store.yaml"])) if found else {}


@pytest.fixture(scope="module")
def databases(guardian: Guardian, folder: Path, admin: Requests) -> Iterator[servers.PostgreSql]:
    """A real PostgreSQL with the three databases and their users."""
    programs = _programs()
    assert programs
    with servers.postgresql(guardian, folder / "postgresql.log", programs) as found:
        _accounts(found, _configured(admin, "ada"))
        yield found


def _accounts(databases: servers.PostgreSql, said: dict[str, Any]) -> None:
    """Make what the configuration names, as postgresql-k8s would have."""
    for name in ("offline_store", "online_store"):
        databases.make(said[name]["database"], said[name]["user"], said[name]["password"])
    account, _, rest = said["registry"]["path"].removeprefix("postgresql://").rpartition("@")
    user, _, password = account.partition(":")
    databases.make(rest.rpartition("/")[2], user, password)


class Pod:
    """A notebook's pod with the label of Feast's PodDefault, as a process here."""

    def __init__(self, admin: Requests, profile: str, folder: Path, python: Path, address: str):
        path = f"/api/v1/namespaces/{profile}/pods"
        document = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "notebook", "labels": {"access-feast": "true"}},
            "spec": {"containers": [{"name": "notebook", "image": "example.com/notebook:1"}]},
        }
        spec = admin.create(path, document)["spec"]
        admin.delete(f"{path}/notebook")
        (container,) = spec["containers"]
        volumes = {each["name"]: each for each in spec["volumes"]}
        environment = {each["name"]: each["value"] for each in container["env"]}
        for mount in container["volumeMounts"]:
            if secret := volumes[mount["name"]].get("secret"):
                place = folder / mount["mountPath"].lstrip("/")
                place.mkdir(parents=True, exist_ok=True)
                found = admin.get(f"/api/v1/namespaces/{profile}/secrets/{secret['secretName']}")
                for key, value in found["data"].items():
                    (place / key).write_bytes(base64.b64decode(value))
        self.file = folder / environment["FEAST_FS_YAML_FILE_PATH"].lstrip("/")
        self._python, self._folder = python, folder
        # The names of the databases' Services lead to loopback: that is libpq's own way to say so.
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "PGHOSTADDR": address,
            "FEAST_USAGE": "False",
            "FEAST_FS_YAML_FILE_PATH": str(self.file),
        }

    def run(self, what: str) -> subprocess.CompletedProcess[str]:
        """Run the cell."""
        cell = Path(__file__).with_name("feast_cell.py")
        return subprocess.run(
            [self._python, cell, what, self.file],
            cwd=self._folder,
            env=self._environment,
            capture_output=True,
            text=True,
        )

    def features(self, what: str = "read") -> dict[str, Any]:
        """Return the features that the cell prints."""
        done = self.run(what)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def python(folder: Path) -> Path:
    """A Python that has Feast."""
    return servers.python_with(servers.FEAST, folder / "feast")


def test_the_web_app_is_behind_the_gateway_and_in_the_menu(admin: Requests) -> None:
    routes = {
        match["uri"]["prefix"]: [each["destination"]["host"] for each in route["route"]]
        for item in admin.items(f"/apis/networking.istio.io/v1/namespaces/{MODEL}/virtualservices")
        for route in item["spec"]["http"]
        for match in route["match"]
    }
    assert routes["/feast/"] == [f"feast-ui.{MODEL}.svc.cluster.local"]
    links = admin.get(f"/api/v1/namespaces/{MODEL}/configmaps/centraldashboard-config")["data"]["links"]
    assert [each["link"] for each in json.loads(links)["externalLinks"] if each["text"] == "Feast"] == [
        "/feast/"
    ]


def test_features_are_defined_in_one_profile_and_read_in_another(
    admin: Requests, databases: servers.PostgreSql, python: Path, tmp_path: Path
) -> None:
    ada = Pod(admin, "ada", tmp_path / "ada", python, databases.address)
    assert ada.features("define") == FEATURES
    bob = Pod(admin, "bob", tmp_path / "bob", python, databases.address)
    assert bob.features() == FEATURES


def test_rotated_credentials_reach_profiles(
    stage: Stage, admin: Requests, databases: servers.PostgreSql, python: Path, tmp_path: Path
) -> None:
    before = Pod(admin, "ada", tmp_path / "before", python, databases.address)
    stage.juju("config", "feast-online-store", f"stand-in-password={ODD}")
    until(lambda: _configured(admin, "ada")["online_store"]["password"] == ODD)
    _settle(stage)
    _accounts(databases, _configured(admin, "ada"))
    failed = before.run("read")
    assert failed.returncode != 0
    assert "password authentication failed" in failed.stdout + failed.stderr
    after = Pod(admin, "ada", tmp_path / "after", python, databases.address)
    assert after.features() == FEATURES
