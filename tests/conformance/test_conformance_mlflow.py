"""A notebook of a profile reaches a real MLflow with nothing but what the dispatcher and its PodDefaults give it.

What is dispatched comes of the bundle with MLflow in a rehearsal, and a pod's environment of the API server, which has the
PodDefaults' webhook called. MLflow, MariaDB and the S3 server are real, on loopback; only hosts and ports are others.
"""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conformance import s3_server, servers
from kubeflow_users import Requests
from minio import Minio
from partial_bundle import PIPELINES, written

from rehearsal.guardian import Guardian
from rehearsal.patience import until
from rehearsal.stage import Stage

ROOT = Path(__file__).parents[2]
MODEL = "mlops"
ACCESS_KEY, SECRET_KEY = "12ab34", "a-secret-of-the-store"
CLIENT = """
import sys, tempfile, pathlib, mlflow
mlflow.set_experiment("conformance")
with mlflow.start_run() as run:
    mlflow.log_param("epochs", 3)
    mlflow.log_metric("loss", 0.125)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "model.txt")
        path.write_text("weights")
        mlflow.log_artifact(str(path), "model")
found = mlflow.get_run(run.info.run_id)
text = mlflow.artifacts.load_text(found.info.artifact_uri + "/model/model.txt")
print(found.data.params["epochs"], found.data.metrics["loss"], text, found.info.artifact_uri)
"""

pytestmark = pytest.mark.skipif(
    shutil.which("mariadbd") is None and (os.geteuid() != 0 or shutil.which("apt-get") is None),
    reason="MariaDB is not here, and cannot be installed: apt install mariadb-server",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For what the servers keep."""
    if shutil.which("mariadbd") is None:
        servers.install("mariadb-server")
    return tmp_path_factory.mktemp("servers")


@pytest.fixture(scope="module")
def profile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Requests]:
    """The administrator of a rehearsal with pipelines, MLflow and the profile `ada`."""
    with Stage() as stage:
        stage.juju("add-model", MODEL)
        overlay = str(ROOT / "overlays/mlflow.yaml")
        bundle = written(tmp_path_factory.mktemp("bundle"), PIPELINES)
        stage.juju("deploy", str(bundle), "--overlay", overlay, "--trust")
        stage.juju("config", "minio", f"access-key={ACCESS_KEY}", f"secret-key={SECRET_KEY}")
        admin = Requests(stage.cluster)
        units = stage.engine.models[MODEL].units
        until(lambda: all(unit.workload.current == "active" for unit in units()))
        spec = {"owner": {"kind": "User", "name": "ada@example.com"}}
        document = {
            "apiVersion": "kubeflow.org/v1",
            "kind": "Profile",
            "metadata": {"name": "ada"},
            "spec": spec,
        }
        admin.create("/apis/kubeflow.org/v1/profiles", document)
        until(lambda: _key(admin) == SECRET_KEY)
        yield admin
        admin.close()


def _key(admin: Requests) -> str:
    found = admin.find("/api/v1/namespaces/ada/secrets/mlflow-server-minio-artifact")
    return base64.b64decode(found["data"]["AWS_SECRET_ACCESS_KEY"]).decode() if found else ""


@pytest.fixture(scope="module")
def environment(profile: Requests) -> dict[str, str]:
    """What is in the environment of a pod with the labels that the two PodDefaults ask for."""
    labels = {"access-minio": "true", "mlflow-server-minio": "true"}
    document = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "notebook", "labels": labels},
        "spec": {"containers": [{"name": "notebook", "image": "example.com/notebook:1"}]},
    }
    path = "/api/v1/namespaces/ada/pods"
    (container,) = profile.create(path, document)["spec"]["containers"]
    profile.delete(f"{path}/notebook")
    return {each["name"]: _value(profile, each) for each in container["env"]}


def _value(admin: Requests, variable: dict[str, Any]) -> str:
    """Return what the kubelet would put there."""
    if "valueFrom" not in variable:
        return variable["value"]
    reference = variable["valueFrom"]["secretKeyRef"]
    secret = admin.get(f"/api/v1/namespaces/ada/secrets/{reference['name']}")
    return base64.b64decode(secret["data"][reference["key"]]).decode()


@pytest.fixture(scope="module")
def python(folder: Path) -> Path:
    """A Python that has MLflow."""
    return servers.python_with(servers.MLFLOW, folder / "mlflow")


@pytest.fixture(scope="module")
def store(guardian: Guardian, folder: Path, request: pytest.FixtureRequest) -> Iterator[s3_server.Server]:
    """A real MinIO, with the key that `juju config minio` was told."""
    keys = {"access_key": ACCESS_KEY, "secret_key": SECRET_KEY}
    shown = s3_server.told(request.config)
    with s3_server.serving(guardian, folder / "minio", on_progress=shown, **keys) as server:
        yield server


@pytest.fixture(scope="module")
def bucket(store: s3_server.Server) -> Minio:
    """The administrator of the store, which has MLflow's bucket."""
    client = Minio(store.endpoint, access_key=ACCESS_KEY, secret_key=SECRET_KEY, secure=False)
    client.make_bucket("mlflow")
    return client


@pytest.fixture(scope="module")
def reached(
    guardian: Guardian,
    folder: Path,
    python: Path,
    environment: dict[str, str],
    store: s3_server.Server,
    bucket: Minio,
) -> Iterator[dict[str, str]]:
    """The pod's environment, with MLflow and its store running: their addresses are those on loopback."""
    with servers.mariadb(guardian, folder / "mariadb.log") as database:
        database.make("mlflow", "relation-9", "p%40ss")
        uri = f"mysql+pymysql://relation-9:p%2540ss@127.0.0.1:{database.port}/mlflow"
        own = {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}
        own |= {"MLFLOW_S3_ENDPOINT_URL": f"http://{store.endpoint}"}
        with servers.mlflow(guardian, folder, python, uri, "s3://mlflow/", own) as tracking:
            places = {
                f"http://minio.{MODEL}:9000": f"http://{store.endpoint}",
                f"http://mlflow-server.{MODEL}.svc.cluster.local:5000": f"http://127.0.0.1:{tracking}",
            }
            yield {name: places.get(value, value) for name, value in environment.items()}


def test_a_pod_is_given_addresses_and_the_key_and_nothing_else(environment: dict[str, str]) -> None:
    assert environment == {
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "MINIO_ENDPOINT_URL": f"http://minio.{MODEL}:9000",
        "MLFLOW_S3_ENDPOINT_URL": f"http://minio.{MODEL}:9000",
        "MLFLOW_TRACKING_URI": f"http://mlflow-server.{MODEL}.svc.cluster.local:5000",
    }


def test_a_run_with_an_artifact_is_logged_and_read_back(
    python: Path, bucket: Minio, reached: dict[str, str]
) -> None:
    done = subprocess.run([python, "-c", CLIENT], env=reached, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    *_, line = done.stdout.strip().splitlines()
    epochs, loss, text, uri = line.split()
    assert (epochs, loss, text) == ("3", "0.125", "weights")
    assert uri.startswith("s3://mlflow/")
    name = f"{uri.removeprefix('s3://mlflow/')}/model/model.txt"
    assert bucket.get_object("mlflow", name).read() == b"weights"


def test_with_another_key_nothing_is_kept(python: Path, bucket: Minio, reached: dict[str, str]) -> None:
    def kept() -> set[str | None]:
        return {each.object_name for each in bucket.list_objects("mlflow", recursive=True)}

    before = kept()
    wrong = reached | {"AWS_SECRET_ACCESS_KEY": "of-somebody-else"}
    done = subprocess.run([python, "-c", CLIENT], env=wrong, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "SignatureDoesNotMatch" in done.stderr or "403" in done.stderr
    assert kept() == before
