"""The runtimes that every TrainJob may name: ClusterTrainingRuntimes as upstream has them.

Source: kubeflow/trainer v2.1.0, manifests/base/runtimes. Images come from the charm's resources. With a gang
scheduler, the runtimes name it, except those of torchtune: their initializers end before the training starts,
but a PodGroup would wait for the pods of both (pkg/runtime/framework/plugins/volcano and coscheduling count
all pods of a TrainJob).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gang_scheduling
from training_options import TrainingConfig

from kubeflow_charm import Manifest
from kubeflow_charm.images import Images, pull_secret_name

_STEP = "trainer.kubeflow.org/trainjob-ancestor-step"
"""The label of a group of Jobs that says which part of a TrainJob it runs."""
_FRAMEWORK = "trainer.kubeflow.org/framework"
"""The label of a runtime by which clients know its framework."""
_ALPACA = "hf://tatsu-lab/alpaca"

IMAGES = (
    "torch-runtime",
    "deepspeed-runtime",
    "mlx-runtime",
    "torchtune-trainer",
    "dataset-initializer",
    "model-initializer",
)
"""The resources whose images run in users' pods."""

Group = dict[str, Any]
"""An entry of `replicatedJobs`."""


def secrets(application: str, images: Images) -> list[Manifest]:
    """Return the pull secret of profiles, if a registry asks for credentials."""
    secret = images.profile_pull_secret(application, [images.references[name] for name in IMAGES])
    return [secret] if secret else []


def runtimes(application: str, config: TrainingConfig, images: Images) -> list[Manifest]:
    """Return the runtimes of the options; none without Trainer.

    Args:
        application: the application, whose name the pull secret has.
        config: the options.
        images: the charm's images.
    """
    made = _Made(application, config, images)
    return [made.runtime(name) for name in config.runtimes] if config.trainer else []


class _Made:
    """Makes runtimes with the same images and scheduler."""

    def __init__(self, application: str, config: TrainingConfig, images: Images):
        self._secret = pull_secret_name(application)
        self._config, self._images = config, images

    def runtime(self, name: str) -> Manifest:
        """Return a runtime by its name."""
        makers: dict[str, Callable[[], tuple[str, Manifest]]] = {
            "torch-distributed": self._torch,
            "deepspeed-distributed": lambda: self._mpi("deepspeed"),
            "mlx-distributed": lambda: self._mpi("mlx"),
            "torchtune-llama3.2-1b": lambda: self._torchtune(
                name, "meta-llama/Llama-3.2-1B-Instruct", "llama3_2/1B_full", _LLAMA
            ),
            "torchtune-llama3.2-3b": lambda: self._torchtune(
                name, "meta-llama/Llama-3.2-3B-Instruct", "llama3_2/3B_full", _LLAMA
            ),
            "torchtune-qwen2.5-1.5b": lambda: self._torchtune(
                name, "Qwen/Qwen2.5-1.5B-Instruct", "qwen2_5/1.5B_full", _QWEN
            ),
        }
        framework, spec = makers[name]()
        return {
            "apiVersion": "trainer.kubeflow.org/v1alpha1",
            "kind": "ClusterTrainingRuntime",
            "metadata": {"name": name, "labels": {_FRAMEWORK: framework}},
            "spec": spec,
        }

    def _torch(self) -> tuple[str, Manifest]:
        node = self._group("node", "torch-runtime", step="trainer")
        return "torch", _TORCH | self._template([node])

    def _mpi(self, framework: str) -> tuple[str, Manifest]:
        """Return a runtime in which a launcher starts processes on the nodes by SSH."""
        user = {"securityContext": {"runAsUser": 1000}}
        server = {
            "command": ["/usr/sbin/sshd"],
            "args": ["-De", "-f", "/home/mpiuser/.sshd_config"],
            "readinessProbe": {"initialDelaySeconds": 5, "tcpSocket": {"port": 2222}},
        }
        image = f"{framework}-runtime"
        groups = [
            self._group("launcher", image, step="trainer", container="node", more=user),
            self._group("node", image, more=user | server),
        ]
        jobset = {
            "network": {"publishNotReadyAddresses": True},
            "successPolicy": {"operator": "All", "targetReplicatedJobs": ["launcher"]},
        }
        return framework, _MPI | self._template(groups, jobset)

    def _torchtune(self, claim: str, model: str, recipe: str, tokenizer: list[str]) -> tuple[str, Manifest]:
        """Return a runtime that loads data and a model into a volume, and then tunes the model."""
        volume = {"name": "initializer", "persistentVolumeClaim": {"claimName": claim}}
        mounted = {"volumeMounts": [{"name": "initializer", "mountPath": "/workspace"}]}

        def initializer(kind: str, address: str) -> Group:
            name = f"{kind}-initializer"
            loads = {"env": [{"name": "STORAGE_URI", "value": address}]} | mounted
            return self._group(name, name, step=name, more=loads, volumes=[volume])

        tune = {
            "command": [*_TUNE, "--config", recipe, *_TUNED, *tokenizer, _CHECKPOINT],
            "resources": {"limits": {"nvidia.com/gpu": 2}},
        }
        node = self._group("node", "torchtune-trainer", step="trainer", more=tune | mounted, volumes=[volume])
        node["dependsOn"] = [
            {"name": f"{kind}-initializer", "status": "Complete"} for kind in ("dataset", "model")
        ]
        groups = [initializer("dataset", _ALPACA), initializer("model", f"hf://{model}"), node]
        return "torchtune", _TORCH | {"template": {"spec": {"replicatedJobs": groups}}}

    def _group(
        self,
        name: str,
        image: str,
        *,
        step: str = "",
        container: str = "",
        more: Manifest | None = None,
        volumes: list[Manifest] | None = None,
    ) -> Group:
        """Return a group of Jobs whose pods have one container.

        Args:
            name: its name.
            image: the resource with its image.
            step: the value of the label `_STEP`, if it has one.
            container: the container's name, if it is not the group's.
            more: further fields of the container.
            volumes: the pod's volumes.
        """
        reference = self._images.references[image]
        pod: Manifest = {"containers": [{"name": container or name, "image": reference} | (more or {})]}
        if volumes:
            pod["volumes"] = volumes
        if self._images.asks(reference):
            pod["imagePullSecrets"] = [{"name": self._secret}]
        template: Manifest = {"spec": {"template": {"spec": pod}}}
        if step:
            template["metadata"] = {"labels": {_STEP: step}}
        return {"name": name, "template": template}

    def _template(self, groups: list[Group], more: Manifest | None = None) -> Manifest:
        """Return the template of groups that start at once, for the gang scheduler if there is one."""
        template: Manifest = {"template": {"spec": (more or {}) | {"replicatedJobs": groups}}}
        policy = gang_scheduling.policy(self._config)
        if policy is None:
            return template
        for group in groups:
            group["template"]["spec"]["template"]["spec"]["schedulerName"] = self._config.scheduler
        return template | {"podGroupPolicy": policy}


_TORCH: Manifest = {"mlPolicy": {"numNodes": 1, "torch": {"numProcPerNode": "auto"}}}
_MPI: Manifest = {
    "mlPolicy": {
        "numNodes": 1,
        "mpi": {
            "numProcPerNode": 1,
            "mpiImplementation": "OpenMPI",
            "sshAuthMountPath": "/home/mpiuser/.ssh",
            "runLauncherAsNode": True,
        },
    }
}
_TUNE = ["tune", "run", "--rdzv_endpoint=localhost:29500", "full_finetune_distributed"]
_TUNED = [
    "dataset=torchtune.datasets.instruct_dataset",
    "dataset.source=parquet",
    "dataset.data_dir=/workspace/dataset/data",
    "output_dir=/workspace/output",
]
_LLAMA = ["tokenizer.path=/workspace/model/original/tokenizer.model"]
_QWEN = [
    "tokenizer.path=/workspace/model/vocab.json",
    "tokenizer.merges_file=/workspace/model/merges.txt",
]
_CHECKPOINT = "checkpointer.checkpoint_dir=/workspace/model"
