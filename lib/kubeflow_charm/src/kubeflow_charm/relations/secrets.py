"""Juju secrets that another application grants us, with their URIs in its relation data."""

from __future__ import annotations

import re

import ops

from kubeflow_charm.problems import waiting
from kubeflow_charm.relations.endpoint import Endpoint

_URI = re.compile(r"secret:(//[0-9a-f-]{36}/)?[a-z0-9]+")
"""The URI as Juju writes it; with the model's UUID for a secret of another model."""


def content(endpoint: Endpoint, relation: ops.Relation, key: str) -> dict[str, str]:
    """Return the current content of a secret.

    We give it no label: Juju takes a label for one secret only, and the application may later name another
    secret.

    Args:
        endpoint: the endpoint of the relation.
        relation: the relation with the other application.
        key: the key of the URI in the relation data.

    Raises:
        Problem: if the value is not the URI of a secret, or if the secret is not granted to us yet.
    """
    uri = endpoint.received(relation)[key]
    if not _URI.fullmatch(uri):
        raise endpoint.garbage(relation, f"{key}: not the URI of a secret")
    try:
        return endpoint.charm.model.get_secret(id=uri).get_content(refresh=True)
    except (ops.SecretNotFoundError, ops.ModelError):
        raise waiting(relation.app.name, f"its secret on {endpoint.name} cannot be read") from None
