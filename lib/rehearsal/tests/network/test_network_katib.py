"""Experiments and trials' pods as the cluster holds them when Katib's webhooks are played."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import yaml
from open_types import open_definition
from webhook_bench import Webhook, define, denial, eventually

IMAGE, PORT, MOUNT = "example.com/x/katib-controller:1", 8443, "/tmp/cert"
CONFIG = {
    "apiVersion": "config.kubeflow.org/v1beta1",
    "kind": "KatibConfig",
    "runtime": {
        "metricsCollectors": [{"kind": "StdOut", "image": "collector:1"}],
        "suggestions": [{"algorithmName": "random", "image": "hyperopt:1"}],
    },
}
RIGHTS = [
    ("", "namespaces"),
    ("", "configmaps"),
    ("", "persistentvolumes"),
    ("batch", "jobs"),
    *(("kubeflow.org", plural) for plural in ("experiments", "suggestions", "trials")),
]
KINDS = [("Experiment", "experiments"), ("Suggestion", "suggestions"), ("Trial", "trials")]
RATE = {"name": "rate", "parameterType": "double", "feasibleSpace": {"min": "0.1", "max": "0.4"}}
JOB = {
    "apiVersion": "batch/v1",
    "kind": "Job",
    "spec": {"template": {"spec": {"containers": [{"name": "main", "args": ["${trialParameters.rate}"]}]}}},
}
EXPERIMENT: dict[str, Any] = {
    "objective": {"type": "maximize", "objectiveMetricName": "score", "additionalMetricNames": ["loss"]},
    "algorithm": {"algorithmName": "random"},
    "parameters": [RATE],
    "trialTemplate": {
        "primaryContainerName": "main",
        "trialParameters": [{"name": "rate", "reference": "rate"}],
        "trialSpec": JOB,
    },
}


@pytest.fixture
def hook(kube, deploy: Callable[..., Webhook], users: str) -> Webhook:
    """Katib's controller, in a cluster with its kinds and in a namespace of users whose pods it may change."""
    for kind, plural in KINDS:
        define(kube, open_definition("kubeflow.org", kind, plural, ["v1beta1"]))
    labels = {"katib.kubeflow.org/metrics-collector-injection": "enabled"}
    kube.apply("Namespace", users, metadata={"labels": labels})
    field = {"fieldRef": {"fieldPath": "metadata.namespace"}}
    place = {"name": "config", "mountPath": "/katib-config.yaml", "subPath": "katib-config.yaml"}
    volume = {"name": "config", "configMap": {"name": "katib-config", "optional": True}}
    container = {
        "args": ["--katib-config=/katib-config.yaml"],
        "env": [{"name": "KATIB_CORE_NAMESPACE", "valueFrom": field}],
        "volumeMounts": [place],
    }
    hook = deploy(IMAGE, PORT, MOUNT, container=container, volumes=(volume,))
    data = {"katib-config.yaml": yaml.safe_dump(CONFIG)}
    kube.create("ConfigMap", "katib-config", hook.namespace, data=data)
    hook.may(["get", "list", "watch"], *RIGHTS)
    return hook


def test_an_experiment_is_filled_in(kube, hook: Webhook, users: str):
    hook.configure(
        users, path="/mutate-experiment", resource=("kubeflow.org", "experiments"), versions=("v1",)
    )

    def create() -> Any:
        return kube.create("Experiment", "tuning", users, dry=True, spec=EXPERIMENT)["spec"]

    eventually(lambda: create().get("parallelTrialCount"))
    said = create()
    assert (said["parallelTrialCount"], said["resumePolicy"]) == (3, "Never")
    assert said["objective"]["metricStrategies"] == [
        {"name": "score", "value": "max"},
        {"name": "loss", "value": "max"},
    ]
    assert said["metricsCollectorSpec"] == {"collector": {"kind": "StdOut"}}
    assert said["trialTemplate"]["successCondition"].startswith('status.conditions.#(type=="Complete")#')
    assert said["parameters"][0]["feasibleSpace"]["distribution"] == "uniform"


def test_an_experiment_is_refused(kube, hook: Webhook, users: str):
    kind = "ValidatingWebhookConfiguration"
    resource = ("kubeflow.org", "experiments")
    hook.configure(users, path="/validate-experiment", resource=resource, kind=kind, versions=("v1",))
    conditions = {"successCondition": "a", "failureCondition": "b"}
    whole = {
        **EXPERIMENT,
        "trialTemplate": {**EXPERIMENT["trialTemplate"], **conditions},
        "metricsCollectorSpec": {"collector": {"kind": "StdOut"}},
    }

    def refusal(**spec: Any) -> str:
        said = {**whole, **spec}
        return denial(lambda: kube.create("Experiment", "tuning", users, dry=True, spec=said))

    eventually(lambda: refusal(maxTrialCount=0))
    assert refusal() == ""
    words = refusal(maxTrialCount=0)
    assert words.endswith("denied the request: spec.maxTrialCount: Invalid value: 0: must be greater than 0")
    words = refusal(algorithm={"algorithmName": "tpe"})
    assert "failed to find suggestion config for algorithm: tpe in ConfigMap: katib-config" in words
    words = refusal(metricsCollectorSpec={"collector": {"kind": "File"}})
    assert "failed to find metrics collector config for kind: File" in words
    template = {**whole["trialTemplate"], "trialParameters": [{"name": "rate", "reference": "other"}]}
    assert "parameter reference other does not exist" in refusal(trialTemplate=template)
    kube.apply("Namespace", users, metadata={"labels": {}})
    eventually(lambda: "the namespace lacks label" in refusal())


def test_a_pod_of_a_trial_gets_what_collects_its_metrics(kube, hook: Webhook, users: str):
    hook.configure(users, path="/mutate-pod", resource=("", "pods"), versions=("v1",))
    kube.create("Suggestion", "tuning", users, spec={"algorithm": {"algorithmName": "random"}})
    trial = kube.create(
        "Trial",
        "tuning-a",
        users,
        metadata={"labels": {"katib.kubeflow.org/experiment": "tuning"}},
        spec={
            "objective": {"type": "maximize", "objectiveMetricName": "score"},
            "metricsCollector": {"collector": {"kind": "StdOut"}},
            "primaryContainerName": "main",
            "primaryPodLabels": {"role": "master"},
        },
    )
    container = {"name": "main", "image": "train:1", "command": ["python", "train.py"]}

    def owned(by: Any, version: str, kind: str) -> dict[str, Any]:
        metadata = by["metadata"]
        owner = {"apiVersion": version, "kind": kind, "name": metadata["name"], "uid": metadata["uid"]}
        return {"ownerReferences": [owner]}

    pod = {"restartPolicy": "Never", "containers": [container]}
    job = kube.create(
        "Job",
        "tuning-a",
        users,
        metadata=owned(trial, "kubeflow.org/v1beta1", "Trial"),
        spec={"suspend": True, "template": {"spec": pod}},
    )

    def create(role: str = "master", **container: Any) -> Any:
        metadata = {"labels": {"role": role}, **owned(job, "batch/v1", "Job")}
        spec = {**pod, "containers": [{**pod["containers"][0], **container}]}
        return kube.create("Pod", "tuning-a-x", users, dry=True, metadata=metadata, spec=spec)

    eventually(lambda: len(create()["spec"]["containers"]) == 2)
    said = create()
    assert said["metadata"]["labels"]["katib.kubeflow.org/trial"] == "tuning-a"
    assert said["metadata"]["labels"]["katib.kubeflow.org/experiment"] == "tuning"
    main, collector = said["spec"]["containers"]
    assert main["env"][0]["name"] == "KATIB_TRIAL_NAME"
    assert main["command"] == ["sh", "-c"]
    log = "/var/log/katib/metrics.log"
    ended = "echo completed > /var/log/katib/$$$$.pid"
    assert main["args"] == [f"python train.py 1>{log} 2>&1 && {ended}"]
    assert (collector["name"], collector["image"]) == ("metrics-logger-and-collector", "collector:1")
    address = f"katib-db-manager.{hook.namespace}:6789"
    words = ["-t", "tuning-a", "-m", "score", "-o-type", "maximize", "-s-db", address, "-path", log]
    assert collector["args"] == [*words, "-format", "TEXT"]
    assert said["spec"]["shareProcessNamespace"] is True
    # Another pod of the trial only learns of which it is.
    (worker,) = create(role="worker")["spec"]["containers"]
    assert worker["command"] == ["python", "train.py"]
    assert worker["env"][0]["name"] == "KATIB_TRIAL_NAME"
    assert "Unable to find primary container main" in denial(lambda: create(name="other"))
    # Who may not read the owners takes it for nobody's.
    hook.may(["get", "list", "watch"], *(each for each in RIGHTS if each != ("batch", "jobs")))
    eventually(lambda: len(create()["spec"]["containers"]) == 1)
