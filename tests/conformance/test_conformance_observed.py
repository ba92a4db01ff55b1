"""The platform in the eyes of a real Prometheus, Alertmanager, and server of Loki's push API.

The bundle is deployed with the observability stack beside it. What the collector and Prometheus would load, their
stand-ins say; a real Prometheus loads it. It finds the programs by the Services and the pods' ports that are in the
cluster: where a Service leads nowhere, a program is down.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import threading
import urllib.parse
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from conformance import observers, s3_server
from observed import ROOT, SEEN

from rehearsal.cluster.controlplane import ControlPlane
from rehearsal.cluster.existing import ExistingCluster
from rehearsal.guardian import Guardian
from rehearsal.patience import until
from rehearsal.stage import Stage

MODEL = "kubeflow"
OURS = {charm.name: charm for charm in SEEN}
DOWN = "katib-controller"


Cluster = ControlPlane | ExistingCluster


def items(cluster: Cluster, namespace: str, kind: str) -> list[dict[str, Any]]:
    """Return the objects of a kind of the core group in a namespace."""
    return json.loads(cluster.request("GET", f"/api/v1/namespaces/{namespace}/{kind}"))["items"]


class Programs:
    """The cluster's network as a Prometheus sees it: a proxy that finds a program's pod as Kubernetes does.

    It knows the Services and pods of when it starts: a scrape then takes no time, however busy the machine is.

    Args:
        cluster: where the programs run.
        namespace: theirs.
    """

    def __init__(self, cluster: Cluster, namespace: str):
        self._services = {
            f"{each['metadata']['name']}.{namespace}": each for each in items(cluster, namespace, "services")
        }
        self._pods = items(cluster, namespace, "pods")
        self.down: set[str] = set()
        """The programs that do not answer."""
        programs = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                text = programs.answer(urllib.parse.urlsplit(self.path))
                body = (text or "nobody is there\n").encode()
                self.send_response(200 if text else 503)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()

    def answer(self, asked: urllib.parse.SplitResult) -> str:
        """Return the metrics of the program that is asked; nothing if no ready pod has the Service's port."""
        found = self._services.get((asked.hostname or "").removesuffix(".svc"))
        if not found:
            return ""
        ports = {port["port"]: port["targetPort"] for port in found["spec"]["ports"]}
        if asked.port not in ports:
            return ""
        for pod in self._pods:
            labels = pod["metadata"].get("labels", {})
            if found["spec"]["selector"].items() <= labels.items() and _has(pod, ports[asked.port]):
                return self._metrics(ports[asked.port], asked.path, labels["app.kubernetes.io/instance"])
        return ""

    def _metrics(self, port: str, path: str, instance: str) -> str:
        charm = OURS[instance.partition(".")[2]]
        for name, program in charm.programs.items():
            if (program.port, program.path) == (port, path) and name not in self.down:
                return (
                    "".join(f"{metric} 1\n" for metric in program.metrics) + "process_start_time_seconds 1\n"
                )
        return ""


def _has(pod: dict[str, Any], port: str) -> bool:
    """Return whether a pod is ready and has a port of that name."""
    ready = any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", ()))
    named = [each.get("name") for c in pod["spec"]["containers"] for each in c.get("ports", ())]
    return ready and port in named


@pytest.fixture(scope="module")
def programs_of(request: pytest.FixtureRequest) -> dict[str, Path]:
    """The real servers, compiled once."""
    every = [observers.PROMETHEUS, observers.ALERTMANAGER, observers.VICTORIA_LOGS]
    return observers.compiled(every, s3_server.told(request.config))


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    """The platform with the observability stack, all active."""
    with Stage() as stage:
        stage.juju("add-model", "cos")
        stage.juju("deploy", ROOT / "models" / "cos.yaml", "--trust")
        stage.juju("add-model", MODEL)
        stage.juju("deploy", ROOT / "bundle.yaml", "--overlay", ROOT / "overlays" / "cos.yaml", "--trust")
        until(
            lambda: {word.split()[0] for word in _statuses(stage).values()} == {"active"},
            lambda: _statuses(stage),
            within=400,
        )
        until(lambda: stage.engine.idle(1.0), within=60)
        yield stage


def shown(stage: Stage, unit: str, model: str) -> dict[str, Any]:
    """Return what a stand-in's real charm would load."""
    command = [stage.bin / "juju", "run", "-m", model, "--format", "json", unit, "show-configuration"]
    done = subprocess.run(command, env=stage.environment, capture_output=True, text=True, check=True)
    (said,) = json.loads(done.stdout).values()
    return {key: yaml.safe_load(value) for key, value in said["results"].items() if isinstance(value, str)}


@pytest.fixture(scope="module")
def network(stage: Stage) -> Iterator[Programs]:
    """Where the programs are found."""
    programs = Programs(stage.cluster, MODEL)
    yield programs
    programs.close()


@pytest.fixture(scope="module")
def configuration(
    stage: Stage, network: Programs, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """What the collector scrapes of our charms, and the rules that reach Prometheus, quicker than they are."""
    folder = tmp_path_factory.mktemp("rules")
    jobs = shown(stage, "opentelemetry-collector-k8s/0", MODEL)["scrape-configs"]
    ours = [job for job in jobs if job["static_configs"][0]["labels"]["juju_application"] in OURS]
    for number, groups in enumerate(shown(stage, "prometheus/0", "cos")["alert-rules"].values()):
        for rule in (rule for group in groups["groups"] for rule in group["rules"]):
            rule["for"] = "0s"
        (folder / f"{number}.yaml").write_text(yaml.safe_dump(groups))
    return {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "scrape_configs": [
            {**job, "proxy_url": network.url, "scrape_interval": "2s", "scrape_timeout": "2s"} for job in ours
        ],
        "rule_files": [str(folder / "*.yaml")],
    }


def test_prometheus_finds_every_program_and_alerts_alertmanager_of_one_that_is_gone(
    configuration: dict[str, Any],
    network: Programs,
    guardian: Guardian,
    programs_of: dict[str, Path],
    tmp_path: Path,
) -> None:
    with observers.alertmanager(guardian, tmp_path / "am", programs_of["alertmanager"]) as receiver:
        alerting = {"alertmanagers": [{"static_configs": [{"targets": [receiver]}]}]}
        whole = configuration | {"alerting": alerting}
        with observers.prometheus(guardian, tmp_path / "p", programs_of["prometheus"], whole) as server:

            def up() -> dict[tuple[str, str], str]:
                answer = observers.asked(server, "/api/v1/query", query="up")
                return {
                    (each["metric"]["juju_application"], each["metric"]["program"]): each["value"][1]
                    for each in answer["data"]["result"]
                }

            everything = {(charm.name, program) for charm in SEEN for program in charm.programs}
            until(lambda: up() == dict.fromkeys(everything, "1"), up, within=30)
            answer = observers.asked(server, "/api/v1/rules")["data"]["groups"]
            loaded = {rule["name"] for group in answer for rule in group["rules"]}
            assert loaded >= {rule.alert for charm in SEEN for rule in charm.rules}
            assert {rule["health"] for group in answer for rule in group["rules"]} <= {"ok", "unknown"}
            # A program that was scraped late has alerted, and no longer does.
            until(lambda: _alerting(receiver) == set(), lambda: _alerting(receiver), within=30)

            network.down.add(DOWN)
            until(lambda: ("KubeflowProgramDown", "katib", DOWN) in _alerting(receiver), within=30)
            network.down.discard(DOWN)


def _alerting(receiver: str) -> set[tuple[str, str, str]]:
    """Return alert, application and program of what an Alertmanager has been told of ours."""
    told = observers.asked(receiver, "/api/v2/alerts")
    labels = [each["labels"] for each in told if each["labels"].get("juju_application") in OURS]
    return {(each["alertname"], each["juju_application"], each.get("program", "")) for each in labels}


def test_no_name_of_a_user_is_kept(configuration: dict[str, Any]) -> None:
    """Access management's counts have the addresses of users in their labels."""
    (job,) = [job for job in configuration["scrape_configs"] if "kfam" in job["job_name"]]
    (rule,) = job["metric_relabel_configs"]
    assert rule["action"] == "drop"
    assert all(re.fullmatch(rule["regex"], name) for name in ("request_kf", "request_kf_failure"))


def test_dashboards_reach_grafana(stage: Stage) -> None:
    boards = shown(stage, "grafana/0", "cos")["dashboards"]
    titles = {board["title"] for charm in SEEN for board in charm.dashboards.values()}
    assert titles <= {board["title"] for board in (boards.values() if isinstance(boards, dict) else boards)}


def _statuses(stage: Stage) -> dict[str, str]:
    units = [unit for model in stage.engine.models.values() for unit in model.units()]
    return {unit.name: f"{unit.workload.current} {unit.workload.message}" for unit in units}


def test_scaled_to_zero_nothing_is_scraped_and_nothing_alerts(stage: Stage) -> None:
    def scraped() -> set[str]:
        jobs = shown(stage, "opentelemetry-collector-k8s/0", MODEL)["scrape-configs"]
        return {job["static_configs"][0]["labels"]["juju_application"] for job in jobs}

    assert "kubeflow-training" in scraped()
    stage.juju("scale-application", "kubeflow-training", 0)
    until(lambda: "kubeflow-training" not in scraped(), within=60)
    stage.juju("scale-application", "kubeflow-training", 1)
    until(lambda: "kubeflow-training" in scraped(), lambda: _statuses(stage), within=120)


BAD_RULES = "groups: [{name: mine, rules: [{alert: Mine, expr: 'up{%%juju_topology%%} =='}]}]"


def test_a_file_of_an_operators_that_is_refused_takes_no_other_alert_with_it(
    stage: Stage, tmp_path: Path
) -> None:
    """The collector refuses all rules of a charm for one: then the charm sends its own without it, and stays so."""

    def alerts() -> set[str]:
        groups = shown(stage, "prometheus/0", "cos")["alert-rules"].values()
        rules = [rule for file in groups for group in file["groups"] for rule in group["rules"]]
        return {rule["alert"] for rule in rules if rule["labels"]["juju_application"] == "katib"}

    own = {rule.alert for rule in OURS["katib"].rules}
    until(lambda: alerts() == own, alerts, within=60)
    charm = shutil.copytree(OURS["katib"].folder, tmp_path / "katib")
    file = charm / "src" / "prometheus_alert_rules" / "mine.yaml"
    file.write_text(BAD_RULES)
    stage.juju("refresh", "katib", "--path", charm)
    said = "opentelemetry-collector-k8s refuses alert rules of mine.yaml"
    until(lambda: said in _statuses(stage)["katib/0"], lambda: _statuses(stage), within=120)
    for _ in range(3):
        stage.juju("exec", "--unit", "katib/0", "JUJU_DISPATCH_PATH=hooks/update-status ./dispatch")
        assert stage.engine.idle(60)
        assert said in _statuses(stage)["katib/0"]
        assert _statuses(stage)["opentelemetry-collector-k8s/0"].startswith("active")
        assert alerts() == own
    file.write_text(BAD_RULES.replace(" ==", " == 0"))
    stage.juju("refresh", "katib", "--path", charm)
    until(lambda: alerts() == {*own, "Mine"}, lambda: _statuses(stage), within=120)
    assert said not in _statuses(stage)["katib/0"]


ELSEWHERE = {
    "charmcraft.yaml": """
name: loki-elsewhere
summary: Says where a Loki is that Juju does not run.
provides:
  logging: {interface: loki_push_api}
config:
  options:
    url: {type: string, description: The address of its push API.}
""",
    "src/charm.py": """
import json
import ops


class LokiElsewhere(ops.CharmBase):
    def __init__(self, framework):
        super().__init__(framework)
        for event in (self.on.config_changed, self.on.logging_relation_created):
            framework.observe(event, self._tell)

    def _tell(self, _):
        for relation in self.model.relations["logging"]:
            relation.data[self.unit]["endpoint"] = json.dumps({"url": self.config["url"]})
        self.unit.status = ops.ActiveStatus()


if __name__ == "__main__":
    ops.main(LokiElsewhere)
""",
}
"""A charm for a server that runs beside the rehearsal."""


def test_lines_of_a_workload_come_back_by_the_labels_that_operators_search_for(
    stage: Stage, guardian: Guardian, programs_of: dict[str, Path], tmp_path: Path
) -> None:
    charm = tmp_path / "loki-elsewhere"
    for name, text in ELSEWHERE.items():
        (charm / name).parent.mkdir(parents=True, exist_ok=True)
        (charm / name).write_text(text)
    with observers.victoria_logs(guardian, tmp_path / "logs", programs_of["victoria-logs"]) as server:
        stage.juju("deploy", charm, "--config", f"url=http://{server}/insert/loki/api/v1/push")
        stage.juju("integrate", "katib:logging", "loki-elsewhere:logging")
        pod = _pod(stage, "katib-controller")
        _say(stage, pod, "katib-controller", "trial bayesian-7 has not reported: is the quota full?")
        query = '{juju_application="katib",juju_model="kubeflow",container="katib-controller"} "bayesian-7"'
        found = until(lambda: _lines(server, query), lambda: _sent(stage, server), within=120)
        assert [line["_msg"] for line in found] == ["trial bayesian-7 has not reported: is the quota full?"]
        assert (found[0]["pod"], found[0]["juju_unit"], found[0]["juju_charm"]) == (pod, "katib/0", "katib")
        assert not _lines(server, '{juju_application="kubeflow-pipelines"} *')
        stage.juju("remove-application", "loki-elsewhere", "--no-prompt")


def _sent(stage: Stage, server: str) -> tuple[list[str], list[dict[str, str]]]:
    """Return what the process that sends logs says, and some of what has come."""
    logs = [path.read_text()[-600:] for path in stage.folder.rglob("katib-0-*-watcher.log")]
    return logs, _lines(server, "* | limit 3")


def _pod(stage: Stage, workload: str) -> str:
    pods = items(stage.cluster, MODEL, "pods")
    (name,) = [name for pod in pods if (name := pod["metadata"]["name"]).startswith(f"{workload}-")]
    return name


def _say(stage: Stage, pod: str, container: str, line: str) -> None:
    assert isinstance(stage.cluster, ControlPlane)
    assert stage.cluster.kubelet is not None
    stage.cluster.kubelet.say(MODEL, pod, container, line)


def _lines(server: str, query: str) -> list[dict[str, str]]:
    """Return the lines that a query finds, by VictoriaLogs' own API."""
    url = f"http://{server}/select/logsql/query?{urllib.parse.urlencode({'query': query})}"
    with urllib.request.urlopen(url, timeout=10) as answer:
        return [json.loads(line) for line in answer.read().splitlines()]
