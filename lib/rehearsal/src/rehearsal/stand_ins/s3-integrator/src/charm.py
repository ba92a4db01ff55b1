"""Plays s3-integrator: sends an S3 store's data to applications, and its key in a secret.

Facts: canonical/object-storage-integrator, s3 and lib/object_storage, version 1 of the interface. Differences
from the real charm:

- It neither looks up nor makes buckets in the store.
- It supports requirers of version 1 only; if one requests no secrets, the status says so.
"""

from __future__ import annotations

import base64
import json
import re

import ops

from rehearsal.stand_ins.playing import StandIn
from rehearsal.stand_ins.stopping import blocked

BUCKET = re.compile(r"(?!(^xn--|.+-s3alias$))^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$")
ENDPOINT = re.compile(r"https?://[^\s/?#]+(/\S*)?$")
VERSIONS = ("2", "4")
OLDEST = 9_999_999
"""Maximum days until backups may be removed."""
CERTIFICATE = re.compile("-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
PLAIN = ("endpoint", "region", "attributes", "s3-uri-style", "storage-class", "s3-api-version")
"""Options that are sent unchanged, if set."""


class S3Integrator(StandIn):
    """The parts of s3-integrator that other charms rely on."""

    def play(self) -> None:
        """Send the store's data to every application that requests them."""
        for relation in self.related("s3-credentials"):
            relation.data[self.app]["version"] = "1"
        keys, store = self.keys(), self.store()
        self.each(
            *(lambda relation=relation: self.answer(relation, keys, store) for relation in self.asking())
        )

    def asking(self) -> list[ops.Relation]:
        """Return the relations with a request."""
        related = self.related("s3-credentials")
        return [each for each in related if {"version", "bucket"} & each.data[each.app].keys()]

    def keys(self) -> dict[str, str]:
        """Return the user's credentials."""
        identifier = self.config.get("credentials")
        if not identifier:
            raise blocked("Missing config(s): 'credentials'")
        try:
            content = self.model.get_secret(id=str(identifier)).get_content(refresh=True)
        except ops.SecretNotFoundError:
            raise blocked(f"The secret '{identifier}' does not exist") from None
        except ops.ModelError:
            raise blocked(f"The secret '{identifier}' has not been granted to the charm") from None
        missing = [key for key in ("access-key", "secret-key") if not content.get(key)]
        if missing:
            fields = ", ".join(map(repr, missing))
            raise blocked(f"The secret '{identifier}' is missing mandatory field(s): {fields}")
        return {key: content[key] for key in ("access-key", "secret-key")}

    def store(self) -> dict[str, str]:
        """Return the store's data from the options."""
        self.check()
        said = {key: str(self.config[key]) for key in PLAIN if self.config.get(key)}
        if days := int(self.config.get("experimental-delete-older-than-days", 0)):
            said["delete-older-than-days"] = str(days)
        for key in ("bucket", "path"):
            said[key] = str(self.config.get(key) or "")
        if said["bucket"] and not BUCKET.match(said["bucket"]):
            raise blocked("Invalid config(s): 'bucket'")
        if chain := str(self.config["tls-ca-chain"]):
            try:
                certificates = CERTIFICATE.findall(base64.b64decode(chain).decode())
            except ValueError:  # not Base64, or not text
                certificates = []
            if not certificates:
                raise blocked("Invalid config(s): 'tls-ca-chain'")
            said["tls-ca-chain"] = json.dumps(certificates)
        return said

    def check(self) -> None:
        """Check options that are sent unchanged."""
        endpoint, version = str(self.config.get("endpoint") or ""), self.config.get("s3-api-version")
        if endpoint and not ENDPOINT.match(endpoint):
            raise blocked("Invalid config(s): 'endpoint'")
        if version and version not in VERSIONS:
            raise blocked("Invalid config(s): 's3-api-version'")
        if not 0 <= int(self.config.get("experimental-delete-older-than-days", 0)) <= OLDEST:
            raise blocked("Invalid config(s): 'experimental-delete-older-than-days'")

    def answer(self, relation: ops.Relation, keys: dict[str, str], store: dict[str, str]) -> None:
        """Send the store's data to an application, with its requested bucket if no option names one."""
        asked, said = relation.data[relation.app], relation.data[self.app]
        if not asked.get("requested-secrets"):
            raise blocked(f"{relation.app.name} asks for no secrets: not played by this stand-in")
        bucket = store["bucket"] or asked.get("bucket", "")
        if bucket and not BUCKET.match(bucket):
            raise blocked(f"Invalid name for bucket(s): '{bucket}'")
        told = store | {"bucket": bucket, "path": store["path"] or asked.get("path", "")}
        told["secret-extra"] = self.kept(relation, f"s3-credentials.{relation.id}.extra.secret", keys)
        said.update({key: value for key, value in told.items() if value})
        for key in (*PLAIN, "bucket", "path", "tls-ca-chain", "delete-older-than-days"):
            if not told.get(key):
                said.pop(key, None)


if __name__ == "__main__":
    ops.main(S3Integrator)
