"""Every alert fires when it should and is silent when it should be, says promtool, of the cases in `alert_cases.yaml`."""

from __future__ import annotations

from pathlib import Path

import pytest
from conformance import observers, s3_server
from conformance.alert_trials import (
    MINUTES,
    a_test,
    cases,
    cases_of,
    healthy,
    parsed,
    scaled_to_zero,
    trials,
    tried,
    well,
    written,
)
from conformance.observers import Promtool
from observed import SEEN, Observed, selectors, selects

each_seen = pytest.mark.parametrize("charm", SEEN, ids=lambda charm: charm.name)


@pytest.fixture(scope="module")
def promtool(request: pytest.FixtureRequest) -> Promtool:
    shown = s3_server.told(request.config)
    return Promtool(observers.compiled([observers.PROMTOOL], shown)["promtool"])


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
    alerts_of = {rule.alert for rule in charm.rules}
    used = {
        (alert, series)
        for alert, kinds in cases_of(charm).items()
        if alert in alerts_of
        for case in (case for kind in kinds.values() for case in kind)
        for series in case["series"]
    }
    for alert, series in used | {("healthy", series) for series in healthy(charm)}:
        name, labels = parsed(series)
        assert name in charm.series, (alert, series)
        known = {"program", "le", "juju_application", *charm.series[name].labels}
        assert labels.keys() <= known, (alert, series)


@each_seen
def test_prometheus_takes_the_rules(charm: Observed, promtool: Promtool, tmp_path: Path) -> None:
    assert promtool.check(written(charm, tmp_path)) == ""


@each_seen
def test_alerts_fire_when_they_should_and_not_otherwise(
    charm: Observed, promtool: Promtool, tmp_path: Path
) -> None:
    tests = [test for rule in charm.rules for test in trials(charm, rule.alert)]
    assert tried(charm, promtool, tmp_path, tests) == ""


@each_seen
def test_every_alert_has_something_healthy_to_look_at(charm: Observed) -> None:
    present = [parsed(series) for series in well(charm)]
    for rule in charm.rules:
        for selector in selectors(rule.expr):
            assert any(selects(selector, name, labels) for name, labels in present), (
                rule.alert,
                selector.name,
            )


@each_seen
def test_no_alert_fires_while_all_is_well(charm: Observed, promtool: Promtool, tmp_path: Path) -> None:
    """Not at first, not later, and not when it has been scaled to zero, or comes back."""
    series, never = well(charm), dict.fromkeys(MINUTES, 0)
    back = {name: f"{each} _x9 {each}" for name, each in scaled_to_zero(series, 30).items()}
    tests = [
        a_test(charm, "healthy", series, never),
        a_test(charm, "without a unit", scaled_to_zero(series, 10), never),
        a_test(charm, "back", back, dict.fromkeys((*MINUTES, 65, 70), 0)),
    ]
    assert tried(charm, promtool, tmp_path, tests) == ""
