"""Write `docs/reference/observability.md` of what the charms describe: `python docs/observability.py`.

A test fails when the page differs from what this script writes.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reference" / "observability.md"
sys.path.insert(0, str(ROOT / "tests"))

from observed import SEEN, Observed, queries  # noqa: E402

from kubeflow_charm.observability import alerts  # noqa: E402
from kubeflow_charm.observability.programs import libraries  # noqa: E402

_INTRODUCTION = """# Metrics, alerts and dashboards

What each charm gives to Prometheus and Grafana when it is related: [how to relate](../how-to/observe.md),
[what to do about an alert](../how-to/solve-alerts.md). `docs/observability.py` writes this page from the
charms' own files.

Every series has the labels `juju_model`, `juju_model_uuid`, `juju_application`, `juju_unit` and `juju_charm`,
and `program`. Programs have more metrics than the tables name: these are what alerts
and dashboards use."""


def page() -> str:
    """Return the page."""
    parts = [_INTRODUCTION, *map(_charm, SEEN), _libraries()]
    return "\n\n".join(parts) + "\n"


def _charm(charm: Observed) -> str:
    lines = [f"## {charm.name}", "", "| program | path | libraries |", "| --- | --- | --- |"]
    for name, program in charm.programs.items():
        used = ", ".join(f"[{library}](#{library})" for library in program.libraries)
        lines.append(f"| {name} | `{program.path}` | {used} |")
    own = [rule for rule in charm.rules if rule.alert not in _shared(charm)]
    lines += ["", "| alert | severity | fires when |", "| --- | --- | --- |"]
    lines += [_alert(rule.alert, rule.labels["severity"], rule.annotations["summary"]) for rule in own]
    links = ", ".join(f"[{alert}]({_section(alert)})" for alert in _shared(charm))
    lines += ["", f"Shared alerts: {links}."]
    for board in charm.dashboards.values():
        panels = dict.fromkeys(title for title, _ in queries(board))
        lines += ["", f"Dashboard **{board['title']}**: {'; '.join(panels)}; Logs."]
    without = [f"| {workload} | {reason} |" for workload, reason in charm.without.items()]
    if without:
        lines += ["", "| workload without metrics | why |", "| --- | --- |", *without]
    return "\n".join([*lines, "", *_metrics(charm)]).rstrip()


def _shared(charm: Observed) -> list[str]:
    """Return the alerts that the library gives to the charm."""
    files = [alerts.read(path) for path in charm.rule_files if charm.folder not in path.parents]
    return [rule.alert for file in files if file for group in file.groups for rule in group.rules]


def _section(alert: str) -> str:
    return f"../how-to/solve-alerts.md#{alert.lower()}"


def _alert(name: str, severity: str, summary: str) -> str:
    plain = summary.replace("{{ $labels.juju_application }}", "the application")
    plain = re.sub(r"{{ \$labels\.(\w+) }}", r"`\1`", plain)
    return f"| [{name}]({_section(name)}) | {severity} | {plain} |"


def _metrics(charm: Observed) -> Iterator[str]:
    every = {
        name: (metric, program)
        for program in charm.programs.values()
        for name, metric in program.metrics.items()
        if name not in program.dropped
    }
    if not every:
        return
    yield "| metric | type, labels | what it is | source |"
    yield "| --- | --- | --- | --- |"
    for name, (metric, program) in every.items():
        labels = ", ".join((metric.type, *(f"`{label}`" for label in metric.labels)))
        upstream = program.source.partition(",")[0]
        yield f"| `{name}` | {labels} | {metric.help} | {upstream}, {metric.source} |"


def _libraries() -> str:
    lines = ["## Metrics of libraries"]
    for name, library in libraries().items():
        lines += ["", f"### {name}", "", f"Source: {library.source}.", ""]
        lines += ["| metric | type, labels | what it is |", "| --- | --- | --- |"]
        for name, metric in library.metrics.items():
            labels = ", ".join((metric.type, *(f"`{label}`" for label in metric.labels)))
            lines.append(f"| `{name}` | {labels} | {metric.help} |")
    return "\n".join(lines)


if __name__ == "__main__":
    PAGE.write_text(page())
