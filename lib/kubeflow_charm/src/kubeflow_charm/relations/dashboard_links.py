"""`kubeflow_dashboard_links`: entries for the dashboard's menus.

The requirer (the application with a UI) writes `dashboard_links`, a JSON list of objects with exactly six
keys (canonical/kubeflow-dashboard-operator, lib/charms/kubeflow_dashboard/v0/kubeflow_dashboard_links.py).
The Charmhub dashboard goes into error on any other key, so none is ever added.
"""

from __future__ import annotations

import json
from typing import Literal

import pydantic

from kubeflow_charm.relations.endpoint import Endpoint

Location = Literal["menu", "external", "quick", "documentation"]


class Link(pydantic.BaseModel):
    """One entry."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    text: str = pydantic.Field(min_length=1, max_length=200)
    link: str = pydantic.Field(min_length=1, max_length=2000)
    location: Location = "menu"
    icon: str = "icons:link"
    type: str = "item"
    desc: str = ""


class _Links(pydantic.BaseModel):
    dashboard_links: list[Link]


class Provides(Endpoint):
    """The dashboard's side, which reads."""

    def get(self) -> list[Link]:
        """Return the links of every related application, in the order they were related.

        Raises:
            Problem: naming the application whose entry is not one.
        """
        links: list[Link] = []
        for relation in self.relations:
            text = self.received(relation).get("dashboard_links")
            if text is None:
                continue
            try:
                entries = json.loads(text)
            except (ValueError, RecursionError):
                raise self.garbage(relation, "dashboard_links: not JSON") from None
            links += self.parsed(relation, _Links, {"dashboard_links": entries}).dashboard_links
        return links


class Requires(Endpoint):
    """The side of an application with a UI, which writes."""

    hint = "kubeflow-dashboard:links"

    def send(self, links: list[Link]) -> None:
        """Offer `links` to every related dashboard."""
        text = json.dumps([link.model_dump() for link in links])
        for relation in self.relations:
            self.write(relation, {"dashboard_links": text})
