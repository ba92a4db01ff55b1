"""What Prometheus and Grafana get of each charm, as its files describe it: for tests, and for the reference."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import promql_parser
import yaml

from kubeflow_charm.observability import alerts, dashboards
from kubeflow_charm.observability.programs import SHARED as LIBRARIES
from kubeflow_charm.observability.programs import Metric, Program, libraries, read, without

ROOT = Path(__file__).parents[1]
ALWAYS = {
    "up": Metric(type="gauge", help="Whether Prometheus reads a program's metrics.", source="Prometheus")
}
TOPOLOGY = 'juju_model="ml",juju_model_uuid="12345678-1234-4234-8234-123456789abc",juju_application="app"'
_SUFFIXES = {"histogram": ("_bucket", "_sum", "_count"), "summary": ("", "_sum", "_count")}
_VARIABLES = {"$__rate_interval": "5m", "$__interval": "1m", "$__range": "1h"}


@dataclasses.dataclass(frozen=True)
class Observed:
    """One charm.

    Args:
        folder: the charm's.
    """

    folder: Path

    @functools.cached_property
    def name(self) -> str:
        """The charm's name."""
        return self.metadata["name"]

    @functools.cached_property
    def metadata(self) -> dict[str, Any]:
        """What `charmcraft.yaml` says."""
        return yaml.safe_load((self.folder / "charmcraft.yaml").read_text())

    @functools.cached_property
    def programs(self) -> dict[str, Program]:
        """The programs with metrics, by name."""
        return read(self.folder / "src" / "metrics.yaml")

    @functools.cached_property
    def without(self) -> dict[str, str]:
        """The workloads without metrics, and why."""
        return without(self.folder / "src" / "metrics.yaml")

    @property
    def controllers(self) -> bool:
        """Whether a program is made with controller-runtime."""
        return any(each.controllers for each in self.programs.values())

    @property
    def rule_files(self) -> list[Path]:
        """The files of alert rules, shared ones first."""
        return alerts.files(
            self.folder / "src" / "prometheus_alert_rules", self.name, controllers=self.controllers
        )

    @functools.cached_property
    def rules(self) -> list[alerts.Rule]:
        """The alerts, shared ones first."""
        files = [alerts.read(path) for path in self.rule_files]
        assert None not in files, self.rule_files
        return [rule for file in files if file for group in file.groups for rule in group.rules]

    @property
    def dashboard_files(self) -> list[Path]:
        """The files that dashboards are made of, the charm's own first."""
        return dashboards.files(
            self.folder / "src" / "grafana_dashboards", self.name, controllers=self.controllers
        )

    @functools.cached_property
    def dashboards(self) -> dict[str, dict[str, Any]]:
        """The dashboards by id."""
        return dashboards.dashboards(self.dashboard_files, self.name)

    @functools.cached_property
    def series(self) -> dict[str, Metric]:
        """Every series that its programs expose, by name: of a histogram, its buckets, its sum and its count."""
        found = dict(ALWAYS)
        for program in self.programs.values():
            known = {
                name: each for used in program.libraries for name, each in libraries()[used].metrics.items()
            }
            for name, metric in (known | program.metrics).items():
                found |= {name + suffix: metric for suffix in _SUFFIXES.get(metric.type, ("",))}
        return found


OBSERVED = [Observed(path.parent) for path in sorted(ROOT.glob("charms/*/charmcraft.yaml"))]
"""Every charm."""
SEEN = [each for each in OBSERVED if each.programs]
"""Those with metrics."""


def as_promql(expression: str) -> str:
    """Return an expression of a rule or a panel with a value for each placeholder."""
    for variable, value in _VARIABLES.items():
        expression = expression.replace(variable, value)
    return expression.replace(alerts.PLACEHOLDER, TOPOLOGY)


def selectors(expression: str) -> Iterator[promql_parser.VectorSelector]:
    """Yield the selectors of series in an expression; raises ValueError if it is no PromQL."""
    yield from _selectors(promql_parser.parse(as_promql(expression)))


def _selectors(node: Any) -> Iterator[promql_parser.VectorSelector]:
    match node:
        case promql_parser.VectorSelector():
            yield node
        case promql_parser.MatrixSelector():
            yield node.vector_selector
        case promql_parser.BinaryExpr():
            yield from _selectors(node.lhs)
            yield from _selectors(node.rhs)
        case promql_parser.Call():
            for each in node.args:
                yield from _selectors(each)
        case promql_parser.AggregateExpr() | promql_parser.ParenExpr() | promql_parser.UnaryExpr():
            yield from _selectors(node.expr)
        case promql_parser.SubqueryExpr():
            yield from _selectors(node.expr)
        case promql_parser.NumberLiteral() | promql_parser.StringLiteral():
            pass
        case _:
            raise TypeError(f"no selectors are known of {type(node).__name__}")


def selects(selector: promql_parser.VectorSelector, name: str, labels: dict[str, str]) -> bool:
    """Return whether a selector finds a series by its own labels; the topology, which all have, is left aside."""
    matchers = [each for each in selector.matchers.matchers if not each.name.startswith("juju_")]
    return name == selector.name and all(_matches(each, labels.get(each.name, "")) for each in matchers)


def _matches(matcher: promql_parser.Matcher, value: str) -> bool:
    match matcher.op:
        case promql_parser.MatchOp.Equal:
            return value == matcher.value
        case promql_parser.MatchOp.NotEqual:
            return value != matcher.value
        case promql_parser.MatchOp.Re:
            return re.fullmatch(matcher.value, value) is not None
        case _:
            return re.fullmatch(matcher.value, value) is None


def queries(
    dashboard: dict[str, Any], source: Literal["prometheus", "loki"] = "prometheus"
) -> Iterator[tuple[str, str]]:
    """Yield title and expression of every query to a Prometheus, or to a Loki, in a dashboard."""
    for panel in dashboard["panels"]:
        for target in panel.get("targets", ()):
            if target["datasource"]["type"] == source:
                yield panel["title"], target["expr"]


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


__all__ = [
    "LIBRARIES",
    "OBSERVED",
    "SEEN",
    "Observed",
    "anchors",
    "as_promql",
    "queries",
    "selectors",
    "selects",
]
