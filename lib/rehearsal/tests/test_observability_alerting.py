"""What readers make of alert rules, and what a collector sends on.

The expected values are those of MetricsEndpointConsumer, LIBPATCH 60, with cos-tool, and of cosl 1.9.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from rehearsal.stand_ins.observability import alerting
from rehearsal.stand_ins.observability.alerting import Alerts
from rehearsal.stand_ins.observability.topology import HookFails, Topology

UUID = "f47ac10b-58cc-4372-a567-0e02b2c3d479"
LABELS = {
    "juju_model": "kubeflow",
    "juju_model_uuid": UUID,
    "juju_application": "kfp",
    "juju_charm": "kfp-x",
}
SCOPE = f'juju_model="kubeflow",juju_model_uuid="{UUID}",juju_application="kfp"'
NAME = "kubeflow_f47ac10b_kfp_api_rules"
COLLECTOR = Topology("kubeflow", UUID, "otelcol", "opentelemetry-collector-k8s")


def rule(**more: Any) -> dict[str, Any]:
    said = {"alert": "Down", "expr": "up < 1", "for": "5m", "labels": dict(LABELS)} | more
    return {key: value for key, value in said.items() if value is not None}


def group(*rules: Any, **more: Any) -> dict[str, Any]:
    return {"name": NAME, "rules": [*rules]} | more


def received(*groups: Any, language: Any = "promql", **said: Any) -> Alerts:
    bag = {"alert_rules": json.dumps({"groups": groups})} | said
    found = alerting.received(bag, "_metrics-endpoint_7", language)
    assert found is not None
    return found


def test_a_rule_selects_only_series_of_the_application_that_its_labels_name() -> None:
    found = received(group(rule(), rule(alert="Gone", expr='absent(up{%%juju_topology%%, a="b"})')))
    assert (found.file, found.error, found.lost) == ("kubeflow_f47ac10b_kfp_metrics-endpoint_7", "", [])
    assert [each["expr"] for each in found.groups[0]["rules"]] == [
        f"up{{{SCOPE}}} < 1",
        f'absent(up{{ a="b",{SCOPE}}})',
    ]


def test_rules_of_logs_select_the_charm_too() -> None:
    (found,) = received(group(rule(expr='rate({a="b"}[5m]) > 1')), language="logql").groups
    assert found["rules"][0]["expr"] == f'rate({{a="b",{SCOPE},juju_charm="kfp-x"}}[5m]) > 1'


def test_whoever_wrote_no_rules_has_none() -> None:
    assert alerting.received({}) is None
    assert alerting.received({"alert_rules": "{}"}) is None
    assert received().groups == []


REFUSED = {
    "an expression": (group(rule(expr="up <")), "could not parse expression"),
    "no expression": (group(rule(expr=None, labels=None)), "field 'expr' must be set in rule"),
    "a field": (group(rule(severity="high")), "field severity not found"),
    "a field of the group": (group(rule(), source="x"), "field source not found"),
    "a duration": (group(rule(**{"for": "5 min"})), 'not a valid duration string: "5 min"'),
    "an interval": (group(rule(), interval="x"), 'not a valid duration string: "x"'),
    "a template": (group(rule(annotations={"summary": "{{ $labels.x"})), "summary: unclosed action"),
    "a name for nothing": (group(rule(alert=None)), "one of 'record' or 'alert' must be set"),
    "a recording that waits": (
        group({"record": "a:b", "expr": "up", "for": "1m"}),
        "invalid field 'for' in recording rule",
    ),
    "a group without a name": (group(rule(), name=""), "Groupname must not be empty"),
    "the metric's name": (group(rule(labels=LABELS | {"__name__": "x"})), "invalid label name: __name__"),
}


@pytest.mark.parametrize(("wrong", "why"), REFUSED.values(), ids=REFUSED)
def test_one_bad_rule_drops_all(wrong: dict[str, Any], why: str) -> None:
    found = received(group(rule(), name="kubeflow_f47ac10b_kfp_other_rules"), wrong)
    assert found.groups == []
    assert why in found.error
    assert found.error.startswith("error validating kubeflow_f47ac10b_kfp_metrics-endpoint_7: [")


def test_a_name_of_two_groups_is_refused() -> None:
    assert f'groupname: "{NAME}" is repeated in the same file' in received(group(rule()), group(rule())).error


FAILING = {
    "a group without rules": group(),
    "a group of nothing": {"name": NAME},
    "a rule of nothing": group("up < 1"),
    "a model that cannot be": group(rule(labels=LABELS | {"juju_model_uuid": "kubeflow"})),
}


@pytest.mark.parametrize("wrong", FAILING.values(), ids=FAILING)
def test_what_real_hooks_fail_on(wrong: dict[str, Any]) -> None:
    with pytest.raises(HookFails):
        received(wrong)


def test_rules_that_are_no_json() -> None:
    with pytest.raises(HookFails, match="alert_rules is no JSON"):
        alerting.received({"alert_rules": "groups: []"})


LOST = {
    "a plain name": (group(rule(), name="Api"), "the group Api does not say whose it is"),
    "no labels": (group(rule(labels=None)), "the rule Down has no label juju_application"),
    "no charm": (
        group(rule(labels={key: value for key, value in LABELS.items() if key != "juju_charm"})),
        "the rule Down has no label juju_charm",
    ),
    "a label for Prometheus 3": (
        group(rule(annotations={"run-book": "x"})),
        'the rule Down: "run-book" is not a label name for Prometheus 2',
    ),
}


@pytest.mark.parametrize(("said", "why"), LOST.values(), ids=LOST)
def test_what_becomes_something_else_is_said(said: dict[str, Any], why: str) -> None:
    found = received(said)
    assert (len(found.groups), found.error, len(found.lost)) == (1, "", 1)
    assert found.lost[0].startswith(why)


def test_a_file_without_labels_is_named_by_the_metadata_or_the_group() -> None:
    metadata = {"model": "m", "model_uuid": UUID, "application": "a"}
    assert received(group(rule(labels=None))).file == f"{NAME}_metrics-endpoint_7"
    named = received(group(rule(labels=None)), scrape_metadata=json.dumps(metadata))
    assert named.file == "m_f47ac10b_a_metrics-endpoint_7"


def test_a_collector_keeps_names_that_say_whose_they_are() -> None:
    sound = received(group(rule()))
    assert alerting.forwarded({"a": sound.groups}, COLLECTOR, "promql") == sound.groups


def test_a_collector_takes_over_what_names_nobody() -> None:
    plain = {"name": "my-api", "rules": [{"alert": "Down", "expr": "up < 1", "labels": {"severity": "high"}}]}
    (found,) = alerting.forwarded({"a": [plain]}, COLLECTOR, "promql")
    assert found["name"] == "kubeflow_f47ac10b_otelcol_my_api_rules"
    assert found["rules"][0]["labels"] == {**COLLECTOR.labels, "severity": "high"}
    assert found["rules"][0]["expr"] == f"up{{{SCOPE}}} < 1".replace("kfp", "otelcol")


def test_plain_names_of_two_applications_collide() -> None:
    plain = {"name": "api", "rules": [rule()]}
    names = alerting.repeated(alerting.forwarded({"a": [plain], "b": [plain]}, COLLECTOR, "promql"))
    assert names == ["kubeflow_f47ac10b_otelcol_api_rules"]


def test_a_collector_watches_each_of_its_units() -> None:
    found = alerting.of_collector(COLLECTOR, ["otelcol/0", "otelcol/1"])
    assert found["name"] == "kubeflow_f47ac10b_otelcol_AggregatorHostHealth_rules"
    scope = SCOPE.replace("kfp", "otelcol")
    assert [(each["alert"], each["expr"]) for each in found["rules"]] == [
        ("HostMetricsMissing", f'absent(up{{juju_unit="otelcol/0",{scope}}})'),
        ("HostMetricsMissing", f'absent(up{{juju_unit="otelcol/1",{scope}}})'),
        ("AggregatorMetricsMissing", f"absent(up{{{scope}}})"),
    ]
