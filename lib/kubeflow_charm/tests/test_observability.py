"""What Prometheus and Grafana get of a charm: targets, the way to them, rules and dashboards."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import yaml

from kubeflow_charm.observability import alerts, dashboards, exposing
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


class TestAlerts:
    def rules(self, folder: Path, **said: Any) -> list[dict[str, Any]]:
        made = alerts.rules(alerts.files(folder, controllers=False, **said), TOPOLOGY)
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

    def test_the_charms_own_rules_come_too(self, tmp_path: Path):
        own = {"groups": [{"name": "own", "interval": "1m", "rules": [{"alert": "Mine", "expr": "up == 0"}]}]}
        (tmp_path / "own.yaml").write_text(yaml.safe_dump(own))
        assert "Mine" in {rule["alert"] for rule in self.rules(tmp_path)}

    @pytest.mark.parametrize(
        "text",
        ["", "[", "a: b", "groups: []", "groups: [{name: a, rules: []}]", "groups: [{name: a, rules: [{alert: a}]}]",
         "groups: [{name: a, rules: [{alert: a, expr: 7}]}]", "groups: nothing", "\0", "groups: [{rules: [{alert: a, expr: b}]}]"],
    )  # fmt: skip
    def test_a_malformed_file_is_logged_and_the_others_hold(self, tmp_path: Path, caplog: Any, text: str):
        (tmp_path / "theirs.yaml").write_text(text)
        with caplog.at_level(logging.WARNING):
            assert {rule["alert"] for rule in self.rules(tmp_path)} >= {"KubeflowProgramDown"}
        (record,) = caplog.records
        assert record.getMessage().startswith("the alert rules in theirs.yaml are ignored: ")

    def test_a_file_that_is_no_text_is_ignored(self, tmp_path: Path):
        (tmp_path / "theirs.yaml").write_bytes(b"\xff\xfe\x00")
        assert self.rules(tmp_path)


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
        return dashboards.dashboards(dashboards.files(folder, controllers=controllers), "katib")

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
        board = self.made(tmp_path)["file:team"]
        assert (board["title"], board["panels"], board["tags"]) == ("Team", [], ["team", "charm: katib"])
        assert len(board["uid"]) == 40

    @pytest.mark.parametrize(
        ("name", "text"),
        [("a.json", "{"), ("a.json", "[]"), ("a.json", "{}"), ("a.yaml", "["), ("a.yaml", ""), ("a.yaml", "title: 7"),
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
