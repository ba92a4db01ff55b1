"""Models of a real store are fetched by KServe's own code, and served by its library and an MLServer.

What the programs are given is what the charm makes, through the rehearsal's players of KServe's controller and webhook:
arguments, environment and files. The store is a real MinIO, in which the charm has registered the profiles' keys. Only
ports are others, and folders and hosts of this machine.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import importlib
import io
import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from charm_harness import charm_type
from conformance import kserve_pods, s3_server, servers
from conformance.between import between
from conformance.kserve_pods import Objects, Running
from minio import Minio
from serving_examples import model, service

from kubeflow_charm import config
from kubeflow_charm.images import Images
from kubeflow_charm.minio import grants
from kubeflow_charm.minio.keys import PerProfile
from kubeflow_charm.relations.gateway_info import Gateway
from kubeflow_charm.webhooks import issuing
from rehearsal.guardian import Guardian
from rehearsal.patience import until
from rehearsal.players.kserve.settings import Settings

SOURCE = Path(__file__).parents[2] / "charms/kserve"
OWNER = "7c1d9a30-2f4e-4c55-8b1d-0a8f5e2b9c11.kserve"
PROFILES = {"ada": "uid-of-ada", "bob": "uid-of-bob"}
BUCKET, SHARED = "mlpipeline", "mlflow"
OWN, OF_MLFLOW = "models/ada/iris", "0/run/artifacts/model"
TRAIN = """
import sys, joblib
from sklearn.datasets import load_iris
from sklearn.neighbors import KNeighborsClassifier
joblib.dump(KNeighborsClassifier().fit(*load_iris(return_X_y=True)), sys.argv[1])
"""
FLOWERS, SPECIES = [[5.1, 3.5, 1.4, 0.2], [6.3, 2.9, 5.6, 1.8]], [0, 2]
"""In centimetres, and what they are."""
MILLIMETRES = [[round(10 * value) for value in flower] for flower in FLOWERS]
WITHIN = 240
"""Seconds in which a server starts on a machine with much to do."""


@dataclasses.dataclass
class Charm:
    """What the charm makes for profiles."""

    options: Any
    images: dict[str, str]

    def settings(self) -> Settings:
        """Return KServe's configuration."""
        module = importlib.import_module("serving_settings")
        gateway = Gateway(gateway_name="kubeflow-gateway", gateway_namespace="istio")
        return Settings(module.texts(module.sections(self.options, self.images, gateway, None, "")))

    def keys(self, store: Any) -> PerProfile:
        """Register the profiles' keys in a store."""
        terms = importlib.import_module("model_store").terms("kserve", OWNER, self.options, store)
        keys = grants.ensured(store, terms, PROFILES)
        return PerProfile(keys[""], {name: keys[name] for name in PROFILES})

    def objects(self, store: Any, keys: PerProfile) -> Objects:
        """Return runtimes and the like, and what resource-dispatcher puts into the profiles."""
        module = importlib.import_module("model_store")
        models = importlib.import_module("serving_facts").Models(store, keys, None)
        of_all = [
            *module.service_accounts("kserve", False, models),
            *module.config_maps("kserve", models),
        ]
        placed = [
            {**each, "metadata": {**each["metadata"], "namespace": namespace}}
            for each in of_all
            for namespace in PROFILES
        ]
        runtimes = importlib.import_module("serving_runtimes")
        everywhere = runtimes.made("kserve", self.options, self.images, Images({}, {}), models)
        return Objects([*everywhere, *module.secrets("kserve", models), *placed])


@pytest.fixture(scope="module")
def charm() -> Charm:
    """The charm with MLflow's bucket for all, and the images of its resources."""
    metadata = yaml.safe_load((SOURCE / "charmcraft.yaml").read_text())
    usual = {name: option["default"] for name, option in metadata["config"]["options"].items()}
    said = usual | {"deployment-mode": "standard", "object-store-shared-buckets": SHARED}
    options: Any = config.read(said, charm_type(SOURCE).config_type)
    resources = {name: each["upstream-source"] for name, each in metadata["resources"].items()}
    return Charm(options, options.serving_images(resources))


@pytest.fixture(scope="module")
def store(
    guardian: Guardian, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Any]:
    """A real MinIO, as charms know it that are related to it."""
    shown = s3_server.told(request.config)
    with s3_server.serving(guardian, tmp_path_factory.mktemp("minio"), on_progress=shown) as server:
        yield server.store(BUCKET)


@pytest.fixture(scope="module")
def keys(charm: Charm, store: Any, tmp_path_factory: pytest.TempPathFactory) -> PerProfile:
    """The profiles' keys; ada has stored a model by hers, and MLflow has stored it, too."""
    keys = charm.keys(store)
    path = tmp_path_factory.mktemp("model") / "model.joblib"
    kserve_pods.python(kserve_pods.KSERVE, "-c", TRAIN, str(path))
    root = _client(store, store)
    root.make_bucket(SHARED)
    _put(root, SHARED, f"{OF_MLFLOW}/model.joblib", path.read_bytes())
    _put(_client(store, keys.profiles["ada"]), BUCKET, f"{OWN}/model.joblib", path.read_bytes())
    return keys


@pytest.fixture(scope="module")
def objects(charm: Charm, store: Any, keys: PerProfile) -> Objects:
    """What there is in the cluster."""
    return charm.objects(store, keys)


def _client(store: Any, key: Any) -> Minio:
    return Minio(store.endpoint, access_key=key.access_key, secret_key=key.secret_key, secure=False)


def _put(user: Minio, bucket: str, name: str, data: bytes) -> None:
    user.put_object(bucket, name, io.BytesIO(data), len(data))


def _iris(namespace: str, uri: str, said: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """Return an InferenceService with the account of the profile's key."""
    predictor = model("sklearn", storageUri=uri, **(said or {})) | {"serviceAccountName": "kserve-s3"}
    made = service("iris", predictor, **more)
    made["metadata"]["namespace"] = namespace
    return made


def _transformer(*arguments: str) -> dict[str, Any]:
    return {"containers": [{"image": "example.com/transformer:1", "args": [*arguments]}]}


def _predictor(charm: Charm, objects: Objects, made: dict[str, Any], folder: Path) -> Running:
    return Running(objects, kserve_pods.pod(objects, charm.settings(), made, "predictor"), folder)


def test_a_profiles_model_is_fetched_by_its_key(charm, objects, keys, tmp_path):
    pod = _predictor(charm, objects, _iris("ada", f"s3://{BUCKET}/{OWN}"), tmp_path)
    key = keys.profiles["ada"]
    assert pod.environment("storage-initializer")["AWS_ACCESS_KEY_ID"] == key.access_key
    done = pod.fetch()
    assert done.returncode == 0, done.stderr[-2000:]
    assert [each.name for each in pod.volume("kserve-provision-location").iterdir()] == ["model.joblib"]
    assert key.secret_key not in done.stdout + done.stderr


def test_another_profiles_model_is_refused(charm, objects, tmp_path):
    pod = _predictor(charm, objects, _iris("bob", f"s3://{BUCKET}/{OWN}"), tmp_path)
    done = pod.fetch()
    assert done.returncode != 0
    assert "AccessDenied" in done.stderr
    assert not [*pod.volume("kserve-provision-location").iterdir()]


def test_a_model_of_mlflow_is_fetched_by_every_profiles_key(charm, objects, tmp_path):
    pod = _predictor(charm, objects, _iris("bob", f"s3://{SHARED}/{OF_MLFLOW}"), tmp_path)
    done = pod.fetch()
    assert done.returncode == 0, done.stderr[-2000:]
    assert (pod.volume("kserve-provision-location") / "model.joblib").is_file()


def test_without_the_account_no_key_is_used(charm, objects, tmp_path):
    made = _iris("ada", f"s3://{BUCKET}/{OWN}")
    del made["spec"]["predictor"]["serviceAccountName"]
    pod = _predictor(charm, objects, made, tmp_path)
    assert not {name for name in pod.environment("storage-initializer") if name.startswith("AWS_")}


def test_a_store_with_an_authority_of_its_own_is_trusted(charm, store, keys, tmp_path):
    now = datetime.datetime.now(datetime.UTC)
    authority, other = (
        issuing.authority(name, now, now + datetime.timedelta(days=1)) for name in ("minio", "another")
    )
    pair = issuing.serving(["localhost"], now, now + datetime.timedelta(days=1), authority)
    (tmp_path / "tls.pem").write_text(pair.certificate + pair.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "tls.pem")
    ends = []
    with between(store, tls=context) as (reached, _):
        reached = dataclasses.replace(reached, host="localhost", secure=True)
        for name, who in (("known", authority), ("unknown", other)):
            objects = charm.objects(dataclasses.replace(reached, tls_ca=who.certificate), keys)
            made = _iris("ada", f"s3://{BUCKET}/{OWN}")
            ends.append(_predictor(charm, objects, made, tmp_path / name).fetch())
    assert ends[0].returncode == 0, ends[0].stderr[-2000:]
    assert ends[1].returncode != 0
    assert "CERTIFICATE_VERIFY_FAILED" in ends[1].stderr


@contextlib.contextmanager
def _kserve(guardian: Guardian, folder: Path, pod: Running, *more: str) -> Iterator[int]:
    """Run the server of a pod, or its transformer."""
    port = servers.free_port()
    words = [*pod.arguments("kserve-container"), *more, f"--http_port={port}", "--enable_grpc=false"]
    command = [*kserve_pods.having(kserve_pods.KSERVE), "python", str(kserve_pods.SERVER), *words]
    env = kserve_pods.outside() | pod.environment("kserve-container")
    with servers.running(guardian, command, port, folder / "server.log", env, WITHIN) as found:
        yield found


@contextlib.contextmanager
def _before(
    guardian: Guardian,
    charm: Charm,
    objects: Objects,
    made: dict[str, Any],
    port: int,
    folder: Path,
) -> Iterator[int]:
    """Run the transformer of an InferenceService, whose predictor is at a port of this machine."""
    folder.mkdir()
    pod = Running(objects, kserve_pods.pod(objects, charm.settings(), made, "transformer"), folder)
    words = pod.arguments("kserve-container")
    assert words[words.index("--predictor_host") + 1] == "iris-predictor.ada"
    with _kserve(guardian, folder, pod, f"--predictor_host=127.0.0.1:{port}") as found:
        yield found


@contextlib.contextmanager
def _mlserver(guardian: Guardian, folder: Path, pod: Running) -> Iterator[int]:
    """Run an MLServer as its image does (SeldonIO/MLServer 1.7.1, Dockerfile)."""
    given = pod.environment("kserve-container")
    names = ("MLSERVER_HTTP_PORT", "MLSERVER_GRPC_PORT", "MLSERVER_METRICS_PORT")
    ports = {name: str(servers.free_port()) for name in names}
    start = ["mlserver", "start", str(pod.volume("kserve-provision-location"))]
    command = [*kserve_pods.having(kserve_pods.MLSERVER), *start]
    port = int(ports["MLSERVER_HTTP_PORT"])
    env = kserve_pods.outside() | given | ports
    with servers.running(guardian, command, port, folder / "server.log", env, WITHIN):
        yield port


def _ask(port: int, path: str, body: Any = None) -> Any:
    """Return what a server answers; None while it is not ready."""
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}", data, {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read() or b"{}")
    except urllib.error.HTTPError as error:
        error.close()
        return None
    except OSError:
        return None


def _asked_v1(port: int, flowers: Any) -> Any:
    answer = _ask(port, "/v1/models/iris:predict", {"instances": flowers})
    return answer and answer["predictions"]


def _asked_v2(port: int, flowers: Any) -> Any:
    data = [float(value) for flower in flowers for value in flower]
    tensor = {"name": "flowers", "shape": [len(flowers), 4], "datatype": "FP64", "data": data}
    answer = _ask(port, "/v2/models/iris/infer", {"inputs": [tensor]})
    return answer and answer["outputs"][0]["data"]


def test_kserves_server_answers_both_protocols_and_a_transformer_before_it(
    guardian, charm, objects, tmp_path
):
    transformer = _transformer()
    made = _iris("ada", f"s3://{BUCKET}/{OWN}", transformer=transformer)
    pod = _predictor(charm, objects, made, tmp_path / "pod")
    assert pod.arguments("kserve-container")[0] == "--model_name=iris"
    assert pod.fetch().returncode == 0
    with _kserve(guardian, tmp_path, pod) as port:
        assert until(lambda: _asked_v1(port, FLOWERS)) == SPECIES
        assert _asked_v2(port, FLOWERS) == SPECIES
        assert _asked_v1(port, MILLIMETRES) != SPECIES
        with _before(guardian, charm, objects, made, port, tmp_path / "transformer") as front:
            assert until(lambda: _asked_v1(front, MILLIMETRES)) == SPECIES


def test_an_mlserver_answers_v2_and_a_transformer_before_it(guardian, charm, objects, tmp_path):
    said = {"runtime": "kserve-mlserver", "protocolVersion": "v2"}
    made = _iris("ada", f"s3://{BUCKET}/{OWN}", said, transformer=_transformer("--predictor_protocol", "v2"))
    pod = _predictor(charm, objects, made, tmp_path / "pod")
    assert pod.fetch().returncode == 0
    with _mlserver(guardian, tmp_path, pod) as port:
        assert until(lambda: _asked_v2(port, FLOWERS), within=WITHIN) == SPECIES
        assert _asked_v2(port, MILLIMETRES) != SPECIES
        with _before(guardian, charm, objects, made, port, tmp_path / "transformer") as front:
            assert until(lambda: _asked_v2(front, MILLIMETRES)) == SPECIES
