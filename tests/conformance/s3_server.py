"""A real S3 server on loopback: MinIO, built once from its Go module and kept in the rehearsal's cache.

`minio/go.mod` of the rehearsal's programs pins it; its one `tool` line is the program. MinIO is under the AGPL: it is built where tests run,
and shipped with nothing.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from minio.credentials.providers import StaticProvider
from minio.minioadmin import MinioAdmin

from kubeflow_charm.relations.object_store import ObjectStore
from rehearsal.cluster import build, controlplane
from rehearsal.guardian import Guardian
from rehearsal.node.images import recipes
from rehearsal.patience import PATIENCE

PROGRAM = recipes.MINIO
READY_WITHIN = PATIENCE


@dataclasses.dataclass(frozen=True)
class Server:
    """A server that runs.

    Args:
        port: on 127.0.0.1.
        access_key: the administrator's name.
        secret_key: the administrator's secret.
    """

    port: int
    access_key: str
    secret_key: str

    @property
    def endpoint(self) -> str:
        """`host:port`."""
        return f"127.0.0.1:{self.port}"

    def store(self, bucket: str, **other: Any) -> ObjectStore:
        """Return what charms that are related to it by `object-storage` know."""
        made = ObjectStore(
            host="127.0.0.1",
            port=self.port,
            secure=False,
            access_key=self.access_key,
            secret_key=self.secret_key,
            region="us-east-1",
            bucket=bucket,
            root=True,
            application="minio",
        )
        return dataclasses.replace(made, **other)


def administrator(store: Server | ObjectStore, key: Any = None) -> MinioAdmin:
    """Return its administration, as its administrator or with another's `access_key` and `secret_key`."""
    credentials = StaticProvider((key or store).access_key, (key or store).secret_key)
    return MinioAdmin(endpoint=store.endpoint, credentials=credentials, secure=False)


@contextlib.contextmanager
def serving(
    guardian: Guardian,
    folder: Path,
    *,
    access_key: str = "minio",
    secret_key: str = "minio-s3cret",
    on_progress: Callable[[str], None] = lambda _: None,
) -> Iterator[Server]:
    """Yield a server on a free port.

    Args:
        guardian: starts the server, and ends it when the tests are gone.
        folder: where it keeps its data and its log; what is there from before is served again.
        access_key: the administrator's name.
        secret_key: the administrator's secret.
        on_progress: told how far the build is; it takes some three minutes on two cores, once.
    """
    program = build.built(PROGRAM, on_progress)
    folder.mkdir(parents=True, exist_ok=True)
    (port,) = controlplane.free_ports(1)
    server = Server(port, access_key, secret_key)
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MINIO_")} | {
        "MINIO_ROOT_USER": access_key,
        "MINIO_ROOT_PASSWORD": secret_key,
        "MINIO_BROWSER": "off",
        "MINIO_UPDATE": "off",
        # Lets its data be on the disk of the machine's root.
        "MINIO_CI_CD": "1",
    }
    log = folder / "minio.log"
    process = guardian.spawn(
        [program, "server", folder / "data", "--address", server.endpoint], log=log, env=environment
    )
    try:
        deadline = time.monotonic() + READY_WITHIN
        while not _is_ready(server):
            if process.ended.is_set() or time.monotonic() > deadline:
                raise RuntimeError(f"MinIO did not start: {log.read_text()[-600:]}")
            time.sleep(0.05)
        yield server
    finally:
        process.stop()


def told(config: pytest.Config) -> Callable[[str], None]:
    """Return what shows progress while tests run, a line every ten seconds, past pytest's capturing."""
    capturing: Any = config.pluginmanager.getplugin("capturemanager")
    last = -10.0

    def show(detail: str) -> None:
        nonlocal last
        if time.monotonic() - last < 10:
            return
        last = time.monotonic()
        with capturing.global_and_fixture_disabled() if capturing else contextlib.nullcontext():
            print(f"  {detail}", file=sys.stderr, flush=True)

    return show


def _is_ready(server: Server) -> bool:
    """Whether it knows who may do what: it is up earlier, and tells everybody to come back in a minute."""
    return all(
        _status(f"http://{server.endpoint}{path}") == 403 for path in ("/", "/minio/admin/v3/list-users")
    )


def _status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status
    except urllib.error.HTTPError as refusal:
        refusal.close()
        return refusal.code
    except OSError:
        return 0
