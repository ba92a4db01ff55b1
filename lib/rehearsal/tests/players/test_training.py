"""What becomes of the jobs of the training operator."""

from __future__ import annotations

import json
from typing import Any

import pytest
from lightkube.types import PatchType
from player_bench import Bench, owners, until

from rehearsal.cluster.stages import EXIT
from rehearsal.players import kinds
from rehearsal.players.players import Players
from rehearsal.players.training.frameworks import FRAMEWORKS, MPI, PYTORCH, Framework

PROGRAM = "training-operator"
PREFIX = "training.kubeflow.org/"


def replica(framework: Framework, replicas: int = 1, ends: str = "", **more: Any) -> dict[str, Any]:
    annotations = {EXIT: ends} if ends else {}
    container = {"name": framework.container, "image": "train:1", **more.pop("container", {})}
    template = {"metadata": {"annotations": annotations}, "spec": {"containers": [container]}}
    return {"replicas": replicas, "template": template, **more}


class Operator:
    def __init__(self, bench: Bench):
        self.bench = bench

    def deploy(self, *args: str) -> None:
        self.bench.deploy(command=["/manager", *args])
        until(lambda: self.bench.get(kinds.DEPLOYMENT, "any-name").get("status", {}).get("availableReplicas"))

    def train(self, framework: Framework, replicas: dict[str, Any], name: str = "job", **spec: Any) -> None:
        policy = spec.pop("policy", {})
        self.bench.make(framework.kind, name, {"runPolicy": policy, framework.field: replicas, **spec})

    def comes_to(self, framework: Framework, condition: str, name: str = "job") -> dict[str, Any]:
        """Return the status as soon as the condition is true."""

        def look() -> Any:
            status = self.bench.get(framework.kind, name).get("status", {})
            said = {each["type"]: each["status"] for each in status.get("conditions", [])}
            return status if said.get(condition) == "True" else None

        return until(look, f"{name} to be {condition}")

    def events(self, reason: str) -> list[str]:
        found = self.bench.client.list(kinds.EVENT, namespace=self.bench.namespace)
        return [each["message"] for each in found if each.get("reason") == reason]


@pytest.fixture
def operator(bench: Bench) -> Operator:
    return Operator(bench)


def variables(pod: Any) -> dict[str, str]:
    return {each["name"]: each.get("value", "") for each in pod["spec"]["containers"][0]["env"]}


def test_a_master_and_its_workers_know_each_other_and_the_job_succeeds(operator: Operator):
    operator.deploy("--pytorch-init-container-image=mirror.example/alpine:1")
    operator.train(PYTORCH, {"Master": replica(PYTORCH), "Worker": replica(PYTORCH, 2)})
    worker = operator.bench.get(kinds.POD, "job-worker-1")
    assert owners(worker) == [("PyTorchJob", "job", True)]
    assert worker["metadata"]["labels"] == {
        f"{PREFIX}operator-name": "pytorchjob-controller",
        f"{PREFIX}job-name": "job",
        f"{PREFIX}replica-type": "worker",
        f"{PREFIX}replica-index": "1",
    }
    assert worker["spec"]["restartPolicy"] == "OnFailure"
    assert [each["image"] for each in worker["spec"]["initContainers"]] == ["mirror.example/alpine:1"]
    assert (
        variables(worker).items()
        >= {
            "MASTER_ADDR": "job-master-0",
            "MASTER_PORT": "23456",
            "WORLD_SIZE": "3",
            "RANK": "2",
            "PET_NPROC_PER_NODE": "auto",
            "PET_NNODES": "3",
        }.items()
    )
    master = operator.bench.get(kinds.POD, "job-master-0")
    assert master["metadata"]["labels"][f"{PREFIX}job-role"] == "master"
    assert "initContainers" not in master["spec"]
    service = operator.bench.get(kinds.SERVICE, "job-master-0")
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["ports"][0]["name"] == "pytorchjob-port"
    assert service["spec"]["selector"].items() <= master["metadata"]["labels"].items()
    status = operator.comes_to(PYTORCH, "Succeeded")
    said = [(each["type"], each["status"]) for each in status["conditions"]]
    assert said == [("Created", "True"), ("Running", "False"), ("Succeeded", "True")]
    assert status["replicaStatuses"]["Master"]["succeeded"] == 1
    assert status["replicaStatuses"]["Master"]["selector"] == (
        "training.kubeflow.org/job-name=job,training.kubeflow.org/operator-name=pytorchjob-controller,"
        "training.kubeflow.org/replica-type=master"
    )
    assert {"startTime", "completionTime"} <= status.keys()
    operator.bench.assert_settled()
    assert operator.bench.find(kinds.POD, "job-worker-0") is not None


@pytest.mark.parametrize("name", ["pytorchjob", "tfjob", "xgboostjob", "paddlejob", "jaxjob"])
def test_each_kind_succeeds_and_is_not_written_again(operator: Operator, name: str):
    framework = FRAMEWORKS[name]
    operator.deploy()
    first = "Master" if framework.name == "XGBoostJob" else "Worker"
    operator.train(framework, {first: replica(framework, 1 if first == "Master" else 2)})
    status = operator.comes_to(framework, "Succeeded")
    message = next(each["message"] for each in status["conditions"] if each["type"] == "Succeeded")
    assert message.startswith(f"{framework.name} ")
    operator.bench.assert_settled()


def test_a_tensorflow_job_has_its_cluster(operator: Operator):
    framework = FRAMEWORKS["tfjob"]
    operator.deploy()
    operator.train(framework, {"PS": replica(framework), "worker": replica(framework, 2, ends="never")})
    said = json.loads(variables(operator.bench.get(kinds.POD, "job-worker-1"))["TF_CONFIG"])
    at = f"{operator.bench.namespace}.svc:2222"
    assert said == {
        "cluster": {"ps": [f"job-ps-0.{at}"], "worker": [f"job-worker-0.{at}", f"job-worker-1.{at}"]},
        "task": {"type": "worker", "index": 1},
        "environment": "cloud",
    }


def test_a_replica_that_fails_ends_the_job(operator: Operator):
    operator.deploy()
    master = replica(PYTORCH, ends="1", restartPolicy="Never")
    operator.train(PYTORCH, {"Master": master}, policy={"cleanPodPolicy": "All"})
    status = operator.comes_to(PYTORCH, "Failed")
    assert status["replicaStatuses"]["Master"]["failed"] == 1
    message = next(each["message"] for each in status["conditions"] if each["type"] == "Failed")
    assert message == "PyTorchJob job is failed because 1 Master replica(s) failed."
    until(lambda: operator.bench.find(kinds.POD, "job-master-0") is None, "the pod to go")
    until(lambda: operator.bench.find(kinds.SERVICE, "job-master-0") is None, "the service to go")


@pytest.mark.parametrize("code", ["1", "137"])
def test_an_exit_code_says_whether_to_try_again(operator: Operator, code: str):
    operator.deploy()
    operator.train(PYTORCH, {"Master": replica(PYTORCH, ends=code, restartPolicy="ExitCode")})
    first = operator.bench.get(kinds.POD, "job-master-0")
    assert first["spec"]["restartPolicy"] == "Never"
    if code == "1":
        operator.comes_to(PYTORCH, "Failed")
        return
    operator.comes_to(PYTORCH, "Restarting")
    until(
        lambda: (
            (operator.bench.find(kinds.POD, "job-master-0") or first)["metadata"]["uid"]
            != first["metadata"]["uid"]
        ),
        "another pod",
    )


def test_restarts_are_counted_against_the_limit(operator: Operator):
    operator.deploy()
    operator.train(PYTORCH, {"Master": replica(PYTORCH, ends="1")}, policy={"backoffLimit": 2})
    status = operator.comes_to(PYTORCH, "Failed")
    message = next(each["message"] for each in status["conditions"] if each["type"] == "Failed")
    assert message == "Job job has failed because it has reached the specified backoff limit"


def test_a_job_is_suspended_and_resumed(operator: Operator):
    operator.deploy()
    operator.train(PYTORCH, {"Master": replica(PYTORCH)}, policy={"suspend": True})
    assert "replicaStatuses" not in operator.comes_to(PYTORCH, "Suspended")
    assert operator.bench.find(kinds.POD, "job-master-0") is None
    operator.bench.client.patch(
        kinds.PYTORCH_JOB,
        "job",
        {"spec": {"runPolicy": {"suspend": False}}},
        namespace=operator.bench.namespace,
        patch_type=PatchType.MERGE,
    )
    operator.comes_to(PYTORCH, "Succeeded")


def test_a_launcher_reaches_its_workers_by_an_account_of_its_own(operator: Operator):
    operator.deploy("--mpi-kubectl-delivery-image", "mirror.example/kubectl:1")
    operator.train(
        MPI,
        {"Launcher": replica(MPI, ends="never"), "Worker": replica(MPI, 2)},
        policy={"cleanPodPolicy": "Running"},
        slotsPerWorker=4,
    )
    bench = operator.bench
    status = operator.comes_to(MPI, "Running")
    launcher = bench.get(kinds.POD, "job-launcher")
    assert launcher["spec"]["serviceAccountName"] == "job-launcher"
    assert launcher["spec"]["initContainers"][0]["image"] == "mirror.example/kubectl:1"
    assert variables(launcher)["NVIDIA_VISIBLE_DEVICES"] == ""
    assert launcher["metadata"]["labels"][f"{PREFIX}job-role"] == "master"
    worker = bench.get(kinds.POD, "job-worker-1")
    assert worker["spec"]["containers"][0]["command"] == ["sleep"]
    assert worker["metadata"]["labels"][f"{PREFIX}replica-type"] == "worker"
    role = bench.get(kinds.ROLE, "job-launcher")
    assert role["rules"][1]["resourceNames"] == ["job-worker-0", "job-worker-1"]
    hosts = bench.get(kinds.CONFIG_MAP, "job-config")["data"]
    assert hosts["hostfile"] == "job-worker-0 slots=4\njob-worker-1 slots=4\n"
    until(lambda: "job-worker-1:4" in bench.get(kinds.CONFIG_MAP, "job-config")["data"]["discover_hosts.sh"])
    until(lambda: bench.get(MPI.kind, "job")["status"]["replicaStatuses"]["Worker"].get("active") == 2)
    bench.annotate(kinds.POD, "job-launcher", **{EXIT: None})
    status = operator.comes_to(MPI, "Succeeded")
    assert status["replicaStatuses"]["Launcher"] == {"succeeded": 1}
    until(lambda: bench.find(kinds.POD, "job-worker-0") is None, "the workers to go")
    assert bench.find(kinds.POD, "job-launcher") is not None

    said = operator.events("MPIJobRunning")
    assert "launcher pod created success: job-launcher" in said
    assert f"MPIJob {bench.namespace}/job is running" in said
    assert "Created worker pod: job-worker-1" in operator.events("SuccessfulCreatePod")
    # Upstream counts no workers once the launcher has ended.
    assert status["replicaStatuses"]["Worker"] == {}


def test_a_launcher_that_computes_is_a_host_and_its_failure_is_the_jobs(operator: Operator):
    operator.deploy()
    asks = {"resources": {"limits": {"nvidia.com/gpu": 1}}}
    launcher = replica(MPI, ends="1", container=asks)
    launcher["template"]["spec"]["tolerations"] = [{"operator": "Exists"}]
    operator.train(MPI, {"Launcher": launcher, "Worker": replica(MPI)})
    bench = operator.bench
    hosts = bench.get(kinds.CONFIG_MAP, "job-config")["data"]
    assert hosts["hostfile"] == "job-launcher slots=1\njob-worker-0 slots=1\n"
    assert hosts["discover_hosts.sh"].startswith("#!/bin/sh\necho job-launcher:1\n")
    status = operator.comes_to(MPI, "Failed")
    assert "MPIJobMPIJobFailed" in {each["reason"] for each in status["conditions"]}


def test_an_elastic_job_is_scaled_by_its_metrics_and_says_how_many_processes(operator: Operator):
    operator.deploy()
    target = {"type": "Utilization", "averageUtilization": 80}
    metrics = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
    policy = {"minReplicas": 1, "maxReplicas": 3, "metrics": metrics}
    operator.train(PYTORCH, {"Worker": replica(PYTORCH, ends="never")}, elasticPolicy=policy)
    operator.comes_to(PYTORCH, "Running")
    found = variables(operator.bench.get(kinds.POD, "job-worker-0"))
    assert (found["PET_NPROC_PER_NODE"], found["PET_NNODES"]) == ("auto", "1:3")
    scaler = operator.bench.get(kinds.AUTOSCALER, "job")
    assert owners(scaler) == [("PyTorchJob", "job", True)]
    assert scaler["spec"]["scaleTargetRef"] == {
        "apiVersion": "kubeflow.org/v1",
        "kind": "PyTorchJob",
        "name": "job",
    }
    assert (scaler["spec"]["minReplicas"], scaler["spec"]["maxReplicas"]) == (1, 3)
    operator.bench.patch(kinds.PYTORCH_JOB, "job", {"spec": {"runPolicy": {"suspend": True}}})
    until(lambda: operator.bench.find(kinds.AUTOSCALER, "job") is None, "the autoscaler to go")


def test_what_it_does_is_told_in_events(operator: Operator):
    operator.deploy()
    framework = FRAMEWORKS["tfjob"]
    end = {"ttlSecondsAfterFinished": 0, "cleanPodPolicy": "All"}
    operator.train(framework, {"Worker": replica(framework)}, policy=end)
    until(lambda: operator.events("SuccessfulDeleteJob") == ["Deleted job: job"], "the end")
    pod = f"{operator.bench.namespace}.job-worker-0"
    assert operator.events("ExitedWithCode") == [f"Pod: {pod} exited with code 0"]
    assert operator.events("SuccessfulCreateService") == ["Created service: job-worker-0"]
    assert operator.events("SuccessfulDeleteService") == ["Deleted service: job-worker-0"]


def test_an_mpi_job_without_launcher_is_refused_in_an_event(operator: Operator):
    operator.deploy()
    operator.train(MPI, {"Worker": replica(MPI)})
    until(lambda: operator.events("MPIJobFailedValidation"), "an event")


def test_a_full_quota_is_told_and_waited_for(operator: Operator):
    operator.deploy()
    bench = operator.bench
    bench.make(kinds.QUOTA, "quota", {"hard": {"count/pods": "1"}})
    until(lambda: "hard" in bench.get(kinds.QUOTA, "quota").get("status", {}), "the quota")
    operator.train(PYTORCH, {"Master": replica(PYTORCH)})
    (message,) = until(lambda: operator.events("FailedCreatePod"), "an event")
    assert 'pods "job-master-0" is forbidden: exceeded quota: quota' in message
    bench.client.delete(kinds.QUOTA, "quota", namespace=bench.namespace)
    operator.comes_to(PYTORCH, "Succeeded")


def test_it_has_no_more_rights_than_its_account(operator: Operator, players: Players):
    operator.deploy()
    operator.bench.grant([("kubeflow.org", ["pytorchjobs"], ["get", "list", "watch"])])
    until(lambda: any('cannot list resource "pods"' in each for each in players.refusals()), "a refusal")


def test_a_kind_that_is_left_out_is_left_alone(operator: Operator):
    operator.deploy("--enable-scheme=tfjob", "--enable-scheme", "XGBoostJob")
    operator.train(PYTORCH, {"Master": replica(PYTORCH)})
    framework = FRAMEWORKS["xgboostjob"]
    operator.train(framework, {"Master": replica(framework)}, name="other")
    operator.comes_to(framework, "Succeeded", "other")
    assert "status" not in operator.bench.get(kinds.PYTORCH_JOB, "job")


def test_a_gang_starts_when_its_scheduler_lets_it_in(operator: Operator):
    operator.deploy("--gang-scheduler-name=volcano")
    resources = {"resources": {"requests": {"cpu": "500m"}}}
    operator.train(
        PYTORCH,
        {"Master": replica(PYTORCH, container=resources), "Worker": replica(PYTORCH, 3, container=resources)},
    )
    bench = operator.bench
    group = bench.get(kinds.VOLCANO_POD_GROUP, "job")
    assert owners(group) == [("PyTorchJob", "job", True)]
    assert group["spec"] == {"minMember": 4, "queue": "default", "minResources": {"cpu": "2"}}
    operator.comes_to(PYTORCH, "Created")
    assert bench.find(kinds.POD, "job-master-0") is None
    admitted = kinds.VOLCANO_POD_GROUP.Status({**group, "status": {"phase": "Inqueue"}})
    bench.client.replace(admitted)
    pod = bench.get(kinds.POD, "job-master-0")
    assert pod["spec"]["schedulerName"] == "volcano"
    assert pod["metadata"]["annotations"]["scheduling.k8s.io/group-name"] == "job"
    assert "nodeName" not in bench.get(kinds.POD, "job-worker-2")["spec"]
