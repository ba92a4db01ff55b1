"""URLs of offers: `[<controller>:][<user>/]<model>.<offer>[:<endpoint>]`.

Facts: juju/juju, core/crossmodel/offerurl.go.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from rehearsal.juju.model.errors import JujuError
from rehearsal.juju.model.status import CONTROLLER

_NAME = r"[a-z][a-z0-9]*(?:-[a-z0-9]*[a-z][a-z0-9]*)*"
_URL = re.compile(r"(?:(?P<user>[^/]+)/)?(?P<model>[^./]*)(?:\.(?P<offer>[^:/]*)(?::(?P<endpoint>[^/]*))?)?")


@dataclass(frozen=True)
class OfferURL:
    """Where an offer is; parts that are not said are empty."""

    controller: str
    user: str
    model: str
    offer: str
    endpoint: str = ""


def parse(text: str, *, whole: bool = True) -> OfferURL:
    """Return the parts of an offer's URL.

    Args:
        text: the URL.
        whole: whether it must name a model and an offer.

    Raises:
        JujuError: if it is no such URL, or of another controller or user.
    """
    controller, rest = _split(text)
    found = _URL.fullmatch(rest)
    if found is None or text.startswith(":"):
        raise JujuError(
            f'application offer URL has invalid form, must be [<user/]<model>.<appname>: "{text}"'
        )
    url = OfferURL(controller, **{name: value or "" for name, value in found.groupdict().items()})
    if whole and not url.model:
        raise JujuError("application offer URL is missing model")
    if whole and not url.offer:
        raise JujuError("application offer URL is missing application")
    if url.model and not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", url.model):
        raise JujuError(f'model name "{url.model}" not valid')
    if url.offer and not re.fullmatch(_NAME, url.offer):
        raise JujuError(f'application name "{url.offer}" not valid')
    if url.controller not in ("", CONTROLLER):
        raise JujuError(f"controller {url.controller} not found")
    return url


def is_offer_url(text: str) -> bool:
    """Return whether a word that could name an application or an offer has the form of a URL."""
    try:
        parse(text)
    except JujuError:
        return False
    return True


def _split(text: str) -> tuple[str, str]:
    """Split off the controller; a single colon may also precede an endpoint."""
    parts = text.split(":")
    if len(parts) == 3 or (len(parts) == 2 and "." not in parts[0]):
        return parts[0], ":".join(parts[1:])
    return "", text
