"""Dashboards: made of a charm's short descriptions, in Grafana's own format.

`src/grafana_dashboards/<name>.yaml` names rows of panels with their queries; what every charm's dashboard
shows besides (programs, controllers, logs) is said once, here. A `<name>.json` beside it is a dashboard as
Grafana exports it, and is taken as it is if Grafana would: one that it refuses takes the others with it.
`%%juju_topology%%` in a query stands for the matchers of the dashboard's variables: model, application and
unit.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
import yaml

from kubeflow_charm import foreign_yaml
from kubeflow_charm.observability import beside
from kubeflow_charm.observability.alerts import PLACEHOLDER
from kubeflow_charm.relations.grafana_dashboard import Dashboard

logger = logging.getLogger(__name__)

SHARED = Path(__file__).with_name("grafana_dashboards")
SUFFIXES = (".yaml", ".json")
_DEPTH = 50
"""How deep a dashboard may be: JSON that nests without an end ends its readers."""
SCHEMA = 39
"""The version of Grafana's format that these dashboards have (Grafana 11)."""

VARIABLES = ("juju_model", "juju_model_uuid", "juju_application", "juju_unit")
"""The names that Charmhub's Grafana gives to its own variables; it adds none that is there."""
_TOPOLOGY = ",".join(f'{name}=~"${name}"' for name in VARIABLES)
_WIDTH, _HEIGHT, _COLUMNS = 8, 7, 24
_SOURCES = {"prometheus": "${prometheusds}", "loki": "${lokids}"}


class Query(pydantic.BaseModel):
    """One line of a panel: an expression, and what its series are called."""

    model_config = pydantic.ConfigDict(extra="forbid", defer_build=True)

    expr: str
    legend: str = ""


class Panel(pydantic.BaseModel):
    """A panel. `unit` is one of Grafana's: `short`, `bytes`, `s`, `reqps`, `percentunit` ..."""

    model_config = pydantic.ConfigDict(extra="forbid", defer_build=True)

    title: str
    description: str = ""
    kind: Literal["timeseries", "stat", "logs"] = "timeseries"
    unit: str = "short"
    queries: Annotated[list[Query], pydantic.Field(min_length=1)]


class Row(pydantic.BaseModel):
    """Panels under one title."""

    model_config = pydantic.ConfigDict(extra="forbid", defer_build=True)

    title: str
    panels: Annotated[list[Panel], pydantic.Field(min_length=1)]


class Described(pydantic.BaseModel):
    """A dashboard as a charm describes it. Grafana keeps the highest of several versions."""

    model_config = pydantic.ConfigDict(extra="forbid", defer_build=True)

    title: str
    version: int = 1
    description: str = ""
    rows: list[Row] = []


class _Source(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow", defer_build=True)

    uid: str | None


class _Target(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow", defer_build=True)

    datasource: _Source | str | None = None


class _Panel(_Target):
    title: str = ""
    targets: list[_Target] = []
    panels: list[_Panel] = []


class _Variables(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow", defer_build=True)

    variables: Annotated[list[dict[str, Any]], pydantic.Field(alias="list")]


class _Exported(pydantic.BaseModel):
    """What Charmhub's Grafana relies on in a dashboard; it takes everything else as it is."""

    model_config = pydantic.ConfigDict(extra="allow", defer_build=True)

    title: Annotated[str, pydantic.Field(pattern=r"\S")]
    version: int = 0
    tags: list[str] = []
    panels: list[_Panel] = []
    rows: list[_Panel] = []
    templating: _Variables | None = None


def files(charm_dashboards: Path, charm: str, *, controllers: bool) -> list[Path]:
    """Return the files that a charm's dashboards are made of: its own, those of operators, what all show.

    Args:
        charm_dashboards: the folder with the charm's own.
        charm: its name.
        controllers: whether it has programs made with controller-runtime.
    """
    shared = ["programs", *(["controllers"] if controllers else []), "logs"]
    return [*beside.files(charm_dashboards, charm), *(SHARED / f"{name}.yaml" for name in shared)]


def dashboards(paths: Iterable[Path], charm: str) -> dict[str, Dashboard]:
    """Return the dashboards by the ids that the relation tells them apart by.

    A malformed file is logged and left out, so that the others are there.

    Args:
        paths: the files, as `files` returns them.
        charm: the charm's name.
    """
    paths = list(paths)
    shared = [Row.model_validate(yaml.safe_load(path.read_text())) for path in paths if path.parent == SHARED]
    found: dict[str, Dashboard] = {}
    for path in paths:
        if path.parent == SHARED:
            continue
        name = f"file:{charm}-{path.stem}" if beside.is_operators(path, charm) else f"file:{path.stem}"
        try:
            if name in found:
                raise ValueError("another file is called so, too")
            made = _read(path, shared)
        except (OSError, ValueError, RecursionError) as error:
            reason = " ".join(str(error).split())[:300]
            logger.warning("the dashboard in %s is ignored: %s", beside.shown(path), reason)
            continue
        found[name] = made | {
            "uid": _uid(charm, path),
            "tags": [*made.get("tags", []), f"charm: {charm}"],
        }
    return found


def _read(path: Path, shared: list[Row]) -> Dashboard:
    """Return the dashboard in a file; raises ValueError and others if there is none."""
    text = beside.text(path, SUFFIXES)
    if path.suffix == ".json":
        made = json.loads(text, parse_constant=_no_number)
        _Exported.model_validate(made, strict=True)
        _check_depth(made)
        return made
    described = Described.model_validate(foreign_yaml.load(text))
    return _dashboard(described, [*described.rows, *shared])


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is not JSON")


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(_DEPTH):
        inner = [
            each.values() if isinstance(each, dict) else each
            for each in level
            if isinstance(each, dict | list)
        ]
        level = [each for values in inner for each in values]
    if level:
        raise ValueError("nested too deeply")


def _uid(charm: str, path: Path) -> str:
    from cosl import DashboardPath40UID  # it imports much, and only a hook with news needs it

    return DashboardPath40UID.generate(charm, f"src/grafana_dashboards/{path.name}")


def _dashboard(described: Described, rows: Iterable[Row]) -> Dashboard:
    return {
        "title": described.title,
        "description": described.description,
        "version": described.version,
        "schemaVersion": SCHEMA,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "1m",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {"list": _variables()},
        "panels": _panels(rows),
        "tags": ["kubeflow"],
    }


def _variables() -> list[dict[str, Any]]:
    """Return the variables: the sources of data, then the topology, each narrowed by those before it."""
    found: list[dict[str, Any]] = [
        {"name": name, "label": f"{kind.title()} datasource", "type": "datasource", "query": kind}
        for kind, name in (("prometheus", "prometheusds"), ("loki", "lokids"))
    ]
    before: list[str] = []
    for name in VARIABLES:
        query = f"label_values(up{{{','.join(before)}}},{name})"
        found.append(
            {
                "name": name,
                "label": name.replace("_", " ").capitalize(),
                "type": "query",
                "datasource": {"type": "prometheus", "uid": _SOURCES["prometheus"]},
                "definition": query,
                "query": {"query": query, "refId": "StandardVariableQuery"},
                "refresh": 2,
                "multi": True,
                "includeAll": True,
                "allValue": ".*",
                "current": {"text": ["All"], "value": ["$__all"]},
            }
        )
        before.append(f'{name}=~"${name}"')
    return found


def _panels(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Return rows and panels, placed from left to right and from top to bottom."""
    placed: list[dict[str, Any]] = []
    top = 0
    for row in rows:
        place = {"x": 0, "y": top, "w": _COLUMNS, "h": 1}
        placed.append({"type": "row", "title": row.title, "collapsed": False, "panels": [], "gridPos": place})
        top, left = top + 1, 0
        for panel in row.panels:
            width = _COLUMNS if panel.kind == "logs" else _WIDTH
            if left + width > _COLUMNS:
                top, left = top + _HEIGHT, 0
            placed.append(_panel(panel) | {"gridPos": {"x": left, "y": top, "w": width, "h": _HEIGHT}})
            left += width
        top += _HEIGHT
    return [{"id": number, **panel} for number, panel in enumerate(placed, 1)]


def _panel(panel: Panel) -> dict[str, Any]:
    kind = "loki" if panel.kind == "logs" else "prometheus"
    source = {"type": kind, "uid": _SOURCES[kind]}
    targets = [
        {
            "refId": chr(ord("A") + number),
            "datasource": source,
            "expr": query.expr.replace(PLACEHOLDER, _TOPOLOGY),
            "legendFormat": query.legend,
        }
        for number, query in enumerate(panel.queries)
    ]
    defaults = {} if panel.kind == "logs" else {"unit": panel.unit, "min": 0}
    return {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": source,
        "targets": targets,
        "fieldConfig": {"defaults": defaults, "overrides": []},
    }
