"""The pipelines charm on the charms' harness."""

from __future__ import annotations

import dataclasses
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from charm_harness import DATABASE, GATEWAY, MINIO, DatabaseHarness, related, unwatched
from ops import testing

from rehearsal.network import names
from rehearsal.stores.server import Stores


class Pipelines(DatabaseHarness):
    """The charm, and the applications that it is related to."""

    minio: dict[str, Any] | None = None
    """What MinIO's charm wrote last."""

    def administrator(self, address: str) -> tuple[str, str] | None:
        """Return name and secret of the key of the store at `host:port`, if it is that of MinIO's charm."""
        said = self.minio
        if said is None or address != f"{said['service']}.{said['namespace']}:{said['port']}":
            return None
        return said["access-key"], said["secret-key"]

    def relations(
        self,
        *,
        gateway: dict[str, str] | None = GATEWAY,
        database: dict[str, str] | None = DATABASE,
        minio: dict[str, Any] | None = MINIO,
        s3: dict[str, str] | None = None,
        dispatcher: bool = False,
        **_: Any,
    ) -> list[testing.Relation]:
        """Return the relations.

        Args:
            gateway: what the gateway's charm wrote; None if none is related.
            database: what MySQL's charm wrote beside its secrets.
            minio: what MinIO's charm wrote.
            s3: what s3-integrator wrote beside its secret.
            dispatcher: whether a resource dispatcher is related.
        """
        self.minio = minio
        relations = []
        if gateway is not None:
            relations.append(("gateway-info", "istio-pilot", gateway))
        if database is not None:
            relations.append(("relational-db", "mysql-k8s", {"secret-user": "secret:user"} | database))
        if minio is not None:
            data = {"_supported_versions": "- v1\n", "data": yaml.safe_dump(minio)}
            relations.append(("object-storage", "minio", data))
        if s3 is not None:
            relations.append(("s3-credentials", "s3-integrator", {"secret-extra": "secret:s3"} | s3))
        if dispatcher:
            relations += [
                (name, "resource-dispatcher", {}) for name in ("secrets", "config-maps", "pod-defaults")
            ]
        return related(relations)

    def state(
        self,
        model: str,
        config: dict[str, Any] | None = None,
        *,
        keys: dict[str, str] | None = None,
        **said: Any,
    ) -> testing.State:
        """Return the state before a hook; `keys` is what s3-integrator's secret holds."""
        before = super().state(model, config, **said)
        if said.get("s3") is None:
            return before
        secret = testing.Secret(keys or {"access-key": "a", "secret-key": "b"}, id="secret:s3")
        return dataclasses.replace(before, secrets=frozenset([*before.secrets, secret]))

    def status(self, config: dict[str, Any] | None = None, **said: Any) -> tuple[str, str]:
        """Return state and text of the unit after one hook, in a cluster that must not be asked for anything."""
        status = self.run("mlops", config, **said).unit_status
        assert len(status.message) <= 120
        return status.name, status.message


@pytest.fixture(scope="module")
def pipelines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipelines]:
    """The charm, and a played MinIO."""
    charm = Pipelines(Path(__file__).parents[1], tmp_path_factory.mktemp("pipelines"))
    with unwatched(), pytest.MonkeyPatch.context() as patch:
        stores = Stores(charm.administrator)
        patch.setattr(socket, "getaddrinfo", names.leading_to(stores.port))
        yield charm
        stores.close()
