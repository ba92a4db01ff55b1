"""`kubeflow_dashboard_links`: entries for the dashboard's menus.

The requirer (the application with a UI) writes `dashboard_links`: a JSON list of objects with six keys, three
of them with defaults (canonical/kubeflow-dashboard-operator,
lib/charms/kubeflow_dashboard/v0/kubeflow_dashboard_links.py, LIBPATCH 3). The Charmhub dashboard goes into
error on any other key or location, so we add none. The only type is `item`: a link of another type needs
items of its own, no key can hold them, and without them upstream's frontend shows no menu at all.
"""

from __future__ import annotations

import itertools
import json
from typing import Annotated, Literal

import ops
import pydantic

from kubeflow_charm.relations.endpoint import Endpoint

Location = Literal["menu", "external", "quick", "documentation"]

LIMIT = 32 * 1024
"""Characters that one application may write: one ConfigMap of up to 1 MiB holds the links of all."""


class Link(pydantic.BaseModel):
    """One entry."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, defer_build=True)

    text: Annotated[str, pydantic.Field(min_length=1, max_length=200)]
    link: Annotated[str, pydantic.Field(min_length=1, max_length=2000)]
    location: Location
    icon: str = "icons:link"
    type: Literal["item"] = "item"
    desc: str = ""


class _Links(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(defer_build=True)

    dashboard_links: list[Link]


class Provides(Endpoint):
    """The dashboard's side, which reads."""

    def get(self) -> list[Link]:
        """Return the links of every related application, in the order of relations.

        Raises:
            ExceptionGroup: with a `Problem` for each application that wrote something else.
        """
        return list(itertools.chain.from_iterable(self.of_each(self._read)))

    def _read(self, relation: ops.Relation) -> list[Link]:
        text = self.received(relation).get("dashboard_links")
        if text is None:
            return []
        if len(text) > LIMIT:
            raise self.garbage(relation, f"dashboard_links: longer than {LIMIT} characters")
        try:
            entries = json.loads(text)
        except (ValueError, RecursionError):
            raise self.garbage(relation, "dashboard_links: not JSON") from None
        return self.parsed(relation, _Links, {"dashboard_links": entries}).dashboard_links


class Requires(Endpoint):
    """The side of an application with a UI, which writes."""

    def send(self, links: list[Link]) -> None:
        """Offer `links` to every related dashboard."""
        text = json.dumps([link.model_dump() for link in links])
        for relation in self.relations:
            self.write(relation, {"dashboard_links": text})
