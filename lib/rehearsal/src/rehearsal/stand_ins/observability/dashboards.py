"""Dashboards: what is wrong with one, what a collector sends on, and what Grafana shows.

Facts: canonical/grafana-k8s-operator, lib/charms/grafana_k8s/v0/grafana_dashboard.py, LIBPATCH 48
(GrafanaDashboardConsumer); canonical/opentelemetry-collector-k8s-operator, src/integrations.py
(forward_dashboards); canonical/cos-lib, src/cosl/utils.py (LZMABase64, DashboardPath40UID).
"""

from __future__ import annotations

import base64
import hashlib
import json
import lzma
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rehearsal.stand_ins.observability import scraping
from rehearsal.stand_ins.observability.topology import HookFails

Dashboard = dict[str, Any]
"""A dashboard in Grafana's format."""

PROMETHEUS, LOKI = "${prometheusds}", "${lokids}"
"""The variables of the two data sources."""
_OURS = {PROMETHEUS: "Prometheus", LOKI: "Loki"}
_MIXED = "-- Mixed --"
_GRAFANAS = {"grafana", "-- Grafana --", _MIXED, "-- Dashboard --"}
"""Data sources that every Grafana has."""
_UID = re.compile(r"[\da-f]{40}")
_SELECTORS = ("juju_model", "juju_model_uuid", "juju_application", "juju_unit")


@dataclass(frozen=True)
class Template:
    """A dashboard on the wire.

    Attributes:
        id: by which a collector tells dashboards apart.
        charm: its author.
        content: its JSON, compressed.
        dropdowns: whether variables for the Juju labels are to be added.
    """

    id: str
    charm: str
    content: str
    dropdowns: bool

    @property
    def dashboard(self) -> Dashboard:
        """The dashboard itself.

        Raises:
            HookFails: if the content is no base64.
            ValueError: if it is not compressed by LZMA, or no JSON.
        """
        try:
            packed = base64.b64decode(self.content.encode())
        except ValueError as error:
            raise HookFails(f"{self.id}: no base64: {error}") from None
        try:
            value = json.loads(lzma.decompress(packed))
        except lzma.LZMAError as error:
            raise ValueError(str(error)) from None
        if not isinstance(value, dict):
            raise ValueError("no mapping")
        return value


def received(said: Mapping[str, str]) -> list[Template]:
    """Return the dashboards that an application wrote; raises HookFails if a real hook fails on it."""
    sent = scraping.parsed(said, "dashboards", dict)
    if not sent:
        return []
    templates = sent.get("templates")
    if not isinstance(templates, dict):
        raise HookFails("KeyError: dashboards has no templates")
    try:
        return [
            Template(name, each["charm"], each["content"], bool(each.get("inject_dropdowns", True)))
            for name, each in templates.items()
        ]
    except (KeyError, TypeError, AttributeError) as error:
        raise HookFails(f"a template without its parts: {error}") from None


def packed(dashboard: Dashboard) -> str:
    """Return a dashboard as it travels."""
    text = json.dumps(dashboard).encode()
    return base64.b64encode(lzma.compress(text, preset=3)).decode()


def faults(template: Template, dashboard: Dashboard) -> Iterator[str]:
    """Yield what Grafana, or a collector before it, would not make of a dashboard what its author meant.

    Raises:
        HookFails: if the hook of the real Grafana fails on it.
    """
    if not _UID.fullmatch(str(dashboard.get("uid", ""))):
        yield f"{template.id}: its uid is not of 40 hex digits, so it gets another one with each relation"
    if type(dashboard.get("version")) is not int:
        yield f"{template.id}: its version is no integer, so an older one may stay"
    if not dashboard.get("title"):
        yield f"{template.id}: no title"
    variables = dashboard.get("templating", {}).get("list")
    if "templating" in dashboard and not isinstance(variables, list):
        raise HookFails(f"KeyError: {template.id}: templating has no list")
    known = {f"${{{each.get('name')}}}" for each in variables or () if each.get("type") == "datasource"}
    for panel in panels(dashboard):
        title = panel.get("title", "?")
        for source in _sources(panel, template.id, converted=not variables):
            if not source:
                yield f'{template.id}: the panel "{title}" names no data source'
            elif source not in known | _GRAFANAS | _OURS.keys():
                yield f'{template.id}: the panel "{title}" reads {source}, which no Grafana has'


def panels(dashboard: Dashboard) -> Iterator[dict[str, Any]]:
    """Yield all panels, also those in rows."""
    rows = [*dashboard.get("panels", ()), *dashboard.get("rows", ())]
    for panel in rows:
        yield panel
        yield from panel.get("panels", ())


def shown(template: Template, dashboard: Dashboard) -> Dashboard:
    """Return a dashboard with the variables that Grafana's charm adds, each missing one in front."""
    known = dashboard.get("templating", {}).get("list", [])
    names = {each.get("name") for each in known}
    wanted = [*(map(_selector, _SELECTORS) if template.dropdowns else ()), *map(_data_source, _OURS)]
    missing = [each for each in wanted if each["name"] not in names]
    new = [*reversed(missing), *known] if known else missing
    return {**dashboard, "templating": {"list": new}}


def sent_on(template: Template, relation: int, collector: str) -> tuple[str, Template]:
    """Return a dashboard as a collector sends it on, with its new id.

    Args:
        template: of an application.
        relation: with that application.
        collector: the name of the collector's charm.
    """
    dashboard = dict(template.dashboard)
    file = re.sub(r"[ /]", "_", template.id).lower()
    new = f"file:juju_{file}-{template.charm}-{relation}"
    if not _UID.fullmatch(str(dashboard.get("uid", ""))):
        path = f"grafana_dashboards/{new.removeprefix('file:')}.json"
        dashboard["uid"] = hashlib.shake_256(f"{collector}-{path}".encode()).hexdigest(20)
    tags = dashboard.get("tags", [])
    if not any(str(tag).startswith("charm: ") for tag in tags):
        dashboard["tags"] = [*tags, f"charm: {collector}"]
    return new, Template(new, collector, packed(dashboard), dropdowns=True)


def wire(templates: Mapping[str, Template], topology: Mapping[str, str]) -> str:
    """Return what a provider of dashboards writes."""
    entries = {
        name: {
            "charm": each.charm,
            "content": each.content,
            "juju_topology": dict(topology),
            "inject_dropdowns": each.dropdowns,
            "dashboard_alt_uid": hashlib.shake_256(f"{each.charm}-{name}".encode()).hexdigest(8),
        }
        for name, each in sorted(templates.items())
    }
    digest = hashlib.shake_128(json.dumps(entries).encode()).hexdigest(8)
    return json.dumps({"templates": entries, "uuid": digest})


def _sources(panel: dict[str, Any], name: str, *, converted: bool) -> Iterator[str]:
    """Yield the data sources that a panel reads; an empty one if it names none.

    Those of its queries count only if it has none itself, or a mixed one.

    Args:
        panel: the panel.
        name: of the dashboard.
        converted: whether Grafana's charm replaces it, as in a dashboard without variables of its own.
    """
    own, queries = panel.get("datasource"), panel.get("targets", ())
    if not queries:
        return
    said = [own] if own else [each.get("datasource") for each in queries]
    if _uid(own, name, converted=converted) == _MIXED:
        said = [each.get("datasource") for each in queries]
    for source in said:
        yield _uid(source, name, converted=converted and source is own)


def _uid(source: Any, name: str, *, converted: bool) -> str:
    if isinstance(source, dict):
        kinds = {"prometheus": PROMETHEUS, "loki": LOKI}
        if converted and source.get("type") in kinds:
            return kinds[source["type"]]
        if "uid" not in source:
            raise HookFails(f"KeyError: {name}: the datasource of a panel has no uid")
        return str(source["uid"])
    source = str(source or "")
    if converted and source and "grafana" not in source and source not in _GRAFANAS:
        return LOKI if "loki" in source else PROMETHEUS
    return source


def _selector(name: str) -> dict[str, Any]:
    before = _SELECTORS[: _SELECTORS.index(name)]
    matchers = ",".join(f'{each}=~"${each}"' for each in before)
    return {
        "name": name,
        "type": "query",
        "datasource": PROMETHEUS,
        "query": f"label_values(up{f'{{{matchers}}}' if matchers else ''},{name})",
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "refresh": 1,
    }


def _data_source(variable: str) -> dict[str, Any]:
    return {
        "name": variable.strip("${}"),
        "type": "datasource",
        "label": f"{_OURS[variable]} datasource",
        "query": _OURS[variable].lower(),
        "multi": True,
        "includeAll": True,
    }
