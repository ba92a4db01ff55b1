"""The trial templates that the web app offers.

Upstream's are those of kubeflow/katib v0.19.0, manifests/v1beta1/components/controller/trial-templates.yaml.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

import pydantic
import yaml
from katib_defaults import Default

from kubeflow_charm import YAML, Manifest, foreign_yaml, if_empty

DEFAULTS = {
    "defaultTrialTemplate.yaml": Default("pytorch-mnist-cpu", "default_trial_template", {}),
    "enasCPUTemplate": Default("enas-cnn-cifar10-cpu", "default_trial_template_enas", {}),
    "pytorchJobTemplate": Default("pytorch-mnist-cpu", "default_trial_template_pytorch", {}),
}
"""Name to the image of its training."""

_KEY = re.compile(r"[-._a-zA-Z0-9]{1,253}")
_MNIST = ("python3", "/opt/pytorch-mnist/mnist.py", "--epochs=1")
_RATES = ("--lr=${trialParameters.learningRate}", "--momentum=${trialParameters.momentum}")


def _checked(templates: dict[str, str | None]) -> dict[str, str]:
    for name, text in templates.items():
        if not _KEY.fullmatch(name) or name in (".", ".."):
            raise ValueError(f"{name[:60]!r} is not the key of a ConfigMap")
        if text:
            _check_template(name, text)
    return {name: text or "" for name, text in templates.items()}


def _check_template(name: str, text: str) -> None:
    """Raise ValueError for a template that Katib refuses (pkg/webhook/v1beta1/experiment/validator)."""
    content = foreign_yaml.load(text)
    if not isinstance(content, dict) or not (content.get("apiVersion") and content.get("kind")):
        raise ValueError(f"{name}: a template has apiVersion and kind")
    metadata = content.get("metadata") or {}
    if not isinstance(metadata, dict) or {"name", "namespace"} & metadata.keys():
        raise ValueError(f"{name}: Katib sets name and namespace")


Templates = Annotated[
    dict[str, str], pydantic.BeforeValidator(lambda value: _typed(value)), if_empty({}), YAML
]
"""The option `trial-templates`: name to text; an empty text removes the template."""


def _typed(value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        raise ValueError("an object from name to template")
    for name, text in value.items():
        if not isinstance(name, str) or not isinstance(text, str | None):
            raise ValueError(f"{str(name)[:60]}: a template is text")
    return _checked(value)


def every(images: Mapping[str, str], given: Mapping[str, str]) -> dict[str, str]:
    """Return name to template: upstream's with the given ones over them.

    Args:
        images: the name of a template of upstream's to its image.
        given: the option.
    """
    usual = {name: yaml.safe_dump(_usual(name, image), sort_keys=False) for name, image in images.items()}
    return {name: text for name, text in (usual | dict(given)).items() if text}


def _usual(name: str, image: str) -> Manifest:
    match name:
        case "defaultTrialTemplate.yaml":
            return _job(image, [*_MNIST, "--batch-size=16", *_RATES])
        case "enasCPUTemplate":
            # Katib puts JSON into the double quotes.
            architecture = '--architecture="${trialParameters.neuralNetworkArchitecture}"'
            config = '--nn_config="${trialParameters.neuralNetworkConfig}"'
            return _job(image, ["python3", "-u", "RunTrial.py", "--num_epochs=1", architecture, config])
        case _:
            replicas = {"Master": 1, "Worker": 2}
            specs = {role: _replica(image, number) for role, number in replicas.items()}
            spec = {"pytorchReplicaSpecs": specs}
            return {"apiVersion": "kubeflow.org/v1", "kind": "PyTorchJob", "spec": spec}


def _job(image: str, command: list[str]) -> Manifest:
    pod = {
        "containers": [{"name": "training-container", "image": image, "command": command}],
        "restartPolicy": "Never",
    }
    return {"apiVersion": "batch/v1", "kind": "Job", "spec": {"template": {"spec": pod}}}


def _replica(image: str, number: int) -> Manifest:
    pod = {"containers": [{"name": "pytorch", "image": image, "command": [*_MNIST, *_RATES]}]}
    return {"replicas": number, "restartPolicy": "OnFailure", "template": {"spec": pod}}
