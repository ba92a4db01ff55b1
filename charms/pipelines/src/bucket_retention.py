"""How long artifacts and logs are kept: rules of the bucket, which the store itself follows.

Upstream does the same for its own store, SeaweedFS, with one number for artifacts and logs, and takes all
other rules of the bucket away (kubeflow/pipelines 2.17.0, `ARTIFACT_RETENTION_DAYS` in
base/installs/multi-user/pipelines-profile-controller/sync.py). Here rules that others made are left as they
are. Buckets of other stores have rules that somebody keeps elsewhere, so there none is touched.
"""

from __future__ import annotations

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
