"""Retention of artifacts and logs: rules of the bucket, which the store carries out.

Upstream does the same for its own store, SeaweedFS, with one number for artifacts and logs, and removes all
other rules of the bucket (kubeflow/pipelines 2.17.0, `ARTIFACT_RETENTION_DAYS` in
base/installs/multi-user/pipelines-profile-controller/sync.py). We leave rules of others alone. For other
stores, somebody manages the rules elsewhere, so we touch none.
"""

from __future__ import annotations

from collections.abc import Mapping

from kubeflow_charm.minio.admin import Administration, Refused, explained
from kubeflow_charm.relations.object_store import ObjectStore

Rules = Mapping[str, tuple[str, int]]
"""The rule's name to the prefix of keys and the days to keep such objects."""

MARK = "kubeflow-pipelines-"
"""The beginning of our rules' names."""
_NONE = ("NoSuchLifecycleConfiguration", "NoSuchBucket")
"""Errors that mean that the bucket has no rules."""
_NO_RULES = ("NotImplemented", "MethodNotAllowed")
"""Errors that mean that the store supports no rules. After any other error we wait: our old rules would go on
removing artifacts."""


def ensured(store: ObjectStore, rules: Rules) -> None:
    """Set our rules on the bucket, and leave the others alone; create the bucket if rules need it.

    If the bucket has our rules already, this only reads.

    Args:
        store: the store; without its administrator's key this does nothing.
        rules: our rules; an empty mapping removes our old ones.

    Raises:
        Problem: if the store does not answer, or refuses.
    """
    if not store.root:
        return
    import lifecycle_rules  # loads an XML parser, which not every hook needs

    with Administration(store) as admin, explained(store.application, "set rules for its buckets"):
        try:
            found = lifecycle_rules.parsed(admin.lifecycle())
        except Refused as refused:
            if refused.code not in (_NONE if rules else _NONE + _NO_RULES):
                raise
            if refused.code == "NoSuchBucket" and rules:
                admin.make_bucket()
            found = []
        ours = [rule for rule in found if lifecycle_rules.name(rule).startswith(MARK)]
        if {lifecycle_rules.name(rule): lifecycle_rules.meaning(rule) for rule in ours} == {
            MARK + name: (prefix, str(days), "Enabled") for name, (prefix, days) in rules.items()
        }:
            return
        wanted = [rule for rule in found if rule not in ours]
        wanted += [lifecycle_rules.rule(MARK + name, *rules[name]) for name in rules]
        if wanted:
            admin.set_lifecycle(lifecycle_rules.document(wanted))
        else:
            admin.remove_lifecycle()
