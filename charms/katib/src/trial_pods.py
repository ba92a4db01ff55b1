"""The pods of suggestions and trials: their labels, what places them, and what pulls their images.

Katib writes neither tolerations nor pull secrets into them. A suggestion's pod has Katib's labels. A trial's
pod has the labels of the controller that makes it; Katib's webhook adds its own too late for a policy
(kubeflow/katib v0.19.0, pkg/controller.v1beta1/util/suggestion.go and pkg/webhook/v1beta1/pod/utils.go,
mutatePodMetadata).

A PodDefault could do neither: it would have to select a label whatever its value, and the web apps for
notebooks fail on such PodDefaults (`kubeflow_charm.gpu.admission`).
"""

from __future__ import annotations

from kubeflow_charm import Manifest
from kubeflow_charm.gpu import admission
from kubeflow_charm.gpu.pools import Gpus
from kubeflow_charm.images import pull_secret_name
from kubeflow_charm.webhooks.pod_policies import pull_policy

SUGGESTIONS = ("katib-suggestions", "katib.kubeflow.org/suggestion")
"""The policy of the pods of suggestions, and their label."""
JOBS = ("katib-trials", "batch.kubernetes.io/job-name")
"""The policy of the pods of Jobs, and their label, which the Job controller sets since Kubernetes 1.27
(kubernetes v1.36, pkg/apis/batch/types.go, JobNameLabel). The charms of other kinds place their pods."""
PULLED = (SUGGESTIONS[1], JOBS[1], "training.kubeflow.org/job-name", "workflows.argoproj.io/workflow")
"""The labels of all pods in which an image of ours may run: suggestions; Jobs, and so JobSets; the kinds of
the training operator v1 (kubeflow/trainer v1.9.4, pkg/apis/kubeflow.org/v1/common_types.go); Workflows."""


def placing(gpus: Gpus, *, served: bool) -> list[Manifest]:
    """Return the policies that place pods on GPUs, or off them, as `admission.pod_policies` does."""
    return [
        policy
        for name, label in (SUGGESTIONS, JOBS)
        for policy in admission.pod_policies(
            name, gpus, {"matchExpressions": [{"key": label, "operator": "Exists"}]}, served
        )
    ]


def pulling(application: str) -> list[Manifest]:
    """Return the policy that names the pull secret of profiles in these pods."""
    return pull_policy(pull_secret_name(application), PULLED)
