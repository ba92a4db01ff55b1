"""A part of the bundle whose pods really run, as far as their images can be made here."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import subprocess
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import urllib3
import yaml
from minio import Minio
from partial_bundle import part_of_the_bundle

from rehearsal.patience import until
from rehearsal.stage import Stage

MODEL = "kubeflow"
SHELL = "docker.io/library/busybox:1.36"


class Platform:
    """A part of the bundle on a real node, and what its users type."""

    def __init__(self, stage: Stage):
        self.stage = stage

    def kubectl(self, *words: str, given: str | None = None) -> str:
        done = subprocess.run(
            [self.stage.bin / "kubectl", *words],
            env=os.environ | self.stage.environment,  # without HOME, kubectl keeps its cache in this folder
            input=given,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def get(self, *words: str) -> dict[str, Any]:
        return json.loads(self.kubectl("get", *words, "-o", "json"))

    def run(self, document: dict[str, Any], within: float) -> dict[str, Any]:
        """Make a job of some kind, and return its status when it has succeeded."""
        self.kubectl("create", "-f", "-", given=json.dumps(document))
        kind, metadata = document["kind"].lower(), document["metadata"]

        def status() -> dict[str, Any]:
            return self.get(kind, metadata["name"], "-n", metadata["namespace"]).get("status", {})

        def ended() -> set[str]:
            conditions = status().get("conditions", [])
            return {each["type"] for each in conditions if each["status"] == "True"} & {"Succeeded", "Failed"}

        until(ended, status, within=within)
        assert ended() == {"Succeeded"}, status()
        return status()

    def key(self, namespace: str) -> tuple[str, str]:
        """Return a profile's key of the object store."""
        said = self.get("secret", "mlpipeline-minio-artifact", "-n", namespace)["data"]
        access, secret = (base64.b64decode(said[name]).decode() for name in ("accesskey", "secretkey"))
        return access, secret

    def store(self, key: tuple[str, str]) -> Minio:
        """Return a client of the object store, by the way that hooks take."""
        way = urllib3.ProxyManager(f"http://127.0.0.1:{self.stage.engine.stores.port}", retries=False)
        return Minio(
            "minio.kubeflow:9000", access_key=key[0], secret_key=key[1], secure=False, http_client=way
        )

    def statuses(self) -> dict[str, str]:
        units = [unit for model in self.stage.engine.models.values() for unit in model.units()]
        return {unit.name: f"{unit.workload.current} {unit.workload.message}" for unit in units}


@contextlib.contextmanager
def running(folder: Path, applications: Collection[str], images: Collection[str]) -> Iterator[Platform]:
    """Deploy applications of the bundle, and make the profiles `ada` and `bob`, when all is active."""
    bundle = folder / "bundle.yaml"
    bundle.write_text(yaml.safe_dump(part_of_the_bundle(applications)))
    with Stage(real_node=images) as stage:
        platform = Platform(stage)
        stage.juju("add-model", MODEL)
        stage.juju("deploy", bundle, "--trust")
        until(
            lambda: {word.split()[0] for word in platform.statuses().values()} == {"active"},
            platform.statuses,
            within=240,
        )
        for name in ("ada", "bob"):
            profile = {
                "apiVersion": "kubeflow.org/v1",
                "kind": "Profile",
                "metadata": {"name": name},
                "spec": {"owner": {"kind": "User", "name": f"{name}@example.com"}},
            }
            platform.kubectl("apply", "-f", "-", given=json.dumps(profile))
        yield platform
