"""What belongs to the application: Kubernetes' ApplySet convention.

A parent object in the model's namespace records the kinds of the application's objects, and every member
carries the parent's ID. So we find an object whatever template made it, and we still delete a kind that no
template has any more. The convention is KEP-3659 of kubernetes/enhancements, as `kubectl apply --prune
--applyset` uses it. We deviate in one point: the parent does not list the namespaces of its members, which
may be thousands. So kubectl itself cannot take over.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from kubeflow_charm.cluster import settled
from kubeflow_charm.cluster.resources import Kind, Manifest, by_group_kind, kind_of

INSTANCE = "app.kubernetes.io/instance"
"""Label of all our objects and pods: one selector for lists and watches."""
PART_OF = "applyset.kubernetes.io/part-of"
ID = "applyset.kubernetes.io/id"
KINDS = "applyset.kubernetes.io/contains-group-kinds"
TOOLING = "applyset.kubernetes.io/tooling"
SHARED = "kubeflow-charm/shared-types"

APPLICATION = re.compile(r"juju\.([a-z0-9-]+)\.([a-z0-9-]+)")
"""Model and application in the name of a field manager."""
_LABEL_VALUE = 63


@dataclass(frozen=True)
class Record:
    """The parent's record of the set.

    Args:
        names: the kinds of its members, as `Deployment.apps`. Another revision of the charm may have recorded
            kinds that this one does not know; they stay.
        shared: names of the CRDs that the application uses and others manage.
    """

    names: frozenset[str] = frozenset()
    shared: frozenset[str] = frozenset()

    @property
    def kinds(self) -> set[Kind]:
        """The kinds that this revision knows."""
        return {kind for kind in map(by_group_kind, self.names) if kind}

    @property
    def known(self) -> frozenset[str]:
        """The names of the kinds that this revision knows."""
        return self.names - self.unknown

    @property
    def unknown(self) -> frozenset[str]:
        """The names of kinds that this revision does not know and cannot address."""
        return frozenset(name for name in self.names if by_group_kind(name) is None)


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
        """Value of `INSTANCE`. It is unambiguous, because names of models and applications have no dot."""
        self.field_manager = f"juju.{namespace}.{application}"[:128]

    @property
    def selector(self) -> dict[str, str]:
        """The label selector of all our objects and pods."""
        return {INSTANCE: self.instance}

    def claim(self, manifest: Manifest) -> None:
        """Label a document as a member, and its pods as ours."""
        metadata = manifest["metadata"]
        metadata["labels"] = (metadata.get("labels") or {}) | {INSTANCE: self.instance, PART_OF: self.id}
        spec = manifest.get("spec")
        template = spec.get("template") if kind_of(manifest).pods and isinstance(spec, dict) else None
        if isinstance(template, dict) and "spec" in template:
            # A field whose value is null is one that is left out.
            pod = template["metadata"] = template.get("metadata") or {}
            pod["labels"] = (pod.get("labels") or {}) | {INSTANCE: self.instance}

    def is_member(self, manifest: Manifest) -> bool:
        """Whether a live object carries the label of a member. The parent does not."""
        return (manifest["metadata"].get("labels") or {}).get(PART_OF) == self.id

    def made(self, manifest: Manifest) -> bool:
        """Whether we have applied a live object, even if somebody has removed our labels."""
        return settled.applied_fields(manifest, self.field_manager) is not None

    def is_parent(self, manifest: Manifest) -> bool:
        """Whether an object has the parent's kind, namespace and name."""
        metadata = manifest["metadata"]
        place = (manifest["kind"], metadata.get("namespace"), metadata["name"])
        return place == ("ConfigMap", self.namespace, self.name)

    def parent(self, record: Record) -> Manifest:
        """Return the parent object with a record."""
        annotations = {TOOLING: "kubeflow-charm/v1", KINDS: ",".join(sorted(record.names))}
        if record.shared:
            annotations[SHARED] = ",".join(sorted(record.shared))
        return {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": self.name,
                "namespace": self.namespace,
                "labels": {INSTANCE: self.instance, ID: self.id},
                "annotations": annotations,
            },
        }

    def recorded(self, live: Iterable[Manifest]) -> Record | None:
        """Return the parent's record; None if no parent is among our live objects."""
        for item in live:
            if self.is_parent(item):
                annotations = item["metadata"].get("annotations") or {}
                record = Record(_names(annotations.get(KINDS)), _names(annotations.get(SHARED)))
                return record if self._wrote_kinds(item) else replace(record, names=record.known)
        return None

    def _wrote_kinds(self, parent: Manifest) -> bool:
        """Whether we wrote the kinds in the parent; otherwise unknown kinds mean nothing."""
        fields = settled.applied_fields(parent, self.field_manager) or {}
        return f"f:{KINDS}" in fields.get("f:metadata", {}).get("f:annotations", {})


def _names(text: str | None) -> frozenset[str]:
    return frozenset(filter(None, (text or "").split(",")))


def _label_value(text: str) -> str:
    """Return `text` as a label value; a long text is cut, and a hash makes it unique."""
    if len(text) <= _LABEL_VALUE:
        return text
    return f"{text[: _LABEL_VALUE - 9]}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
