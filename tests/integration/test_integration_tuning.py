"""The way of those who tune and train, by the commands people type: experiments, jobs, a database that goes.

The experiment `long` runs until the end of the module: through a refresh, without its database, and without
Katib.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jubilant
import pytest
from kubectl_as import Kubectl, as_somebody, as_user
from partial_bundle import TUNING, part_of_the_bundle, written

from rehearsal.cluster.controlplane import ControlPlane
from rehearsal.cluster.misbehaviour import Misbehaviour
from rehearsal.cluster.stages import EXIT
from rehearsal.patience import until
from rehearsal.stage import Stage

Object = dict[str, Any]
USER = "ada@example.com"
PYTHON = "docker.io/library/python:3.12-slim"
DATABASE = ("katib:relational-db", "kfp-db:database")
OURS = ("katib", "kubeflow-training")

NO_SIDECAR = {"sidecar.istio.io/inject": "false"}
"""Istio's sidecar would keep a pod from ending."""
NO_FILE = "open /tmp/cert/tls.crt: no such file or directory"

OLD_TYPE = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: experiments.kubeflow.org}
spec:
  group: kubeflow.org
  scope: Namespaced
  names: {kind: Experiment, listKind: ExperimentList, plural: experiments, singular: experiment}
  versions:
    - name: v1alpha3
      served: true
      storage: true
      schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
"""
"""What Katib 0.10 and older left behind (kubeflow/katib v0.10.0, manifests/v1alpha3)."""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of the part of the bundle that tuning and training need."""
    return written(tmp_path_factory.mktemp("bundle"), TUNING)


@pytest.fixture(scope="module")
def ada(juju: jubilant.Juju) -> Kubectl:
    """Run kubectl as a user, in the namespace of the user's profile."""
    return as_user(USER, "ada")


@pytest.fixture(scope="module")
def admin(juju: jubilant.Juju) -> Kubectl:
    """Run kubectl as an administrator, in the same namespace."""
    return as_somebody("-n", "ada")


@pytest.fixture
def misbehave(stage: Stage | None) -> Iterator[Callable[..., None]]:
    """Have pods fail as told, until the test is over."""
    if stage is None:
        pytest.skip("the pods of a real cluster do not fail to order")
    cluster = stage.cluster
    assert isinstance(cluster, ControlPlane)
    yield lambda *texts: cluster.misbehave(tuple(map(Misbehaviour.parse, texts)))
    cluster.misbehave(())


def said(juju: jubilant.Juju, application: str, begin: str) -> str:
    """Wait until an application's status begins as told; return it."""
    status = juju.wait(lambda status: whole(status, application).startswith(begin), delay=0.3, successes=1)
    return whole(status, application)


def settled(juju: jubilant.Juju) -> jubilant.Status:
    """Wait until everything is active, and stays so for a moment."""
    return juju.wait(jubilant.all_active, error=jubilant.any_error, delay=0.5, successes=2)


def whole(status: jubilant.Status, application: str) -> str:
    """Return `blocked: the message`."""
    current = status.apps[application].app_status
    return f"{current.current}: {current.message}"


def pod(*arguments: str, container: str = "training") -> Object:
    """Return the template of a pod that runs a command; what sleeps for ever does so in a rehearsal, too."""
    only = {"name": container, "image": PYTHON, "command": [arguments[0]], "args": list(arguments[1:])}
    return {
        "metadata": {"annotations": NO_SIDECAR | ({EXIT: "never"} if "infinity" in arguments[-1] else {})},
        "spec": {"restartPolicy": "Never", "containers": [only]},
    }


def experiment(name: str, *command: str, **more: Any) -> str:
    """Return an experiment of two trials as JSON; each is a Job that runs the command."""
    job = {"apiVersion": "batch/v1", "kind": "Job", "spec": {"template": pod(*command)}}
    spec = {
        "objective": {"type": "maximize", "objectiveMetricName": "accuracy"},
        "algorithm": {"algorithmName": "random"},
        "parallelTrialCount": 1,
        "maxTrialCount": 2,
        "parameters": [
            {"name": "lr", "parameterType": "double", "feasibleSpace": {"min": "0.01", "max": "0.1"}}
        ],
        "trialTemplate": {
            "retain": True,
            "primaryContainerName": "training",
            "trialParameters": [{"name": "lr", "reference": "lr"}],
            "trialSpec": job,
        },
    }
    head = {"apiVersion": "kubeflow.org/v1beta1", "kind": "Experiment", "metadata": {"name": name}}
    return json.dumps(head | {"spec": spec | more})


PRINTS = ("sh", "-c", "echo accuracy=${trialParameters.lr}")
"""Katib joins all words of a command with spaces, unless a shell's `-c` is before them."""
NEVER_ENDS = ("sh", "-c", "echo ${trialParameters.lr}; sleep infinity")


def pytorch_job(name: str, *command: str) -> str:
    """Return a PyTorchJob of a master and a worker as JSON."""
    replica = {"replicas": 1, "restartPolicy": "OnFailure", "template": pod(*command, container="pytorch")}
    replicas = {"Master": replica, "Worker": replica}
    head = {"apiVersion": "kubeflow.org/v1", "kind": "PyTorchJob", "metadata": {"name": name}}
    return json.dumps(head | {"spec": {"pytorchReplicaSpecs": replicas}})


def train_job(name: str, *command: str) -> str:
    """Return a TrainJob of two nodes as JSON."""
    trainer = {"image": PYTHON, "command": [command[0]], "args": list(command[1:]), "numNodes": 2}
    override = {"targetJobs": [{"name": "node"}], "metadata": {"annotations": NO_SIDECAR}}
    spec = {"runtimeRef": {"name": "torch-distributed"}, "trainer": trainer}
    head = {"apiVersion": "trainer.kubeflow.org/v1alpha1", "kind": "TrainJob", "metadata": {"name": name}}
    return json.dumps(head | {"spec": spec | {"podTemplateOverrides": [override]}})


def wait(ada: Kubectl, juju: jubilant.Juju, what: str, condition: str) -> None:
    """Wait for a condition of an object; a real cluster pulls images first."""
    seconds = 60 if "rehearsal" in juju.status().model.controller else 1200
    ada("wait", what, f"--for=condition={condition}", f"--timeout={seconds}s")


def identities(kubectl: Kubectl, *words: str) -> set[str]:
    """Return the UIDs of objects, which live as long as the same objects do."""
    return {each["metadata"]["uid"] for each in json.loads(kubectl("get", *words, "-o", "json"))["items"]}


def test_a_type_that_an_installation_by_hand_left_blocks_until_it_is_gone(
    juju: jubilant.Juju, kubectl: Kubectl, bundle: Path
) -> None:
    kubectl("create", "-f", "-", input=OLD_TYPE)
    juju.deploy(str(bundle), trust=True)
    message = "CRD experiments.kubeflow.org of kubectl-create: v1beta1 is not served; update or remove it"
    assert said(juju, "katib", "blocked: CRD") == f"blocked: {message}"
    kubectl("delete", "crd", "experiments.kubeflow.org")
    status = settled(juju)
    assert set(status.apps) == set(TUNING)


def test_a_user_of_a_profile_may_tune_and_train(juju: jubilant.Juju, kubectl: Kubectl, ada: Kubectl) -> None:
    owner = {"kind": "User", "name": USER}
    profile = {"apiVersion": "kubeflow.org/v1", "kind": "Profile", "metadata": {"name": "ada"}}
    kubectl("apply", "-f", "-", input=json.dumps(profile | {"spec": {"owner": owner}}))

    def may(kind: str) -> bool:
        words = ["kubectl", "-n", "ada", "auth", "can-i", "create", kind, "--as", USER]
        return subprocess.run(words, capture_output=True, check=False).stdout.strip() == b"yes"

    for kind in ("experiments.kubeflow.org", "pytorchjobs.kubeflow.org", "trainjobs.trainer.kubeflow.org"):
        until(lambda kind=kind: may(kind), kind)


def test_an_experiment_ends_and_names_its_best_trial(juju: jubilant.Juju, ada: Kubectl) -> None:
    ada("create", "-f", "-", input=experiment("first", *PRINTS))
    wait(ada, juju, "experiment/first", "Succeeded")
    best = ada("get", "experiment", "first", "-o", "jsonpath={.status.currentOptimalTrial.bestTrialName}")
    trials = ada("get", "trials", "-l", "katib.kubeflow.org/experiment=first", "-o", "name").split()
    assert f"trial.kubeflow.org/{best}" in trials
    assert len(trials) == 2


def test_jobs_of_both_versions_end(juju: jubilant.Juju, ada: Kubectl) -> None:
    ada("create", "-f", "-", input=pytorch_job("version-1", "python", "-c", "pass"))
    trainer = {"image": PYTHON, "command": ["python"], "args": ["-c", "pass"], "numNodes": 2}
    job = {
        "apiVersion": "trainer.kubeflow.org/v1alpha1",
        "kind": "TrainJob",
        "metadata": {"name": "version-2"},
    }
    away = {"metadata": {"annotations": {"sidecar.istio.io/inject": "false"}}}
    spec = {"runtimeRef": {"name": "torch-distributed"}, "trainer": trainer}
    overrides = [{"targetJobs": [{"name": "node"}], **away}]
    ada("create", "-f", "-", input=json.dumps(job | {"spec": spec | {"podTemplateOverrides": overrides}}))
    wait(ada, juju, "pytorchjob/version-1", "Succeeded")
    wait(ada, juju, "trainjob/version-2", "Complete")


def test_what_an_algorithm_does_not_take_is_said_in_the_suggestion(juju: jubilant.Juju, ada: Kubectl) -> None:
    """A grid needs a step; Katib's webhook does not look at that, the algorithm does."""
    ada("create", "-f", "-", input=experiment("no-grid", *PRINTS, algorithm={"algorithmName": "grid"}))
    wait(ada, juju, "experiment/no-grid", "Failed")
    reason = ada("get", "suggestion", "no-grid", "-o", "jsonpath={.status.conditions[-1:].message}")
    assert "lr" in reason
    assert "step" in reason


@pytest.mark.parametrize(
    ("application", "option", "value", "message"),
    [
        (
            "katib",
            "trial-resources",
            "[RayJob.v1.ray.io]",
            "active: trial-resources: no RayJob.v1.ray.io in the cluster",
        ),
        (
            "katib",
            "katib-config",
            "runtime: {suggestions: [{algorithmName: mine}]}",
            "blocked: option katib-config: runtime.suggestions[0]: mine has no image",
        ),
        (
            "kubeflow-training",
            "gang-scheduler",
            "volcano",
            "blocked: option gang-scheduler: no CRD podgroups.scheduling.volcano.sh: install volcano, or set none",
        ),
    ],
)
def test_an_option_that_names_what_is_not_there_is_told_and_resetting_it_heals(
    juju: jubilant.Juju, application: str, option: str, value: str, message: str
) -> None:
    juju.config(application, {option: value})
    said(juju, application, message)
    juju.config(application, reset=option)
    juju.wait(lambda status: option not in whole(status, application), delay=0.3, successes=1)


def test_a_runtime_of_somebody_else_is_left_alone_and_named_until_it_is_gone(
    juju: jubilant.Juju, kubectl: Kubectl
) -> None:
    juju.config("kubeflow-training", {"runtimes": "[torch-distributed]"})
    until(lambda: kubectl("get", "clustertrainingruntimes", "-o", "name").count("\n") == 1)
    settled(juju)
    runtime = json.loads(kubectl("get", "clustertrainingruntime", "torch-distributed", "-o", "json"))
    runtime["metadata"] = {"name": "mlx-distributed", "labels": {"whose": "mine"}}
    kubectl("create", "-f", "-", input=json.dumps(runtime))
    juju.config("kubeflow-training", reset="runtimes")
    message = "ClusterTrainingRuntime mlx-distributed belongs to kubectl-create: remove or rename it"
    assert said(juju, "kubeflow-training", "blocked") == f"blocked: {message}"
    mine = kubectl("get", "clustertrainingruntimes", "-l", "whose=mine", "-o", "name")
    assert mine == "clustertrainingruntime.trainer.kubeflow.org/mlx-distributed\n"
    assert kubectl("get", "clustertrainingruntimes", "-o", "name").count("\n") == 6
    kubectl("delete", "clustertrainingruntime", "mlx-distributed")
    settled(juju)
    assert kubectl("get", "clustertrainingruntimes", "-o", "name").count("\n") == 6


def test_while_webhooks_are_away_users_and_operators_are_told(
    juju: jubilant.Juju, ada: Kubectl, misbehave: Callable[..., None]
) -> None:
    trainer = "kubeflow-trainer-controller-manager"
    misbehave(f"katib-controller-*=crash-loop:{NO_FILE}", f"{trainer}-*=crash-loop:{NO_FILE}")
    assert said(juju, "katib", "waiting") == f"waiting: katib-controller 0/1: CrashLoopBackOff: {NO_FILE}"
    begin = f"waiting: {trainer} 0/1: CrashLoopBackOff: open /tmp/"
    assert said(juju, "kubeflow-training", begin)
    refused = {
        "defaulter.experiment.katib.kubeflow.org": experiment("early", *PRINTS),
        "validator.trainjob.trainer.kubeflow.org": train_job("early", "python", "-c", "pass"),
    }
    for webhook, document in refused.items():
        with pytest.raises(AssertionError, match=f'failed calling webhook "{re.escape(webhook)}"'):
            ada("create", "-f", "-", input=document)
    misbehave()
    settled(juju)


@pytest.mark.parametrize(
    "words",
    [
        "dial tcp: lookup kfp-db-primary.mlops.svc: no such host",
        "Error 1045: Access denied for user 'relation-9'",
        "tls: failed to verify certificate: x509: unknown authority",
    ],
    ids=["away", "refused", "wrong certificate"],
)
def test_a_database_that_does_not_serve_is_told_in_the_managers_words(
    juju: jubilant.Juju, misbehave: Callable[..., None], words: str
) -> None:
    misbehave(
        f"katib-db-manager-*=crash-loop:E1129 14:01:02.1 1 connection.go:36] Ping to Katib db failed: {words}"
    )
    begin = "waiting: katib-db-manager 0/1: CrashLoopBackOff: Ping to Katib db failed: "
    message = said(juju, "katib", begin)
    assert f"{begin}{words}".startswith(message.rstrip("…"))
    misbehave()
    settled(juju)


def test_a_database_that_sends_what_is_none_is_named(juju: jubilant.Juju, stage: Stage | None) -> None:
    if stage is None:
        pytest.skip("a real MySQL sends no wrong certificate")
    juju.config("kfp-db", {"stand-in-tls-ca": "no certificate"})
    expected = "blocked: kfp-db sent wrong data on relational-db: tls-ca: no certificate"
    assert said(juju, "katib", "blocked") == expected
    juju.config("kfp-db", reset="stand-in-tls-ca")
    settled(juju)


def test_what_runs_goes_on_while_the_relation_to_the_database_is_away(
    juju: jubilant.Juju, kubectl: Kubectl, ada: Kubectl
) -> None:
    ada("create", "-f", "-", input=experiment("long", *NEVER_ENDS))
    ada("create", "-f", "-", input=pytorch_job("long", "sleep", "infinity"))
    wait(ada, juju, "experiment/long", "Running")
    wait(ada, juju, "pytorchjob/long", "Running")
    programs = ("pods", "-l", "katib.kubeflow.org/component")
    running, pods = identities(ada, "trials"), identities(kubectl, *programs)
    juju.remove_relation(*DATABASE)
    message = "relation relational-db missing: juju integrate katib:relational-db mysql-k8s"
    assert said(juju, "katib", "blocked") == f"blocked: {message}"
    assert identities(kubectl, *programs) == pods
    until(lambda: "kfp-db" not in str(juju.status().apps["katib"].relations.get("relational-db")))
    juju.integrate(*DATABASE)
    settled(juju)
    assert identities(ada, "trials") == running


def test_a_refresh_restarts_no_pod_that_stays_the_same(
    juju: jubilant.Juju, kubectl: Kubectl, ada: Kubectl
) -> None:
    applications = part_of_the_bundle(OURS)["applications"]
    kept = ("pods", "-l", f"app.kubernetes.io/instance in ({', '.join(f'mlops.{each}' for each in OURS)})")
    pods = identities(kubectl, *kept)
    assert len(pods) == 6
    jobs = identities(ada, "jobs,pytorchjobs,pods")
    before = {name: juju.status().apps[name].charm_rev for name in OURS}
    for name in OURS:
        juju.refresh(name, path=applications[name]["charm"])
    juju.wait(lambda status: all(status.apps[name].charm_rev > before[name] for name in OURS))
    settled(juju)
    assert identities(kubectl, *kept) == pods
    assert identities(ada, "jobs,pytorchjobs,pods") == jobs


def test_removal_leaves_what_runs_and_coming_back_takes_it_up(
    juju: jubilant.Juju, kubectl: Kubectl, ada: Kubectl, admin: Kubectl, bundle: Path
) -> None:
    kinds = "experiments,trials,jobs.batch,pytorchjobs,pods"
    there = identities(admin, kinds)
    juju.remove_application(*OURS)
    juju.wait(lambda status: not set(OURS) & status.apps.keys())
    for name in OURS:
        left = ("deployments,services,secrets,configmaps", "-l", f"app.kubernetes.io/instance=mlops.{name}")
        until(lambda left=left: kubectl("get", *left, "-o", "name") == "", f"{name} gone")
    types = kubectl("get", "crd", "-o", "name")
    assert {f"{each}.kubeflow.org" for each in ("experiments", "trials", "suggestions", "pytorchjobs")} <= {
        line.partition("/")[2] for line in types.split()
    }
    assert "jaxjobs.kubeflow.org" not in types
    suggestions = identities(admin, "pods", "-l", "katib.kubeflow.org/suggestion")
    assert identities(admin, kinds) >= there - suggestions
    admin("delete", "pod", "long-worker-0")
    juju.deploy(str(bundle), trust=True)
    settled(juju)
    until(lambda: admin("get", "pod", "long-worker-0", "--ignore-not-found", "-o", "name"))
    admin("patch", "experiment", "long", "--type=merge", "-p", '{"spec": {"parallelTrialCount": 2}}')
    until(
        lambda: admin("get", "experiment", "long", "-o", "jsonpath={.status.trialsRunning}") == "2",
        "another trial",
    )
    assert identities(admin, "experiments,trials,pytorchjobs") >= identities(admin, "experiments")
