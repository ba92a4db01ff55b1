"""Ten objects of each kind, as users write them, and objects that are wrong at one place."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

Object = dict[str, Any]

GPUS = {"resources": {"limits": {"nvidia.com/gpu": 8, "memory": "64Gi"}, "requests": {"cpu": "500m"}}}
SHARED_MEMORY = {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "16Gi"}}
DATA = {"name": "data", "persistentVolumeClaim": {"claimName": "data"}}
TOLERATION = {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
ZONES = {
    "nodeAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [
                {
                    "matchExpressions": [
                        {"key": "topology.kubernetes.io/zone", "operator": "In", "values": ["a"]}
                    ]
                }
            ]
        }
    }
}
SPREAD = {
    "maxSkew": 1,
    "topologyKey": "kubernetes.io/hostname",
    "whenUnsatisfiable": "ScheduleAnyway",
    "labelSelector": {"matchLabels": {"app": "train"}},
}

PODS: list[Object] = [
    {},
    {"container": GPUS},
    {
        "volumes": [SHARED_MEMORY, DATA],
        "container": {"volumeMounts": [{"name": "data", "mountPath": "/data"}]},
    },
    {"tolerations": [TOLERATION], "nodeSelector": {"pool": "a100"}},
    {"affinity": ZONES, "topologySpreadConstraints": [SPREAD]},
    {"container": {"env": [{"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}]}},
    {"initContainers": [{"name": "load", "image": "busybox", "command": ["sh", "-c", "true"]}]},
    {
        "serviceAccountName": "default-editor",
        "imagePullSecrets": [{"name": "pull"}],
        "priorityClassName": "high",
    },
    {"securityContext": {"runAsUser": 1000, "fsGroup": 100, "seccompProfile": {"type": "RuntimeDefault"}}},
    {
        "schedulerName": "volcano",
        "runtimeClassName": "nvidia",
        "hostNetwork": True,
        "dnsPolicy": "ClusterFirst",
    },
]
"""What differs between the pods of ten users; `container` is about the first container."""

CONTAINERS = {
    "PyTorchJob": ("pytorch", "pytorchReplicaSpecs", ("Master", "Worker")),
    "TFJob": ("tensorflow", "tfReplicaSpecs", ("Chief", "Worker", "PS")),
    "MPIJob": ("mpi", "mpiReplicaSpecs", ("Launcher", "Worker")),
    "XGBoostJob": ("xgboost", "xgbReplicaSpecs", ("Master", "Worker")),
    "PaddleJob": ("paddle", "paddleReplicaSpecs", ("Master", "Worker")),
    "JAXJob": ("jax", "jaxReplicaSpecs", ("Worker",)),
}
"""Kind of version 1 to the container's name, the field of its roles, and the roles."""

POLICIES: list[Object] = [
    {},
    {"runPolicy": {"suspend": True}},
    {"runPolicy": {"cleanPodPolicy": "All", "ttlSecondsAfterFinished": 600}},
    {"runPolicy": {"backoffLimit": 3, "activeDeadlineSeconds": 86400}},
    {
        "runPolicy": {
            "schedulingPolicy": {"minAvailable": 2, "queue": "research", "scheduleTimeoutSeconds": 60}
        }
    },
    {
        "runPolicy": {
            "schedulingPolicy": {"minResources": {"cpu": 4, "memory": "8Gi"}, "priorityClass": "high"}
        }
    },
    {"runPolicy": {"managedBy": "kueue.x-k8s.io/multikueue"}},
    {"runPolicy": {}},
    {"runPolicy": {"cleanPodPolicy": "None"}},
    {"runPolicy": {"suspend": False, "backoffLimit": 0}},
]
OWN: dict[str, list[Object]] = {
    "PyTorchJob": [
        {"nprocPerNode": "auto"},
        {"elasticPolicy": {"minReplicas": 1, "maxReplicas": 4, "rdzvBackend": "c10d", "maxRestarts": 10}},
        {
            "elasticPolicy": {
                "metrics": [
                    {
                        "type": "Resource",
                        "resource": {
                            "name": "cpu",
                            "target": {"type": "Utilization", "averageUtilization": 80},
                        },
                    }
                ]
            }
        },
        {
            "elasticPolicy": {
                "standalone": True,
                "nProcPerNode": 2,
                "rdzvConf": [{"key": "timeout", "value": "9"}],
            }
        },
    ],
    "TFJob": [{"successPolicy": "AllWorkers"}, {"enableDynamicWorker": True}],
    "MPIJob": [{"slotsPerWorker": 8}, {"cleanPodPolicy": "Running", "mainContainer": "mpi"}],
    "PaddleJob": [{"elasticPolicy": {"minReplicas": 1, "maxReplicas": 2}}],
}
"""Kind of version 1 to fields that only it has."""


def pod(name: str, number: int, image: str = "example.com/train:1") -> Object:
    """Return a pod's spec, as the user with this number writes it."""
    more = copy.deepcopy(PODS[number])
    container = {"name": name, "image": image, "command": ["python", "train.py"]} | more.pop("container", {})
    return {"containers": [container]} | more


def job(kind: str, number: int) -> Object:
    """Return a job of version 1."""
    container, field, roles = CONTAINERS[kind]
    replicas = {
        role: {
            "replicas": 1 if role in ("Master", "Launcher", "Chief") else number + 1,
            "restartPolicy": ("OnFailure", "Never", "Always", "ExitCode")[number % 4],
            "template": {
                "metadata": {"annotations": {"sidecar.istio.io/inject": "false"}},
                "spec": pod(container, number),
            },
        }
        for role in roles
    }
    own = OWN.get(kind, [{}])
    spec = {field: replicas} | POLICIES[number] | own[number % len(own)]
    return {"apiVersion": "kubeflow.org/v1", "kind": kind, "metadata": {"name": f"e{number}"}, "spec": spec}


GROUPS: list[Object] = [
    {},
    {"network": {"enableDNSHostnames": True, "subdomain": "train", "publishNotReadyAddresses": True}},
    {"successPolicy": {"operator": "Any", "targetReplicatedJobs": ["node"]}},
    {"failurePolicy": {"maxRestarts": 3, "restartStrategy": "BlockingRecreate"}},
    {
        "failurePolicy": {
            "rules": [
                {
                    "name": "evicted",
                    "action": "RestartJobSetAndIgnoreMaxRestarts",
                    "onJobFailureReasons": ["PodFailurePolicy"],
                    "targetReplicatedJobs": ["node"],
                }
            ]
        }
    },
    {"suspend": True, "ttlSecondsAfterFinished": 0},
    {"startupPolicy": {"startupPolicyOrder": "InOrder"}},
    {"coordinator": {"replicatedJob": "node", "jobIndex": 0, "podIndex": 0}},
    {"managedBy": "kueue.x-k8s.io/multikueue"},
    {"ttlSecondsAfterFinished": 600},
]
JOBS: list[Object] = [
    {},
    {"parallelism": 4, "completions": 4, "completionMode": "Indexed"},
    {"backoffLimit": 0},
    {"backoffLimitPerIndex": 1, "maxFailedIndexes": 2},
    {
        "podFailurePolicy": {
            "rules": [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]}]
        }
    },
    {
        "podFailurePolicy": {
            "rules": [{"action": "FailJob", "onExitCodes": {"operator": "In", "values": [42, 43]}}]
        }
    },
    {"activeDeadlineSeconds": 3600, "ttlSecondsAfterFinished": 60},
    {"suspend": True, "podReplacementPolicy": "Failed"},
    {"manualSelector": True, "selector": {"matchLabels": {"a": "b"}}},
    {"successPolicy": {"rules": [{"succeededIndexes": "0"}]}},
]


def groups(number: int) -> Object:
    """Return the spec of a JobSet."""
    template = {"spec": JOBS[number] | {"template": {"spec": pod("node", number)}}}
    node: Object = {"name": "node", "replicas": number + 1, "template": template}
    first: Object = {"name": "load", "template": {"spec": {"template": {"spec": pod("load", 0)}}}}
    if number % 3 == 2:
        node["dependsOn"] = [{"name": "load", "status": "Complete"}]
    if number % 3 == 1:
        node["groupName"] = "workers"
    return {"replicatedJobs": [first, node]} | GROUPS[number]


def jobset(number: int) -> Object:
    """Return a JobSet."""
    metadata = {"name": f"e{number}"}
    return {
        "apiVersion": "jobset.x-k8s.io/v1alpha2",
        "kind": "JobSet",
        "metadata": metadata,
        "spec": groups(number),
    }


ML: list[Object] = [
    {},
    {"mlPolicy": {"numNodes": 4, "torch": {"numProcPerNode": "gpu"}}},
    {"mlPolicy": {"torch": {"numProcPerNode": 8}}},
    {"mlPolicy": {"torch": {"elasticPolicy": {"minNodes": 1, "maxNodes": 4, "maxRestarts": 3}}}},
    {"mlPolicy": {"numNodes": 2, "mpi": {"mpiImplementation": "OpenMPI", "numProcPerNode": 8}}},
    {"mlPolicy": {"mpi": {"sshAuthMountPath": "/home/mpiuser/.ssh", "runLauncherAsNode": True}}},
    {"podGroupPolicy": {"coscheduling": {"scheduleTimeoutSeconds": 120}}},
    {"podGroupPolicy": {"volcano": {"networkTopology": {"mode": "soft", "highestTierAllowed": 2}}}},
    {"mlPolicy": {"numNodes": 1}},
    {"podGroupPolicy": {"coscheduling": {}}},
]


def runtime(kind: str, number: int) -> Object:
    """Return a TrainingRuntime or a ClusterTrainingRuntime."""
    template = {"metadata": {"labels": {"team": "a"}}, "spec": groups(number)}
    return {
        "apiVersion": "trainer.kubeflow.org/v1alpha1",
        "kind": kind,
        "metadata": {"name": f"e{number}", "labels": {"trainer.kubeflow.org/framework": "torch"}},
        "spec": ML[number] | {"template": template},
    }


TRAININGS: list[Object] = [
    {},
    {"trainer": {"numNodes": 4, "resourcesPerNode": GPUS["resources"]}},
    {"trainer": {"image": "example.com/train:1", "command": ["torchrun"], "args": ["train.py"]}},
    {"trainer": {"numProcPerNode": "gpu", "env": [{"name": "LR", "value": "0.1"}]}},
    {"trainer": {"numProcPerNode": 8}, "suspend": True},
    {
        "initializer": {
            "dataset": {"storageUri": "hf://tatsu-lab/alpaca", "secretRef": {"name": "hf"}},
            "model": {
                "storageUri": "hf://meta-llama/Llama-3.2-1B",
                "env": [{"name": "HF_HOME", "value": "/w"}],
            },
        }
    },
    {"labels": {"kueue.x-k8s.io/queue-name": "research"}, "annotations": {"a": "b"}},
    {"managedBy": "kueue.x-k8s.io/multikueue"},
    {
        "podTemplateOverrides": [
            {
                "targetJobs": [{"name": "node"}],
                "metadata": {"labels": {"team": "a"}},
                "spec": {
                    "serviceAccountName": "default-editor",
                    "nodeSelector": {"pool": "h100"},
                    "tolerations": [TOLERATION],
                    "volumes": [DATA],
                    "containers": [
                        {"name": "node", "volumeMounts": [{"name": "data", "mountPath": "/data"}]}
                    ],
                },
            }
        ]
    },
    {
        "podTemplateOverrides": [
            {
                "targetJobs": [{"name": "node"}, {"name": "launcher"}],
                "spec": {
                    "affinity": ZONES,
                    "imagePullSecrets": [{"name": "pull"}],
                    "schedulingGates": [{"name": "example.com/wait"}],
                    "initContainers": [{"name": "load", "env": [{"name": "A", "value": "b"}]}],
                },
            }
        ]
    },
]


def trainjob(number: int) -> Object:
    """Return a TrainJob."""
    references = [
        {"name": "torch-distributed"},
        {"name": "mine", "kind": "TrainingRuntime"},
        {"name": "mine", "kind": "TrainingRuntime", "apiGroup": "trainer.kubeflow.org"},
    ]
    return {
        "apiVersion": "trainer.kubeflow.org/v1alpha1",
        "kind": "TrainJob",
        "metadata": {"name": f"e{number}"},
        "spec": {"runtimeRef": references[number % 3]} | TRAININGS[number],
    }


def examples() -> Iterator[Object]:
    """Yield ten objects of each kind."""
    for number in range(10):
        yield from (job(kind, number) for kind in CONTAINERS)
        yield from (runtime(kind, number) for kind in ("TrainingRuntime", "ClusterTrainingRuntime"))
        yield jobset(number)
        yield trainjob(number)


Path = tuple[str | int, ...]
_POD: Path = ("pytorchReplicaSpecs", "Worker", "template", "spec", "containers", 0)
_NODE: Path = ("replicatedJobs", 1)

WRONG: list[tuple[str, Object, Path, Any, str]] = [
    ("an unknown field", job("PyTorchJob", 0), ("pytorchReplicaSpec",), {}, "unknown field"),
    ("no replicas", job("TFJob", 0), ("tfReplicaSpecs",), None, "Required value"),
    ("a number as text", job("PyTorchJob", 0), ("pytorchReplicaSpecs", "Worker", "replicas"), "2", "integer"),
    (
        "a bad amount",
        job("PyTorchJob", 0),
        (*_POD, "resources"),
        {"limits": {"memory": "2.0GB"}},
        "should match",
    ),
    ("a misspelt pod", job("PyTorchJob", 0), (*_POD, "imagePullpolicy"), "Always", "unknown field"),
    ("a bad port", job("PyTorchJob", 0), (*_POD, "ports"), [{"containerPort": "x"}], "integer"),
    ("no Job", jobset(0), (*_NODE, "template"), None, "Required value"),
    ("two of one name", jobset(0), (*_NODE, "name"), "load", "Duplicate value"),
    ("an unknown order", jobset(0), ("startupPolicy",), {"startupPolicyOrder": "Any"}, "Unsupported value"),
    (
        "two orders",
        jobset(2),
        ("startupPolicy",),
        {"startupPolicyOrder": "InOrder"},
        "startupPolicy InOrder and dependsOn exclude each other",
    ),
    (
        "six dependencies",
        jobset(0),
        (*_NODE, "dependsOn"),
        [{"name": f"{n}", "status": "Ready"} for n in range(6)],
        "at most 5",
    ),
    (
        "both policies",
        runtime("TrainingRuntime", 0),
        ("mlPolicy",),
        {"mpi": {}, "torch": {}},
        "exclude each other",
    ),
    (
        "two counts of nodes",
        runtime("ClusterTrainingRuntime", 0),
        ("mlPolicy",),
        {"numNodes": 1, "torch": {"elasticPolicy": {}}},
        "leave numNodes out",
    ),
    (
        "no processes",
        runtime("TrainingRuntime", 0),
        ("mlPolicy",),
        {"torch": {"numProcPerNode": 0}},
        "must be auto",
    ),
    (
        "strange processes",
        runtime("TrainingRuntime", 0),
        ("mlPolicy",),
        {"torch": {"numProcPerNode": "a"}},
        "must be auto",
    ),
    (
        "another MPI",
        runtime("TrainingRuntime", 0),
        ("mlPolicy",),
        {"mpi": {"mpiImplementation": "MPICH"}},
        "Unsupported value",
    ),
    ("no runtime", trainjob(0), ("runtimeRef",), None, "Required value"),
    (
        "another manager",
        trainjob(0),
        ("managedBy",),
        "me",
        "must be trainer.kubeflow.org/trainjob-controller",
    ),
    ("no target", trainjob(8), ("podTemplateOverrides", 0, "targetJobs"), None, "Required value"),
]
"""What is wrong, an object, the path in its spec, the value there (None: nothing), and what the API server says."""


def wrong(example: Object, path: Path, value: Any) -> Object:
    """Return an object that differs at one path."""
    changed = copy.deepcopy(example)
    place = changed["spec"]
    for step in path[:-1]:
        place = place[step]
    if value is None:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return changed
