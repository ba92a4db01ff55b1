"""What belongs to the application: Kubernetes' ApplySet convention.

A parent object in the model's namespace records the kinds that the application has objects of, and every
member carries the parent's id. So an object is found whatever template made it, and a kind that has left the
templates is still pruned. The convention is KEP-3659 of kubernetes/enhancements, as `kubectl apply
--prune --applyset` uses it.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable

from kubeflow_charm.cluster.resources import Kind, Manifest, by_group_kind

INSTANCE = "app.kubernetes.io/instance"
"""Label of all that is ours, pods included: one selector for lists and watches."""
PART_OF = "applyset.kubernetes.io/part-of"
ID = "applyset.kubernetes.io/id"
KINDS = "applyset.kubernetes.io/contains-group-kinds"
TOOLING = "applyset.kubernetes.io/tooling"

_LABEL_VALUE = 63


class ApplySet:
    """The application's set of objects.

    Args:
        application: name of the Juju application.
        namespace: name of the Juju model, which is the namespace.
    """

    def __init__(self, application: str, namespace: str):
        self.namespace = namespace
        self.name = f"{application}-applyset"
        digest = hashlib.sha256(f"{self.name}.{namespace}.ConfigMap.".encode()).digest()
        encoded = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        self.id = f"applyset-{encoded}-v1"
        self.instance = _label_value(f"{namespace}.{application}")
        """Value of `INSTANCE`. Names of models and applications hold no dot, so it is unambiguous."""
        self.field_manager = f"juju.{namespace}.{application}"[:128]

    @property
    def selector(self) -> dict[str, str]:
        """The label selector of all that is ours, and of our pods."""
        return {INSTANCE: self.instance}

    def claim(self, manifest: Manifest) -> None:
        """Put the labels of a member on a document, and ours on the pods it will make."""
        labels = manifest["metadata"].setdefault("labels", {})
        labels.update({INSTANCE: self.instance, PART_OF: self.id})
        template = manifest.get("spec", {}).get("template", {})
        if isinstance(template, dict) and "spec" in template:
            pod = template.setdefault("metadata", {}).setdefault("labels", {})
            pod[INSTANCE] = self.instance

    def is_member(self, manifest: Manifest) -> bool:
        """Whether a live object is one of ours, the parent excepted."""
        return manifest["metadata"].get("labels", {}).get(PART_OF) == self.id

    def parent(self, kinds: Iterable[Kind]) -> Manifest:
        """Return the parent object that records `kinds`."""
        return {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": self.name,
                "namespace": self.namespace,
                "labels": {INSTANCE: self.instance, ID: self.id},
                "annotations": {
                    TOOLING: "kubeflow-charm/v1",
                    KINDS: ",".join(sorted(kind.group_kind for kind in kinds)),
                },
            },
        }

    def recorded(self, configmaps: Iterable[Manifest]) -> set[Kind] | None:
        """Return the kinds that the parent records, or None if there is no parent yet.

        A recorded kind that this revision no longer declares cannot be addressed and is left out.
        """
        for item in configmaps:
            metadata = item["metadata"]
            if (metadata.get("namespace"), metadata["name"]) == (self.namespace, self.name):
                names = metadata.get("annotations", {}).get(KINDS, "").split(",")
                return {kind for kind in map(by_group_kind, names) if kind}
        return None


def _label_value(text: str) -> str:
    """Return `text` as a label value: as it is, or cut and made unique by a hash."""
    if len(text) <= _LABEL_VALUE:
        return text
    return f"{text[: _LABEL_VALUE - 9]}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
