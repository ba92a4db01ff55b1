"""From what an application says of its metrics to what Prometheus loads.

The expected values are those of MetricsEndpointConsumer, LIBPATCH 60, with cos-tool.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from rehearsal.stand_ins.observability import scraping
from rehearsal.stand_ins.observability.scraping import Scraped
from rehearsal.stand_ins.observability.topology import HookFails

UUID = "f47ac10b-58cc-4372-a567-0e02b2c3d479"
METADATA = {
    "model": "kubeflow",
    "model_uuid": UUID,
    "application": "kfp",
    "unit": "kfp/0",
    "charm_name": "kfp-x",
}
LABELS = {
    "juju_model": "kubeflow",
    "juju_model_uuid": UUID,
    "juju_application": "kfp",
    "juju_charm": "kfp-x",
}
UNITS = {
    "kfp/0": {
        "prometheus_scrape_unit_address": "10.1.2.3",
        "prometheus_scrape_unit_name": "kfp/0",
        "prometheus_scrape_unit_path": "/behind",
        "prometheus_scrape_unit_fqdn": "kfp-0.kfp-endpoints",
    },
    "kfp/1": {"prometheus_scrape_unit_address": "kfp-1.kfp-endpoints"},
    "kfp/2": {"prometheus_scrape_unit_name": "kfp/2"},
    "kfp/3": {},
}
PREFIX = "juju_kubeflow_f47ac10b_kfp_prometheus_scrape"


def scraped(*jobs: Any, units: Any = UNITS, **said: Any) -> Scraped:
    bag = {"scrape_jobs": jobs, "scrape_metadata": METADATA} | said
    return scraping.received({key: json.dumps(value) for key, value in bag.items()}, units)


def job(*targets: str, **more: Any) -> dict[str, Any]:
    return {"job_name": "api", "static_configs": [{"targets": [*targets]}], **more}


def relabel(*more: str) -> dict[str, Any]:
    labels = ["juju_model", "juju_model_uuid", "juju_application", *more]
    return {"source_labels": labels, "separator": "_", "target_label": "instance", "regex": "(.*)"}


def test_a_wildcard_is_each_unit_with_an_address() -> None:
    found = scraped(job("*:8888"))
    assert (found.error, found.lost) == ("", [])
    assert found.jobs == [
        {
            "job_name": f"{PREFIX}_api-{number}",
            "metrics_path": path,
            "static_configs": [
                {"targets": [f"{host}:8888"], "labels": LABELS | {"juju_unit": f"kfp/{number}"}}
            ],
            "relabel_configs": [relabel("juju_unit")],
        }
        for number, host, path in ((0, "10.1.2.3", "/behind/metrics"), (1, "kfp-1.kfp-endpoints", "/metrics"))
    ]


def test_other_targets_are_of_no_unit_unless_a_unit_is_there() -> None:
    found = scraped(job("api.kubeflow.svc:80", "kfp-0.kfp-endpoints:81", metrics_path="/m"))
    unit, elsewhere = found.jobs
    assert unit["job_name"] == f"{PREFIX}_api-0"
    assert unit["metrics_path"] == "/behind/m"
    assert unit["static_configs"][0]["targets"] == ["kfp-0.kfp-endpoints:81"]
    assert elsewhere == {
        "job_name": f"{PREFIX}_api",
        "metrics_path": "/m",
        "static_configs": [{"targets": ["api.kubeflow.svc:80"], "labels": LABELS}],
        "relabel_configs": [relabel()],
    }


def test_a_jobs_own_labels_and_relabelling_stay() -> None:
    config = {"targets": ["*:1"], "labels": {"juju_application": "mine", "pod": "api"}}
    own = {"source_labels": ["a"], "target_label": "b"}
    (first, _) = scraped({"static_configs": [config], "relabel_configs": [own]}).jobs
    assert first["static_configs"][0]["labels"]["juju_application"] == "mine"
    assert first["static_configs"][0]["labels"]["pod"] == "api"
    assert first["relabel_configs"] == [own, relabel("juju_unit")]


def test_equal_names_get_digests_and_equal_jobs_are_one() -> None:
    names = {each["job_name"] for each in scraped(job("a:1"), job("b:1")).jobs}
    assert len(names) == 2
    assert all(
        name.startswith(f"{PREFIX}_api_") and len(name) == len(f"{PREFIX}_api_") + 64 for name in names
    )
    assert len(scraped(job("a:1"), job("a:1")).jobs) == 1


def test_without_units_or_jobs_nothing_is_scraped() -> None:
    assert scraped(job("a:1"), units={}) == Scraped()
    assert scraped() == Scraped()


LOST = {
    "a key that is not allowed": (job("*:1", honor_labels=True), "honor_labels is dropped"),
    "no targets at all": ({"job_name": "api"}, "no static_configs, so *:80 is scraped"),
    "an empty list": (job(), "no targets, so nothing is scraped"),
    "an URL": (job("http://a:1/x"), '"http://a:1/x" is not a valid hostname, so it is not scraped'),
    "a scheme": (job("a:1", scheme="ftp"), 'the scheme "ftp" is neither http nor https'),
}


@pytest.mark.parametrize(("said", "why"), LOST.values(), ids=LOST)
def test_what_is_lost_without_a_word_is_said(said: dict[str, Any], why: str) -> None:
    found = scraped(said)
    assert (found.error, found.lost) == ("", [f"job api: {why}"])


def test_a_wildcard_without_any_address_is_said() -> None:
    found = scraped(job("*:1"), units={"kfp/0": {"prometheus_scrape_unit_name": "kfp/0"}})
    assert found.jobs == []
    assert found.lost == ["job api: no unit has a prometheus_scrape_unit_address, so nothing is scraped"]


REFUSED = {
    "an interval": ({"scrape_interval": "often"}, 'not a valid duration string: "often"'),
    "a timeout": ({"scrape_timeout": "2m"}, "scrape timeout greater than scrape interval"),
    "relabelling": ({"relabel_configs": [{"action": "burn"}]}, 'unknown relabel action "burn"'),
    "parameters": ({"params": {"a": "b"}}, "params: cannot unmarshal into a list of texts"),
}


@pytest.mark.parametrize(("wrong", "why"), REFUSED.values(), ids=REFUSED)
def test_one_job_that_prometheus_does_not_load_takes_all_along(wrong: dict[str, Any], why: str) -> None:
    found = scraped(job("a:1"), job("b:1", job_name="bad", **wrong))
    assert found.jobs == []
    assert found.error == f"{PREFIX}_bad: {why}"


FAILING = {
    "no metadata and no name": {"scrape_jobs": [{}], "scrape_metadata": {}},
    "metadata without a model": {"scrape_metadata": {"application": "kfp"}},
    "another kind of UUID": {"scrape_metadata": METADATA | {"model_uuid": "kubeflow"}},
    "an old UUID": {"scrape_metadata": METADATA | {"model_uuid": "f47ac10b-58cc-1372-a567-0e02b2c3d479"}},
}


@pytest.mark.parametrize("said", FAILING.values(), ids=FAILING)
def test_what_real_hooks_fail_on(said: dict[str, Any]) -> None:
    with pytest.raises(HookFails):
        scraped(job("a:1"), **said)


@pytest.mark.parametrize("text", ["{", "[1]", '{"a": 1}', "3"])
def test_jobs_that_are_no_list_of_mappings(text: str) -> None:
    with pytest.raises(HookFails, match="scrape_jobs is no"):
        scraping.received({"scrape_jobs": text, "scrape_metadata": json.dumps(METADATA)}, UNITS)


def test_without_metadata_jobs_stay_as_they_are() -> None:
    found = scraped(job("*:1"), scrape_metadata={})
    assert found.jobs == [job("*:1")]
    assert found.lost == ["no scrape_metadata: its series have no Juju labels"]
