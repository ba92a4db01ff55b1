"""`kubernetes_manifest`: objects that the resource dispatcher puts into every profile's namespace.

The requirer writes `kubernetes_manifests`, a JSON list of documents; or, with `is_secret` as `true`, the URI
of a Juju secret whose `manifests` is that list (canonical/resource-dispatcher,
lib/charms/resource_dispatcher/v0/kubernetes_manifests.py, LIBPATCH 1 and 2). A document without a namespace
goes to all profiles, one with a namespace to that one only. An older dispatcher knows no secrets, so what we
write is plain.
"""

from __future__ import annotations

import json
from typing import Annotated, Any

import ops
import pydantic

from kubeflow_charm.problems import waiting
from kubeflow_charm.relations.endpoint import Endpoint
from kubeflow_charm.resources import Manifest

LIMIT = 1024 * 1024
"""Characters that one application may write."""


class _Metadata(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")

    name: Annotated[str, pydantic.Field(min_length=1, max_length=253)]
    namespace: str | None = None


class _Document(pydantic.BaseModel):
    """What every object has; the rest is kept as it is."""

    model_config = pydantic.ConfigDict(extra="allow")

    api_version: Annotated[str, pydantic.Field(alias="apiVersion", min_length=1)]
    kind: Annotated[str, pydantic.Field(min_length=1)]
    metadata: _Metadata


class _Manifests(pydantic.BaseModel):
    kubernetes_manifests: list[_Document]


class Requires(Endpoint):
    """The side that has objects for profiles, which writes."""

    def send(self, manifests: list[Manifest]) -> None:
        """Offer these objects, and no others, to every related dispatcher."""
        text = json.dumps(manifests)
        for relation in self.relations:
            self.write(relation, {"kubernetes_manifests": text})


class Provides(Endpoint):
    """The dispatcher's side, which reads."""

    def get(self) -> dict[str, list[Manifest]]:
        """Return the objects of every related application, by its name.

        Raises:
            ExceptionGroup: with a `Problem` for each application that wrote something else, or whose secret
                cannot be read.
        """
        found = self.of_each(lambda relation: (relation.app.name, self._read(relation)))
        return {name: manifests for name, manifests in found if manifests}

    def _read(self, relation: ops.Relation) -> list[Manifest]:
        said = self.received(relation)
        text = said.get("kubernetes_manifests")
        if text is None:
            return []
        if said.get("is_secret", "").lower() == "true":
            text = self._secret(relation, text)
        if len(text) > LIMIT:
            raise self.garbage(relation, f"kubernetes_manifests: longer than {LIMIT} characters")
        try:
            documents: Any = json.loads(text)
        except (ValueError, RecursionError):
            raise self.garbage(relation, "kubernetes_manifests: not JSON") from None
        self.parsed(relation, _Manifests, {"kubernetes_manifests": documents})
        return documents

    def _secret(self, relation: ops.Relation, uri: str) -> str:
        """Return what a secret holds, as it is now."""
        try:
            content = self._charm.model.get_secret(id=uri).get_content(refresh=True)
        except (ops.SecretNotFoundError, ops.ModelError):
            raise waiting(relation.app.name, f"its secret on {self.name} cannot be read") from None
        if "manifests" not in content:
            raise self.garbage(relation, "kubernetes_manifests: the secret has no manifests")
        return content["manifests"]
