"""The pods of InferenceServices, of what the charm makes; their containers run on this machine.

There is no API server: the rehearsal's players of KServe's controller and webhook read objects from here. No container
runs, either: a program gets arguments and environment of a container, and what the container has mounted is in a folder.
"""

from __future__ import annotations

import base64
import copy
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from lightkube.core.resource import api_info
from sdk_notebook import environment, having

from rehearsal.players import kinds
from rehearsal.players.kinds import Key, Kind, Object
from rehearsal.players.kserve import components, runtimes, storage, webhook
from rehearsal.players.kserve.settings import Settings

SCIKIT_LEARN = "scikit-learn==1.9.1"
"""One for all programs: it reads only models that it has written."""
KSERVE = ("kserve==0.16.0", "kserve-storage==0.16.0", SCIKIT_LEARN)
# A later uvloop than MLServer's own lock file has lets its workers end at once.
MLSERVER = ("mlserver==1.7.1", "mlserver-sklearn==1.7.1", "uvloop==0.21.0", SCIKIT_LEARN)
SERVER = Path(__file__).with_name("kserve_server.py")
FETCH = (
    "import sys; from kserve_storage import Storage; Storage.download_files(sys.argv[1::2], sys.argv[2::2])"
)
"""What the storage initializer does with its arguments (kserve v0.16.0,
python/storage-initializer/scripts/initializer-entrypoint)."""


class Objects:
    """Objects, to be read as players read them.

    Args:
        items: the objects.
    """

    def __init__(self, items: Iterable[Object]):
        self._items = [*items]

    def items(self, kind: Kind, namespace: str) -> list[Object]:
        """Return the objects of a kind, in a namespace if one is named."""
        name = api_info(kind).resource.kind
        found = [each for each in self._items if each["kind"] == name]
        if namespace:
            found = [each for each in found if each["metadata"].get("namespace") == namespace]
        return copy.deepcopy(found)

    def get(self, kind: Kind, key: Key) -> Object | None:
        """Return an object."""
        return next((each for each in self.items(kind, key[0]) if kinds.key(each) == key), None)

    read = get


def pod(objects: Objects, settings: Settings, service: Object, component: str) -> Object:
    """Return a pod of a component of an InferenceService, as KServe's controller and webhooks make it."""
    service = copy.deepcopy(service)
    webhook.default(settings, service)
    if component == "predictor":
        runtime = runtimes.choose(objects, service, False)  # type: ignore[arg-type]
        runtimes.settle(service, runtime.name)
        part = components.predictor(objects, settings, service, runtime)  # type: ignore[arg-type]
    else:
        part = components.other(objects, settings, service, component)  # type: ignore[arg-type]
    namespace = service["metadata"]["namespace"]
    made = {"metadata": {"namespace": namespace, "annotations": part.annotations}, "spec": part.pod}
    storage.inject(objects, settings, made, namespace, "mlops")
    return made


class Running:
    """What the containers of a pod run, and what they share.

    Args:
        objects: with Secrets and ConfigMaps.
        pod: the pod.
        folder: for the pod's volumes.
    """

    def __init__(self, objects: Objects, pod: Object, folder: Path):
        self._objects, self._pod, self._folder = objects, pod, folder
        self._namespace = pod["metadata"]["namespace"]
        for volume in pod["spec"].get("volumes") or ():
            (folder / volume["name"]).mkdir(parents=True)
            if name := (volume.get("configMap") or {}).get("name"):
                found = objects.get(kinds.CONFIG_MAP, (self._namespace, name))
                assert found, f"the kubelet waits for ConfigMap {name}"
                for file, text in found["data"].items():
                    (folder / volume["name"] / file).write_text(text)

    def volume(self, name: str) -> Path:
        """Return the folder of a volume."""
        return self._folder / name

    def arguments(self, container: str) -> list[str]:
        """Return the arguments of a container, with the folders of this machine."""
        said = self._container(container)
        return [self._here(said, word) for word in said.get("args") or ()]

    def environment(self, container: str) -> dict[str, str]:
        """Return the variables of a container, with the folders of this machine."""
        said = self._container(container)
        return {each["name"]: self._here(said, self._value(each)) for each in said.get("env") or ()}

    def fetch(self) -> subprocess.CompletedProcess[str]:
        """Run KServe's own code that loads the model, and return how it ended."""
        name = storage.INITIALIZER
        command = [*having(KSERVE), "python", "-c", FETCH, *self.arguments(name)]
        env = outside() | self.environment(name)
        return subprocess.run(command, env=env, check=False, text=True, capture_output=True)

    def _container(self, name: str) -> Object:
        spec = self._pod["spec"]
        (found,) = (
            each
            for each in (*(spec.get("initContainers") or ()), *spec["containers"])
            if each["name"] == name
        )
        return found

    def _here(self, container: Object, text: str) -> str:
        for mount in container.get("volumeMounts") or ():
            text = text.replace(mount["mountPath"], str(self._folder / mount["name"]))
        return text

    def _value(self, variable: Object) -> str:
        """Return what the kubelet puts into a variable."""
        if "valueFrom" not in variable:
            return variable.get("value", "")
        reference = variable["valueFrom"]["secretKeyRef"]
        secret = self._objects.get(kinds.SECRET, (self._namespace, reference["name"]))
        assert secret and reference["key"] in secret["data"], f"the kubelet waits for {reference}"
        return base64.b64decode(secret["data"][reference["key"]]).decode()


def outside() -> dict[str, str]:
    """Return the environment of a program that knows no store of whoever runs the tests."""
    return {key: value for key, value in environment().items() if not key.startswith("AWS_")}


def python(packages: Sequence[str], *words: str) -> None:
    """Run a Python that has some packages."""
    subprocess.run([*having(packages), "python", *words], env=outside(), check=True)
