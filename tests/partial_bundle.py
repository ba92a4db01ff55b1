"""The bundle without the applications that a test does not need."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import yaml

from kubeflow_charm.cluster.resources import Manifest

ROOT = Path(__file__).parents[1]
TUNING = (
    "katib",
    "kubeflow-training",
    "kubeflow-profiles",
    "resource-dispatcher",
    "kfp-db",
    "istio-pilot",
    "istio-ingressgateway",
)
"""What users tune and train with."""
PIPELINES = (
    "kubeflow-pipelines",
    "kubeflow-dashboard",
    "kubeflow-profiles",
    "resource-dispatcher",
    "kfp-db",
    "minio",
    "istio-pilot",
    "istio-ingressgateway",
)
"""What users run pipelines with, and what MLflow is added to."""
SERVING = (
    "kserve",
    "kubeflow-profiles",
    "resource-dispatcher",
    "minio",
    "istio-pilot",
    "istio-ingressgateway",
    "knative-operator",
    "knative-serving",
)
"""What users serve models with."""


def part_of_the_bundle(applications: Collection[str]) -> Manifest:
    """Return the bundle with some applications and the relations between them.

    The charms of the repository have absolute paths, so the file may be anywhere.
    """
    whole = yaml.safe_load((ROOT / "bundle.yaml").read_text())
    kept = {name: whole["applications"][name] for name in applications}
    for application in kept.values():
        if application["charm"].startswith("./"):
            application["charm"] = str(ROOT / application["charm"])
    relations = [
        ends for ends in whole["relations"] if {end.partition(":")[0] for end in ends} <= kept.keys()
    ]
    return whole | {"applications": kept, "relations": relations}


def written(folder: Path, applications: Collection[str]) -> Path:
    """Write the bundle with some applications into a folder, and return its file."""
    file = folder / "bundle.yaml"
    file.write_text(yaml.safe_dump(part_of_the_bundle(applications)))
    return file
