"""Every alert fires when it should and is silent when it should be, says promtool.

`alert_cases.yaml` beside a charm's tests has the cases of its alerts, and that of the library the shared ones: the series
by the minute, and when to look. A series is one that a program of the charm really exposes.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pytest
import yaml
from conformance import observers, s3_server
from conformance.observers import Promtool
from observed import ROOT, SEEN, Observed

from kubeflow_charm.observability import alerts
from kubeflow_charm.relations.topology import Topology

SHARED_CASES = ROOT / "lib" / "kubeflow_charm" / "tests" / "alert_cases.yaml"
UUID = "12345678-1234-4234-8234-123456789abc"
HEALTHY = "1x60"

each_seen = pytest.mark.parametrize("charm", SEEN, ids=lambda charm: charm.name)


@pytest.fixture(scope="module")
def promtool(request: pytest.FixtureRequest) -> Promtool:
    shown = s3_server.told(request.config)
    return Promtool(observers.compiled([observers.PROMTOOL], shown)["promtool"])


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
    return yaml.safe_load(file.read_text())


def cases_of(charm: Observed) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """Return the cases of all alerts of a charm."""
    return cases(SHARED_CASES) | cases(charm.folder / "tests" / "alert_cases.yaml")


def labelled(series: str, charm: Observed) -> str:
    """Return a series with the labels that Prometheus gives to those of the charm."""
    name, _, labels = series.partition("{")
    known = {"juju_model": "ml", "juju_model_uuid": UUID, "juju_application": charm.name, "juju_charm": charm.name,
             "juju_unit": f"{charm.name}/0"}  # fmt: skip
    added = ",".join(f'{key}="{value}"' for key, value in known.items() if f"{key}=" not in labels)
    return f"{name}{{{added}{',' if labels not in ('', '}') else ''}{labels or '}'}"


def promtool_tests(charm: Observed, rules: Path) -> dict[str, Any]:
    """Return promtool's file of tests."""
    tests = []
    for alert in (rule.alert for rule in charm.rules):
        for kind in ("fires", "silent"):
            for number, case in enumerate(cases_of(charm)[alert][kind]):
                expr = f'count(ALERTS{{alertname="{alert}",alertstate="firing"}})'
                samples = [{"labels": "{}", "value": case.get("alerts", 1)}] if kind == "fires" else []
                inputs = [
                    {"series": labelled(key, charm), "values": str(value)}
                    for key, value in case["series"].items()
                ]
                tests.append(
                    {
                        "name": f"{alert} {kind} {number}",
                        "interval": "1m",
                        "input_series": inputs,
                        "promql_expr_test": [{"expr": expr, "eval_time": case["at"], "exp_samples": samples}],
                    }
                )
    return {"rule_files": [str(rules)], "evaluation_interval": "1m", "tests": tests}


@each_seen
def test_every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not(charm: Observed) -> None:
    names = [rule.alert for rule in charm.rules]
    found = cases_of(charm)
    assert not [
        name for name in names if not (found.get(name, {}).get("fires") and found[name].get("silent"))
    ]
    assert cases(charm.folder / "tests" / "alert_cases.yaml").keys() <= {*names}


@each_seen
def test_cases_are_made_of_series_that_the_charm_has(charm: Observed) -> None:
    own = cases(charm.folder / "tests" / "alert_cases.yaml")
    for alert, kinds in own.items():
        for case in (case for kind in kinds.values() for case in kind):
            for series in case["series"]:
                name, _, labels = series.partition("{")
                assert name in charm.series, (alert, series)
                asked = {pair.partition("=")[0] for pair in labels.rstrip("}").split(",") if pair}
                assert asked <= {"program", "le", *charm.series[name].labels}, (alert, series)


@each_seen
def test_prometheus_takes_the_rules(charm: Observed, promtool: Promtool, tmp_path: Path) -> None:
    assert promtool.check(written(charm, tmp_path)) == ""


@each_seen
def test_alerts_fire_when_they_should_and_not_otherwise(
    charm: Observed, promtool: Promtool, tmp_path: Path
) -> None:
    file = tmp_path / "tests.yaml"
    file.write_text(yaml.safe_dump(promtool_tests(charm, written(charm, tmp_path)), width=10_000))
    assert promtool.test(file) == ""


@each_seen
def test_no_alert_fires_while_all_is_well(charm: Observed, promtool: Promtool, tmp_path: Path) -> None:
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
    tests = {
        "name": "healthy",
        "interval": "1m",
        "input_series": [{"series": labelled(key, charm), "values": value} for key, value in series.items()],
        "promql_expr_test": [
            {"expr": 'count(ALERTS{alertstate="firing"})', "eval_time": at, "exp_samples": []}
            for at in ("1m", "10m", "30m", "60m")
        ],
    }
    file = tmp_path / "tests.yaml"
    document = {"rule_files": [str(written(charm, tmp_path))], "evaluation_interval": "1m", "tests": [tests]}
    file.write_text(yaml.safe_dump(document, width=10_000))
    assert promtool.test(file) == ""
