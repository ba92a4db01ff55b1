"""What Prometheus and Grafana get of a charm: targets, the way to them, rules and dashboards."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ops
import pytest
import yaml
from ops import testing

from kubeflow_charm.observability import alerts, dashboards, exposing
from kubeflow_charm.observability.observability import Observability
from kubeflow_charm.observability.programs import Program, Target, read, targets
from kubeflow_charm.relations.topology import Topology

TOPOLOGY = Topology(
    model="my-ml",
    model_uuid="ca8e9bd8-0000-7000-8000-000000000000",  # a version that cosl does not know
    application="katib",
    unit="katib/0",
    charm_name="katib",
)


def program(port: str, **said: Any) -> Program:
    return Program(port=port, source="upstream", **said)


def deployment(name: str, **ports: int) -> dict[str, Any]:
    named = [{"name": key.replace("_", "-"), "containerPort": number} for key, number in ports.items()]
    spec = {"template": {"spec": {"containers": [{"name": "c", "ports": named}, {"name": "no-ports"}]}}}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


class TestTargets:
    def test_each_program_is_found_by_its_port(self):
        programs = {"a": program("a-metrics"), "b": program("b-metrics", path="/stats")}
        found = targets(programs, [deployment("x", http=80, a_metrics=8080), deployment("y", b_metrics=9090)])
        assert found == [
            Target("a", "x", "a-metrics", 8080, 8080, "/metrics"),
            Target("b", "y", "b-metrics", 9090, 9090, "/stats"),
        ]

    def test_programs_with_the_same_number_have_ports_of_their_own(self):
        programs = {name: program(f"{name}-metrics") for name in "abc"}
        workloads = [deployment(name, **{f"{name}_metrics": 8080}) for name in "cab"]
        assert [each.service_port for each in targets(programs, workloads)] == [8080, 8081, 8082]

    def test_a_program_that_does_not_run_is_no_target(self):
        assert targets({"a": program("a-metrics")}, [deployment("x", http=80)]) == []

    def test_two_ports_of_one_name_are_a_bug(self):
        both = [deployment("x", metrics=1), deployment("y", metrics=2)]
        with pytest.raises(ValueError, match="the port metrics is in x, too"):
            targets({"a": program("metrics")}, both)

    def test_a_charm_without_a_description_has_none(self, tmp_path: Path):
        assert read(tmp_path / "metrics.yaml") == {}


class TestExposing:
    TARGETS = (
        Target("a", "x", "a-metrics", 8080, 8080, "/metrics"),
        Target("b", "y", "b-metrics", 8080, 8081, "/stats"),
    )

    def test_one_service_leads_to_all_programs(self):
        service, *_ = exposing.objects("katib", "ml", "katib.ml", self.TARGETS)
        assert service["metadata"]["name"] == "katib-metrics"
        ports = {each["port"]: each["targetPort"] for each in service["spec"]["ports"]}
        assert ports == {8080: "a-metrics", 8081: "b-metrics"}

    def test_only_metrics_are_opened(self):
        _, network, mesh = exposing.objects("katib", "ml", "katib.ml", self.TARGETS)
        (rule,) = network["spec"]["ingress"]
        assert rule["ports"] == [{"protocol": "TCP", "port": 8080}]
        asked = [rule["to"][0]["operation"] for rule in mesh["spec"]["rules"]]
        assert asked == [
            {"ports": ["8080"], "methods": ["GET"], "paths": ["/metrics"]},
            {"ports": ["8080"], "methods": ["GET"], "paths": ["/stats"]},
        ]

    def test_nothing_is_opened_for_nothing(self):
        assert exposing.objects("katib", "ml", "katib.ml", ()) == []


MALFORMED = (
    *("[" * 100_000, "[" * 5_000, "{a: " * 5_000, "- " * 5_000, "x" * 2_000_000),
    *("!!bool maybe", "!!timestamp x", "2020-13-45", "1:" * 300 + "1.0", "9" * 5_000, "? [a]\n: b"),
)
"""Texts that a reader of YAML may fail on."""

ODD_FILES = [
    pytest.param(lambda folder: (folder / "x.yaml").mkdir(), id="a folder"),
    pytest.param(lambda folder: (folder / "x.yaml").symlink_to("nowhere"), id="a link to nowhere"),
    pytest.param(lambda folder: (folder / "x.yaml").symlink_to("x.yaml"), id="a link to itself"),
    pytest.param(lambda folder: os.mkfifo(folder / "x.yaml"), id="a pipe"),
    pytest.param(lambda folder: (folder / "x.yaml").symlink_to("/dev/zero"), id="a device"),
    pytest.param(lambda folder: (folder / "x.yaml").write_bytes(b"\xff\xfe\x00"), id="no text"),
    pytest.param(lambda folder: (folder / "x.tmpl").write_text("title: a"), id="a template"),
    pytest.param(lambda folder: (folder / "README.md").write_text("about"), id="about the others"),
    pytest.param(
        lambda folder: Path(os.fsdecode(bytes(folder) + b"/\xff.yaml")).write_text("title: a"), id="odd"
    ),
]
"""What may be in a folder in the place of a good file."""


class TestAlerts:
    def rules(self, folder: Path, **said: Any) -> list[dict[str, Any]]:
        made = alerts.rules(alerts.files(folder, "katib", controllers=False, **said), TOPOLOGY)
        return [rule | {"group": group["name"]} for group in made["groups"] for rule in group["rules"]]

    def test_rules_see_their_own_application_only_and_say_which(self, tmp_path: Path):
        for rule in self.rules(tmp_path):
            assert alerts.PLACEHOLDER not in rule["expr"]
            assert 'juju_application="katib"' in rule["expr"]
            assert 'juju_model_uuid="ca8e9bd8-0000-7000-8000-000000000000"' in rule["expr"]
            assert rule["labels"]["juju_application"] == "katib"
            assert rule["labels"]["juju_charm"] == "katib"

    def test_groups_have_the_form_that_a_collector_keeps(self, tmp_path: Path):
        assert {rule["group"] for rule in self.rules(tmp_path)} == {"my_ml_ca8e9bd8_katib_programs_rules"}

    def test_a_group_of_an_operators_may_be_called_as_one_of_ours(self, tmp_path: Path):
        text = "groups: [{name: programs, rules: [{alert: A, expr: up}]}]"
        for name in ("katib.yaml", "mine.yml", "de-ad.rules", "x_deadbeef_y.rule"):
            (tmp_path / name).write_text(text.replace("programs", "katib") if name == "katib.yaml" else text)
        prefix = "my_ml_ca8e9bd8_katib"
        assert {rule["group"] for rule in self.rules(tmp_path)} == {
            f"{prefix}_programs_rules", f"{prefix}_katib_rules", f"{prefix}_mine_programs_rules",
            f"{prefix}_de_ad_programs_rules", f"{prefix}_x_deadbeef_y_programs_rules",
        }  # fmt: skip

    def test_of_two_groups_with_one_name_the_first_is_taken(self, tmp_path: Path, caplog: Any):
        (tmp_path / "a-b.yaml").write_text("groups: [{name: g, rules: [{alert: A, expr: up}]}]")
        (tmp_path / "a_b.yaml").write_text("groups: [{name: g, rules: [{alert: B, expr: up}]}]")
        with caplog.at_level(logging.WARNING):
            assert "B" not in {rule["alert"] for rule in self.rules(tmp_path)}
        (record,) = caplog.records
        assert (
            record.getMessage()
            == "the alert rules in a_b.yaml are ignored: a group's name is another one's, too"
        )

    def test_only_an_operators_files_are_left_out_where_they_are_refused(self, tmp_path: Path):
        for name in ("katib.yaml", "mine.yaml"):
            (tmp_path / name).touch()
        paths = alerts.files(tmp_path, "katib", controllers=True)
        assert [path.name for path in paths if alerts.is_operators(path, "katib")] == ["mine.yaml"]

    def test_everything_that_prometheus_knows_is_kept(self, tmp_path: Path):
        rule = {"alert": "A", "expr": "up == 0", "for": "1h30m", "keep_firing_for": "5m", "labels": {"severity": "x"},
                "annotations": {"summary": "s"}}  # fmt: skip
        group = {"name": "g", "interval": "1m", "query_offset": "10s", "limit": 3, "rules": [rule]}
        (tmp_path / "mine.yaml").write_text(yaml.safe_dump({"groups": [group]}))
        made = alerts.rules(alerts.files(tmp_path, "katib", controllers=False), TOPOLOGY)["groups"][-1]
        assert (
            made.items()
            >= {key: value for key, value in group.items() if key not in ("name", "rules")}.items()
        )
        (kept,) = made["rules"]
        assert kept["labels"].pop("severity") == "x"
        assert {**kept, "labels": {"severity": "x"}} == rule

    def test_the_charms_own_rules_come_too(self, tmp_path: Path):
        own = {"groups": [{"name": "own", "interval": "1m", "rules": [{"alert": "Mine", "expr": "up == 0"}]}]}
        (tmp_path / "own.yaml").write_text(yaml.safe_dump(own))
        assert "Mine" in {rule["alert"] for rule in self.rules(tmp_path)}

    @pytest.mark.parametrize(
        "text",
        [*MALFORMED, *(f"groups: [{{name: a, rules: [{{alert: a, expr: b, {bad}}}]}}]" for bad in (
            "for: 5 min", "for: ''", "for: 300", "for: 2024-01-01", "keep_firing_for: soon", "severity: critical",
            "labels: {a: 2024-01-01}", "labels: {a: !!set {b}}", "labels: {a-b: c}", "annotations: {a: [b]}")),
         *(f"groups: [{{name: a, {bad}, rules: [{{alert: a, expr: b}}]}}]" for bad in (
            "interval: 2024-01-01", "interval: soon", "limit: many", "since: 2024-01-01", "x: !!binary aGk=")),
         "groups: [{name: ' ', rules: [{alert: a, expr: b}]}]", "groups: [{name: a, rules: [{alert: '', expr: b}]}]",
         "groups: [{name: a, rules: [{alert: a, expr: ''}]}]", "groups: [{name: a, rules: [{record: a, expr: b}]}]",
         "groups: &g [{name: a, rules: [*g]}]",
         "", "[", "a: b", "groups: []", "groups: [{name: a, rules: []}]", "groups: [{name: a, rules: [{alert: a}]}]",
         "groups: [{name: a, rules: [{alert: a, expr: 7}]}]", "groups: nothing", "\0", "groups: [{rules: [{alert: a, expr: b}]}]"],
    )  # fmt: skip
    def test_a_malformed_file_is_logged_and_the_others_hold(self, tmp_path: Path, caplog: Any, text: str):
        (tmp_path / "theirs.yaml").write_text(text)
        with caplog.at_level(logging.WARNING):
            assert {rule["alert"] for rule in self.rules(tmp_path)} >= {"KubeflowProgramDown"}
        (record,) = caplog.records
        assert record.getMessage().startswith("the alert rules in theirs.yaml are ignored: ")

    @pytest.mark.parametrize("make", ODD_FILES)
    def test_what_is_no_file_of_rules_is_logged_and_the_others_hold(
        self, tmp_path: Path, caplog: Any, make: Callable[[Path], object]
    ):
        make(tmp_path)
        with caplog.at_level(logging.WARNING):
            assert {rule["alert"] for rule in self.rules(tmp_path)} == {
                "KubeflowProgramDown",
                "KubeflowProgramRestarts",
            }
        (record,) = caplog.records
        assert record.getMessage().startswith("the alert rules in ")

    def test_what_is_hidden_is_no_file_of_rules(self, tmp_path: Path, caplog: Any):
        (tmp_path / ".gitkeep").touch()
        assert self.rules(tmp_path)
        assert not [each for each in caplog.records if each.levelname == "WARNING"]


DESCRIBED = """
title: Ours
rows:
  - title: First
    panels:
      - title: One
        queries: [{expr: 'sum(a{%%juju_topology%%})', legend: x}, {expr: 'b{%%juju_topology%%}'}]
      - title: Two
        queries: [{expr: c}]
      - title: Three
        queries: [{expr: d}]
      - title: Four
        queries: [{expr: e}]
"""


class TestDashboards:
    def made(self, folder: Path, controllers: bool = True) -> dict[str, dict[str, Any]]:
        return dashboards.dashboards(dashboards.files(folder, "katib", controllers=controllers), "katib")

    def test_a_description_becomes_a_dashboard(self, tmp_path: Path):
        (tmp_path / "katib.yaml").write_text(DESCRIBED)
        (board,) = self.made(tmp_path).values()
        assert [each["name"] for each in board["templating"]["list"]] == [
            "prometheusds", "lokids", "juju_model", "juju_model_uuid", "juju_application", "juju_unit",
        ]  # fmt: skip
        one = next(panel for panel in board["panels"] if panel["title"] == "One")
        assert [target["refId"] for target in one["targets"]] == ["A", "B"]
        assert one["targets"][0]["expr"] == (
            'sum(a{juju_model=~"$juju_model",juju_model_uuid=~"$juju_model_uuid",'
            'juju_application=~"$juju_application",juju_unit=~"$juju_unit"})'
        )
        assert {each["datasource"]["uid"] for each in board["panels"] if "datasource" in each} == {
            "${prometheusds}", "${lokids}",
        }  # fmt: skip
        assert board["tags"] == ["kubeflow", "charm: katib"]

    def test_no_two_panels_lie_on_each_other(self, tmp_path: Path):
        (tmp_path / "katib.yaml").write_text(DESCRIBED)
        (board,) = self.made(tmp_path).values()
        taken: set[tuple[int, int]] = set()
        for place in (panel["gridPos"] for panel in board["panels"]):
            assert place["x"] + place["w"] <= 24
            cells = {(x, y) for x in range(place["x"], place["x"] + place["w"])
                     for y in range(place["y"], place["y"] + place["h"])}  # fmt: skip
            assert not cells & taken
            taken |= cells
        assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])

    def test_only_controllers_have_rows_of_controllers(self, tmp_path: Path):
        (tmp_path / "katib.yaml").write_text("title: Ours")
        for controllers in (True, False):
            (board,) = self.made(tmp_path, controllers).values()
            rows = [panel["title"] for panel in board["panels"] if panel["type"] == "row"]
            assert rows == ["Programs", *(["Controllers"] if controllers else []), "Logs"]

    def test_a_dashboard_as_grafana_exports_it_is_taken_as_it_is(self, tmp_path: Path):
        (tmp_path / "team.json").write_text('{"title": "Team", "panels": [], "tags": ["team"]}')
        board = self.made(tmp_path)["file:katib-team"]
        assert (board["title"], board["panels"], board["tags"]) == ("Team", [], ["team", "charm: katib"])
        assert len(board["uid"]) == 40

    @pytest.mark.parametrize(
        ("name", "text"),
        [*(("a.yaml", text) for text in MALFORMED), ("a.yml", "title: a"), ("a.json", "[" * 100_000),
         ("a.json", '{"title": "a", "x": ' + "[" * 60 + "]" * 60 + "}"),
         *(("a.json", f'{{"title": "a", {bad}}}') for bad in (
            '"tags": null', '"tags": 7', '"tags": [7]', '"templating": {}', '"templating": {"list": 7}',
            '"templating": {"list": ["a"]}', '"templating": []', '"panels": 7', '"panels": {}', '"panels": ["a"]',
            '"panels": [{"targets": 7}]', '"panels": [{"panels": [7]}]', '"panels": [{"datasource": 7}]',
            '"panels": [{"datasource": {"type": "prometheus"}}]', '"panels": [{"targets": [{"datasource": {}}]}]',
            '"version": "7"', '"x": NaN', '"rows": [{"panels": 7}]')),
         ("a.json", '{"title": 7}'), ("a.json", '{"title": " "}'), ("a.json", "9" * 5_000),
         ("a.json", "{"), ("a.json", "[]"), ("a.json", "{}"), ("a.yaml", "["), ("a.yaml", ""), ("a.yaml", "title: 7"),
         ("a.yaml", "title: a\nrows: [{title: b, panels: []}]"), ("a.yaml", "title: a\ncolour: red"),
         ("a.yaml", "title: a\nrows: [{title: b, panels: [{title: c, queries: []}]}]"), ("a.json", "\0")],
    )  # fmt: skip
    def test_a_malformed_file_is_logged_and_the_others_are_there(
        self, tmp_path: Path, caplog: Any, name: str, text: str
    ):
        (tmp_path / "katib.yaml").write_text(DESCRIBED)
        (tmp_path / name).write_text(text)
        with caplog.at_level(logging.WARNING):
            assert self.made(tmp_path).keys() == {"file:katib"}
        (record,) = caplog.records
        assert record.getMessage().startswith(f"the dashboard in {name} is ignored: ")

    @pytest.mark.parametrize("make", ODD_FILES)
    def test_what_is_no_dashboard_is_logged_and_the_others_are_there(
        self, tmp_path: Path, caplog: Any, make: Callable[[Path], object]
    ):
        (tmp_path / "katib.yaml").write_text(DESCRIBED)
        make(tmp_path)
        with caplog.at_level(logging.WARNING):
            assert self.made(tmp_path).keys() == {"file:katib"}
        (record,) = caplog.records
        assert record.getMessage().startswith("the dashboard in ")

    def test_a_dashboard_of_an_operators_takes_the_place_of_none(self, tmp_path: Path, caplog: Any):
        (tmp_path / "katib.yaml").write_text(DESCRIBED)
        for name in ("katib.json", "team.json"):
            (tmp_path / name).write_text('{"title": "Team"}')
        (tmp_path / "team.yaml").write_text("title: Other team")
        with caplog.at_level(logging.WARNING):
            made = self.made(tmp_path)
        assert {name: board["title"] for name, board in made.items()} == {
            "file:katib": "Ours", "file:katib-katib": "Team", "file:katib-team": "Team",
        }  # fmt: skip
        (record,) = caplog.records
        assert record.getMessage() == "the dashboard in team.yaml is ignored: another file is called so, too"


class Seen(ops.CharmBase):
    """A charm that is observed, and does nothing else."""


ENDPOINTS = {
    "metrics-endpoint": {"interface": "prometheus_scrape"},
    "grafana-dashboard": {"interface": "grafana_dashboard"},
}


class TestPublishing:
    REFUSED = '{"errors": "no"}'

    def published(
        self, folder: Path, said: dict[str, dict[str, str]] | None = None, complaint: str = "{}"
    ) -> tuple[dict[str, dict[str, str]], list[str]]:
        """Publish once; return what is in our bags then by endpoint, and what is complained about."""
        context = testing.Context(
            Seen, meta={"name": "katib", "provides": ENDPOINTS}, app_name="katib", charm_root=folder
        )
        relations = [
            testing.Relation(
                name, remote_app_data={"event": complaint}, local_app_data=(said or {}).get(name, {})
            )
            for name in ENDPOINTS
        ]
        model = testing.Model("ml", uuid=TOPOLOGY.model_uuid)
        state = testing.State(leader=True, relations=relations, model=model)
        with context(context.on.update_status(), state) as manager:
            heard = Observability(manager.charm, "ml", "katib.ml").publish([], [])
            after = manager.run()
        return {each.endpoint: dict(after.get_relation(each.id).local_app_data) for each in relations}, heard

    @pytest.mark.parametrize("make", ODD_FILES)
    def test_whatever_an_operator_has_put_there_a_hook_goes_on(
        self, tmp_path: Path, make: Callable[[Path], object]
    ):
        for name in ("prometheus_alert_rules", "grafana_dashboards"):
            folder = tmp_path / "src" / name
            folder.mkdir(parents=True)
            make(folder)
        sent, _ = self.published(tmp_path)
        assert "KubeflowProgramDown" in sent["metrics-endpoint"]["alert_rules"]
        assert json.loads(sent["grafana-dashboard"]["dashboards"])["templates"] == {}

    def test_a_file_that_a_prometheus_refuses_is_left_out_alone(self, tmp_path: Path):
        folder = tmp_path / "src" / "prometheus_alert_rules"
        folder.mkdir(parents=True)
        for name, alert in (("katib.yaml", "Ours"), ("mine.yaml", "Theirs")):
            (folder / name).write_text(f"groups: [{{name: g, rules: [{{alert: {alert}, expr: 'up =='}}]}}]")
        sent, heard = self.published(tmp_path)
        assert "Theirs" in sent["metrics-endpoint"]["alert_rules"]
        assert heard == []
        sent, heard = self.published(tmp_path, sent, self.REFUSED)
        assert "Theirs" not in sent["metrics-endpoint"]["alert_rules"]
        assert "Ours" in sent["metrics-endpoint"]["alert_rules"]
        assert heard == ["remote refuses alert rules: no", "remote refuses dashboards: no"]
        again, heard = self.published(tmp_path, sent)
        assert again == sent
        assert heard == ["remote refuses alert rules of mine.yaml"]
        (folder / "mine.yaml").write_text("groups: [{name: g, rules: [{alert: Mended, expr: up}]}]")
        sent, heard = self.published(tmp_path, sent)
        assert "Mended" in sent["metrics-endpoint"]["alert_rules"]
        assert heard == []
