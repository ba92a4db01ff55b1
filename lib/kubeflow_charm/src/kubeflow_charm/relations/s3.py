"""`s3`: any object store that speaks S3, from s3-integrator, by both versions of the interface.

The requirer writes `version` as `1`, `requested-secrets`, a JSON list, in application and unit data, and
perhaps `bucket`. A provider of version 1 answers with `secret-extra`, the URI of a secret with `access-key`
and `secret-key`, and with `endpoint`, `bucket`, `region`, `tls-ca-chain` (a JSON list of PEM) and more; one
of version 0 writes the keys themselves (canonical/object-storage-integrator, lib object_storage;
canonical/s3-integrator, lib s3). Values are text here: no key becomes a number by being read as JSON.
"""

from __future__ import annotations

import json
from urllib.parse import urlsplit

import ops

from kubeflow_charm.problems import blocked
from kubeflow_charm.relations import secrets
from kubeflow_charm.relations.endpoint import Reader
from kubeflow_charm.relations.object_store import ObjectStore

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
            relation.data[self._charm.unit]["requested-secrets"] = _WANTED
        return self.get()

    def read(self, relation: ops.Relation) -> ObjectStore:
        """Return the store that an application tells of; raises its `Problem`."""
        said = self.received(relation)
        keys = secrets.content(self, relation, "secret-extra", "extra") if said.get("secret-extra") else said
        if not (keys.get("access-key") and keys.get("secret-key")):
            raise self.nothing_yet(relation)
        if not said.get("endpoint"):
            # Amazon's own has an address for each region; everything else has one that somebody must say.
            raise blocked(
                f"{relation.app.name} names no endpoint",
                f"juju config {relation.app.name} endpoint=https://<host>",
            )
        host, port, secure = self._address(relation, said["endpoint"])
        return ObjectStore(
            host=host,
            port=port,
            secure=secure,
            access_key=keys["access-key"],
            secret_key=keys["secret-key"],
            region=said.get("region", ""),
            bucket=said.get("bucket", ""),
            tls_ca=self._authorities(relation, said.get("tls-ca-chain", "")),
        )

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
        return "".join(f"{pem.strip()}\n" for pem in chain)
