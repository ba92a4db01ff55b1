"""`s3`: any object store that speaks S3, from s3-integrator, in both versions of the interface.

The requirer writes `version` as `1`, `requested-secrets` (a JSON list, in application and unit data), and
optionally `bucket`. A provider of version 1 answers with `secret-extra`, the URI of a secret with
`access-key` and `secret-key`, and with `endpoint`, `bucket`, `region`, `tls-ca-chain` (a JSON list of PEM)
and more; one of version 0 writes the keys themselves (canonical/object-storage-integrator, lib
object_storage; canonical/s3-integrator, lib s3). Values are text: we never read a key as JSON, where it could
become a number.
"""

from __future__ import annotations

import json
import re
from urllib.parse import urlsplit

import ops

from kubeflow_charm.problems import blocked
from kubeflow_charm.relations import authorities, secrets
from kubeflow_charm.relations.endpoint import Reader
from kubeflow_charm.relations.object_store import ObjectStore

_FOLDER = re.compile(r"[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*")
"""The characters that upstream's programs accept in keys without quotes."""
_WANTED = json.dumps(["access-key", "secret-key"])


class Requires(Reader[ObjectStore]):
    """The side that uses the store."""

    hint = "s3-integrator"

    def store(self, bucket: str) -> ObjectStore:
        """Request a bucket, and return the store.

        Raises:
            Problem: if there is no relation or no answer yet, or if the answer is garbage.
        """
        for relation in self.relations:
            self.write(relation, {"version": "1", "requested-secrets": _WANTED, "bucket": bucket})
            relation.data[self.charm.unit]["requested-secrets"] = _WANTED
        return self.get()

    def read(self, relation: ops.Relation) -> ObjectStore:
        """Return the store of the application at the other end; raises its `Problem`."""
        data = self.received(relation)
        keys = secrets.content(self, relation, "secret-extra") if data.get("secret-extra") else data
        if not (keys.get("access-key") and keys.get("secret-key")):
            raise self.nothing_yet(relation)
        host, port, secure = self._address(relation, self._endpoint(relation))
        return ObjectStore(
            host=host,
            port=port,
            secure=secure,
            access_key=keys["access-key"],
            secret_key=keys["secret-key"],
            region=data.get("region", ""),
            bucket=data.get("bucket", ""),
            path=self._path(relation, data.get("path", "")),
            tls_ca=self._authorities(relation, data.get("tls-ca-chain", "")),
            application=relation.app.name,
        )

    def _endpoint(self, relation: ops.Relation) -> str:
        """Return the endpoint; for Amazon's own store, the region is enough."""
        data = self.received(relation)
        if data.get("endpoint"):
            return data["endpoint"]
        if data.get("region"):
            return f"https://s3.{data['region']}.amazonaws.com"
        name = relation.app.name
        raise blocked(f"{name} names no endpoint", f"juju config {name} endpoint=https://<host>")

    def _path(self, relation: ops.Relation, path: str) -> str:
        """Return the folder in the bucket, without slashes around it."""
        folder = path.strip("/")
        if folder and not _FOLDER.fullmatch(folder):
            raise self.garbage(relation, f"path: {path[:60]!r} is not of letters, digits, ._-/")
        return folder

    def _address(self, relation: ops.Relation, endpoint: str) -> tuple[str, int, bool]:
        """Return host, port and whether to use TLS, from a URL or from `host[:port]`, which means TLS."""
        try:
            url = urlsplit(endpoint if "://" in endpoint else f"https://{endpoint}")
            host, port = url.hostname, url.port
        except ValueError:
            host, port, url = None, None, urlsplit("")
        if not host or url.scheme not in ("http", "https") or url.path.strip("/") or url.query:
            raise self.garbage(relation, f"endpoint: {endpoint[:60]!r} is not http(s)://host[:port]")
        secure = url.scheme == "https"
        return host, port or (443 if secure else 80), secure

    def _authorities(self, relation: ops.Relation, text: str) -> str:
        """Return the authorities' certificates as one bundle."""
        if not text:
            return ""
        try:
            chain = json.loads(text)
        except ValueError:
            chain = [text]
        if not isinstance(chain, list) or not all(isinstance(pem, str) for pem in chain):
            raise self.garbage(relation, "tls-ca-chain: no list of certificates")
        return authorities.joined(chain)
