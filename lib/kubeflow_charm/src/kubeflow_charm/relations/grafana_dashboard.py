"""`grafana_dashboard`: dashboards for a Grafana.

The provider (the application with metrics) writes `dashboards`: JSON with `templates`, a mapping of an id to
a dashboard, and `uuid`, any text that is new whenever a template is. The content of a dashboard is its JSON,
compressed by LZMA, in base64. The requirer writes `event`, in which it complains about templates
(canonical/grafana-k8s-operator, lib/charms/grafana_k8s/v0/grafana_dashboard.py, LIBPATCH 48). A collector
between the two tells templates of several charms apart by the id only, so ids hold the charm's name.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import ops
import pydantic

from kubeflow_charm.relations import topology
from kubeflow_charm.relations.endpoint import COMPLAINT_LIMIT, Endpoint

Dashboard = dict[str, Any]
"""A dashboard in Grafana's own format, as a document."""


class Template(pydantic.BaseModel):
    """One dashboard on the wire."""

    model_config = pydantic.ConfigDict(defer_build=True)

    charm: str
    content: str
    juju_topology: dict[str, str] = {}
    inject_dropdowns: bool = True
    dashboard_alt_uid: str = ""


class _Dashboards(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(defer_build=True)

    templates: dict[str, Template]
    uuid: str = ""


class Provides(Endpoint):
    """The side that has dashboards."""

    def send(self, made_of: str, dashboards: Callable[[], Mapping[str, Dashboard]]) -> None:
        """Send dashboards to every related application.

        Args:
            made_of: a fingerprint of what the dashboards are made of.
            dashboards: makes them, by their ids; called only if `made_of` is new to an application.
        """
        text = ""
        for relation in self.relations:
            if self._sent(relation) != made_of:
                text = text or self._encoded(made_of, dashboards())
                self.write(relation, {"dashboards": text})

    def complaints(self) -> list[str]:
        """Return `<application> refuses dashboards: <error>` for each application that complains."""
        said = {relation.app.name: self.complaint(relation) for relation in self.relations}
        return [f"{name} refuses dashboards: {text[:COMPLAINT_LIMIT]}" for name, text in said.items() if text]

    def _sent(self, relation: ops.Relation) -> str:
        return json.loads(relation.data[self.charm.app].get("dashboards", "{}")).get("uuid", "")

    def _encoded(self, made_of: str, dashboards: Mapping[str, Dashboard]) -> str:
        from cosl import LZMABase64  # it imports much, and only a hook with news needs it

        charm = self.charm
        who = topology.of(charm).model_dump(exclude={"charm_name"})
        templates = {
            name: Template(
                charm=charm.meta.name,
                content=LZMABase64.compress(json.dumps(dashboard)),
                juju_topology=who,
                dashboard_alt_uid=dashboard["uid"],
            )
            for name, dashboard in dashboards.items()
        }
        return _Dashboards(templates=templates, uuid=made_of).model_dump_json()


class Requires(Endpoint):
    """The side that shows dashboards."""

    def get(self) -> dict[str, Dashboard]:
        """Return every related application's dashboards by their ids.

        Raises:
            ExceptionGroup: with a `Problem` for each application that wrote something else.
        """
        return {name: each for found in self.of_each(self._read) for name, each in found.items()}

    def _read(self, relation: ops.Relation) -> dict[str, Dashboard]:
        import lzma

        from cosl import LZMABase64

        text = self.received(relation).get("dashboards")
        if text is None:
            return {}
        try:
            sent = self.parsed(relation, _Dashboards, json.loads(text))
            contents = {name: LZMABase64.decompress(each.content) for name, each in sent.templates.items()}
            return {name: json.loads(content) for name, content in contents.items()}
        except (ValueError, RecursionError, lzma.LZMAError):
            raise self.garbage(relation, "dashboards: not JSON, or not compressed by LZMA") from None
