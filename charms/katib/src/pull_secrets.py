"""What pods of suggestions and trials pull the charm's images with.

Katib sets no pull secret on them. A suggestion's pod has Katib's labels. A trial's pod, in which metrics are
collected, has the labels of its own controller when it is made (kubeflow/katib v0.19.0,
pkg/controller.v1beta1/util/suggestion.go and pkg/webhook/v1beta1/pod). A PodDefault adds the secret to those
that a pod, or its service account, has.
"""

from __future__ import annotations

from collections.abc import Iterable

from kubeflow_charm import Manifest
from kubeflow_charm.images import Images, pull_secret_name

LABELS = {
    "suggestions": "katib.kubeflow.org/suggestion",
    "jobs": "batch.kubernetes.io/job-name",
    "training-jobs": "training.kubeflow.org/job-name",
    "workflows": "workflows.argoproj.io/workflow",
}
"""Part of a PodDefault's name to the label of its pods: suggestions; Jobs, those of JobSets among them; the
kinds of the training operator v1 (kubeflow/training-operator v1.8.1, pkg/apis/kubeflow.org/v1); Argo's
Workflows."""


def secrets(application: str, images: Images, references: Iterable[str]) -> list[Manifest]:
    """Return the pull secret of profiles, if a registry asks for credentials."""
    secret = images.profile_pull_secret(application, references)
    return [secret] if secret else []


def pod_defaults(application: str, images: Images, references: Iterable[str]) -> list[Manifest]:
    """Return the PodDefaults that name it."""
    if not any(images.asks(reference) for reference in references):
        return []
    return [
        {
            "apiVersion": "kubeflow.org/v1alpha1",
            "kind": "PodDefault",
            "metadata": {"name": f"{application}-image-pull-{name}"},
            "spec": {
                "desc": "Pull Katib's images",
                "selector": {"matchExpressions": [{"key": label, "operator": "Exists"}]},
                "imagePullSecrets": [{"name": pull_secret_name(application)}],
            },
        }
        for name, label in LABELS.items()
    ]
