"""Experiments as people write them: one for each way to search, to run a trial, and to collect metrics."""

from __future__ import annotations

import json
import re
from typing import Any

Spec = dict[str, Any]

RATE = {"name": "lr", "parameterType": "double", "feasibleSpace": {"min": "0.001", "max": "0.1"}}
LAYERS = {"name": "layers", "parameterType": "int", "feasibleSpace": {"min": "1", "max": "8", "step": "1"}}
OPTIMIZER = {
    "name": "optimizer",
    "parameterType": "categorical",
    "feasibleSpace": {"list": ["sgd", "adam", "ftrl"]},
}
BATCH = {"name": "batch", "parameterType": "discrete", "feasibleSpace": {"list": ["16", "32", "64"]}}

ACCURACY = {"type": "maximize", "goal": 0.99, "objectiveMetricName": "accuracy"}
LOSS = {"type": "minimize", "objectiveMetricName": "loss", "additionalMetricNames": ["accuracy", "auc"]}


def algorithm(name: str, **settings: str) -> dict[str, Any]:
    """Return an algorithm and its settings."""
    given = [{"name": key, "value": value} for key, value in settings.items()]
    return {"algorithmName": name} | ({"algorithmSettings": given} if given else {})


def placeholders(*names: str) -> list[dict[str, str]]:
    """Return the parameters of a trial template, each under its own name."""
    return [{"name": name, "reference": name, "description": f"The {name}"} for name in names]


def job(*arguments: str, **pod: Any) -> dict[str, Any]:
    """Return a Job that trains with some arguments."""
    container = {
        "name": "training",
        "image": "docker.io/library/python:3.12",
        "command": ["python3", *arguments],
    }
    template = {"spec": {"containers": [container], "restartPolicy": "Never"} | pod}
    return {"apiVersion": "batch/v1", "kind": "Job", "spec": {"template": template}}


def template(spec: dict[str, Any], *names: str, container: str = "training", **more: Any) -> dict[str, Any]:
    """Return a trial template."""
    return {
        "primaryContainerName": container,
        "trialParameters": placeholders(*names),
        "trialSpec": spec,
    } | more


def _replica(number: int) -> dict[str, Any]:
    container = {
        "name": "pytorch",
        "image": "quay.io/me/train:1",
        "args": ["--lr=${trialParameters.lr}"],
        "resources": {"limits": {"nvidia.com/gpu": 1}},
    }
    return {
        "replicas": number,
        "restartPolicy": "OnFailure",
        "template": {"spec": {"containers": [container]}},
    }


PYTORCH = {
    "apiVersion": "kubeflow.org/v1",
    "kind": "PyTorchJob",
    "spec": {"pytorchReplicaSpecs": {"Master": _replica(1), "Worker": _replica(2)}},
}
TRAIN_JOB = {
    "apiVersion": "trainer.kubeflow.org/v1alpha1",
    "kind": "TrainJob",
    "spec": {
        "runtimeRef": {"name": "torch-distributed"},
        "trainer": {"args": ["--lr=${trialParameters.lr}"], "numNodes": 2},
    },
}
WORKFLOW = {
    "apiVersion": "argoproj.io/v1alpha1",
    "kind": "Workflow",
    "spec": {
        "entrypoint": "train",
        "templates": [
            {
                "name": "train",
                "metadata": {"labels": {"katib.kubeflow.org/model-training": "true"}},
                "container": {"image": "python:3.12", "command": ["train", "${trialParameters.layers}"]},
            }
        ],
    },
}
_FILTER = {"metricsFormat": [r"([\w|-]+)\s*=\s*([+-]?\d+(\.\d+)?)"]}

EXPERIMENTS: dict[str, Spec] = {
    "random": {
        "objective": ACCURACY,
        "algorithm": algorithm("random"),
        "parallelTrialCount": 3,
        "maxTrialCount": 12,
        "maxFailedTrialCount": 3,
        "parameters": [RATE, LAYERS],
        "trialTemplate": template(
            job("a", "${trialParameters.lr}", "${trialParameters.layers}"), "lr", "layers"
        ),
    },
    "grid": {
        "objective": LOSS | {"metricStrategies": [{"name": "loss", "value": "latest"}]},
        "algorithm": algorithm("grid"),
        "parameters": [OPTIMIZER, BATCH],
        "trialTemplate": template(job("a", "${trialParameters.optimizer}"), "optimizer", retain=True),
    },
    "tpe-pytorchjob": {
        "objective": LOSS,
        "algorithm": algorithm("tpe", n_startup_trials="5", random_state="10"),
        "parameters": [RATE | {"feasibleSpace": {"min": "1e-5", "max": "1", "distribution": "logUniform"}}],
        "trialTemplate": template(
            PYTORCH,
            "lr",
            container="pytorch",
            primaryPodLabels={"training.kubeflow.org/job-role": "master"},
            successCondition='status.conditions.#(type=="Succeeded")#|#(status=="True")#',
            failureCondition='status.conditions.#(type=="Failed")#|#(status=="True")#',
        ),
    },
    "bayesian-trainjob-push": {
        "objective": ACCURACY,
        "algorithm": algorithm("bayesianoptimization", base_estimator="GP", acq_func="gp_hedge"),
        "parameters": [RATE],
        "metricsCollectorSpec": {"collector": {"kind": "Push"}},
        "trialTemplate": template(TRAIN_JOB, "lr", container="node"),
    },
    "hyperband-workflow": {
        "objective": ACCURACY,
        "algorithm": algorithm("hyperband", r_l="9", eta="3", resource_name="layers"),
        "parameters": [LAYERS],
        "trialTemplate": template(
            WORKFLOW,
            "layers",
            container="main",
            primaryPodLabels={"katib.kubeflow.org/model-training": "true"},
            successCondition='status.[@this].#(phase=="Succeeded")#',
            failureCondition='status.[@this].#(phase=="Failed")#',
        ),
    },
    "cmaes-json-file": {
        "objective": LOSS,
        "algorithm": algorithm("cmaes", sigma="0.2"),
        "parameters": [RATE, LAYERS],
        "metricsCollectorSpec": {
            "collector": {"kind": "File"},
            "source": {"fileSystemPath": {"path": "/katib/m.json", "kind": "File", "format": "JSON"}},
        },
        "trialTemplate": template(
            job("a", "${trialParameters.lr}", "${trialParameters.layers}"), "lr", "layers"
        ),
    },
    "medianstop-prometheus": {
        "objective": ACCURACY,
        "algorithm": algorithm("multivariate-tpe"),
        "earlyStopping": algorithm("medianstop", min_trials_required="1", start_step="4"),
        "parameters": [RATE],
        "metricsCollectorSpec": {
            "collector": {"kind": "PrometheusMetric"},
            "source": {"httpGet": {"path": "/metrics"}},
        },
        "trialTemplate": template(job("a", "${trialParameters.lr}"), "lr"),
    },
    "pbt-from-volume": {
        "objective": ACCURACY,
        "algorithm": algorithm(
            "pbt", suggestion_trial_dir="/opt/ckpt", n_population="40", truncation_threshold="0.2"
        ),
        "resumePolicy": "FromVolume",
        "parameters": [RATE],
        "metricsCollectorSpec": {
            "collector": {"kind": "TensorFlowEvent"},
            "source": {"fileSystemPath": {"path": "/train", "kind": "Directory"}},
        },
        "trialTemplate": template(job("a", "${trialParameters.lr}"), "lr"),
    },
    "enas": {
        "objective": ACCURACY,
        "algorithm": algorithm("enas", controller_train_steps="2"),
        "nasConfig": {
            "graphConfig": {"numLayers": 1, "inputSizes": [32, 32, 3], "outputSizes": [10]},
            "operations": [
                {
                    "operationType": "convolution",
                    "parameters": [
                        {
                            "name": "filter_size",
                            "parameterType": "categorical",
                            "feasibleSpace": {"list": ["3", "5", "7"]},
                        }
                    ],
                },
                {"operationType": "reduction", "parameters": [LAYERS]},
            ],
        },
        "trialTemplate": template(
            job("RunTrial.py", "--architecture='${trialParameters.architecture}'"), "architecture"
        ),
    },
    "custom-collector-config-map": {
        "objective": ACCURACY,
        "algorithm": algorithm("sobol"),
        "parameters": [RATE],
        "resumePolicy": "LongRunning",
        "metricsCollectorSpec": {
            "collector": {
                "kind": "Custom",
                "customCollector": {
                    "name": "collector",
                    "image": "quay.io/me/collector:1",
                    "args": ["-m", "accuracy"],
                    "env": [{"name": "TRIAL", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
                },
            },
            "source": {"filter": _FILTER, "fileSystemPath": {"path": "/var/log/a.log", "kind": "File"}},
        },
        "trialTemplate": {
            "primaryContainerName": "training-container",
            "trialParameters": placeholders("lr"),
            "configMap": {
                "configMapName": "trial-templates",
                "configMapNamespace": "kubeflow",
                "templatePath": "defaultTrialTemplate.yaml",
            },
        },
    },
    "metadata-of-the-trial": {
        "objective": ACCURACY,
        "algorithm": algorithm("random"),
        "parameters": [RATE],
        "trialTemplate": template(job("a", "${trialParameters.lr}", "${trialParameters.trial}"), "lr")
        | {
            "trialParameters": [
                {"name": "lr", "reference": "lr"},
                {"name": "trial", "reference": "${trialSpec.Name}"},
            ]
        },
    },
}
"""Name to spec."""


def suggestion(spec: Spec) -> Spec:
    """Return the spec of the Suggestion that Katib makes for an experiment.

    kubeflow/katib v0.19.0, pkg/controller.v1beta1/experiment/suggestion/suggestion.go.
    """
    made = {"algorithm": spec["algorithm"], "requests": spec.get("parallelTrialCount", 3)}
    made["resumePolicy"] = spec.get("resumePolicy", "Never")
    return made | {key: spec[key] for key in ("earlyStopping",) if key in spec}


def trial(spec: Spec) -> Spec:
    """Return the spec of a Trial of an experiment: each parameter has the value `1`.

    kubeflow/katib v0.19.0, pkg/controller.v1beta1/experiment/experiment_util.go. The job of a template that is in
    a ConfigMap is a Job here.
    """
    given = spec["trialTemplate"]
    run = given.get("trialSpec") or job("train.py", "${trialParameters.lr}")
    text = re.sub(r"\$\{trialParameters\.\w+\}", "1", json.dumps(run))
    parameters = [{"name": each["name"], "value": "1"} for each in given["trialParameters"]]
    named = ("primaryContainerName", "primaryPodLabels", "successCondition", "failureCondition")
    made = {key: given[key] for key in named if key in given}
    if "earlyStopping" in spec:
        rule = {"name": "accuracy", "value": "0.8", "comparison": "less", "startStep": 4}
        made |= {"earlyStoppingRules": [rule], "labels": {"katib.kubeflow.org/stopped": "no"}}
    if given.get("retain"):
        made["retainRun"] = True
    return made | {
        "objective": spec["objective"],
        "parameterAssignments": parameters,
        "runSpec": json.loads(text) | {"metadata": {"name": "a-1", "namespace": "x"}},
        "metricsCollector": spec.get("metricsCollectorSpec", {"collector": {"kind": "StdOut"}}),
    }
