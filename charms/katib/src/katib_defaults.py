"""Katib's configuration as upstream has it: algorithm to its image's resource and its other fields.

kubeflow/katib v0.19.0, manifests/v1beta1/installs/katib-cert-manager/katib-config.yaml.
"""

from __future__ import annotations

from typing import Any, NamedTuple


class Default(NamedTuple):
    """An entry of the configuration.

    Args:
        resource: the charm's resource with its image.
        custom: its key in the option `custom_images`.
        fields: its other fields.
    """

    resource: str
    custom: str
    fields: dict[str, Any]


def _limited(memory: str) -> dict[str, Any]:
    return {"resources": {"limits": {"memory": memory}}}


_CLAIM = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "5Gi"}}}

ALGORITHMS = {
    "random": Default("suggestion-hyperopt", "suggestion__random", {}),
    "tpe": Default("suggestion-hyperopt", "suggestion__tpe", {}),
    "grid": Default("suggestion-optuna", "suggestion__grid", {}),
    "hyperband": Default("suggestion-hyperband", "suggestion__hyperband", {}),
    "bayesianoptimization": Default("suggestion-skopt", "suggestion__bayesianoptimization", {}),
    "cmaes": Default("suggestion-goptuna", "suggestion__cmaes", {}),
    "sobol": Default("suggestion-goptuna", "suggestion__sobol", {}),
    "multivariate-tpe": Default("suggestion-optuna", "suggestion__multivariate_tpe", {}),
    "enas": Default("suggestion-enas", "suggestion__enas", _limited("400Mi")),
    "darts": Default("suggestion-darts", "suggestion__darts", {}),
    "pbt": Default("suggestion-pbt", "suggestion__pbt", {"persistentVolumeClaimSpec": _CLAIM}),
}
EARLY_STOPPINGS = {"medianstop": Default("earlystopping-medianstop", "early_stopping__medianstop", {})}
COLLECTORS = {
    "StdOut": Default("file-metrics-collector", "metrics_collector_sidecar__stdout", {}),
    "File": Default("file-metrics-collector", "metrics_collector_sidecar__file", {}),
    "TensorFlowEvent": Default(
        "tfevent-metrics-collector", "metrics_collector_sidecar__tensorflow_event", _limited("1Gi")
    ),
}
