"""What others see of the stand-ins for the observability stack, and of its collector."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from juju_model import Juju, beside
from ops import testing
from stand_in_bench import StandIn, said, written

from rehearsal.juju.model import charms
from rehearsal.stand_ins.observability import dashboards
from rehearsal.stand_ins.observability.dashboards import Template

UUID = "f47ac10b-58cc-4372-a567-0e02b2c3d479"
LABELS = {
    "juju_model": "kubeflow",
    "juju_model_uuid": UUID,
    "juju_application": "katib",
    "juju_charm": "katib",
}
MODEL = testing.Model(name="kubeflow", uuid=UUID, type="kubernetes")
COLLECTOR, CONSUMER = "opentelemetry-collector-k8s", "grafana-dashboards-consumer"
SCRAPE, LOGS = "metrics-endpoint", "receive-loki-logs"


def rules(application: str = "katib", name: str = "", **more: Any) -> dict[str, Any]:
    labels = LABELS | {"juju_application": application, "juju_charm": application}
    rule = {"alert": "Down", "expr": "up < 1", "labels": labels} | more
    return {"groups": [{"name": name or f"kubeflow_f47ac10b_{application}_api_rules", "rules": [rule]}]}


def metrics(application: str = "katib", **said: Any) -> testing.Relation:
    metadata = {
        "model": "kubeflow",
        "model_uuid": UUID,
        "application": application,
        "unit": f"{application}/0",
        "charm_name": application,
    }
    jobs = [{"job_name": "api", "static_configs": [{"targets": ["*:8080"]}]}]
    bag = {"scrape_metadata": metadata, "scrape_jobs": jobs, "alert_rules": rules(application)} | said
    return testing.Relation(
        SCRAPE,
        remote_app_name=application,
        remote_app_data={key: json.dumps(value) for key, value in bag.items()},
        remote_units_data={0: {"prometheus_scrape_unit_address": f"{application}.kubeflow.svc"}},
    )


def dashboard(**change: Any) -> dict[str, Any]:
    source = {"type": "prometheus", "uid": "${prometheusds}"}
    panel = {"title": "Runs", "datasource": source, "targets": [{"expr": "up", "datasource": source}]}
    return {"title": "API", "uid": "0a" * 20, "version": 3, "panels": [panel]} | change


def shows(
    *some: dict[str, Any], charm: str = "katib", end: str = CONSUMER, name: str = "file:api"
) -> testing.Relation:
    sent = {
        f"{name}{number or ''}": Template(name, charm, dashboards.packed(each), dropdowns=True)
        for number, each in enumerate(some)
    }
    bag = {"dashboards": dashboards.wire(sent, {"model": "kubeflow"})}
    return testing.Relation(end, remote_app_name=charm, remote_app_data=bag)


def exits(*without: str) -> list[testing.Relation]:
    ends = {
        "send-remote-write": (
            "remote-write",
            {"remote_write": json.dumps({"url": "http://p:9090/api/v1/write"})},
        ),
        "send-loki-logs": ("loki", {"endpoint": json.dumps({"url": "http://l:3100/loki/api/v1/push"})}),
        "grafana-dashboards-provider": ("grafana", {}),
    }
    return [
        testing.Relation(end, remote_app_name=name, remote_units_data={0: bag})
        for end, (name, bag) in ends.items()
        if end not in without
    ]


class Stack(StandIn):
    """A stand-in in a model whose UUID is known."""

    def state(self, *relations: testing.RelationBase, **values: Any) -> testing.State:
        return super().state(*relations, **{"model": MODEL, **values})

    def shown(self, *relations: testing.RelationBase) -> dict[str, Any]:
        """Return what the action prints."""
        self.run(*relations, event=lambda on: on.action("show-configuration"))
        results = self.context.action_results
        assert results is not None
        return {key: yaml.safe_load(text) for key, text in results.items()}


@pytest.fixture
def collector() -> Stack:
    return Stack(COLLECTOR, "kubeflow")


@pytest.fixture
def prometheus() -> Stack:
    return Stack("prometheus-k8s", "cos", "prometheus")


@pytest.fixture
def grafana() -> Stack:
    return Stack("grafana-k8s", "cos", "grafana")


@pytest.fixture
def loki() -> Stack:
    return Stack("loki-k8s", "cos", "loki")


def sent(state: testing.State, application: str, endpoint: str, key: str) -> Any:
    return json.loads(written(state, application, endpoint)[key])


def unit_bag(state: testing.State, endpoint: str) -> dict[str, str]:
    (found,) = state.get_relations(endpoint)
    return {
        key: value for key, value in found.local_unit_data.items() if "address" not in key or key[0] == "p"
    }


# The collector


def test_what_comes_in_goes_out(collector: Stack) -> None:
    logs = testing.Relation(LOGS, remote_app_name="katib")
    state = collector.run(metrics(), logs, shows(dashboard()), *exits())
    assert said(state) == ("active", "stand-in")
    assert written(state, "katib", SCRAPE) == {"event": "{}"}
    groups = sent(state, "remote-write", "send-remote-write", "alert_rules")["groups"]
    assert [each["name"] for each in groups] == [
        "kubeflow_f47ac10b_katib_api_rules",
        "kubeflow_f47ac10b_opentelemetry_collector_k8s_AggregatorHostHealth_rules",
    ]
    scope = f'juju_model="kubeflow",juju_model_uuid="{UUID}",juju_application="katib"'
    assert groups[0]["rules"][0]["expr"] == f"up{{{scope}}} < 1"
    assert sent(state, "loki", "send-loki-logs", "alert_rules") == {}
    assert sent(state, "loki", "send-loki-logs", "metadata")["charm_name"] == COLLECTOR
    (shown,) = sent(state, "grafana", "grafana-dashboards-provider", "dashboards")["templates"].values()
    assert (shown["charm"], shown["inject_dropdowns"]) == (COLLECTOR, True)


def test_logs_are_taken_by_each_unit_at_its_own_address(collector: Stack) -> None:
    logs = testing.Relation(LOGS, remote_app_name="katib")
    state = collector.run(logs, *exits(), leader=False)
    assert said(state) == ("active", "stand-in")
    host = f"{COLLECTOR}-0.{COLLECTOR}-endpoints.kubeflow.svc.cluster.local"
    bag = unit_bag(state, LOGS)
    assert json.loads(bag["endpoint"]) == {"url": f"http://{host}:3500/loki/api/v1/push"}
    assert bag["public_address"] == host
    assert written(state, "katib", LOGS) == {}


def test_what_it_loads_is_shown(collector: Stack) -> None:
    shown = collector.shown(metrics(), shows(dashboard()), *exits())
    (job,) = shown["scrape-configs"]
    assert job["job_name"] == "juju_kubeflow_f47ac10b_katib_prometheus_scrape_api-0"
    assert job["static_configs"] == [
        {"targets": ["katib.kubeflow.svc:8080"], "labels": LABELS | {"juju_unit": "katib/0"}}
    ]
    assert job["tls_config"] == {"insecure_skip_verify": False}
    assert shown["global"] == {"scrape_interval": "1m", "scrape_timeout": "10s"}
    assert len(shown["alert-rules"]["groups"]) == 2
    assert [each["uid"] for each in shown["dashboards"].values()] == ["0a" * 20]
    assert shown["remote-write"] == ["http://p:9090/api/v1/write"]
    assert shown["loki"] == ["http://l:3100/loki/api/v1/push"]


@pytest.mark.parametrize(
    ("incoming", "out"),
    [
        (metrics(), "send-remote-write"),
        (testing.Relation(LOGS, remote_app_name="katib"), "send-loki-logs"),
        (shows(dashboard()), "grafana-dashboards-provider"),
    ],
    ids=["metrics", "logs", "dashboards"],
)
def test_what_cannot_go_out_blocks_it(collector: Stack, incoming: testing.Relation, out: str) -> None:
    state = collector.run(incoming, *exits(out))
    assert said(state) == ("blocked", f"['cloud-config']|['{out}'] for {incoming.endpoint}")
    assert said(collector.run(incoming, *exits())) == ("active", "stand-in")
    assert said(collector.run()) == ("active", "stand-in")


def test_all_that_is_missing_is_said_at_once(collector: Stack) -> None:
    state = collector.run(
        metrics(), shows(dashboard()), *exits("send-remote-write", "grafana-dashboards-provider")
    )
    assert said(state)[1].startswith(
        "['cloud-config']|['grafana-dashboards-provider'] for grafana-dashboards-consumer; "
        "['cloud-config']|['send-remo"
    )


BLOCKING = {
    "a job that lost something": (
        metrics(scrape_jobs=[{"static_configs": [{"targets": ["a:1"]}], "honor_labels": True}]),
        "metrics-endpoint from katib: job without a name: honor_labels is dropped",
    ),
    "a job that is refused": (
        metrics(scrape_jobs=[{"static_configs": [{"targets": ["a:1"]}], "scrape_interval": "x"}]),
        "metrics-endpoint from katib: juju_kubeflow_f47ac10b_katib_prometheus_scrape: "
        'not a valid duration string: "x"',
    ),
    "a rule that is refused": (
        metrics(alert_rules=rules(expr="up <")),
        "metrics-endpoint from katib: error validating kubeflow_f47ac10b_katib_metrics-endpoint_",
    ),
    "a hook that fails": (
        metrics(alert_rules={"groups": [{"name": "a_00000000_b_rules", "rules": []}]}),
        "metrics-endpoint from katib: the real charm's hook fails: IndexError",
    ),
    "a dashboard that gets another uid": (
        shows(dashboard(uid="api")),
        "grafana-dashboards-consumer from katib: file:api: its uid is not of 40 hex digits",
    ),
}


@pytest.mark.parametrize(("incoming", "message"), BLOCKING.values(), ids=BLOCKING)
def test_what_a_real_one_would_lose_blocks_it(collector: Stack, incoming: Any, message: str) -> None:
    state = collector.run(incoming, metrics("minio"), *exits())
    assert said(state)[0] == "blocked"
    assert said(state)[1].startswith(message[:119])
    groups = sent(state, "remote-write", "send-remote-write", "alert_rules")["groups"]
    assert "kubeflow_f47ac10b_minio_api_rules" in [each["name"] for each in groups]


def test_whoever_sent_a_bad_rule_is_told(collector: Stack) -> None:
    state = collector.run(metrics(alert_rules=rules(expr="up <")), metrics("minio"), *exits())
    assert "could not parse expression" in sent(state, "katib", SCRAPE, "event")["errors"]
    assert sent(state, "minio", SCRAPE, "event") == {}


def test_groups_of_one_name_are_told_of_both(collector: Stack) -> None:
    ends = [metrics(each, alert_rules=rules(each, "Api")) for each in ("katib", "kserve")]
    state = collector.run(*ends, *exits())
    assert said(state)[0] == "blocked"
    groups = sent(state, "remote-write", "send-remote-write", "alert_rules")["groups"]
    assert [each["name"] for each in groups].count(
        "kubeflow_f47ac10b_opentelemetry_collector_k8s_Api_rules"
    ) == 2


def test_of_dashboards_of_one_id_the_last_stays(collector: Stack) -> None:
    state = collector.run(shows(dashboard()), shows(dashboard(title="Other"), charm="kserve"), *exits())
    kept = "file:api is also an id of katib: one is lost"
    assert said(state) == ("blocked", f"grafana-dashboards-consumer from kserve: {kept}")
    (shown,) = sent(state, "grafana", "grafana-dashboards-provider", "dashboards")["templates"]
    assert shown.startswith("file:juju_file:api-kserve-")


def test_rules_stay_if_the_option_says_so(collector: Stack) -> None:
    state = collector.run(metrics(), *exits(), config={"forward_alert_rules": False})
    groups = sent(state, "remote-write", "send-remote-write", "alert_rules")["groups"]
    assert [each["name"].rpartition("k8s_")[2] for each in groups] == ["AggregatorHostHealth_rules"]


def test_an_interval_that_is_none_blocks_it(collector: Stack) -> None:
    state = collector.run(config={"global_scrape_interval": "often"})
    assert said(state) == ("blocked", r"The global_scrape_interval config requires format: '\d+[ywdhms]'.")


def test_it_waits_for_its_pod(collector: Stack) -> None:
    state = collector.run(metrics(), *exits(), started=False)
    assert said(state) == ("maintenance", "Waiting for otelcol to start")


# The stack


def test_prometheus_says_where_to_write_and_loads_the_rules(prometheus: Stack) -> None:
    bag = {"alert_rules": json.dumps(rules())}
    write = testing.Relation("receive-remote-write", remote_app_name="remote-1", remote_app_data=bag)
    alerts = {"public_address": "am.svc:9093/path", "scheme": "http", "url": "http://am.svc:9093/path"}
    manager = testing.Relation("alertmanager", remote_app_name="am", remote_units_data={0: alerts})
    state = prometheus.run(write, manager)
    assert said(state) == ("active", "stand-in")
    host = "prometheus-0.prometheus-endpoints.kubeflow.svc.cluster.local"
    url = {"url": f"http://{host}:9090/api/v1/write"}
    assert json.loads(unit_bag(state, "receive-remote-write")["remote_write"]) == url
    assert written(state, "remote-1") == {"event": "{}"}
    shown = prometheus.shown(write, manager)
    assert list(shown["alert-rules"]) == ["juju_kubeflow_f47ac10b_katib.rules"]
    assert shown["alerting"]["alertmanagers"] == [
        {"scheme": "http", "path_prefix": "/path", "static_configs": [{"targets": ["am.svc:9093"]}]}
    ]


def test_prometheus_drops_all_rules_with_a_repeated_group(prometheus: Stack) -> None:
    twice = {"groups": rules()["groups"] * 2}
    bag = {"alert_rules": json.dumps(twice)}
    write = testing.Relation("receive-remote-write", remote_app_name="remote-1", remote_app_data=bag)
    state = prometheus.run(write)
    assert said(state)[0] == "blocked"
    assert (
        "is repeated in the same file" in sent(state, "remote-1", "receive-remote-write", "event")["errors"]
    )
    assert prometheus.shown(write)["alert-rules"] == {}


def test_prometheus_scrapes_too(prometheus: Stack) -> None:
    state = prometheus.run(metrics())
    assert written(state, "katib") == {"event": "{}"}
    (job,) = prometheus.shown(metrics())["scrape-configs"]
    assert job["honor_labels"] is True


def test_loki_says_where_logs_go_and_loads_the_rules(loki: Stack) -> None:
    bag = {"alert_rules": json.dumps(rules(expr='rate({a="b"}[5m]) > 1')), "metadata": "{}"}
    logs = testing.Relation("logging", remote_app_name="remote-1", remote_app_data=bag)
    state = loki.run(logs)
    assert said(state) == ("active", "stand-in")
    host = "loki-0.loki-endpoints.kubeflow.svc.cluster.local"
    assert json.loads(unit_bag(state, "logging")["endpoint"]) == {
        "url": f"http://{host}:3100/loki/api/v1/push"
    }
    assert sent(state, "remote-1", "logging", "promtail_binary_zip_url")["amd64"]["url"].startswith(
        "https://"
    )
    assert sent(state, "remote-1", "logging", "event") == {}
    assert list(loki.shown(logs)["alert-rules"]) == ["juju_kubeflow_f47ac10b_katib.rules"]


def test_grafana_answers_every_dashboard_and_shows_the_newest(grafana: Stack) -> None:
    old = shows(dashboard(), charm="otelcol", end="grafana-dashboard")
    new = shows(dashboard(version=4, title="Newer"), charm="other", end="grafana-dashboard")
    state = grafana.run(old, new)
    assert said(state) == ("active", "stand-in")
    assert sent(state, "otelcol", "grafana-dashboard", "event") == {}
    (shown,) = grafana.shown(old, new)["dashboards"].values()
    assert (shown["title"], len(shown["templating"]["list"])) == ("Newer", 6)


def test_one_bad_template_takes_all_along(grafana: Stack) -> None:
    bad = {"templates": {"file:a": {"charm": "otelcol", "content": "bm90IHBhY2tlZA=="}}}
    good = json.loads(shows(dashboard()).remote_app_data["dashboards"])["templates"]
    bag = {"dashboards": json.dumps({"templates": bad["templates"] | good})}
    relation = testing.Relation("grafana-dashboard", remote_app_name="otelcol", remote_app_data=bag)
    state = grafana.run(relation)
    (error,) = sent(state, "otelcol", "grafana-dashboard", "event")["errors"]
    assert error == {"dashboard_id": "file:a", "error": "Input format not supported by decoder"}
    assert said(state)[0] == "blocked"
    assert grafana.shown(relation)["dashboards"] == {}


def test_grafana_has_a_data_source_for_each_unit(grafana: Stack) -> None:
    source = {"model": "cos", "model_uuid": UUID, "application": "loki", "type": "loki"}
    relation = testing.Relation(
        "grafana-source",
        remote_app_name="loki",
        remote_app_data={"grafana_source_data": json.dumps(source)},
        remote_units_data={0: {"grafana_source_host": "http://l:3100"}, 1: {}},
    )
    state = grafana.run(relation)
    assert sent(state, "loki", "grafana-source", "datasource_uids") == {"loki/0": f"juju_cos_{UUID}_loki_0"}
    (shown,) = grafana.shown(relation)["data-sources"]
    assert (shown["type"], shown["url"]) == ("loki", "http://l:3100")


def test_alertmanager_says_where_alerts_go_in_plain_text() -> None:
    alertmanager = Stack("alertmanager-k8s", "cos", "alertmanager")
    state = alertmanager.run(testing.Relation("alerting", remote_app_name="prometheus"))
    host = "alertmanager-0.alertmanager-endpoints.kubeflow.svc.cluster.local:9093"
    bag = unit_bag(state, "alerting")
    assert bag["public_address"] == host
    assert (bag["scheme"], bag["url"]) == ("http", f"http://{host}")


# All of it


@pytest.fixture
def cos(juju: Juju) -> Iterator[Juju]:
    """A second model of the same engine."""
    with beside(juju, "cos") as model:
        yield model


def test_metrics_of_a_stand_in_reach_a_prometheus_in_another_model(juju: Juju, cos: Juju) -> None:
    cos.deploy("prometheus", charms.STAND_INS / "prometheus-k8s")
    juju.deploy("collector", charms.STAND_INS / COLLECTOR)
    juju.deploy("minio", charms.STAND_INS / "minio")
    with juju.engine.lock:
        juju.engine.add_offer(cos.model, "prometheus", ["receive-remote-write"], "write")
        juju.engine.consume(juju.model, cos.model, "write", "write")
    juju.integrate("minio:metrics-endpoint", f"collector:{SCRAPE}")
    juju.integrate("collector:send-remote-write", "write:receive-remote-write")
    juju.settle()
    assert {juju.unit(f"{name}/0").workload.message for name in ("collector", "minio")} == {"stand-in"}
    shown = {
        key: yaml.safe_load(text)
        for key, text in juju.run("collector/0", "show-configuration").results.items()
    }
    (job,) = shown["scrape-configs"]
    assert job["metrics_path"] == "/minio/v2/metrics/cluster"
    assert job["static_configs"][0]["targets"] == [f"{juju.unit('minio/0').address}:9000"]
    assert len(shown["remote-write"]) == 1
    loaded = yaml.safe_load(cos.run("prometheus/0", "show-configuration").results["alert-rules"])
    (file,) = loaded.values()
    assert file["groups"] == shown["alert-rules"]["groups"]
