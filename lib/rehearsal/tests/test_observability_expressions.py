"""How an expression is restricted to one application, and what is wrong with one, as cos-tool says it."""

from __future__ import annotations

import promql_parser
import pytest

from rehearsal.stand_ins.observability import expressions

LABELS = {"m": 'a "quoted" one', "app": "kfp"}
M = 'm="a \\"quoted\\" one",app="kfp"'

RESTRICTED = {
    "up < 1": f"up{{{M}}} < 1",
    "absent(up)": f"absent(up{{{M}}})",
    "up{}": f"up{{{M}}}",
    "up{a='}'}": f"up{{a='}}',{M}}}",
    "up{a=~'b',} == 0": f"up{{a=~'b',{M}}} == 0",
    'up{m!="x"}': 'up{m!="x",app="kfp"}',
    '{__name__="up"}': f'{{__name__="up",{M}}}',
    "sum by (up) (rate(x[5m]))": f"sum by (up) (rate(x{{{M}}}[5m]))",
    "sum(x) without (up) > 0": f"sum(x{{{M}}}) without (up) > 0",
    "a and on(up) b": f"a{{{M}}} and on(up) b{{{M}}}",
    "a / ignoring(c) group_left(d) b": f"a{{{M}}} / ignoring(c) group_left(d) b{{{M}}}",
    "predict_linear((a / b)[5m:1m], 3600) > 1": f"predict_linear((a{{{M}}} / b{{{M}}})[5m:1m], 3600) > 1",
    "x[1h] offset 5m": f"x{{{M}}}[1h] offset 5m",
    "up @ start()": f"up{{{M}}} @ start()",
    "1e-3 * -x == bool Inf": f"1e-3 * -x{{{M}}} == bool Inf",
    "node:load:sum > 1 # {not} this": f"node:load:sum{{{M}}} > 1 # {{not}} this",
    "topk(3, x) unless vector(1)": f"topk(3, x{{{M}}}) unless vector(1)",
}


@pytest.mark.parametrize(("expression", "expected"), RESTRICTED.items(), ids=RESTRICTED)
def test_every_selector_gets_the_labels_that_it_does_not_name(expression: str, expected: str) -> None:
    assert expressions.restricted(expression, LABELS) == expected
    promql_parser.parse(expected)


@pytest.mark.parametrize("expression", ["up <", "rate(x)", "what(x)", "sum(", 'x{a=~"("}', "x[5 m]", ""])
def test_what_prometheus_cannot_read_is_refused_and_stays(expression: str) -> None:
    assert expressions.fault(expression, "promql")
    assert expressions.restricted(expression, LABELS) == expression


def test_streams_of_logs_get_them_too() -> None:
    expression = 'sum by (pod) (rate({app="x"} |= "err{or" | json [5m])) > 1'
    expected = 'sum by (pod) (rate({app="x",m="q"} |= "err{or" | json [5m])) > 1'
    assert expressions.restricted(expression, {"m": "q"}, "logql") == expected


@pytest.mark.parametrize("expression", ['rate({a="b"[5m])', 'rate({a="b})', "up", "rate({a=`b`}))"])
def test_logs_without_a_stream_or_an_end_are_refused(expression: str) -> None:
    assert expressions.fault(expression, "logql")


DURATIONS = {"0": 0, "5m": 300, "1h30m": 5400, "1d": 86400, "5 m": None, "1.5h": None, "": None, "m5": None}


@pytest.mark.parametrize(("text", "seconds"), DURATIONS.items(), ids=DURATIONS)
def test_durations(text: str, seconds: int | None) -> None:
    assert expressions.duration(text) == seconds


TEMPLATES = {
    "{{ $labels.instance }} is down, {{ .Value }}": "",
    '{{ $value | humanize }}{{ printf "%s what" $labels.x }}': "",
    "{{ with query `up` }}{{ . | first | value }}{{ end }}": "",
    "{{ $labels.instance": "unclosed action",
    "{{ what }}": 'function "what" not defined',
}


@pytest.mark.parametrize(("text", "fault"), TEMPLATES.items(), ids=TEMPLATES)
def test_templates_of_alerts(text: str, fault: str) -> None:
    assert expressions.template_fault(text) == fault
