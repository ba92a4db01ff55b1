"""What the charm says when something is missing or wrong; none of it reaches the cluster."""

from __future__ import annotations

import pytest
from charm_harness import DATABASE, MINIO
from ops import testing


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (
            {"gateway": None, "database": None, "minio": None},
            "relations gateway-info, relational-db, object-storage (or s3-credentials) missing: "
            "juju integrate kubeflow-pipelines…",
        ),
        (
            {"database": None},
            "relation relational-db missing: juju integrate kubeflow-pipelines:relational-db mysql-k8s",
        ),
        (
            {"minio": None},
            "relation object-storage missing: juju integrate kubeflow-pipelines:object-storage minio",
        ),
        (
            {"s3": {"version": "1", "endpoint": "https://s3.example.com", "bucket": "b"}},
            "relations object-storage and s3-credentials exclude each other: "
            "juju remove-relation kubeflow-pipelines minio",
        ),
        ({"minio": {**MINIO, "port": "all"}}, "minio sent wrong data on object-storage: port: "),
        (
            {"database": {**DATABASE, "database": "ml-pipeline; drop"}},
            "mysql-k8s sent wrong data on relational-db: database: 'ml-pipeline; drop' needs quotes",
        ),
    ],
)
def test_what_is_missing_or_wrong_is_said_with_its_cure(pipelines, said, expected):
    state, text = pipelines.status(**said)
    assert state == "blocked"
    assert text.startswith(expected.removesuffix("…"))


@pytest.mark.parametrize(
    ("option", "value", "reason"),
    [
        ("object-store-bucket-name", "My_Bucket", "does not match"),
        ("default_pipeline_root", "ftp://x/y", "does not match"),
        ("run-retention-hours", 0, "0 is less than 1"),
        ("runner-sa", "Not A Name", "'Not A Name' is not a DNS name in lower case"),
        ("driver-image", "no image", "'no image' is no image reference"),
        ("custom_images", "{visualisation: x}", "visualisation: no such field"),
        ("custom_images", "[", "not YAML"),
        ("default-pipeline-user-id", "root", "does not match"),
        ("default-pipeline-non-root", "yes", "'yes' is not '', 'true' or 'false'"),
        ("init-connection-timeout", "soon", "does not match"),
        ("log-archive-prefix", "/a b", "does not match"),
        ("log-archive-filename", "a/b", "does not match"),
        ("pipeline-store", "both", "'both' is not 'database' or 'kubernetes'"),
        ("log-level", "loud", "'loud' is not 'debug', 'info', 'warning' or 'error'"),
        ("pipeline-url-domains", "https://example.com", "does not match"),
        ("timezone", "Europe/", "does not match"),
    ],
)
def test_a_wrong_option_is_named(pipelines, option, value, reason):
    state, text = pipelines.status({option: value})
    assert state == "blocked"
    assert text.startswith(f"option {option}: ")
    assert reason[:60] in text


def test_a_database_that_has_not_answered_is_waited_for(pipelines, monkeypatch):
    silent = testing.Relation("relational-db", remote_app_name="mysql-k8s")
    others = pipelines.relations(database=None)
    monkeypatch.setattr(pipelines, "relations", lambda **_: [silent, *others])
    assert pipelines.status() == ("waiting", "mysql-k8s: no data on relational-db yet")
