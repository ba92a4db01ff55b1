"""What becomes of a JobSet."""

from __future__ import annotations

from typing import Any

import pytest
from player_bench import Bench, owners, until

from rehearsal.cluster.stages import EXIT
from rehearsal.players import kinds
from rehearsal.players.players import Players

PROGRAM = "jobset"
PREFIX = "jobset.sigs.k8s.io/"


def replicated(name: str, ends: str = "", pods: int = 1, **more: Any) -> dict[str, Any]:
    """Return a replicated job as the webhook leaves it."""
    container = {"name": "node", "image": "train:1"}
    pod = {"restartPolicy": "Never", "containers": [container]}
    metadata = {"annotations": {EXIT: ends}} if ends else {}
    job = {
        "parallelism": pods,
        "completions": pods,
        "completionMode": "Indexed",
        "backoffLimit": 0,
        "template": {"metadata": metadata, "spec": pod},
    }
    return {"name": name, "replicas": 1, "template": {"spec": job}, **more}


class JobSets:
    def __init__(self, bench: Bench):
        self.bench = bench

    def run(self, *jobs: dict[str, Any], **more: Any) -> None:
        self.bench.deploy(args=["--config=/controller_manager_config.yaml", "--zap-log-level=2"])
        network = {"enableDNSHostnames": True}
        spec = {"replicatedJobs": [*jobs], "network": network, "successPolicy": {"operator": "All"}, **more}
        self.bench.make(kinds.JOB_SET, "set", spec)

    def comes_to(self, state: str) -> dict[str, Any]:
        def look() -> Any:
            status = self.bench.get(kinds.JOB_SET, "set").get("status", {})
            return status if status.get("terminalState") == state else None

        return until(look, f"the JobSet to be {state}")


@pytest.fixture
def jobsets(bench: Bench) -> JobSets:
    return JobSets(bench)


def test_its_jobs_are_labelled_and_it_completes(jobsets: JobSets):
    jobsets.run(replicated("leader"), replicated("node", pods=2, replicas=2))
    bench = jobsets.bench
    job = bench.get(kinds.JOB, "set-node-1")
    assert owners(job) == [("JobSet", "set", True)]
    uid = bench.get(kinds.JOB_SET, "set")["metadata"]["uid"]
    said = {
        f"{PREFIX}jobset-name": "set",
        f"{PREFIX}jobset-uid": uid,
        f"{PREFIX}replicatedjob-name": "node",
        f"{PREFIX}replicatedjob-replicas": "2",
        f"{PREFIX}restart-attempt": "0",
        f"{PREFIX}job-index": "1",
        f"{PREFIX}job-global-index": "2",
        f"{PREFIX}global-replicas": "3",
        f"{PREFIX}group-name": "default",
    }
    assert said.items() <= job["metadata"]["labels"].items()
    pod = job["spec"]["template"]
    assert said.items() <= pod["metadata"]["labels"].items()
    assert said.items() <= pod["metadata"]["annotations"].items()
    assert pod["spec"]["subdomain"] == "set"
    service = bench.get(kinds.SERVICE, "set")["spec"]
    assert (service["clusterIP"], service["publishNotReadyAddresses"]) == ("None", True)
    assert service["selector"] == {f"{PREFIX}jobset-name": "set"}
    status = jobsets.comes_to("Completed")
    (condition,) = status["conditions"]
    assert (condition["type"], condition["reason"]) == ("Completed", "AllJobsCompleted")
    counts = {each["name"]: each["succeeded"] for each in status["replicatedJobsStatus"]}
    assert counts == {"leader": 1, "node": 2}
    bench.assert_settled()


def test_the_success_of_some_is_enough_and_ends_the_others(jobsets: JobSets):
    policy = {"operator": "All", "targetReplicatedJobs": ["launcher"]}
    jobsets.run(replicated("launcher"), replicated("node", ends="never"), successPolicy=policy)
    jobsets.comes_to("Completed")
    until(lambda: jobsets.bench.find(kinds.JOB, "set-node-0") is None, "the node to go")


def test_one_that_fails_fails_all(jobsets: JobSets):
    jobsets.run(replicated("node", ends="1"))
    status = jobsets.comes_to("Failed")
    message = status["conditions"][0]["message"]
    assert message == "jobset failed due to one or more job failures (first failed job: set-node-0)"


def test_it_starts_again_as_often_as_it_may(jobsets: JobSets):
    jobsets.run(replicated("node", ends="1"), failurePolicy={"maxRestarts": 1})
    status = jobsets.comes_to("Failed")
    assert (status["restarts"], status["restartsCountTowardsMax"]) == (1, 1)
    assert status["conditions"][0]["reason"] == "ReachedMaxRestarts"
    job = jobsets.bench.get(kinds.JOB, "set-node-0")
    assert job["metadata"]["labels"][f"{PREFIX}restart-attempt"] == "1"


def test_one_waits_for_what_it_depends_on(jobsets: JobSets):
    depends = [{"name": "data", "status": "Complete"}]
    jobsets.run(replicated("data", ends="never"), replicated("node", dependsOn=depends))
    bench = jobsets.bench
    until(lambda: bench.get(kinds.JOB, "set-data-0").get("status", {}).get("ready"), "the first one to run")
    assert bench.find(kinds.JOB, "set-node-0") is None
    (pod,) = bench.client.list(kinds.POD, namespace=bench.namespace, labels={f"{PREFIX}jobset-name": "set"})
    bench.annotate(kinds.POD, pod["metadata"]["name"], **{EXIT: None})
    jobsets.comes_to("Completed")


def test_it_is_suspended_and_resumed(jobsets: JobSets):
    jobsets.run(replicated("node"), suspend=True)
    bench = jobsets.bench
    assert bench.get(kinds.JOB, "set-node-0")["spec"]["suspend"] is True
    until(lambda: bench.get(kinds.JOB_SET, "set").get("status", {}).get("conditions"), "a condition")
    bench.patch(kinds.JOB_SET, "set", {"spec": {"suspend": False}})
    status = jobsets.comes_to("Completed")
    assert [(each["type"], each["status"]) for each in status["conditions"]] == [
        ("Suspended", "False"),
        ("Completed", "True"),
    ]


def test_what_is_said_of_the_pods_of_a_suspended_one_counts_when_it_goes_on(jobsets: JobSets):
    jobsets.run(replicated("node"), suspend=True)
    bench = jobsets.bench
    assert bench.get(kinds.JOB, "set-node-0")["spec"]["suspend"] is True
    there = {"kubernetes.io/os": "linux"}
    toleration = {"key": "queue", "operator": "Exists"}
    (job,) = bench.get(kinds.JOB_SET, "set")["spec"]["replicatedJobs"]
    pod = job["template"]["spec"]["template"]
    pod["metadata"] = {"labels": {"queue": "mine"}}
    pod["spec"] |= {"nodeSelector": there, "tolerations": [toleration]}
    bench.patch(kinds.JOB_SET, "set", {"spec": {"suspend": False, "replicatedJobs": [job]}})
    jobsets.comes_to("Completed")
    made = bench.get(kinds.JOB, "set-node-0")["spec"]["template"]
    assert (made["spec"].get("nodeSelector"), made["spec"].get("tolerations")) == (there, [toleration])
    assert made["metadata"]["labels"]["queue"] == "mine"
    assert made["metadata"]["labels"][f"{PREFIX}jobset-name"] == "set"


def test_it_is_suspended_while_it_runs_and_goes_on(jobsets: JobSets):
    jobsets.run(replicated("node", ends="never"))
    bench = jobsets.bench

    def ready() -> int:
        return bench.get(kinds.JOB, "set-node-0").get("status", {}).get("ready", 0)

    until(ready, "the pod to run")
    bench.patch(kinds.JOB_SET, "set", {"spec": {"suspend": True}})
    until(lambda: not ready(), "the pod to go")
    bench.patch(kinds.JOB_SET, "set", {"spec": {"suspend": False}})
    until(ready, "a pod to run again")
    assert bench.get(kinds.JOB_SET, "set")["status"]["restarts"] == 0


def test_jobs_with_a_topology_of_their_own_may_select_labelled_nodes(jobsets: JobSets):
    alone = "alpha.jobset.sigs.k8s.io"
    marks = {f"{alone}/exclusive-topology": "rack", f"{alone}/node-selector": "true"}
    job = replicated("node")
    job["template"]["metadata"] = {"annotations": marks}
    jobsets.run(job)
    bench = jobsets.bench
    pod = bench.get(kinds.JOB, "set-node-0")["spec"]["template"]["spec"]
    assert pod["nodeSelector"] == {f"{alone}/namespaced-job": f"{bench.namespace}_set-node-0"}
    assert pod["tolerations"] == [
        {"key": f"{alone}/no-schedule", "operator": "Exists", "effect": "NoSchedule"}
    ]


def test_it_has_no_more_rights_than_its_account(jobsets: JobSets, players: Players):
    jobsets.run(replicated("node"))
    jobsets.bench.grant([("jobset.x-k8s.io", ["*"], ["*"]), ("", ["services"], ["*"])])
    until(lambda: any('cannot list resource "jobs"' in each for each in players.refusals()), "a refusal")
