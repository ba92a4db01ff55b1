"""`s3`: any object store that speaks S3, from s3-integrator, by both versions of the interface.

The requirer writes `version` as `1`, `requested-secrets`, a JSON list, in application and unit data, and
perhaps `bucket`. A provider of version 1 answers with `secret-extra`, the URI of a secret with `access-key`
and `secret-key`, and with `endpoint`, `bucket`, `region`, `tls-ca-chain` (a JSON list of PEM) and more; one
of version 0 writes the keys themselves (canonical/object-storage-integrator, lib object_storage;
canonical/s3-integrator, lib s3). Values are text here: no key becomes a number by being read as JSON.
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
"""The characters that upstream's programs take in keys without quoting them."""
_WANTED = json.dumps(["access-key", "secret-key"])


class Requires(Reader[ObjectStore]):
    """The side that uses the store."""

    hint = "s3-integrator"

    def store(self, bucket: str) -> ObjectStore:
        """Ask for a bucket, and return the store.

        Raises:
            Problem: that nothing is related, that nothing is answered yet, or that the answer is garbage.
        """
        for relation in self.relations:
            self.write(relation, {"version": "1", "requested-secrets": _WANTED, "bucket": bucket})
            relation.data[self.charm.unit]["requested-secrets"] = _WANTED
        return self.get()

    def read(self, relation: ops.Relation) -> ObjectStore:
        """Return the store that an application tells of; raises its `Problem`."""
        said = self.received(relation)
        keys = secrets.content(self, relation, "secret-extra") if said.get("secret-extra") else said
        if not (keys.get("access-key") and keys.get("secret-key")):
            raise self.nothing_yet(relation)
        host, port, secure = self._address(relation, self._endpoint(relation))
        return ObjectStore(
            host=host,
            port=port,
            secure=secure,
            access_key=keys["access-key"],
            secret_key=keys["secret-key"],
            region=said.get("region", ""),
            bucket=said.get("bucket", ""),
            path=self._path(relation, said.get("path", "")),
            tls_ca=self._authorities(relation, said.get("tls-ca-chain", "")),
            application=relation.app.name,
        )

    def _endpoint(self, relation: ops.Relation) -> str:
        """Return the endpoint; Amazon's own store has one for each region, which nobody need say."""
        said = self.received(relation)
        if said.get("endpoint"):
            return said["endpoint"]
        if said.get("region"):
            return f"https://s3.{said['region']}.amazonaws.com"
        name = relation.app.name
        raise blocked(f"{name} names no endpoint", f"juju config {name} endpoint=https://<host>")

    def _path(self, relation: ops.Relation, path: str) -> str:
        """Return the folder in the bucket, without slashes around it."""
        folder = path.strip("/")
        if folder and not _FOLDER.fullmatch(folder):
            raise self.garbage(relation, f"path: {path[:60]!r} is not of letters, digits, ._-/")
        return folder

    def _address(self, relation: ops.Relation, endpoint: str) -> tuple[str, int, bool]:
        """Return host, port, and whether it is TLS, of a URL or of `host[:port]`, which is TLS."""
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
        """Return the authorities' certificates, one after the other."""
        if not text:
            return ""
        try:
            chain = json.loads(text)
        except ValueError:
            chain = [text]
        if not isinstance(chain, list) or not all(isinstance(pem, str) for pem in chain):
            raise self.garbage(relation, "tls-ca-chain: no list of certificates")
        return authorities.joined(chain)
