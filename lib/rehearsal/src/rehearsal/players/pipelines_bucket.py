"""Pipelines' API server, as far as pods that really run need it: it makes the bucket of the object store.

kubeflow/pipelines 2.17.0, backend/src/apiserver/client_manager (createMinioBucket): at its start, with the
key and the names in its environment. It is played only where the store is a real one.
"""

from __future__ import annotations

import datetime
import hashlib
import http.client
from urllib.parse import urlsplit

from rehearsal.players import kinds
from rehearsal.players.controller import Controller
from rehearsal.players.kinds import Key
from rehearsal.players.program import Program
from rehearsal.stores.server import Dial

IMAGE = "kfp-api-server"
_AGAIN = 2.0
"""Seconds until a store that did not answer is asked again."""
_MADE = (200, 409)
"""What a store says of a bucket that it has made, or had."""


def controllers(program: Program) -> list[Controller]:
    """Return what makes the bucket."""
    variable = program.settings.variable
    host = f"{variable('OBJECTSTORECONFIG_HOST')}:{variable('OBJECTSTORECONFIG_PORT', '9000')}"
    key = variable("OBJECTSTORECONFIG_ACCESSKEY"), variable("OBJECTSTORECONFIG_SECRETACCESSKEY")
    bucket, region = variable("OBJECTSTORECONFIG_BUCKETNAME"), variable("OBJECTSTORECONFIG_REGION")
    dial = program.world.dial
    done: set[Key] = set()

    def make(namespace: Key) -> float | None:
        """Make the bucket once; its own namespace is what the program is told of."""
        if dial is None or namespace != ("", program.settings.namespace) or done:
            return None
        try:
            status = _put(dial, host, bucket, region or "us-east-1", key)
        except OSError:
            return _AGAIN
        if status not in _MADE:
            return _AGAIN
        done.add(namespace)
        return None

    return [Controller(program.kubelet, kinds.NAMESPACE, make, program.refusals, "pipelines-bucket")]


def _put(dial: Dial, host: str, bucket: str, region: str, key: tuple[str, str]) -> int:
    """Ask for a bucket; return the status of the answer."""
    from minio.credentials.credentials import Credentials
    from minio.signer import sign_v4_s3

    now = datetime.datetime.now(datetime.UTC)
    digest = hashlib.sha256(b"").hexdigest()
    headers: dict[str, str | list[str] | tuple[str]] = {
        "Host": host,
        "x-amz-content-sha256": digest,
        "x-amz-date": now.strftime("%Y%m%dT%H%M%SZ"),
    }
    signed = sign_v4_s3(
        method="PUT",
        url=urlsplit(f"http://{host}/{bucket}"),
        region=region,
        headers=headers,
        credentials=Credentials(*key),
        content_sha256=digest,
        date=now,
    )
    connection = http.client.HTTPConnection(host)
    connection.sock = dial(host)
    try:
        connection.request("PUT", f"/{bucket}", headers={name: str(value) for name, value in signed.items()})
        with connection.getresponse() as answer:
            return answer.status
    finally:
        connection.close()
