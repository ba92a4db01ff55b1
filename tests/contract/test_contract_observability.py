"""Every charm is seen: its metrics are reached, its alerts and dashboards are of its own metrics, and nothing else opens.

A charm that comes is under this at once: with pods, it has the endpoints; with the endpoints, it has metrics, alerts
and a dashboard.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable
from pathlib import Path

import draw
import observability
import pytest
from access import pod_of
from bench import CHARMS, Bench
from charm_harness import unwatched
from observed import OBSERVED, ROOT, SEEN, Observed, anchors, queries, selectors
from policy_evaluator import Cluster, Pod, Request
from push_api import PushApi
from rendering import COMPONENTS, MODEL, PARTS, Related

from kubeflow_charm.cluster.resources import kind_of
from kubeflow_charm.observability import alerts, exposing, programs
from kubeflow_charm.observability.dashboards import SHARED as SHARED_BOARDS
from kubeflow_charm.observability.dashboards import VARIABLES
from rehearsal.juju.model import charms
from rehearsal.patience import until
from rehearsal.stand_ins.observability import expressions

ENDPOINTS = {
    ("provides", "metrics-endpoint"): "prometheus_scrape",
    ("provides", "grafana-dashboard"): "grafana_dashboard",
}

each_charm = pytest.mark.parametrize("charm", OBSERVED, ids=lambda charm: charm.name)
each_seen = pytest.mark.parametrize("charm", SEEN, ids=lambda charm: charm.name)


@each_charm
def test_a_charm_with_pods_has_the_endpoints_and_another_has_none(charm: Observed) -> None:
    declared = {
        (side, name): spec
        for side in ("provides", "requires")
        for name, spec in charm.metadata.get(side, {}).items()
    }
    found = {end: declared[end]["interface"] for end in ENDPOINTS.keys() & declared.keys()}
    has_pods = charm.folder in COMPONENTS
    assert found == (ENDPOINTS if has_pods else {})
    assert all(declared[end]["optional"] for end in found)
    assert bool(charm.programs) == has_pods


@each_seen
def test_every_program_runs_and_names_its_port(charm: Observed, tmp_path: Path) -> None:
    with unwatched():
        documents = Related(charm.folder, tmp_path).objects()
    found = programs.targets(charm.programs, documents)
    assert [each.program for each in found] == list(charm.programs)
    assert len({each.service_port for each in found}) == len(found)
    assert not {each.port for each in found} & _guarded(documents), "a webhook's port shows metrics"


def _guarded(documents: list[dict]) -> set[int]:
    """Return the ports of webhooks, which the whole network reaches."""
    ports = {
        port["name"]: port["containerPort"]
        for document in documents
        if document["kind"] == "Deployment"
        for container in document["spec"]["template"]["spec"]["containers"]
        for port in container.get("ports", ())
        if "name" in port
    }
    return {number for name, number in ports.items() if "webhook" in name}


@each_seen
def test_alerts_and_panels_are_about_metrics_that_the_charm_has(charm: Observed) -> None:
    asked = [(rule.alert, rule.expr) for rule in charm.rules]
    asked += [query for board in charm.dashboards.values() for query in queries(board)]
    for title, expression in asked:
        found = list(selectors(expression))
        assert found, title
        for selector in found:
            assert selector.name in charm.series, (title, selector.name)
            labels = {matcher.name for matcher in selector.matchers.matchers}
            metric = charm.series[selector.name]
            known = {*VARIABLES, "program", "le", "job", "instance", *metric.labels}
            assert labels <= known, (title, selector.name, labels - known)
            assert "juju_application" in labels, (title, selector.name)


@each_seen
def test_every_alert_says_what_to_do_and_where_to_read_on(charm: Observed) -> None:
    for rule in charm.rules:
        assert rule.labels["severity"] in ("critical", "warning")
        assert rule.annotations.keys() == {"summary", "description", "runbook"}
        page, _, anchor = rule.annotations["runbook"].partition("#")
        assert (ROOT / page).is_file()
        assert anchor in anchors(ROOT / page), rule.annotations["runbook"]


@each_seen
def test_files_of_a_charms_own_are_not_taken_for_an_operators(charm: Observed) -> None:
    """They would be left out where an operator's are refused."""
    own = f"{charm.name}.yaml"
    assert [path.name for path in charm.rule_files if path.parent != alerts.SHARED] == [own]
    assert [path.name for path in charm.dashboard_files if path.parent != SHARED_BOARDS] == [own]


def test_alerts_and_dashboards_of_charms_have_names_of_their_own() -> None:
    files = {path for charm in SEEN for path in charm.rule_files}
    own = [rule.alert for path in files for group in _read(path).groups for rule in group.rules]
    assert sorted(own) == sorted({*own})
    boards = [(name, board["uid"]) for charm in SEEN for name, board in charm.dashboards.items()]
    assert len({name for name, _ in boards}) == len({uid for _, uid in boards}) == len(boards) == len(SEEN)


def _read(path: Path) -> alerts.RuleFile:
    found = alerts.read(path)
    assert found is not None, path
    return found


@each_seen
def test_a_dashboard_is_one_that_charmhubs_grafana_takes(charm: Observed) -> None:
    (board,) = charm.dashboards.values()
    names = [each["name"] for each in board["templating"]["list"]]
    assert names == ["prometheusds", "lokids", *VARIABLES]
    assert isinstance(board["version"], int)
    for panel in board["panels"]:
        sources = (
            [panel["datasource"], *(each["datasource"] for each in panel["targets"])]
            if "targets" in panel
            else []
        )
        assert {each["uid"] for each in sources} <= {"${prometheusds}", "${lokids}"}
        # Grafana does not look into a collapsed row for what it has to change.
        assert not panel.get("collapsed")


@each_seen
def test_logs_are_asked_for_by_labels_that_they_have(charm: Observed) -> None:
    """A collector lets no others through."""
    (board,) = charm.dashboards.values()
    asked = [query for _, query in queries(board, "loki")]
    assert asked
    for query in asked:
        assert expressions.fault(query, "logql") == ""
        labels = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", query))
        assert labels <= {*VARIABLES, "juju_charm", "job", "container", "filename"}
        assert "juju_application" in labels


def test_each_metric_has_its_source_upstream() -> None:
    assert all(library.source for library in programs.libraries().values())
    for program in (program for charm in SEEN for program in charm.programs.values()):
        assert program.source
        assert all(metric.source for metric in program.metrics.values())


@each_seen
def test_every_container_has_metrics_or_a_reason_why_not(charm: Observed, tmp_path: Path) -> None:
    with unwatched():
        related = Related(charm.folder, tmp_path)
        documents = related.objects({option: True for option in PARTS if option in related.options})
    scraped = {program.port for program in charm.programs.values()}
    unseen = {
        workload["metadata"]["name"]
        for workload in documents
        if kind_of(workload).pods
        for container in workload["spec"]["template"]["spec"]["containers"]
        if not scraped & {port.get("name") for port in container.get("ports", ())}
    }
    assert charm.without.keys() == unseen
    assert all(charm.without.values())


def test_what_the_page_relates_can_be_related() -> None:
    """Each endpoint is there, and both have one interface."""
    page = (ROOT / "docs" / "how-to" / "observe.md").read_text()
    (listed,) = re.findall(r"for application in (.+); do", page)
    pairs = [
        (one.replace("$application", name), other)
        for one, other in re.findall(r"juju integrate (\S+) (\S+)", page)
        for name in (listed.split() if "$application" in one else [""])
    ]
    assert len(pairs) > 3
    bundle = draw.bundle()
    for pair in pairs:
        found = []
        for application, _, endpoint in (end.partition(":") for end in pair):
            reference, base = bundle.charms[application]
            found.append(charms.find(reference, base)[0].endpoints[endpoint])
        assert found[0].interface == found[1].interface, pair
        assert {each.role for each in found} == {"requires", "provides"}, pair


def test_the_reference_is_what_the_charms_say() -> None:
    assert observability.PAGE.read_text() == observability.page(), "python docs/observability.py writes it"


def test_only_models_of_juju_reach_metrics_and_nothing_but_metrics(tmp_path: Path) -> None:
    before, ours, opened = [], [], {}
    with unwatched():
        for source in COMPONENTS:
            (tmp_path / source.name).mkdir()
            charm = Related(source, tmp_path / source.name)
            documents = charm.objects()
            found = programs.targets(programs.read(source / "src" / "metrics.yaml"), documents)
            instance = f"{MODEL}.{charm.name}"
            before += documents
            ours += exposing.objects(charm.name, MODEL, instance, found)
            opened |= {(each.workload, each.port): each.path for each in found}
    namespaces = {
        name: {"kubernetes.io/metadata.name": name} for name in (MODEL, "cos", "alice", "somewhere")
    }
    namespaces["cos"]["model.juju.is/name"] = "cos"
    namespaces["alice"]["app.kubernetes.io/part-of"] = "kubeflow-profile"
    cluster = Cluster((*before, *ours), namespaces, MODEL)
    shut = Cluster(tuple(before), namespaces, MODEL)
    prometheus = {name: Pod(name, {"app": "p"}, "p") for name in namespaces}
    pods = {each["metadata"]["name"]: pod_of(each) for each in before if each["kind"] == "Deployment"}
    for (workload, port), path in opened.items():
        asked = {name: Request(pod, pods[workload], port, {}, path=path) for name, pod in prometheus.items()}
        assert cluster.allows(asked[MODEL]), (workload, port)
        assert cluster.allows(asked["cos"]), (workload, port)
        assert not cluster.network_allows(asked["somewhere"]), (workload, port)
        # Steps of runs call the API server of pipelines, which tells nothing about runs.
        assert cluster.network_allows(asked["alice"]) == (workload == "ml-pipeline")
    for workload, pod in pods.items():
        for port, path in itertools.product(
            {*pod.ports.values()}, ("/", "/metrics/x", "/apis", "/quitquitquit")
        ):
            # A pod without a sidecar has the network's policy only, which knows no paths.
            if pod.sidecar:
                asked = Request(prometheus["cos"], pod, port, {}, path=path)
                assert cluster.mesh_allows(asked) == shut.mesh_allows(asked), (workload, port, path)


@pytest.fixture(params=[path for path in CHARMS if path in COMPONENTS], ids=lambda path: path.name)
def source(request: pytest.FixtureRequest) -> Path:
    """The source folder of a charm with pods: each in its turn."""
    return request.param


def test_what_is_related_is_told_once_and_what_goes_leaves_nothing(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench()
    bench.relate("metrics-endpoint", "grafana-dashboard", *bench.needed)
    with PushApi() as loki:
        bench.relate("logging", unit={"endpoint": json.dumps({"url": loki.url})})
        _check_told_once(bench)


def _check_told_once(bench: Bench) -> None:
    bench.hook("install")
    if bench.status[0] != "active":  # nothing is ready yet, and no alert may say so
        said = bench.data("metrics-endpoint")
        assert json.loads(said.get("scrape_jobs", "[]")) == []
        assert not said.get("prometheus_scrape_unit_address")
    until(lambda: (bench.hook(), bench.status[0] == "active")[1], every=0.3)
    bench.hook()
    said = bench.data("metrics-endpoint")
    (charm,) = [each for each in SEEN if each.name == bench.charm.name]
    jobs = {job["job_name"]: job for job in json.loads(said["scrape_jobs"])}
    assert jobs.keys() == charm.programs.keys()
    forgotten = {
        name: [rule["regex"] for rule in job["metric_relabel_configs"]] for name, job in jobs.items()
    }
    # The counts of access management have users' addresses in their labels.
    assert forgotten.get("kfam", []) == (["request_kf|request_kf_failure"] if "kfam" in jobs else [])
    assert said["prometheus_scrape_unit_address"] == f"{charm.name}-metrics.{bench.model.name}.svc"
    rules = json.loads(said["alert_rules"])["groups"]
    assert len([rule for group in rules for rule in group["rules"]]) == len(charm.rules)
    assert (
        json.loads(bench.data("grafana-dashboard")["dashboards"])["templates"].keys()
        == charm.dashboards.keys()
    )
    made = {(item["kind"], item["metadata"]["name"]) for item in bench.objects()}
    names = {(kind, f"{charm.name}-metrics") for kind in ("Service", "NetworkPolicy", "AuthorizationPolicy")}
    assert names <= made
    service = next(
        item
        for item in bench.objects()
        if (item["kind"], item["metadata"]["name"]) == ("Service", f"{charm.name}-metrics")
    )
    leads = {port["port"] for port in service["spec"]["ports"]}
    assert {int(job["static_configs"][0]["targets"][0].removeprefix("*:")) for job in jobs.values()} == leads
    assert json.loads(bench.data("logging")["metadata"])["application"] == charm.name
    bench.settled_hook()
    assert bench.data("metrics-endpoint") == said
    bench.separate("metrics-endpoint")
    bench.hook()
    assert not names & {(item["kind"], item["metadata"]["name"]) for item in bench.objects()}
