"""What operators see of pipelines when the database or the store at the far end does not answer, or refuses."""

from __future__ import annotations

import pytest
from kubeflow_platform import Platform

from rehearsal.cluster.controlplane import ControlPlane
from rehearsal.cluster.misbehaviour import Misbehaviour
from rehearsal.patience import until

UNIT = "kubeflow-pipelines/0"


@pytest.mark.parametrize(
    ("pods", "log", "said"),
    [
        (
            "ml-pipeline-*",
            "F1124 13:01:02.1 7 client_manager.go:407] dial tcp: lookup kfp-db-primary.mlops.svc: no such host",
            "dial tcp: lookup kfp-db-primary.mlops.svc: no such host",
        ),
        (
            "ml-pipeline-*",
            "F1124 13:01:02.1 7 client_manager.go:431] Error 1045 (28000): Access denied for user 'relation-9'",
            "Error 1045 (28000): Access denied for user 'relation-9'",
        ),
        (
            "ml-pipeline-*",
            "F1124 13:01:02.1 7 main.go:140] Failed to initialize ClientManager: failed to open blob storage bucket",
            "Failed to initialize ClientManager: failed to open blob storage bucket",
        ),
        (
            "metadata-grpc-deployment-*",
            "F1124 13:01:02.1 7 metadata_store_server_main.cc:577] mysql_real_connect failed: errno: 2002",
            "mysql_real_connect failed: errno: 2002",
        ),
    ],
)
def test_it_waits_with_the_programs_own_words_and_heals(
    platform: Platform, pods: str, log: str, said: str
) -> None:
    platform.settle()
    cluster = platform.stage.cluster
    assert isinstance(cluster, ControlPlane)
    cluster.misbehave((Misbehaviour.parse(f"{pods}=crash-loop:{log}"),))
    try:
        until(lambda: platform.unit(UNIT).current == "waiting")
        until(lambda: "CrashLoopBackOff" in platform.unit(UNIT).message)
        what, _, why = platform.unit(UNIT).message.partition(": ")
        assert what.startswith(pods.removesuffix("-*"))
        assert what.endswith(" 0/1")
        assert why.rstrip("…") == f"CrashLoopBackOff: {said}"[: len(why.rstrip("…"))]
        assert len(why) > 50
    finally:
        cluster.misbehave(())
    platform.settle()
