"""What every charm of the bundle shares.

A charm subclasses `ComponentCharm`, describes its options as a `Config`, and reads its relations through
`kubeflow_charm.relations`. A condition that stops the charm is a `Problem`.
"""

from kubeflow_charm.charm import ComponentCharm, Outcome
from kubeflow_charm.cluster.resources import Manifest
from kubeflow_charm.config import YAML, Config, if_empty
from kubeflow_charm.problems import Problem, blocked, gather, missing_relation, waiting

__all__ = [
    "YAML",
    "ComponentCharm",
    "Config",
    "Manifest",
    "Outcome",
    "Problem",
    "blocked",
    "gather",
    "if_empty",
    "missing_relation",
    "waiting",
]
