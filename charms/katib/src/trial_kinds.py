"""The kinds that trials may be made of, and the controller's rights for them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, NamedTuple

import pydantic

from kubeflow_charm import YAML, if_empty
from kubeflow_charm.cluster.executor import Cluster
from kubeflow_charm.cluster.resources import WORKLOAD, Kind
from kubeflow_charm.watch import watcher

_LABEL = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_NAME = re.compile(
    rf"(?P<kind>[A-Z][A-Za-z0-9]{{0,62}})\.(?P<version>v[0-9]+((alpha|beta)[0-9]+)?)\.(?P<group>{_LABEL}(\.{_LABEL})*)"
)

USUAL = (
    "TrainJob.v1alpha1.trainer.kubeflow.org",
    "Job.v1.batch",
    "TFJob.v1.kubeflow.org",
    "PyTorchJob.v1.kubeflow.org",
    "MPIJob.v1.kubeflow.org",
    "XGBoostJob.v1.kubeflow.org",
    "PaddleJob.v1.kubeflow.org",
    "JAXJob.v1.kubeflow.org",
    "Workflow.v1alpha1.argoproj.io",
)
"""Upstream's, and the last three (kubeflow/katib v0.19.0, manifests/v1beta1/installs/katib-cert-manager/
katib-config.yaml; examples/v1beta1/argo asks an administrator to add Workflow)."""


class TrialKind(NamedTuple):
    """A kind, as Katib writes it: `Kind.version.group`."""

    name: str
    kind: str
    plural: str
    group: str
    version: str

    @property
    def definition(self) -> str:
        """The name of its CustomResourceDefinition; empty for a kind of Kubernetes itself."""
        return f"{self.plural}.{self.group}" if "." in self.group else ""

    @property
    def type(self) -> Kind:
        """The kind, as the charm asks for it."""
        return Kind(f"{self.group}/{self.version}", self.kind, self.plural, WORKLOAD)


def parsed(name: str) -> TrialKind:
    """Return a kind from its name; its plural is what Kubernetes itself would guess.

    The guess is that of UnsafeGuessKindToResource (apimachinery v0.36, pkg/api/meta).

    Raises:
        ValueError: if the name is none.
    """
    found = _NAME.fullmatch(name)
    if not found:
        raise ValueError(f"{name[:60]!r} is not Kind.version.group, such as RayJob.v1.ray.io")
    singular = found["kind"].lower()
    if singular.endswith("s"):
        plural = f"{singular}es"
    elif singular.endswith("y"):
        plural = f"{singular[:-1]}ies"
    else:
        plural = f"{singular}s"
    return TrialKind(name, found["kind"], plural, found["group"], found["version"])


def _checked(name: str) -> str:
    parsed(name)
    return name


TrialResources = Annotated[
    list[Annotated[str, pydantic.AfterValidator(_checked)]],
    pydantic.Field(max_length=100),
    if_empty([]),
    YAML,
]
"""The option `trial-resources`."""


def every(more: Iterable[str]) -> list[TrialKind]:
    """Return the usual kinds and those of the option, each once."""
    return [parsed(name) for name in dict.fromkeys((*USUAL, *more))]


def rights(kinds: Iterable[TrialKind]) -> dict[str, list[str]]:
    """Return group to plurals, for the controller's role."""
    found: dict[str, set[str]] = {}
    for kind in kinds:
        found.setdefault(kind.group, set()).add(kind.plural)
    return {group: sorted(found[group]) for group in sorted(found)}


def existing(more: Iterable[str], cluster: Cluster) -> list[str]:
    """Return the names of the kinds that exist, of the usual ones and of those of the option.

    The usual ones exist if a CustomResourceDefinition has their plural: one request for all. Of each of the
    others the API server is asked in that version; if its plural is another than Kubernetes would guess, it
    does not exist here.

    Raises:
        Problem: if the API server does not answer or refuses.
    """
    present = cluster.definitions()
    found = [kind.name for kind in every(()) if not kind.definition or kind.definition in present]
    return found + [kind.name for kind in _further(more) if cluster.serves(kind.type)]


def missing(more: Iterable[str], existing: Iterable[str]) -> str:
    """Return the fact for `juju status` about kinds of the option that do not exist, or an empty text."""
    absent = [name for name in dict.fromkeys(more) if name not in set(existing)]
    if not absent:
        return ""
    others = f" and {len(absent) - 2} more" if len(absent) > 2 else ""
    return f"trial-resources: no {', '.join(absent[:2])}{others} in the cluster"


def followed(more: Iterable[str]) -> list[watcher.Followed]:
    """Return what to follow, so that a hook runs when a kind of the option is served, or no more.

    A definition is there some time before the API server serves its kind.
    """
    return [watcher.definition(each.definition) for each in _further(more) if each.definition]


def _further(more: Iterable[str]) -> list[TrialKind]:
    """Return the kinds of the option that are not usual."""
    return [parsed(name) for name in dict.fromkeys(more) if name not in USUAL]
