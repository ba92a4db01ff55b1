"""The fields of the kinds that played programs read, as their Go types have them.

kubeflow/kubeflow v1.10.0, components/*/api; kubeflow/katib v0.19.0, pkg/apis/controller;
kubeflow/training-operator v1.9.0, pkg/apis/kubeflow.org/v1; kubeflow/trainer v2.1.0,
pkg/apis/trainer/v1alpha1; kubernetes-sigs/jobset v0.10.1, api/jobset/v1alpha2. The pieces of Kubernetes come
from lightkube's models. Fields that no player reads may lack.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lightkube.models import batch_v1, core_v1, rbac_v1

_CONDITIONS = [
    {"type": "str", "status": "str", "reason": "str", "message": "str", "lastTransitionTime": "Time"}
]
_OBJECTIVE = {
    "type": "str",
    "goal": "float",
    "objectiveMetricName": "str",
    "additionalMetricNames": ["str"],
    "metricStrategies": [{"name": "str", "value": "str"}],
}
_SETTINGS = [{"name": "str", "value": "str"}]
_ALGORITHM = {"algorithmName": "str", "algorithmSettings": _SETTINGS}
_METRICS = [{"name": "str", "min": "str", "max": "str", "latest": "str"}]
_COLLECTOR = {
    "source": {
        "httpGet": core_v1.HTTPGetAction,
        "fileSystemPath": {"path": "str", "kind": "str", "format": "str"},
        "filter": {"metricsFormat": ["str"]},
    },
    "collector": {"kind": "str", "customCollector": core_v1.Container},
}
_SPACE = {"max": "str", "min": "str", "list": ["str"], "step": "str", "distribution": "str"}
_PARAMETERS = [{"name": "str", "parameterType": "str", "feasibleSpace": _SPACE}]
_RULES = [{"name": "str", "value": "str", "comparison": "str", "startStep": "int32"}]
_TRIAL_TEMPLATE = {
    "retain": "bool",
    "trialSpec": "Unstructured",
    "configMap": {"configMapName": "str", "configMapNamespace": "str", "templatePath": "str"},
    "trialParameters": [{"name": "str", "description": "str", "reference": "str"}],
    "primaryPodLabels": "dict",
    "primaryContainerName": "str",
    "successCondition": "str",
    "failureCondition": "str",
}
_REPLICA = {"replicas": "int32", "restartPolicy": "str", "template": core_v1.PodTemplateSpec}
_RUN_POLICY = {
    "cleanPodPolicy": "str",
    "ttlSecondsAfterFinished": "int32",
    "activeDeadlineSeconds": "int",
    "backoffLimit": "int32",
    "schedulingPolicy": {
        "minAvailable": "int32",
        "queue": "str",
        "priorityClass": "str",
        "scheduleTimeoutSeconds": "int32",
    },
    "suspend": "bool",
    "managedBy": "str",
}
_JOB_SET = {
    "replicatedJobs": [
        {
            "name": "str",
            "groupName": "str",
            "replicas": "int32",
            "template": batch_v1.JobTemplateSpec,
            "dependsOn": [{"name": "str", "status": "str"}],
        }
    ],
    "network": {"enableDNSHostnames": "bool", "subdomain": "str", "publishNotReadyAddresses": "bool"},
    "suspend": "bool",
    "ttlSecondsAfterFinished": "int32",
    "managedBy": "str",
}
_RUNTIME = {
    "spec": {
        "mlPolicy": {
            "numNodes": "int32",
            "torch": {"numProcPerNode": "IntOrString"},
            "mpi": {
                "numProcPerNode": "int32",
                "mpiImplementation": "str",
                "sshAuthMountPath": "str",
                "runLauncherAsNode": "bool",
            },
        },
        "template": {"spec": _JOB_SET},
    }
}


def _training(field: str, *types: str, **more: Any) -> Any:
    """Return the fields of a kind of the training operator, whose types of replicas are as written."""
    return {"spec": {"runPolicy": _RUN_POLICY, field: dict.fromkeys(types, _REPLICA), **more}}


KINDS: Mapping[str, Any] = {
    "Experiment": {
        "spec": {
            "parameters": _PARAMETERS,
            "objective": _OBJECTIVE,
            "algorithm": _ALGORITHM,
            "earlyStopping": _ALGORITHM,
            "trialTemplate": _TRIAL_TEMPLATE,
            "parallelTrialCount": "int32",
            "maxTrialCount": "int32",
            "maxFailedTrialCount": "int32",
            "metricsCollectorSpec": _COLLECTOR,
            "nasConfig": {
                "graphConfig": {"numLayers": "int32", "inputSizes": ["int32"], "outputSizes": ["int32"]},
                "operations": [{"operationType": "str", "parameters": _PARAMETERS}],
            },
            "resumePolicy": "str",
        }
    },
    "Suggestion": {
        "spec": {
            "algorithm": _ALGORITHM,
            "earlyStopping": _ALGORITHM,
            "requests": "int32",
            "resumePolicy": "str",
        },
        "status": {
            "suggestionCount": "int32",
            "suggestions": [{"name": "str", "parameterAssignments": _SETTINGS, "labels": "dict"}],
        },
    },
    "Trial": {
        "spec": {
            "objective": _OBJECTIVE,
            "parameterAssignments": _SETTINGS,
            "earlyStoppingRules": _RULES,
            "runSpec": "Unstructured",
            "retainRun": "bool",
            "metricsCollector": _COLLECTOR,
            "primaryPodLabels": "dict",
            "primaryContainerName": "str",
            "successCondition": "str",
            "failureCondition": "str",
        },
        "status": {"observation": {"metrics": _METRICS}},
    },
    "PyTorchJob": _training("pytorchReplicaSpecs", "Master", "Worker", nprocPerNode="str"),
    "TFJob": _training("tfReplicaSpecs", "Chief", "Evaluator", "Master", "PS", "Worker"),
    "MPIJob": _training("mpiReplicaSpecs", "Launcher", "Worker", slotsPerWorker="int32"),
    "XGBoostJob": _training("xgbReplicaSpecs", "Master", "Worker"),
    "PaddleJob": _training("paddleReplicaSpecs", "Master", "Worker"),
    "JAXJob": _training("jaxReplicaSpecs", "Worker"),
    "JobSet": {"spec": _JOB_SET},
    "TrainingRuntime": _RUNTIME,
    "ClusterTrainingRuntime": _RUNTIME,
    "TrainJob": {
        "spec": {
            "runtimeRef": {"name": "str", "apiGroup": "str", "kind": "str"},
            "trainer": {
                "image": "str",
                "command": ["str"],
                "args": ["str"],
                "env": [core_v1.EnvVar],
                "numNodes": "int32",
                "resourcesPerNode": core_v1.ResourceRequirements,
                "numProcPerNode": "IntOrString",
            },
            "labels": "dict",
            "annotations": "dict",
            "suspend": "bool",
            "managedBy": "str",
        }
    },
    "Notebook": {
        "spec": {"template": {"spec": core_v1.PodSpec}},
        "status": {
            "conditions": _CONDITIONS,
            "readyReplicas": "int32",
            "containerState": core_v1.ContainerState,
        },
    },
    "Profile": {
        "spec": {
            "owner": rbac_v1.Subject,
            "plugins": [{"kind": "str", "apiVersion": "str"}],
            "resourceQuotaSpec": core_v1.ResourceQuotaSpec,
        },
        "status": {"conditions": [{"type": "str", "status": "str", "message": "str"}]},
    },
    "PVCViewer": {
        "spec": {
            "pvc": "str",
            "podSpec": core_v1.PodSpec,
            "networking": {
                "targetPort": "IntOrString",
                "basePrefix": "str",
                "rewrite": "str",
                "timeout": "str",
            },
            "rwoScheduling": "bool",
        },
        "status": {"ready": "bool", "url": "str", "conditions": _CONDITIONS},
    },
    "Tensorboard": {
        "spec": {"logspath": "str"},
        "status": {
            "readyReplicas": "int32",
            "conditions": [{"deploymentState": "str", "lastProbeTime": "Time"}],
        },
    },
    "PodDefault": {
        "spec": {
            "selector": "meta_v1.LabelSelector",
            "desc": "str",
            "serviceAccountName": "str",
            "automountServiceAccountToken": "bool",
            "env": [core_v1.EnvVar],
            "envFrom": [core_v1.EnvFromSource],
            "volumes": [core_v1.Volume],
            "volumeMounts": [core_v1.VolumeMount],
            "tolerations": [core_v1.Toleration],
            "imagePullSecrets": [core_v1.LocalObjectReference],
            "initContainers": [core_v1.Container],
            "sidecars": [core_v1.Container],
            "args": ["str"],
            "command": ["str"],
            "labels": "dict",
            "annotations": "dict",
        }
    },
}
"""Kinds to their fields: names of types, lightkube's models, and lists and structs of such."""
