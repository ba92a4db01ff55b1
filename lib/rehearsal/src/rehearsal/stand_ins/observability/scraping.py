"""From what an application says of its metrics to the scrape configuration that a Prometheus loads.

Facts: canonical/prometheus-k8s-operator, lib/charms/prometheus_k8s/v0/prometheus_scrape.py, LIBPATCH 60
(MetricsEndpointConsumer, PrometheusConfig), which ends in cos-tool's check of the configuration.
"""

from __future__ import annotations

import copy
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from rehearsal.stand_ins.observability import expressions, topology
from rehearsal.stand_ins.observability.topology import HookFails, Topology

Job = dict[str, Any]
"""A scrape configuration of Prometheus."""

ALLOWED = {
    *("job_name", "metrics_path", "static_configs", "scrape_interval", "scrape_timeout", "proxy_url"),
    *("relabel_configs", "metric_relabel_configs", "sample_limit", "label_limit", "label_name_length_limit"),
    *("label_value_length_limit", "scheme", "basic_auth", "tls_config", "authorization", "params"),
}
"""The keys of a job that are kept."""
_DEFAULT: Job = {"metrics_path": "/metrics", "static_configs": [{"targets": ["*:80"]}]}
_WILDCARD = re.compile(r"\*(:\d+)?")
_TARGET = re.compile(r"(\[[0-9a-fA-F:]+\]|[^/:\s]+)(:\d{1,5})?")
_INTERVAL = "1m"
"""How often Prometheus scrapes a job that does not say."""
_ACTIONS = {
    *("replace", "keep", "drop", "keepequal", "dropequal", "hashmod", "labelmap", "labeldrop", "labelkeep"),
    *("lowercase", "uppercase"),
}


@dataclass(frozen=True)
class Host:
    """Where a unit is scraped."""

    unit: str
    address: str
    path: str
    fqdn: str


@dataclass
class Scraped:
    """What came of an application's jobs.

    Attributes:
        jobs: as Prometheus loads them.
        error: why all of them were refused; it goes back to the application.
        lost: what the real charm leaves out without a word.
    """

    jobs: list[Job] = field(default_factory=list)
    error: str = ""
    lost: list[str] = field(default_factory=list)


def received(said: Mapping[str, str], units: Mapping[str, Mapping[str, str]]) -> Scraped:
    """Return what comes of what an application wrote.

    Args:
        said: by the application.
        units: what each of its units wrote.

    Raises:
        HookFails: if the real charm's hook fails on it.
    """
    jobs, metadata = parsed(said, "scrape_jobs", list), parsed(said, "scrape_metadata", dict)
    if not units or not jobs:
        return Scraped()
    if metadata:
        writer = topology.said_in_metadata(metadata)
        hosts = list(_hosts(units))
        lost = [each for job in jobs for each in _lost(job, hosts)]
        made = [each for job in jobs for each in _expanded(_sanitized(job, writer), hosts, writer)]
    else:
        made, lost = jobs, ["no scrape_metadata: its series have no Juju labels"]
        for job in made:
            if "job_name" not in job:
                raise HookFails("KeyError: a job has no job_name, and there is no scrape_metadata")
    found = Scraped(deduplicated(made), lost=lost)
    if faults := [f"{job['job_name']}: {fault}" for job in found.jobs if (fault := _fault(job))]:
        return Scraped(error="; ".join(faults), lost=lost)
    return found


def deduplicated(jobs: Sequence[Job]) -> list[Job]:
    """Return jobs without equal ones; those of one name get names by what they say."""
    by_name: dict[str, list[Job]] = {}
    for job in copy.deepcopy(list(jobs)):
        by_name.setdefault(job["job_name"], []).append(job)
    found: dict[str, Job] = {}
    for name, alike in by_name.items():
        for job in alike:
            if len(alike) > 1:
                job["job_name"] = f"{name}_{hashlib.sha256(json.dumps(job).encode()).hexdigest()}"
            found.setdefault(json.dumps(job), job)
    return list(found.values())


def parsed(said: Mapping[str, str], key: str, kind: type) -> Any:
    """Return the JSON of a key, or the empty one; raises HookFails if it is none, or of another kind."""
    try:
        value = json.loads(said.get(key) or "null") or kind()
    except (ValueError, RecursionError) as error:
        raise HookFails(f"{key} is no JSON: {error}") from None
    if not isinstance(value, kind) or (kind is list and not all(isinstance(each, dict) for each in value)):
        raise HookFails(f"{key} is no {'list of mappings' if kind is list else 'mapping'}")
    return value


def _hosts(units: Mapping[str, Mapping[str, str]]) -> Iterator[Host]:
    """Yield the units that say where they are; the others are skipped, as are those that wrote nothing."""
    prefix = "prometheus_scrape_unit"
    for unit, said in sorted(units.items()):
        address = said.get(f"{prefix}_address") or said.get("prometheus_scrape_host")
        if address:
            name = said.get(f"{prefix}_name") or unit
            yield Host(name, address, said.get(f"{prefix}_path", ""), said.get(f"{prefix}_fqdn", ""))


def _sanitized(job: Job, writer: Topology) -> Job:
    """Return a job under its full name, without other keys than the allowed ones."""
    prefix = f"juju_{writer.identifier}_prometheus_scrape"
    name = f"{prefix}_{job['job_name']}" if job.get("job_name") else prefix
    kept = {key: value for key, value in job.items() if key in ALLOWED}
    return copy.deepcopy(_DEFAULT) | copy.deepcopy(kept) | {"job_name": name}


def _expanded(job: Job, hosts: Sequence[Host], writer: Topology) -> Iterator[Job]:
    """Yield a job for each unit that one of its targets means, and one for all other targets."""
    elsewhere = []
    by_name = {name: host for host in hosts for name in (host.address, host.fqdn) if name}
    for config in job["static_configs"] or ():
        targets = config.get("targets") or ()
        fixed = [target for target in targets if not _WILDCARD.match(target)]
        wild = [target for target in targets if _WILDCARD.match(target)]
        meant: dict[Host, list[str]] = {}
        for target in fixed:
            host = by_name.get(urlsplit(f"//{target}").hostname or target.partition(":")[0])
            if host:
                meant.setdefault(host, []).append(target)
        others = [target for target in fixed if not any(target in each for each in meant.values())]
        if others:
            labels = writer.labels | config.get("labels", {})
            elsewhere.append({**config, "targets": others, "labels": labels})
        for host, some in meant.items():
            yield _of_unit(job, config, some, host, writer)
        for host in hosts if wild else ():
            yield _of_unit(job, config, [each.replace("*", host.address) for each in wild], host, writer)
    if elsewhere:
        path = job.get("metrics_path") or "/metrics"
        yield {**job, "static_configs": elsewhere, "metrics_path": path} | _instance(job, topology.SCOPE)


def _of_unit(job: Job, config: Job, targets: list[str], host: Host, writer: Topology) -> Job:
    labels = writer.labels | {"juju_unit": host.unit} | config.get("labels", {})
    return {
        **job,
        "job_name": f"{job['job_name']}-{host.unit.rpartition('/')[2]}",
        "metrics_path": host.path + (job.get("metrics_path") or "/metrics"),
        "static_configs": [{**config, "targets": targets, "labels": labels}],
    } | _instance(job, (*topology.SCOPE, "juju_unit"))


def _instance(job: Job, labels: Sequence[str]) -> Job:
    """Return the rules of relabelling; the last makes `instance` of the Juju labels."""
    last = {"source_labels": [*labels], "separator": "_", "target_label": "instance", "regex": "(.*)"}
    return {"relabel_configs": [*job.get("relabel_configs", []), last]}


def _lost(job: Job, hosts: Sequence[Host]) -> Iterator[str]:
    """Yield what of a job the real charm leaves out, or makes up, without a word."""
    name = job.get("job_name", "without a name")
    for key in sorted(job.keys() - ALLOWED):
        yield f"job {name}: {key} is dropped"
    if "static_configs" not in job:
        yield f"job {name}: no static_configs, so *:80 is scraped"
        return
    targets = [target for config in job["static_configs"] or () for target in config.get("targets") or ()]
    if not targets:
        yield f"job {name}: no targets, so nothing is scraped"
    if job.get("scheme", "http") not in ("http", "https"):
        yield f'job {name}: the scheme "{job["scheme"]}" is neither http nor https'
    for target in targets:
        if not _TARGET.fullmatch(str(target)):
            yield f'job {name}: "{target}" is not a valid hostname, so it is not scraped'
    for label in sorted({label for config in job["static_configs"] for label in config.get("labels") or ()}):
        if not expressions.is_label(label):
            yield f'job {name}: "{label}" is not a label name for Prometheus 2'
    if any(_WILDCARD.match(target) for target in targets) and not hosts:
        yield f"job {name}: no unit has a prometheus_scrape_unit_address, so nothing is scraped"


def _fault(job: Job) -> str:
    """Return why Prometheus would not load a job; empty if it would."""
    said = [job.get("scrape_interval", _INTERVAL), job.get("scrape_timeout", "0")]
    durations = list(map(expressions.duration, said))
    if None in durations:
        return f'not a valid duration string: "{said[durations.index(None)]}"'
    if (durations[1] or 0) > (durations[0] or 0):
        return "scrape timeout greater than scrape interval"
    for rule in [*job.get("relabel_configs", ()), *job.get("metric_relabel_configs", ())]:
        if rule.get("action", "replace") not in _ACTIONS:
            return f'unknown relabel action "{rule["action"]}"'
    params = job.get("params", {})
    if not isinstance(params, dict) or not all(isinstance(each, list) for each in params.values()):
        return "params: cannot unmarshal into a list of texts"
    return ""
