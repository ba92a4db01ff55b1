"""Tuning and training as a user of a profile does it, on GPUs; then Katib without its database, and removed.

A part of the bundle is active: what Katib and training need. Real are the charms, the API server with the
policies, the scheduler and the Job controller; Katib's, the training operator's and Trainer's controllers and
webhooks are played.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import katib_experiments as experiments
import pytest
from kubeflow_users import Requests
from partial_bundle import TUNING, written

from kubeflow_charm.cluster.resources import Manifest
from rehearsal.cluster import nodes
from rehearsal.cluster.existing import Refused
from rehearsal.patience import until
from rehearsal.stage import Stage

NODE_FILE = Path(nodes.__file__).with_name("nodes") / "default.yaml"
MODEL = "tuning"
NVIDIA, GPU_NODE = "nvidia.com/gpu", "gpu-0"
TOLERATED = {"key": NVIDIA, "operator": "Equal", "value": "present", "effect": "NoSchedule"}
EXPERIMENTS = "/apis/kubeflow.org/v1beta1/namespaces/{}/experiments"
TRIALS = "/apis/kubeflow.org/v1beta1/namespaces/{}/trials"
TRAIN_JOBS = "/apis/trainer.kubeflow.org/v1alpha1/namespaces/{}/trainjobs"
PODS = "/api/v1/namespaces/{}/pods"
LABELS = (
    "training.kubeflow.org/job-name",
    "jobset.sigs.k8s.io/jobset-name",
    "batch.kubernetes.io/job-name",
)
"""Of the pods of PyTorchJobs, TrainJobs and Jobs."""
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


@dataclasses.dataclass
class Tuning:
    """The part of the bundle, and who uses it."""

    stage: Stage
    admin: Requests
    ann: Requests
    """A user with a profile; so is Ben."""
    ben: Requests

    def settle(self) -> None:
        """Wait until every unit is active."""
        wanted = ["active"] * len(TUNING)

        def settled() -> bool:
            return [status for status, _ in self.statuses().values()] == wanted

        until(settled, "every unit active", within=300)

    def statuses(self) -> dict[str, tuple[str, str]]:
        """Return each unit's status and its message."""
        units = self.stage.engine.models[MODEL].units()
        return {unit.name: (unit.workload.current, unit.workload.message) for unit in units}


@pytest.fixture(scope="module")
def tuning(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tuning]:
    """The part of the bundle, active, beside a node with GPUs that has a taint; and two users with a profile."""
    file = written(tmp_path_factory.mktemp("bundle"), TUNING)
    with contextlib.ExitStack() as stack:
        stage = stack.enter_context(Stage(node_file=NODE_FILE))
        stage.juju("add-model", MODEL)
        stage.juju("deploy", file, "--trust")
        names = ("", "ann@example.com", "ben@example.com")
        users = (stack.enter_context(contextlib.closing(Requests(stage.cluster, name))) for name in names)
        made = Tuning(stage, *users)
        made.settle()
        for user in (made.ann, made.ben):
            make_profile(made.admin, user)
        for label in LABELS:
            until(lambda label=label: tolerations(made.admin, label), f"a policy for pods with {label}")
        yield made


def make_profile(admin: Requests, user: Requests) -> None:
    """Make a user's profile, and wait until the user may make experiments and TrainJobs in it."""
    name = user.user.partition("@")[0]
    spec = {"owner": {"kind": "User", "name": user.user}}
    profile = {"apiVersion": "kubeflow.org/v1", "kind": "Profile", "metadata": {"name": name}, "spec": spec}
    admin.create("/apis/kubeflow.org/v1/profiles", profile)
    for kinds in (EXPERIMENTS, TRAIN_JOBS):
        until(lambda kinds=kinds: user.may_list(kinds.format(name)), f"{name} may list {kinds}")


def message(refusal: Refused) -> str:
    """Return what the API server says."""
    return json.loads(str(refusal).partition(": ")[2])["message"]


def tolerations(admin: Requests, label: str) -> list[Manifest]:
    """Return what a new pod with a label, and a GPU, would tolerate because of it."""
    container = {"name": "main", "image": "example.com/train:1", "resources": {"limits": {NVIDIA: 1}}}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "probe", "labels": {label: "probe"}}}
    try:
        stored = admin.create(f"{PODS.format('ann')}?dryRun=All", pod | {"spec": {"containers": [container]}})
    except Refused as refusal:
        if "storage is (re)initializing" not in message(refusal):  # of PodDefaults, which are new
            raise
        return []
    return of_gpus(stored)


def of_gpus(pod: Manifest) -> list[Manifest]:
    return [each for each in pod["spec"]["tolerations"] if each.get("key") == NVIDIA]


def experiment(name: str, trial: Manifest, **more: Any) -> Manifest:
    """Return an experiment of two trials at once, three in all, whose jobs stay when they have ended."""
    spec = {
        "objective": {"type": "maximize", "objectiveMetricName": "accuracy"},
        "algorithm": experiments.algorithm("random"),
        "parallelTrialCount": 2,
        "maxTrialCount": 3,
        "parameters": [experiments.RATE],
        "trialTemplate": trial | {"retain": True},
    }
    return {
        "apiVersion": "kubeflow.org/v1beta1",
        "kind": "Experiment",
        "metadata": {"name": name},
        "spec": spec | more,
    }


def of_jobs(name: str, **more: Any) -> Manifest:
    """Return an experiment whose trials are Jobs that ask for no GPU."""
    job = experiments.job("train.py", "--lr=${trialParameters.lr}")
    return experiment(name, experiments.template(job, "lr"), **more)


def succeeded(user: Requests, path: str) -> Manifest:
    """Return an object's status as soon as it says that all has been done."""

    def ended() -> Manifest:
        status = user.get(path).get("status", {})
        said = {each["type"]: each for each in status.get("conditions", []) if each["status"] == "True"}
        assert "Failed" not in said, said["Failed"]
        return status if said.keys() & {"Succeeded", "Complete"} else {}

    return until(ended, f"{path} succeeded")


def pods_of(user: Requests, selector: str) -> list[Manifest]:
    return user.items(f"{PODS.format('ann')}?labelSelector={selector}")


def assert_on_the_gpu_node(pods: list[Manifest]) -> None:
    """Fail unless pods ran there, with the one toleration that its taint asks for."""
    for pod in pods:
        assert pod["spec"]["nodeName"] == GPU_NODE
        assert of_gpus(pod) == [TOLERATED]


def test_an_experiment_whose_trials_are_jobs_finds_its_best_trial(tuning: Tuning) -> None:
    kept = EXPERIMENTS.format("ann")
    tuning.ann.create(kept, of_jobs("jobs"))
    status = succeeded(tuning.ann, f"{kept}/jobs")
    trials = {
        each["metadata"]["name"]: each
        for each in tuning.ann.items(
            f"{TRIALS.format('ann')}?labelSelector=katib.kubeflow.org/experiment=jobs"
        )
    }
    assert len(trials) == 3
    assert sorted(status["succeededTrialList"]) == sorted(trials)
    for name in trials:
        (pod,) = pods_of(tuning.ann, f"batch.kubernetes.io/job-name={name}")
        assert pod["spec"]["nodeName"].startswith("cpu-")
    best = status["currentOptimalTrial"]
    chosen = trials[best["bestTrialName"]]
    assert best["parameterAssignments"] == chosen["spec"]["parameterAssignments"]
    assert best["observation"] == chosen["status"]["observation"]
    values = [accuracy(each["status"]) for each in trials.values()]
    assert accuracy(best) == max(values)


def accuracy(said: Manifest) -> float:
    (metric,) = said["observation"]["metrics"]
    assert metric["name"] == "accuracy"
    return float(metric["max"])


def test_trials_that_are_pytorchjobs_run_on_gpus_and_nobody_writes_a_toleration(tuning: Tuning) -> None:
    trial = copy.deepcopy(experiments.EXPERIMENTS["tpe-pytorchjob"]["trialTemplate"])
    for replica in trial["trialSpec"]["spec"]["pytorchReplicaSpecs"].values():
        (container,) = replica["template"]["spec"]["containers"]
        container["command"] = [
            "python",
            "train.py",
        ]  # else Katib asks the registry, and a rehearsal has none
    kept = EXPERIMENTS.format("ann")
    tuning.ann.create(kept, experiment("pytorch", trial, maxTrialCount=1, parallelTrialCount=1))
    succeeded(tuning.ann, f"{kept}/pytorch")
    (name,) = tuning.ann.get(f"{kept}/pytorch")["status"]["succeededTrialList"]
    pods = pods_of(tuning.ann, f"training.kubeflow.org/job-name={name}")
    assert len(pods) == 3
    assert_on_the_gpu_node(pods)


def test_a_trainjob_of_a_runtime_runs_on_gpus_to_its_end(tuning: Tuning) -> None:
    trainer = {"numNodes": 2, "command": ["python", "train.py"]}
    trainer["resourcesPerNode"] = {"limits": {NVIDIA: 1}}
    spec = {"runtimeRef": {"name": "torch-distributed"}, "trainer": trainer}
    kept = TRAIN_JOBS.format("ann")
    job = {"apiVersion": "trainer.kubeflow.org/v1alpha1", "kind": "TrainJob", "metadata": {"name": "train"}}
    tuning.ann.create(kept, job | {"spec": spec})
    succeeded(tuning.ann, f"{kept}/train")
    pods = pods_of(tuning.ann, "jobset.sigs.k8s.io/jobset-name=train")
    assert len(pods) == 2
    assert_on_the_gpu_node(pods)


def test_an_unknown_algorithm_is_refused_in_the_webhooks_words(tuning: Tuning) -> None:
    wrong = of_jobs("wrong", algorithm=experiments.algorithm("magic"))
    with pytest.raises(Refused) as refusal:
        tuning.ann.create(EXPERIMENTS.format("ann"), wrong)
    assert message(refusal.value) == (
        'admission webhook "validator.experiment.katib.kubeflow.org" denied the request: '
        'spec.algorithm.algorithmName: Invalid value: "magic": unable to get Suggestion config data for '
        "algorithm magic: failed to find suggestion config for algorithm: magic in ConfigMap: katib-config"
    )
    assert tuning.ann.find(f"{EXPERIMENTS.format('ann')}/wrong") is None


@pytest.mark.parametrize("kinds", [EXPERIMENTS, TRIALS, TRAIN_JOBS, PODS])
def test_the_profile_of_another_user_is_closed(tuning: Tuning, kinds: str) -> None:
    with pytest.raises(Refused) as refusal:
        tuning.ben.get(kinds.format("ann"))
    assert refusal.value.status == 403


def test_a_user_starts_no_experiment_in_the_profile_of_another(tuning: Tuning) -> None:
    with pytest.raises(Refused) as refusal:
        tuning.ben.create(EXPERIMENTS.format("ann"), of_jobs("foreign"))
    assert refusal.value.status == 403
    assert 'User "ben@example.com" cannot create resource "experiments"' in message(refusal.value)


def test_what_was_played_had_every_right_it_needed(tuning: Tuning) -> None:
    assert tuning.stage.players is not None
    assert tuning.stage.players.refusals() == []


def test_without_its_database_katib_is_blocked_names_the_cure_and_heals(tuning: Tuning) -> None:
    ends = ("katib:relational-db", "kfp-db:database")
    tuning.stage.juju("remove-relation", *ends)
    cure = "juju integrate katib:relational-db mysql-k8s"
    wanted = ("blocked", f"relation relational-db missing: {cure}")
    until(lambda: tuning.statuses()["katib/0"] == wanted, "katib blocked")
    relations = tuning.stage.engine.models[MODEL].relations
    until(lambda: " ".join(ends) not in [each.key for each in list(relations.values())], "the relation's end")
    tuning.stage.juju("integrate", *ends)
    tuning.settle()


def test_experiments_outlive_katib_and_can_be_deleted_without_it(tuning: Tuning) -> None:
    """By the administrator: what users may do with them goes with Katib."""
    kept = EXPERIMENTS.format("ann")
    tuning.ann.create(kept, of_jobs("outlives"))
    succeeded(tuning.ann, f"{kept}/outlives")
    tuning.stage.juju("remove-application", "--no-prompt", "katib")
    until(lambda: "katib/0" not in tuning.statuses(), "katib removed")
    definitions = {each["metadata"]["name"] for each in tuning.admin.items(DEFINITIONS)}
    assert definitions >= {"experiments.kubeflow.org", "trials.kubeflow.org"}
    assert tuning.admin.get(f"{kept}/outlives")["status"]["trialsSucceeded"] == 3
    trials = f"{TRIALS.format('ann')}?labelSelector=katib.kubeflow.org/experiment=outlives"
    assert len(tuning.admin.items(trials)) == 3
    tuning.admin.delete(f"{kept}/outlives")
    until(lambda: tuning.admin.find(f"{kept}/outlives") is None, "the experiment's end")
    until(lambda: not tuning.admin.items(trials), "the trials' end, by the garbage collector")
