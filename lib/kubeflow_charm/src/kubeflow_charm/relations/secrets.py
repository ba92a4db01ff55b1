"""Juju secrets that another application made for us, and names in its data by their URIs."""

from __future__ import annotations

import re

import ops

from kubeflow_charm.problems import waiting
from kubeflow_charm.relations.endpoint import Endpoint

_URI = re.compile(r"secret:(//[0-9a-f-]{36}/)?[a-z0-9]+")
"""As Juju writes it, with the model's UUID if the secret is of another model."""


def content(endpoint: Endpoint, relation: ops.Relation, key: str) -> dict[str, str]:
    """Return what a secret holds now.

    It gets no label of ours: Juju takes a label for one secret only, and an application may come to name
    another secret.

    Args:
        endpoint: the endpoint that the other application is related to.
        relation: the relation with it.
        key: what the URI stands under.

    Raises:
        Problem: that it is no URI of a secret, or that the secret cannot be read yet, being not granted.
    """
    uri = endpoint.received(relation)[key]
    if not _URI.fullmatch(uri):
        raise endpoint.garbage(relation, f"{key}: not the URI of a secret")
    try:
        return endpoint.charm.model.get_secret(id=uri).get_content(refresh=True)
    except (ops.SecretNotFoundError, ops.ModelError):
        raise waiting(relation.app.name, f"its secret on {endpoint.name} cannot be read") from None
