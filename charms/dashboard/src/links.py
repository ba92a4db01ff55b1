"""The dashboard's menus: links of related applications and of the operator, in one order.

Each menu begins with the links whose text the order option names, in its order. The others follow, sorted by
text (canonical/kubeflow-dashboard-operator, README and src/dashboard_links.py). The result depends only on
the links, so any order of events gives the same ConfigMap.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Annotated, Generic, Literal, TypeVar

import pydantic

from kubeflow_charm import YAML, Config, if_empty
from kubeflow_charm.relations.dashboard_links import Link, Location

Where = TypeVar("Where")

_ITEM = ("type", "text", "link", "icon")
_CARD = ("text", "desc", "link")
_MENUS: dict[Location, tuple[str, tuple[str, ...]]] = {
    "menu": ("menuLinks", _ITEM),
    "external": ("externalLinks", _ITEM),
    "quick": ("quickLinks", _CARD),
    "documentation": ("documentationItems", _CARD),
}
"""Location to the key in upstream's ConfigMap and the fields that upstream's frontend reads there.

From kubeflow/kubeflow v1.10.0, components/centraldashboard, public/components/main-page.pug and
dashboard-view.pug.
"""


class ConfiguredLink(pydantic.BaseModel, Generic[Where]):
    """A link in an option; it may repeat the option's location.

    It has the fields and limits of a link on the relation.
    """

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, defer_build=True)

    text: Annotated[str, pydantic.Field(min_length=1, max_length=200)]
    link: Annotated[str, pydantic.Field(min_length=1, max_length=2000)]
    icon: str = "icons:link"
    type: Literal["item"] = "item"
    desc: str = ""
    location: Where | None = None


Order = Annotated[list[str], if_empty([]), YAML]
"""Texts of links."""


class LinkOptions(Config):
    """The options for the dashboard's links and their order."""

    additional_menu_links: Annotated[list[ConfiguredLink[Literal["menu"]]], if_empty([]), YAML]
    additional_external_links: Annotated[list[ConfiguredLink[Literal["external"]]], if_empty([]), YAML]
    additional_quick_links: Annotated[list[ConfiguredLink[Literal["quick"]]], if_empty([]), YAML]
    additional_documentation_links: Annotated[
        list[ConfiguredLink[Literal["documentation"]]], if_empty([]), YAML
    ]
    menu_link_order: Order
    external_link_order: Order
    quick_link_order: Order
    documentation_link_order: Order

    def document(self, offered: Iterable[Link]) -> str:
        """Return the value of `links` in upstream's ConfigMap: JSON in ASCII."""
        return json.dumps(self.menus(list(offered)), indent=2)

    def menus(self, offered: list[Link]) -> dict[str, list[dict[str, str]]]:
        """Return the four menus by their keys in the ConfigMap.

        Two links with the same text and target are one entry; the operator's link wins over an application's.
        """
        menus = {}
        for location, (key, fields) in _MENUS.items():
            own: list[ConfiguredLink[str]] = getattr(self, f"additional_{location}_links")
            entries = [link.model_dump(include=set(fields)) for link in own]
            theirs = (link.model_dump(include=set(fields)) for link in offered if link.location == location)
            entries += sorted(theirs, key=lambda entry: [entry[field] for field in fields])
            menus[key] = _ordered(entries, getattr(self, f"{location}_link_order"))
        return menus


def _ordered(entries: list[dict[str, str]], order: list[str]) -> list[dict[str, str]]:
    unique: dict[tuple[str, str], dict[str, str]] = {}
    for entry in entries:
        unique.setdefault((entry["text"], entry["link"]), entry)
    rank = {text: place for place, text in reversed(list(enumerate(order)))}
    return sorted(unique.values(), key=lambda e: (rank.get(e["text"], len(order)), e["text"], e["link"]))
