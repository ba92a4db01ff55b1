"""What a webhook has of the API server: it asks each time, with its pod's service account."""

from __future__ import annotations

import httpx2
import lightkube

from rehearsal.players import kinds
from rehearsal.players.kinds import Key, Kind, Object


def read(client: lightkube.Client, kind: Kind, key: Key) -> Object | None:
    """Return an object; None if there is none, or no such kind."""
    namespace, name = key
    try:
        return client.get(kind, name, namespace=namespace or None)
    except httpx2.HTTPStatusError as error:
        if error.response.status_code == 404:
            return None
        raise


class Direct:
    """Reads as `rehearsal.players.api.Api` does, without copies.

    Args:
        client: with the account's token.
    """

    def __init__(self, client: lightkube.Client):
        self._client = client

    def read(self, kind: Kind, key: Key) -> Object | None:
        """Return an object; None if there is none, or no such kind."""
        return read(self._client, kind, key)

    def get(self, kind: Kind, key: Key) -> Object | None:
        """Return an object."""
        return self.read(kind, key)

    def items(self, kind: Kind, namespace: str) -> list[Object]:
        """Return a namespace's objects, or all that are in none."""
        if kinds.namespaced(kind):
            return list(self._client.list(kind, namespace=namespace))
        return list(self._client.list(kind))
