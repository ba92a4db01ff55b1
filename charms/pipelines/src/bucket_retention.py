"""How long artifacts and logs are kept: rules of the bucket, which the store itself follows.

Upstream does the same for its own store, SeaweedFS, with one number for artifacts and logs, and takes all
other rules of the bucket away (kubeflow/pipelines 2.17.0, `ARTIFACT_RETENTION_DAYS` in
base/installs/multi-user/pipelines-profile-controller/sync.py). Here rules that others made are left as they
are. Buckets of other stores have rules that somebody keeps elsewhere, so there none is touched.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping

from minio_admin import Administration, Refused, explained

from kubeflow_charm.relations.object_store import ObjectStore

Rules = Mapping[str, tuple[str, int]]
"""The prefix of keys, and the days that such objects are kept, by the rule's name."""

MARK = "kubeflow-pipelines-"
"""What the names of our rules begin with."""
_NONE = ("NoSuchLifecycleConfiguration", "NoSuchBucket")
"""What says that the bucket has no rules."""
_NO_RULES = ("NotImplemented", "MethodNotAllowed")
"""What says that the store has no rules for any bucket. Any other refusal is waited for: rules of ours that
should be gone would go on removing artifacts."""


def ensured(store: ObjectStore, rules: Rules) -> None:
    """Have the bucket have these rules, beside those that are not ours; it is made if they need it.

    A bucket that has them already is read, and nothing is written.

    Args:
        store: the store; nothing is asked of one whose administrator's key we have not.
        rules: ours; none takes away those that were ours before.

    Raises:
        Problem: if the store does not answer, or refuses.
    """
    if not store.root:
        return
    with Administration(store) as admin, explained(store.application, "set rules for its buckets"):
        try:
            found = _parsed(admin.lifecycle())
        except Refused as refused:
            if refused.code not in (_NONE if rules else _NONE + _NO_RULES):
                raise
            if refused.code == "NoSuchBucket" and rules:
                admin.make_bucket()
            found = []
        ours = [rule for rule in found if _name(rule).startswith(MARK)]
        if {_name(rule): _said(rule) for rule in ours} == {
            MARK + name: (prefix, str(days), "Enabled") for name, (prefix, days) in rules.items()
        }:
            return
        wanted = [rule for rule in found if rule not in ours] + _made(rules)
        if wanted:
            admin.set_lifecycle(_document(wanted))
        else:
            admin.remove_lifecycle()


def _parsed(text: bytes) -> list[ElementTree.Element]:
    """Return the rules in an answer, without XML namespaces; raises ValueError if it is none."""
    try:
        root = ElementTree.fromstring(text)  # noqa: S314 (expat itself refuses entities that grow)
    except ElementTree.ParseError as error:
        raise ValueError(f"no XML: {error}") from None
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    return root.findall("Rule")


def _name(rule: ElementTree.Element) -> str:
    return rule.findtext("ID") or ""


def _said(rule: ElementTree.Element) -> tuple[str | None, ...]:
    """Return prefix, days and status of a rule."""
    return tuple(rule.findtext(path) for path in ("Filter/Prefix", "Expiration/Days", "Status"))


def _made(rules: Rules) -> list[ElementTree.Element]:
    made = []
    for name, (prefix, days) in rules.items():
        rule = ElementTree.Element("Rule")
        for path, text in (("ID", MARK + name), ("Status", "Enabled")):
            ElementTree.SubElement(rule, path).text = text
        ElementTree.SubElement(ElementTree.SubElement(rule, "Filter"), "Prefix").text = prefix
        ElementTree.SubElement(ElementTree.SubElement(rule, "Expiration"), "Days").text = str(days)
        made.append(rule)
    return made


def _document(rules: list[ElementTree.Element]) -> bytes:
    root = ElementTree.Element("LifecycleConfiguration")
    root.extend(rules)
    return ElementTree.tostring(root)
