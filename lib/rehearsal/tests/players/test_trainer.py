"""What becomes of a TrainJob."""

from __future__ import annotations

from typing import Any

import pytest
from player_bench import Bench, owners, until

from rehearsal.players import kinds
from rehearsal.players.players import Players

PROGRAM = "trainer-controller-manager"
STEP = "trainer.kubeflow.org/trainjob-ancestor-step"


def replicated(name: str, step: str = "", **container: Any) -> dict[str, Any]:
    containers = [{"name": "node", "image": "torch:1", **container}]
    pod = {"restartPolicy": "Never", "containers": containers}
    job = {"completionMode": "Indexed", "template": {"spec": pod}}
    metadata = {"labels": {STEP: step}} if step else {}
    return {"name": name, "template": {"metadata": metadata, "spec": job}}


TORCH = {
    "mlPolicy": {"numNodes": 1, "torch": {"numProcPerNode": "auto"}},
    "template": {"spec": {"replicatedJobs": [replicated("node", "trainer")]}},
}
MPI = {
    "mlPolicy": {
        "numNodes": 1,
        "mpi": {
            "mpiImplementation": "OpenMPI",
            "numProcPerNode": 1,
            "runLauncherAsNode": True,
            "sshAuthMountPath": "/home/mpiuser/.ssh",
        },
    },
    "template": {
        "spec": {
            "replicatedJobs": [replicated("launcher", "trainer"), replicated("node")],
            "successPolicy": {"operator": "All", "targetReplicatedJobs": ["launcher"]},
        }
    },
}


class Trainer:
    def __init__(self, bench: Bench):
        self.bench = bench

    def deploy(self, runtime: dict[str, Any]) -> None:
        self.bench.deploy(args=["--config=/controller_manager_config.yaml", "--zap-log-level=2"])
        self.bench.make(kinds.TRAINING_RUNTIME, "runtime", runtime)

    def train(self, runtime: str = "runtime", **spec: Any) -> None:
        reference = {"apiGroup": "trainer.kubeflow.org", "kind": "TrainingRuntime", "name": runtime}
        self.bench.make(kinds.TRAIN_JOB, "job", {"runtimeRef": reference, **spec})

    def pod(self, name: str = "node") -> dict[str, Any]:
        """Return the pod of a replicated job as the JobSet has it."""
        return self.job(name)["template"]["spec"]["template"]["spec"]

    def job(self, name: str = "node") -> dict[str, Any]:
        jobs = self.bench.get(kinds.JOB_SET, "job")["spec"]["replicatedJobs"]
        return next(each for each in jobs if each["name"] == name)


@pytest.fixture
def trainer(bench: Bench):
    yield Trainer(bench)
    # They have finalizers, and no controller may be left.
    for item in bench.client.list(kinds.TRAINING_RUNTIME, namespace=bench.namespace):
        bench.release(kinds.TRAINING_RUNTIME, item["metadata"]["name"])


def variables(pod: dict[str, Any]) -> dict[str, Any]:
    return {each["name"]: each.get("value", "") for each in pod["containers"][0].get("env", [])}


def test_a_train_job_is_its_runtime_with_what_it_says(trainer: Trainer):
    trainer.deploy(TORCH)
    resources = {"limits": {"nvidia.com/gpu": "8"}}
    said = {
        "numNodes": 4,
        "image": "own:1",
        "command": ["torchrun", "train.py"],
        "args": ["--lr=1"],
        "resourcesPerNode": resources,
        "env": [{"name": "OWN", "value": "1"}],
    }
    toleration = {"key": "own", "operator": "Exists"}
    override = {
        "targetJobs": [{"name": "node"}],
        "metadata": {"labels": {"team": "a"}},
        "spec": {
            "tolerations": [toleration],
            "volumes": [{"name": "data", "emptyDir": {}}],
            "containers": [{"name": "node", "volumeMounts": [{"name": "data", "mountPath": "/data"}]}],
        },
    }
    trainer.train(trainer=said, podTemplateOverrides=[override], labels={"queue": "a"})
    jobset = trainer.bench.get(kinds.JOB_SET, "job")
    assert owners(jobset) == [("TrainJob", "job", True)]
    assert jobset["metadata"]["labels"] == {"queue": "a"}
    job = trainer.job()["template"]["spec"]
    assert (job["parallelism"], job["completions"]) == (4, 4)
    assert job["template"]["metadata"]["labels"] == {"team": "a"}
    pod = trainer.pod()
    assert pod["tolerations"] == [toleration]
    (container,) = pod["containers"]
    assert (container["image"], container["command"]) == ("own:1", ["torchrun", "train.py"])
    assert (container["args"], container["resources"]) == (["--lr=1"], resources)
    assert container["volumeMounts"] == [{"name": "data", "mountPath": "/data"}]
    assert container["ports"] == [{"containerPort": 29500}]
    assert variables(pod) == {
        "OWN": "1",
        "PET_NNODES": "4",
        "PET_NPROC_PER_NODE": "auto",
        "PET_NODE_RANK": "",
        "PET_MASTER_ADDR": "job-node-0-0.job",
        "PET_MASTER_PORT": "29500",
    }


def test_its_status_is_that_of_its_job_set(trainer: Trainer):
    trainer.deploy(TORCH)
    trainer.train(trainer={"numNodes": 2})
    jobset = trainer.bench.get(kinds.JOB_SET, "job")
    counts = {"name": "node", "ready": 0, "succeeded": 1, "failed": 0, "active": 0, "suspended": 0}
    condition = {
        "type": "Completed",
        "status": "True",
        "reason": "AllJobsCompleted",
        "message": "jobset completed successfully",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    ended = {"conditions": [condition], "replicatedJobsStatus": [counts]}
    trainer.bench.client.replace(kinds.JOB_SET.Status({**jobset, "status": ended}))

    def look() -> Any:
        return trainer.bench.get(kinds.TRAIN_JOB, "job").get("status")

    status = until(look, "a status")
    assert status["conditions"] == [{**condition, "type": "Complete"}]
    assert status["jobsStatus"] == [counts]
    trainer.bench.assert_settled()


def test_nodes_of_mpi_know_each_other(trainer: Trainer):
    trainer.deploy(MPI)
    trainer.train(trainer={"numNodes": 3, "resourcesPerNode": {"limits": {"nvidia.com/gpu": 2}}})
    hosts = trainer.bench.get(kinds.CONFIG_MAP, "job-mpi-hostfile")["data"]["hostfile"]
    assert hosts == "job-launcher-0-0.job slots=2\njob-node-0-0.job slots=2\njob-node-0-1.job slots=2\n"
    assert trainer.bench.get(kinds.SECRET, "job-mpi-ssh-auth")["type"] == "kubernetes.io/ssh-auth"
    assert trainer.job()["template"]["spec"]["parallelism"] == 2
    assert {each["name"] for each in trainer.pod("launcher")["volumes"]} == {"mpi-ssh-auth", "mpi-hostfile"}
    assert variables(trainer.pod("launcher"))["OMPI_MCA_orte_set_default_slots"] == "2"
    assert trainer.pod("node")["containers"][0]["resources"] == {"limits": {"nvidia.com/gpu": 2}}


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"numProcPerNode": 1}, ["full_finetune_single_device", "--config", "llama3_2/1B_full_single_device"]),
        (
            {"numProcPerNode": 2, "args": ["model.lora_attn_modules=[q_proj]"]},
            ["--rdzv_endpoint=job-node-0-0.job:29500", "lora_finetune_distributed", "--config", "llama3_2/1B_lora"],
        ),
        (
            {"resourcesPerNode": {"limits": {"nvidia.com/gpu": 1}}, "args": ["model.quantize_base=True"]},
            ["lora_finetune_single_device", "--config", "llama3_2/1B_qlora_single_device"],
        ),
        (
            {"numNodes": 2},
            ["--rdzv_endpoint=job-node-0-0.job:29500", "full_finetune_distributed", "--config",
             "llama3_2/1B_full_multinode"],
        ),
    ],
)  # fmt: skip
def test_torchtune_trains_by_a_recipe(trainer: Trainer, said: dict[str, Any], words: list[str]):
    command = ["tune", "run", "other", "output_dir=/out", "dataset=mine", "tokenizer.path=/token"]
    job = replicated("node", "trainer", command=command)
    trainer.bench.deploy(args=["--config=/controller_manager_config.yaml", "--zap-log-level=2"])
    spec = {**TORCH, "template": {"spec": {"replicatedJobs": [job]}}}
    trainer.bench.make(kinds.TRAINING_RUNTIME, "torchtune-llama3.2-1b", spec)
    trainer.train("torchtune-llama3.2-1b", trainer={"command": ["tune", "run"], **said})
    (container,) = trainer.pod()["containers"]
    assert container["command"] == ["tune", "run", *words, "output_dir=/out", "tokenizer.path=/token"]


def test_a_gang_is_a_pod_group_of_all_pods(trainer: Trainer):
    asks = {"requests": {"cpu": "500m"}}
    job = replicated("node", "trainer", resources=asks)
    spec = {**TORCH, "template": {"spec": {"replicatedJobs": [job]}}}
    trainer.deploy({**spec, "podGroupPolicy": {"coscheduling": {"scheduleTimeoutSeconds": 30}}})
    trainer.train(trainer={"numNodes": 3, "resourcesPerNode": {"requests": {"cpu": "2"}}})
    labels = trainer.job()["template"]["spec"]["template"]["metadata"]["labels"]
    assert labels == {"scheduling.x-k8s.io/pod-group": "job"}
    group = trainer.bench.get(kinds.COSCHEDULING_POD_GROUP, "job")
    assert owners(group) == [("TrainJob", "job", True)]
    assert group["spec"] == {
        "minMember": 3,
        "minResources": {"cpu": "1500m"},
        "scheduleTimeoutSeconds": 30,
    }


def test_a_gang_of_volcano_is_in_a_queue(trainer: Trainer):
    job = replicated("node", "trainer")
    job["template"]["spec"]["template"]["spec"]["priorityClassName"] = "high"
    template = {
        "metadata": {"annotations": {"scheduling.volcano.sh/queue-name": "default"}},
        "spec": {"replicatedJobs": [job]},
    }
    trainer.deploy({**TORCH, "podGroupPolicy": {"volcano": {}}, "template": template})
    trainer.train(annotations={"scheduling.volcano.sh/queue-name": "mine"})
    annotations = trainer.job()["template"]["spec"]["template"]["metadata"]["annotations"]
    assert annotations == {"scheduling.k8s.io/group-name": "job"}
    group = trainer.bench.get(kinds.VOLCANO_POD_GROUP, "job")["spec"]
    assert (group["minMember"], group["queue"], group["priorityClassName"]) == (1, "mine", "high")


def test_its_own_variables_win_over_those_of_its_framework(trainer: Trainer):
    trainer.deploy(TORCH)
    trainer.train(trainer={"env": [{"name": "PET_MASTER_ADDR", "value": "elsewhere"}]})
    (container,) = trainer.pod()["containers"]
    found = {each["name"]: each.get("value") for each in container["env"]}
    assert (found["PET_MASTER_ADDR"], found["PET_MASTER_PORT"]) == ("elsewhere", "29500")


def test_one_that_somebody_else_manages_is_run_all_the_same(trainer: Trainer):
    trainer.deploy(TORCH)
    trainer.train(managedBy="kueue.x-k8s.io/multikueue")
    assert trainer.job()["name"] == "node"


def test_its_status_is_told_although_its_job_set_is_refused(trainer: Trainer):
    trainer.deploy(TORCH)
    group = ["trainjobs", "trainjobs/status", "trainingruntimes", "clustertrainingruntimes"]
    reads = ["get", "list", "watch"]
    trainer.bench.grant(
        [
            ("trainer.kubeflow.org", group, [*reads, "patch", "update"]),
            ("jobset.x-k8s.io", ["jobsets"], reads),
            ("", ["configmaps", "secrets"], reads),
            ("", ["events"], ["create"]),
        ]
    )
    trainer.train(suspend=True)

    def conditions() -> Any:
        return trainer.bench.get(kinds.TRAIN_JOB, "job").get("status", {}).get("conditions")

    assert [each["type"] for each in until(conditions, "a condition")] == ["Suspended"]


def test_a_runtime_in_use_stays(trainer: Trainer):
    trainer.deploy(TORCH)
    trainer.train()
    bench = trainer.bench
    until(lambda: bench.get(kinds.TRAINING_RUNTIME, "runtime")["metadata"].get("finalizers"), "a finalizer")
    bench.client.delete(kinds.TRAINING_RUNTIME, "runtime", namespace=bench.namespace)
    assert bench.get(kinds.TRAINING_RUNTIME, "runtime")["metadata"]["deletionTimestamp"]
    bench.client.delete(kinds.TRAIN_JOB, "job", namespace=bench.namespace)
    until(lambda: bench.find(kinds.TRAINING_RUNTIME, "runtime") is None, "the runtime to go")


def test_a_runtime_that_lacks_is_told_in_an_event(trainer: Trainer):
    trainer.deploy(TORCH)
    trainer.train("other")

    def look() -> bool:
        events = trainer.bench.client.list(kinds.EVENT, namespace=trainer.bench.namespace)
        return any('"other" not found' in each["message"] for each in events)

    until(look, "an event")


def test_it_has_no_more_rights_than_its_account(trainer: Trainer, players: Players):
    trainer.deploy(TORCH)
    rules = [("trainer.kubeflow.org", ["*"], ["*"]), ("", ["configmaps", "secrets"], ["*"])]
    reads = ["get", "list", "watch"]
    trainer.bench.grant([*rules, ("jobset.x-k8s.io", ["jobsets"], reads)])
    trainer.train()
    until(lambda: any('cannot patch resource "jobsets"' in each for each in players.refusals()), "a refusal")
