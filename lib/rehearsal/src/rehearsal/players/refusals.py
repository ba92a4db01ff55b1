"""What the players were refused: said once in the log, and kept for whoever asks."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable

import httpx2
from lightkube.core.exceptions import ApiError

from rehearsal.cluster.existing import Refused
from rehearsal.players.decoding import Undecodable

logger = logging.getLogger("rehearsal.players")

_PASSING = {404, 409, 410, 429, 500, 502, 503, 504}
"""Answers that another attempt may mend: a stale copy, a kind that is not there yet, a busy server."""


class Unstartable(Exception):
    """A program would end, or its container never begin, as it is set up."""


class Refusals:
    """Hears of everything that went wrong, and tells what the cluster does not let the players do.

    Args:
        unauthorized: called when the API server does not know who asks: the token has expired.
    """

    def __init__(self, unauthorized: Callable[[], None] = lambda: None):
        self._unauthorized = unauthorized
        self._lock = threading.Lock()
        self._messages: dict[str, None] = {}
        self._said: set[str] = set()

    def for_holder(self, unauthorized: Callable[[], None]) -> Refusals:
        """Return the same list for somebody with a token of their own."""
        other = Refusals(unauthorized)
        other._lock, other._messages, other._said = self._lock, self._messages, self._said
        return other

    def messages(self) -> list[str]:
        """Return the distinct refusals, the oldest first."""
        with self._lock:
            return list(self._messages)

    def hear(self, subject: str, error: Exception) -> None:
        """Take note of an error, of whatever kind; `subject` says where it came up."""
        match error:
            case Unstartable() | Undecodable():
                self._refuse(f"{subject}: {error}")
            case httpx2.HTTPStatusError():
                self._weigh(subject, *_answer(error))
            case Refused():
                self._weigh(subject, error.status, str(error))
            case httpx2.TransportError() | OSError():
                logger.debug("%s: %s", subject, error)
            case _:
                self._warn(f"{subject}: {type(error).__name__}: {error}", error)

    def _weigh(self, subject: str, status: int, message: str) -> None:
        if status == 401:
            self._unauthorized()
        elif status == 403 and "is being terminated" not in message:
            self._refuse(message)
        elif status == 403 or status in _PASSING:
            logger.debug("%s: %s", subject, message)
        else:
            self._warn(f"{subject}: {message}")

    def _refuse(self, message: str) -> None:
        with self._lock:
            new = message not in self._messages
            self._messages[message] = None
        if new:
            logger.warning("%s", message)

    def _warn(self, message: str, error: Exception | None = None) -> None:
        with self._lock:
            new = message not in self._said
            self._said.add(message)
        if new:
            logger.warning("%s", message, exc_info=error)


def _answer(error: httpx2.HTTPStatusError) -> tuple[int, str]:
    """Return status and message of an answer; that to a watch nobody has read yet."""
    if isinstance(error, ApiError):
        return error.status.code or 0, error.status.message or str(error)
    try:
        said = json.loads(error.response.read())
        return error.response.status_code, said["message"]
    except (httpx2.HTTPError, httpx2.StreamError, ValueError, LookupError, TypeError):
        return error.response.status_code, str(error)
