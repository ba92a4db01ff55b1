"""What users of a profile may do with pipelines is what upstream's roles give, no more and no less."""

from __future__ import annotations

import itertools

import pytest
from kubeflow_platform import Platform
from kubeflow_users import Requests

from rehearsal.patience import until

ARGO = (
    "cronworkflows cronworkflows/finalizers workflows workflows/finalizers workfloweventbindings "
    "workflowtemplates workflowtaskresults"
)
VIEW = {
    "pipelines.kubeflow.org": {
        "pipelines pipelineversions experiments jobs": "get list",
        "runs": "get list readArtifact",
        "visualizations": "create",
    },
    "kubeflow.org": {"viewers": "create get delete"},
}
EDIT = {
    "pipelines.kubeflow.org": {
        "pipelines pipelineversions": "create delete update",
        "experiments": "archive create delete unarchive",
        "runs": "archive create delete retry terminate unarchive reportMetrics readArtifact",
        "jobs": "create delete disable enable",
    },
    "kubeflow.org": {"scheduledworkflows": "*"},
    "argoproj.io": {ARGO: "*", "workflowtasksets": "list watch", "workflowtasksets/status": "patch"},
}
"""From kubeflow/manifests 26.03, applications/pipeline/upstream/base/installs/multi-user/view-edit-cluster-roles.yaml: group to
resources to verbs; who may edit may view as well. Ours beside them: `workflowtasksets`, which the pod of a run asks for that has
HTTP templates (argo-workflows v3.7.14, docs/http-template.md)."""

VERBS = sorted(
    {"get", "list", "watch", "create", "update", "patch", "delete", "deletecollection", "report"}
    | {
        verb
        for table in (VIEW, EDIT)
        for kinds in table.values()
        for said in kinds.values()
        for verb in said.split()
    }
    - {"*"}
)
RESOURCES = {
    "pipelines.kubeflow.org": "pipelines pipelineversions experiments runs jobs visualizations scheduledworkflows workflows",
    "kubeflow.org": "viewers scheduledworkflows",
    "argoproj.io": f"{ARGO} workflowtasksets workflowtasksets/status workflowartifactgctasks clusterworkflowtemplates",
}
"""All that upstream's programs ask about or that the charm's definitions have."""


def table(*said: dict[str, dict[str, str]]) -> set[tuple[str, str, str]]:
    """Return group, resource and verb of everything that roles give."""
    return {
        (group, resource, verb)
        for rules in said
        for group, kinds in rules.items()
        for resources, verbs in kinds.items()
        for resource in resources.split()
        for verb in (VERBS if verbs == "*" else verbs.split())
    }


ASKED = [
    (group, resource, verb)
    for group, resources in RESOURCES.items()
    for resource, verb in itertools.product(resources.split(), VERBS)
]


def allowed(admin: Requests, user: str, namespace: str) -> set[tuple[str, str, str]]:
    """Return what `kubectl auth can-i` says yes to, for a user in a namespace."""
    found = set()
    for group, resource, verb in ASKED:
        name, _, subresource = resource.partition("/")
        attributes = {"namespace": namespace, "group": group, "resource": name, "verb": verb}
        if subresource:
            attributes["subresource"] = subresource
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {"user": user, "resourceAttributes": attributes},
        }
        answer = admin.create("/apis/authorization.k8s.io/v1/subjectaccessreviews", review)
        if answer["status"]["allowed"]:
            found.add((group, resource, verb))
    return found


@pytest.mark.parametrize(("role", "expected"), [("edit", table(VIEW, EDIT)), ("view", table(VIEW))])
def test_a_contributor_may_do_what_upstreams_roles_give(
    platform: Platform, ada: Requests, role: str, expected: set[tuple[str, str, str]]
) -> None:
    user = f"{role}or@example.com"
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": f"contributor-{role}"},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": f"kubeflow-{role}",
        },
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
    }
    path = "/apis/rbac.authorization.k8s.io/v1/namespaces/ada/rolebindings"
    platform.admin.create(path, binding)
    try:
        until(lambda: allowed(platform.admin, user, "ada"))
        assert allowed(platform.admin, user, "ada") == expected
        assert allowed(platform.admin, user, "bob") == set()
    finally:
        platform.admin.delete(f"{path}/contributor-{role}")


def test_the_owner_of_a_profile_may_do_what_an_editor_may(platform: Platform, ada: Requests) -> None:
    assert allowed(platform.admin, "ada@example.com", "ada") == table(VIEW, EDIT)
    account = "system:serviceaccount:ada:default-editor"
    assert allowed(platform.admin, account, "ada") == table(VIEW, EDIT)
