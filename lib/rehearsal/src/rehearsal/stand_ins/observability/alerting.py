"""What the observability charms make of alert rules: whom they are about, what is refused, what goes on.

Facts: prometheus_scrape v0 (MetricsEndpointConsumer.alerts), prometheus_remote_write v1 and loki_push_api v1,
which do alike; canonical/cos-lib, src/cosl/rules.py, for what a collector sends on; canonical/cos-tool and
Prometheus' model/rulefmt for what is refused. One bad rule drops all rules of a relation.
"""

from __future__ import annotations

import copy
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from rehearsal.stand_ins.observability import expressions, scraping, topology
from rehearsal.stand_ins.observability.expressions import Language
from rehearsal.stand_ins.observability.topology import HookFails, Topology

Group = dict[str, Any]
"""A group of rules, as in a file of Prometheus."""

_IN_GROUP = {"name", "interval", "query_offset", "limit", "rules", "labels"}
_IN_RULE = {"record", "alert", "expr", "for", "keep_firing_for", "labels", "annotations"}
_PLACEHOLDER = re.compile(r"%%juju_topology%%,?")
_OWNED = re.compile(r"^.*?_[\da-f]{8}_.*?rules$")
"""The name of a group that says whose it is; a collector keeps it."""
_NOT_IN_NAME = re.compile(r"[^a-zA-Z0-9_:]")


@dataclass
class Alerts:
    """What came of an application's rules.

    Attributes:
        file: the name that the real charm gives them, without `juju_` and `.rules`.
        groups: as Prometheus or Loki loads them; none if they were refused.
        error: why they were refused; it goes back to the application.
        lost: what the real charm leaves out without a word.
    """

    file: str = ""
    groups: list[Group] = field(default_factory=list)
    error: str = ""
    lost: list[str] = field(default_factory=list)


def received(said: Mapping[str, str], suffix: str = "", language: Language = "promql") -> Alerts | None:
    """Return what comes of the rules that an application wrote; None if it wrote none.

    Args:
        said: by the application.
        suffix: what the file's name ends with, so that two relations have two files.
        language: of the expressions.

    Raises:
        HookFails: if the real charm's hook fails on it.
    """
    rules = scraping.parsed(said, "alert_rules", dict)
    if not rules:
        return None
    if rules.get("groups") == []:
        return Alerts()
    if "groups" not in rules:
        return Alerts(error="error validating: yaml: unmarshal errors: no field groups")
    groups = [_scoped(group, language) for group in rules["groups"]]
    file = _file(groups, said) + suffix
    faults = list(_faults(rules, groups, language))
    if faults:
        return Alerts(file, error=f"error validating {file}: [{', '.join(faults)}]")
    return Alerts(file, groups, lost=list(_lost(groups)))


def forwarded(files: Mapping[str, Iterable[Group]], collector: Topology, language: Language) -> list[Group]:
    """Return the groups that a collector sends on.

    A group whose name does not say whose it is gets the collector's name. A rule without Juju labels gets the
    collector's, and from then on watches the collector.

    Args:
        files: the groups that it received, by the name of their file.
        collector: who it is.
        language: of the expressions.
    """
    found = []
    for name in sorted(files):
        for group in copy.deepcopy(list(files[name])):
            group["name"] = group_name(group["name"], collector)
            group["rules"] = [_labelled(rule, collector, language) for rule in group["rules"]]
            found.append(group)
    return found


def repeated(groups: Iterable[Group]) -> list[str]:
    """Return the names that several groups have: Prometheus then drops all rules of the file."""
    return [name for name, count in Counter(group["name"] for group in groups).items() if count > 1]


def group_name(name: str, writer: Topology) -> str:
    """Return the name that cos-lib gives a group."""
    if not _OWNED.match(name):
        name = f"{writer.identifier}_{name}"
        name = name if name.endswith("_rules") else f"{name}_rules"
    return _NOT_IN_NAME.sub("_", name)


def of_collector(collector: Topology, units: Iterable[str]) -> Group:
    """Return the group that whoever writes to a Prometheus sends about itself (cosl, aggregator_rules)."""
    absent = {"expr": "absent(up)", "for": "5m"}
    rules = [
        {
            "alert": "HostMetricsMissing",
            "expr": expressions.restricted("absent(up)", {"juju_unit": unit}),
            "for": "5m",
            "labels": {"severity": "warning", "juju_unit": unit},
        }
        for unit in units
    ]
    rules.append({"alert": "AggregatorMetricsMissing", **absent, "labels": {"severity": "critical"}})
    group = {"name": "AggregatorHostHealth", "rules": rules}
    (made,) = forwarded({"": [group]}, collector, "promql")
    return made


def _labelled(rule: dict[str, Any], writer: Topology, language: Language) -> dict[str, Any]:
    labels = writer.labels | rule.get("labels", {})
    anything = 'job=~".+"' if language == "logql" else ""
    expression = _PLACEHOLDER.sub(anything, rule["expr"])
    scope = {label: labels[label] for label in topology.SCOPE}
    return {**rule, "labels": labels, "expr": expressions.restricted(expression, scope, language)}


def _scoped(group: Any, language: Language) -> Group:
    """Return a group whose rules select only series of the application that their labels name."""
    if not isinstance(group, dict) or "rules" not in group:
        raise HookFails(f"KeyError: the group {_name(group)} has no rules")
    return {**group, "rules": [_scoped_rule(rule, language) for rule in group["rules"] or ()]}


def _scoped_rule(rule: Any, language: Language) -> Any:
    if not isinstance(rule, dict):
        raise HookFails("AttributeError: a rule is no mapping")
    labels = rule.get("labels")
    if not labels:
        return rule
    try:
        scope = topology.said_in_labels(labels).scope
        if language == "logql":
            scope |= {"juju_charm": labels.get("juju_charm", "")}
        expression = _PLACEHOLDER.sub("", rule["expr"])
    except KeyError:
        return rule
    return {**rule, "expr": expressions.restricted(expression, scope, language)}


def _file(groups: list[Group], said: Mapping[str, str]) -> str:
    """Return whom the first rules of the groups name, or else the application itself, or else the group."""
    for group in groups:
        try:
            return topology.said_in_labels(group["rules"][0]["labels"]).identifier
        except IndexError:
            raise HookFails(f"IndexError: the group {_name(group)} has no rules") from None
        except KeyError:
            continue
    if metadata := scraping.parsed(said, "scrape_metadata", dict):
        return topology.said_in_metadata(metadata).identifier
    return _name(groups[0])


def _faults(rules: Mapping[str, Any], groups: list[Group], language: Language) -> Iterator[str]:
    """Yield what Prometheus, or Loki, refuses."""
    if unknown := rules.keys() - {"groups"}:
        yield f"yaml: unmarshal errors: field {sorted(unknown)[0]} not found"
    for name in repeated(group for group in groups if "name" in group):
        yield f'groupname: "{name}" is repeated in the same file'
    for group in groups:
        name = _name(group)
        if not group.get("name"):
            yield "Groupname must not be empty"
        if unknown := group.keys() - _IN_GROUP:
            yield f'group "{name}": field {sorted(unknown)[0]} not found'
        if "interval" in group and expressions.duration(group["interval"]) is None:
            yield f'group "{name}": not a valid duration string: "{group["interval"]}"'
        for number, rule in enumerate(group["rules"], 1):
            title = rule.get("alert") or rule.get("record")
            for fault in _faults_of_rule(rule, language):
                yield f'group "{name}", rule {number}, "{title}": {fault}'


def _faults_of_rule(rule: Mapping[str, Any], language: Language) -> Iterator[str]:
    if unknown := rule.keys() - _IN_RULE:
        yield f"field {sorted(unknown)[0]} not found"
    if bool(rule.get("alert")) == bool(rule.get("record")):
        yield "one of 'record' or 'alert' must be set"
    if fault := expressions.fault(rule.get("expr"), language):
        yield fault
    for key in ("for", "keep_firing_for", "annotations"):
        if rule.get("record") and rule.get(key):
            yield f"invalid field '{key}' in recording rule"
    for key in ("for", "keep_firing_for"):
        if key in rule and expressions.duration(rule[key]) is None:
            yield f'not a valid duration string: "{rule[key]}"'
    for part in ("labels", "annotations"):
        values = rule.get(part) or {}
        if not isinstance(values, dict):
            yield f"{part}: cannot unmarshal"
            continue
        for name, value in values.items():
            if name == "__name__":
                yield f"invalid label name: {name}"
            elif fault := expressions.template_fault(str(value)):
                yield f"{part} {name}: {fault}"


def _lost(groups: list[Group]) -> Iterator[str]:
    """Yield what a collector, or Prometheus, would not make of them what their author meant."""
    for group in groups:
        if not _OWNED.match(group["name"]):
            yield f"the group {group['name']} does not say whose it is, so others' may have its name"
        for rule in group["rules"]:
            missing = sorted(topology.LABELS.keys() - (rule.get("labels") or {}).keys())
            title = rule.get("alert") or rule.get("record")
            if missing:
                yield f"the rule {title} has no label {missing[0]}"
            for part in ("labels", "annotations"):
                for name in rule.get(part) or ():
                    if not expressions.is_label(name):
                        yield f'the rule {title}: "{name}" is not a label name for Prometheus 2'


def _name(group: Any) -> str:
    return str(group.get("name", "")) if isinstance(group, dict) else ""
