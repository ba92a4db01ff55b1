"""prometheus_scrape: what a charm offers, what a Prometheus reads of it, and whose complaints are heard."""

from __future__ import annotations

import json
from typing import Any

import ops
import pytest
from ops import testing

from kubeflow_charm.relations.prometheus_scrape import Job, Provides, Requires, Rules, StaticConfig
from kubeflow_charm.relations.topology import Topology

TOPOLOGY = Topology(
    model="ml", model_uuid="ca8e9bd8", application="ours", unit="ours/0", charm_name="kubeflow-ours"
)
JOB = Job(
    job_name="controller",
    static_configs=[StaticConfig(targets=["*:8080"], labels={"program": "controller"})],
)
RULES = {"groups": [{"name": "g", "rules": [{"alert": "A", "expr": "up == 0"}]}]}


class Lone(ops.CharmBase):
    """A charm with an endpoint and no handler."""


def run(call: Any, *, side: Any = Provides, leader: bool = True, **bags: Any) -> tuple[Any, Any]:
    """Have a side do something in a unit of `ours`; return the result and the relation afterwards."""
    meta = {"name": "ours", "provides": {"there": {"interface": "prometheus_scrape"}}}
    context = testing.Context(Lone, meta=meta, app_name="ours")
    relation = testing.Relation("there", remote_app_name="prometheus", **bags)
    with context(context.on.update_status(), testing.State(leader=leader, relations=[relation])) as manager:
        value = call(side(manager.charm, "there"))
        after = manager.run()
    return value, after.get_relation(relation.id)


OWN = Rules("own", lambda: RULES)


def send(end: Provides, jobs: list[Job], rules: Rules = OWN) -> None:
    end.send(end.relations[0], TOPOLOGY, jobs, "ours-metrics.ml.svc", rules, OWN)


def test_a_prometheus_reads_what_a_charm_sends():
    _, sent = run(lambda end: send(end, [JOB]))
    (read,), _ = run(
        lambda end: end.get(),
        side=Requires,
        remote_app_data=sent.local_app_data,
        remote_units_data={0: sent.local_unit_data, 1: {}},
    )
    assert (read.scrape_metadata, read.scrape_jobs, read.alert_rules) == (TOPOLOGY, [JOB], RULES)
    assert read.addresses == {
        "prometheus/0": "ours-metrics.ml.svc"
    }  # the unit without an address is no target


def test_who_has_nothing_to_scrape_has_no_address():
    _, sent = run(lambda end: send(end, []))
    assert json.loads(sent.local_app_data["scrape_jobs"]) == []
    assert not sent.local_unit_data.get("prometheus_scrape_unit_address")


def test_rules_are_made_only_of_something_new():
    _, sent = run(lambda end: send(end, [JOB]))

    def never() -> dict[str, Any]:
        raise AssertionError("they were made already")

    data = sent.local_app_data
    _, again = run(lambda end: send(end, [JOB], Rules("own", never)), local_app_data=data)
    assert again.local_app_data == data
    _, renewed = run(lambda end: send(end, [JOB], Rules("2", lambda: {})), local_app_data=data)
    assert renewed.local_app_data["alert_rules"] == "{}"


def test_the_jobs_that_were_sent_are_known():
    _, sent = run(lambda end: send(end, [JOB]))
    bags = {"local_app_data": sent.local_app_data, "local_unit_data": sent.local_unit_data}
    assert run(lambda end: end.jobs(end.relations[0]), **bags)[0] == {"controller"}
    assert run(lambda end: end.jobs(end.relations[0]))[0] == set()


def test_jobs_of_a_unit_before_are_not_ones_that_are_scraped():
    """After scaling to zero and back, a program is scraped again only when it is ready again."""
    _, sent = run(lambda end: send(end, [JOB]))
    assert run(lambda end: end.jobs(end.relations[0]), local_app_data=sent.local_app_data)[0] == set()


def test_a_unit_that_leads_no_more_is_not_scraped():
    _, sent = run(lambda end: send(end, [JOB]))
    _, after = run(lambda end: end.withdraw(), leader=False, local_unit_data=sent.local_unit_data)
    assert not after.local_unit_data.get("prometheus_scrape_unit_address")


@pytest.mark.parametrize(
    ("event", "heard"),
    [
        (None, []),
        ("{}", []),
        ('{"errors": ""}', []),
        ('{"errors": "group g, rule 1: parse error"}', ["prometheus refuses alert rules: group g, rule 1: parse error"]),
        ('{"errors": "a\\u0000b"}', ["prometheus refuses alert rules: a b"]),
        ('{"errors": "' + "x" * 500 + '"}', ["prometheus refuses alert rules: " + "x" * 60]),
        ('{"errors": {"a": 1}}', ["prometheus refuses alert rules: {'a': 1}"]),
        ("garbage", []),
        ("[" * 30_000, []),
        ("[1]", []),
    ],
)  # fmt: skip
def test_complaints_are_heard_and_garbage_is_not(event: str | None, heard: list[str]):
    bag = {} if event is None else {"event": event}
    assert run(lambda end: end.complaints(OWN), remote_app_data=bag)[0] == heard


def with_theirs(version: int) -> Rules:
    """Return the rules with a file of an operator's."""
    return Rules(f"theirs {version}", lambda: {"groups": ["theirs", version]}, ("theirs.yaml",))


class TestRefused:
    """Rules of operators that a Prometheus refuses, and what follows from one hook to the next."""

    def hook(
        self, data: dict[str, str], version: int, complaint: str = ""
    ) -> tuple[dict[str, str], list[str]]:
        """Run a hook; return what we have written then, and the texts for the status."""

        def both(end: Provides) -> list[str]:
            send(end, [JOB], with_theirs(version))
            return end.complaints(with_theirs(version))

        event = {"event": json.dumps({"errors": complaint} if complaint else {})}
        said, relation = run(both, local_app_data=data, remote_app_data=event)
        return relation.local_app_data, said

    def test_they_are_left_out_and_stay_out_when_the_complaint_is_gone(self, caplog: Any):
        sent, said = self.hook({}, 1)
        assert (json.loads(sent["alert_rules"]), said) == ({"groups": ["theirs", 1]}, [])
        with caplog.at_level("WARNING"):
            sent, said = self.hook(sent, 1, "bad PromQL")
        assert json.loads(sent["alert_rules"]) == RULES
        assert said == ["prometheus refuses alert rules: bad PromQL"]
        text = "prometheus refuses alert rules, so it gets none of theirs.yaml: bad PromQL"
        assert [each.getMessage() for each in caplog.records if each.levelname == "WARNING"] == [text]
        for complaint in ("bad PromQL", "", "", "something else"):
            before = sent
            sent, said = self.hook(sent, 1, complaint)
            assert sent == before
            assert said == [
                f"prometheus refuses alert rules{f': {complaint}' if complaint else ' of theirs.yaml'}"
            ]

    def test_they_come_back_when_they_are_changed(self):
        sent, _ = self.hook({}, 1)
        sent, _ = self.hook(sent, 1, "bad PromQL")
        sent, _ = self.hook(sent, 1)
        sent, said = self.hook(sent, 2)
        assert (json.loads(sent["alert_rules"]), said) == ({"groups": ["theirs", 2]}, [])

    def test_an_old_complaint_is_none_about_new_rules(self):
        sent, _ = self.hook({}, 1)
        sent, _ = self.hook(sent, 2, "bad PromQL of 1")
        assert json.loads(sent["alert_rules"]) == RULES
        sent, _ = self.hook(sent, 2, "bad PromQL of 1")
        sent, said = self.hook(sent, 2)
        assert (json.loads(sent["alert_rules"]), said) == ({"groups": ["theirs", 2]}, [])

    def test_the_charms_own_are_sent_whatever_is_said(self):
        sent, _ = self.hook({}, 1)
        sent, _ = self.hook(sent, 1, "bad PromQL")
        without = Rules("own", lambda: RULES)
        event = {"event": json.dumps({"errors": "a bug"})}
        said, relation = run(
            lambda end: (send(end, [JOB]), end.complaints(without))[1],
            local_app_data=sent,
            remote_app_data=event,
        )
        assert json.loads(relation.local_app_data["alert_rules"]) == RULES
        assert said == ["prometheus refuses alert rules: a bug"]


@pytest.mark.parametrize(
    ("bag", "place"),
    [
        ({"scrape_metadata": "{}", "scrape_jobs": "[]"}, "scrape_metadata.model"),
        ({"scrape_metadata": TOPOLOGY.model_dump_json()}, "scrape_jobs"),
        ({"scrape_metadata": TOPOLOGY.model_dump_json(), "scrape_jobs": "["}, "scrape_jobs"),
        ({"scrape_metadata": TOPOLOGY.model_dump_json(), "scrape_jobs": '[{"job_name": "a"}]'}, "scrape_jobs.0.static"),
    ],
)  # fmt: skip
def test_a_prometheus_names_the_field_that_is_wrong(ask: Any, bag: dict[str, str], place: str):
    ((state, text),) = ask(Requires, lambda end: end.get(), {"app": bag}).statuses
    assert (state, text.startswith(f"app sent wrong data on there: {place}")) == ("blocked", True), text


def test_who_has_written_nothing_yet_is_left_out(ask: Any):
    assert ask(Requires, lambda end: end.get(), {"late": {}}).value == []
