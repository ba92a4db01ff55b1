"""The dashboard's menus: what related applications and the operator offer, in one order.

In each menu come first the links whose text the order option names, in its order, then the others by their
text. Of links with the same text and target one is shown (as in canonical/kubeflow-dashboard-operator,
src/dashboard_links.py, which shows all).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pydantic

from kubeflow_charm.relations.dashboard_links import Link

EMPTY_IS_NONE = pydantic.BeforeValidator(lambda value: [] if value in (None, "") else value)
"""An option that is set to nothing is an empty list. Runs before YAML is read and after."""

_MENUS = {
    "menu": "menuLinks",
    "external": "externalLinks",
    "quick": "quickLinks",
    "documentation": "documentationItems",
}
"""Location of a link to the key of upstream's ConfigMap (kubeflow/dashboard, centraldashboard v1.10)."""


class ConfiguredLink(pydantic.BaseModel):
    """A link in an option. Its location is the option's, whatever it says."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    text: str = pydantic.Field(min_length=1)
    link: str = pydantic.Field(min_length=1)
    icon: str = "icons:link"
    type: str = "item"
    desc: str = ""
    location: str = ""


def merged(offered: Iterable[Link], config: Any) -> dict[str, list[dict[str, str]]]:
    """Return the four menus as upstream's ConfigMap has them.

    Args:
        offered: what related applications offer.
        config: has `additional_<location>_links` and `<location>_link_order`.
    """
    offered = list(offered)
    menus: dict[str, list[dict[str, str]]] = {}
    for location, key in _MENUS.items():
        entries = [_entry(link) for link in offered if link.location == location]
        entries += [_entry(link) for link in getattr(config, f"additional_{location}_links")]
        unique = {(entry["text"], entry["link"]): entry for entry in reversed(entries)}
        menus[key] = _ordered(list(unique.values()), getattr(config, f"{location}_link_order"))
    return menus


def _ordered(entries: list[dict[str, str]], order: list[str]) -> list[dict[str, str]]:
    rank = {text: number for number, text in reversed(list(enumerate(order)))}
    return sorted(entries, key=lambda e: (rank.get(e["text"], len(order)), e["text"], e["link"]))


def _entry(link: Link | ConfiguredLink) -> dict[str, str]:
    return link.model_dump(include={"text", "link", "icon", "type", "desc"})
