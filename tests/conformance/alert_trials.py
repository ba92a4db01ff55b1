"""What promtool tries of alert rules: series by the minute, and what fires then.

`alert_cases.yaml` beside a charm's tests has the cases of its alerts, and that of the library the shared ones: the series
by the minute, and when to look. A series is one that a program of the charm really exposes. `healthy` are the charm's own
series while all is well. Programs are up unless a case says otherwise.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml
from conformance.observers import Promtool
from observed import ROOT, SEEN, Observed

from kubeflow_charm.observability import alerts
from kubeflow_charm.relations.topology import Topology

SHARED_CASES = ROOT / "lib" / "kubeflow_charm" / "tests" / "alert_cases.yaml"
UUID = "12345678-1234-4234-8234-123456789abc"
HEALTHY = "1x60"
MINUTES: tuple[int, ...] = (1, 2, 5, 8, 11, 15, 18, 21, 25, 31, 40, 50, 60)
"""When to look at what must never alarm."""


def topology(charm: Observed) -> Topology:
    """Return the application whose name is the charm's."""
    return Topology(
        model="ml", model_uuid=UUID, application=charm.name, unit=f"{charm.name}/0", charm_name=charm.name
    )


def written(charm: Observed, folder: Path) -> Path:
    """Write a charm's rules as it sends them; return the file."""
    file = folder / f"{charm.name}.yaml"
    file.write_text(yaml.safe_dump(alerts.rules(charm.rule_files, topology(charm)), width=10_000))
    return file


@functools.cache
def cases(file: Path) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """Return the cases of a file: alert to `fires` and `silent`."""
    return {name: each for name, each in yaml.safe_load(file.read_text()).items() if name != "healthy"}


def healthy(charm: Observed) -> dict[str, str]:
    """Return the charm's own series while all is well."""
    return yaml.safe_load((charm.folder / "tests" / "alert_cases.yaml").read_text())["healthy"]


def cases_of(charm: Observed) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """Return the cases of all alerts of a charm."""
    return cases(SHARED_CASES) | cases(charm.folder / "tests" / "alert_cases.yaml")


def parsed(series: str) -> tuple[str, dict[str, str]]:
    """Return the name and the labels of a series."""
    name, _, labels = series.partition("{")
    return name, dict(re.findall(r'(\w+)="([^"]*)"', labels))


def labelled(series: str, charm: Observed) -> str:
    """Return a series with the labels that Prometheus gives to those of the charm."""
    name, labels = parsed(series)
    known = {"juju_model": "ml", "juju_model_uuid": UUID, "juju_application": charm.name, "juju_charm": charm.name,
             "juju_unit": f"{charm.name}/0"}  # fmt: skip
    every = ",".join(f'{key}="{value}"' for key, value in (known | labels).items())
    return f"{name}{{{every}}}"


def values(written: str) -> list[str]:
    """Return the values of a series by the minute, of promtool's short form."""
    found: list[str] = []
    for word in str(written).split():
        one, step, times = re.fullmatch(r"(_|-?[\d.]+?|stale)([+-][\d.]+)?(?:x(\d+))?", word).groups()  # pyright: ignore[reportOptionalMemberAccess]
        if one in ("_", "stale"):
            found += [one] * int(times or 1)
        else:
            found += [f"{float(one) + float(step or 0) * number:g}" for number in range(int(times or 0) + 1)]
    return found


def scaled_to_zero(series: dict[str, str], minute: int) -> dict[str, str]:
    """Return series that end at a minute, as when an application is scaled to zero."""
    return {name: " ".join([*values(each)[:minute], "stale"]) for name, each in series.items()}


def looked_at(case: dict[str, Any]) -> list[int]:
    """Return the minutes at which a case is looked at: one, or several."""
    at = case["at"] if isinstance(case["at"], list) else [case["at"]]
    return [int(each.removesuffix("m")) for each in at]


def a_test(
    charm: Observed, name: str, series: dict[str, str], asked: dict[int, int], which: str = ""
) -> dict[str, Any]:
    """Return one of promtool's tests.

    Args:
        charm: whose series these are.
        name: the test's.
        series: what they are by the minute.
        asked: minute to the number of alerts that fire then.
        which: the alert; any if none is named.
    """
    matcher = f'alertname="{which}",' if which else ""
    expr = f'count(ALERTS{{{matcher}alertstate="firing"}})'
    checks = [
        {
            "expr": expr,
            "eval_time": f"{at}m",
            "exp_samples": [{"labels": "{}", "value": count}] if count else [],
        }
        for at, count in asked.items()
    ]
    inputs = [{"series": labelled(key, charm), "values": str(value)} for key, value in series.items()]
    return {"name": name, "interval": "1m", "input_series": inputs, "promql_expr_test": checks}


def all_up(charm: Observed, series: dict[str, str]) -> dict[str, str]:
    """Return series with those of programs that are up, unless these say something of that."""
    if any(parsed(name)[0] == "up" for name in series):
        return series
    return {f'up{{program="{name}"}}': "1x90" for name in charm.programs} | series


def trials(charm: Observed, alert: str) -> Iterator[dict[str, Any]]:
    """Yield promtool's tests of an alert: its cases, and that it ends when the application is scaled to zero.

    The latter takes the longest, so of an alert that charms share it is done once.
    """
    first = next(each for each in SEEN if alert in {rule.alert for rule in each.rules})
    for kind in ("fires", "silent"):
        for number, case in enumerate(cases_of(charm)[alert][kind]):
            name, series, minutes = f"{alert} {kind} {number}", all_up(charm, case["series"]), looked_at(case)
            count = case.get("alerts", 1) if kind == "fires" else 0
            yield a_test(charm, name, series, dict.fromkeys(minutes, count), alert)
            if kind == "fires" and charm is first:
                for end in (minutes[0], minutes[0] // 2):
                    after = {end + later: 0 for later in (0, 1, 3, 6, 10, 15, 20, 30)}
                    yield a_test(charm, f"{name} without a unit", scaled_to_zero(series, end), after, alert)


def tried(charm: Observed, promtool: Promtool, folder: Path, tests: Iterable[dict[str, Any]]) -> str:
    """Return what promtool finds in tests of a charm's rules; nothing if all is as they say."""
    file = folder / "tests.yaml"
    document = {"rule_files": [str(written(charm, folder))], "evaluation_interval": "1m", "tests": [*tests]}
    file.write_text(json.dumps(document))  # it is YAML, too
    return promtool.test(file)


def well(charm: Observed) -> dict[str, str]:
    """Return all series that alerts of a charm look at, while all is well."""
    series = {f'up{{program="{name}"}}': HEALTHY for name in charm.programs}
    for name, program in charm.programs.items():
        if "process" in program.libraries:
            series[f'process_start_time_seconds{{program="{name}"}}'] = "1000x60"
        for controller in program.controllers:
            labels = f'program="{name}",controller="{controller}"'
            series[f'rest_client_requests_total{{program="{name}",code="200"}}'] = "0+9x60"
            series[f'controller_runtime_reconcile_total{{{labels},result="success"}}'] = "0+3x60"
            series[f'controller_runtime_reconcile_total{{{labels},result="error"}}'] = "0+0.1x60"
            series[f"controller_runtime_reconcile_errors_total{{{labels}}}"] = "0+0.1x60"
            series[f'workqueue_depth{{program="{name}",name="{controller}"}}'] = "0 3 0 7 0x56"
            for bound, calls in (("5", "0+2x60"), ("10", "0+2.01x60"), ("+Inf", "0+2.01x60")):
                bucket = f'program="{name}",webhook="/w",le="{bound}"'
                series[f"controller_runtime_webhook_latency_seconds_bucket{{{bucket}}}"] = calls
    return series | healthy(charm)
