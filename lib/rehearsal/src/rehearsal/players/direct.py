"""What a webhook has of the API server: it asks each time, with its pod's service account."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import httpx2
import lightkube
import tenacity

from rehearsal.players import kinds
from rehearsal.players.kinds import Key, Kind, Object

_Answer = TypeVar("_Answer")


def _is_busy(error: BaseException) -> bool:
    return isinstance(error, httpx2.HTTPStatusError) and error.response.status_code == 429


def patiently(ask: Callable[[], _Answer]) -> _Answer:
    """Ask again when the API server says so, while it begins to serve a type.

    Go's client does the same (client-go v0.32, rest/with_retry.go).
    """
    again = tenacity.Retrying(
        retry=tenacity.retry_if_exception(_is_busy),
        stop=tenacity.stop_after_attempt(10),
        wait=tenacity.wait_fixed(1),
        reraise=True,
    )
    return again(ask)


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
        return patiently(lambda: read(self._client, kind, key))

    def get(self, kind: Kind, key: Key) -> Object | None:
        """Return an object."""
        return self.read(kind, key)

    def items(self, kind: Kind, namespace: str) -> list[Object]:
        """Return a namespace's objects, or all that are in none."""
        if kinds.namespaced(kind):
            return patiently(lambda: list(self._client.list(kind, namespace=namespace)))
        return patiently(lambda: list(self._client.list(kind)))
