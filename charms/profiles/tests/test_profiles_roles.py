"""The cluster roles: as upstream has them, and what they let people and programs do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import lightkube
import pytest
import tenacity
from lightkube.models.authorization_v1 import ResourceAttributes, SubjectAccessReviewSpec
from lightkube.resources.authorization_v1 import SubjectAccessReview

from rehearsal.patience import PATIENCE

TO = "rbac.authorization.kubeflow.org/aggregate-to-"
READ = "get list watch"
WRITE = "create delete deletecollection patch update"
ISTIO = ("istio.io networking.istio.io", "*", READ)

# kubeflow/manifests 26.03: name -> (what it is a part of, its rules or what it is made of)
UPSTREAM: dict[str, tuple[str, Any]] = {
    "kubeflow-admin": ("", "kubeflow-admin"),
    "kubeflow-edit": ("kubeflow-admin", "kubeflow-edit"),
    "kubeflow-view": ("kubeflow-edit", "kubeflow-view"),
    "kubeflow-istio-admin": ("kubeflow-admin", "kubeflow-istio-admin"),
    "kubeflow-istio-edit": ("kubeflow-edit kubeflow-istio-admin", [ISTIO]),
    "kubeflow-istio-view": (
        "kubeflow-view",
        [ISTIO, ("security.istio.io", "authorizationpolicies", READ)],
    ),
    "admission-webhook-kubeflow-poddefaults-admin": ("kubeflow-admin", "kubeflow-poddefaults-admin"),
    "admission-webhook-kubeflow-poddefaults-edit": ("kubeflow-edit", "kubeflow-poddefaults-edit"),
    "admission-webhook-kubeflow-poddefaults-view": (
        "kubeflow-poddefaults-admin kubeflow-poddefaults-edit kubeflow-view",
        [("kubeflow.org", "poddefaults", READ)],
    ),
    "kubeflow-kubernetes-admin": (
        "kubeflow-admin",
        [
            ("authorization.k8s.io", "localsubjectaccessreviews", "create"),
            ("rbac.authorization.k8s.io", "rolebindings roles", f"{READ} {WRITE}"),
        ],
    ),
    "kubeflow-kubernetes-edit": (
        "kubeflow-edit",
        [
            (
                "-",
                "pods/attach pods/exec pods/portforward pods/proxy secrets services/proxy",
                READ,
            ),
            ("-", "pods pods/attach pods/exec pods/portforward pods/proxy", WRITE),
            (
                "-",
                "configmaps endpoints persistentvolumeclaims replicationcontrollers"
                " replicationcontrollers/scale secrets serviceaccounts services services/proxy",
                WRITE,
            ),
            (
                "apps",
                "daemonsets deployments deployments/rollback deployments/scale replicasets"
                " replicasets/scale statefulsets statefulsets/scale",
                WRITE,
            ),
            ("autoscaling", "horizontalpodautoscalers", WRITE),
            ("batch", "cronjobs jobs", WRITE),
            (
                "extensions",
                "daemonsets deployments deployments/rollback deployments/scale ingresses"
                " networkpolicies replicasets replicasets/scale replicationcontrollers/scale",
                WRITE,
            ),
            ("policy", "poddisruptionbudgets", WRITE),
            ("networking.k8s.io", "ingresses networkpolicies", WRITE),
        ],
    ),
    "kubeflow-kubernetes-view": (
        "kubeflow-view",
        [
            (
                "-",
                "configmaps endpoints persistentvolumeclaims persistentvolumeclaims/status pods"
                " replicationcontrollers replicationcontrollers/scale serviceaccounts services"
                " services/status",
                READ,
            ),
            (
                "-",
                "bindings events limitranges namespaces/status pods/log pods/status"
                " replicationcontrollers/status resourcequotas resourcequotas/status",
                READ,
            ),
            ("-", "namespaces", READ),
            (
                "apps",
                "controllerrevisions daemonsets daemonsets/status deployments deployments/scale"
                " deployments/status replicasets replicasets/scale replicasets/status statefulsets"
                " statefulsets/scale statefulsets/status",
                READ,
            ),
            ("autoscaling", "horizontalpodautoscalers horizontalpodautoscalers/status", READ),
            ("batch", "cronjobs cronjobs/status jobs jobs/status", READ),
            (
                "extensions",
                "daemonsets daemonsets/status deployments deployments/scale deployments/status"
                " ingresses ingresses/status networkpolicies replicasets replicasets/scale"
                " replicasets/status replicationcontrollers/scale",
                READ,
            ),
            ("policy", "poddisruptionbudgets poddisruptionbudgets/status", READ),
            ("networking.k8s.io", "ingresses ingresses/status networkpolicies", READ),
        ],
    ),
}
OURS = {"profiles-controller-role", "admission-webhook-cluster-role"}


def rules_of(role: dict[str, Any]) -> list[tuple[set[str], ...]]:
    return [(set(r["apiGroups"]), set(r["resources"]), set(r["verbs"])) for r in role["rules"]]


def written_out(rules: list[tuple[str, str, str]]) -> list[tuple[set[str], ...]]:
    return [
        (
            {"" if group == "-" else group for group in groups.split()},
            set(resources.split()),
            set(verbs.split()),
        )
        for groups, resources, verbs in rules
    ]


@pytest.mark.parametrize("name", UPSTREAM)
def test_role_is_upstreams(profiles, name):
    parents, content = UPSTREAM[name]
    role = profiles.render()[f"ClusterRole/{name}"]
    assert role["metadata"].get("labels", {}) == {f"{TO}{parent}": "true" for parent in parents.split()}
    if isinstance(content, str):
        selector = {"matchLabels": {f"{TO}{content}": "true"}}
        assert role["aggregationRule"] == {"clusterRoleSelectors": [selector]}
        assert "rules" not in role, "Kubernetes writes them"
    else:
        assert rules_of(role) == written_out(content)


def test_there_are_no_other_roles(profiles):
    names = {key.partition("/")[2] for key in profiles.render() if key.startswith("ClusterRole/")}
    assert names == UPSTREAM.keys() | OURS


def test_no_program_has_a_wildcard_or_cluster_admin(profiles):
    objects = profiles.render()
    bound = {item["roleRef"]["name"] for item in objects.values() if item["kind"] == "ClusterRoleBinding"}
    assert bound == OURS
    for name in OURS:
        for rule in objects[f"ClusterRole/{name}"]["rules"]:
            assert "*" not in rule["verbs"] + rule["resources"] + rule["apiGroups"]


@pytest.fixture(scope="module")
def may(client: lightkube.Client, deployed: object) -> Callable[..., bool]:
    """Ask the API server whether somebody may do something."""

    def may(user: str, verb: str, resource: str, namespace: str = "", name: str = "") -> bool:
        plural, _, group = resource.partition(".")
        plural, _, subresource = plural.partition("/")
        attributes = ResourceAttributes(
            verb=verb, resource=plural, group=group, subresource=subresource, namespace=namespace, name=name
        )
        spec = SubjectAccessReviewSpec(user=user, resourceAttributes=attributes)
        review = client.create(SubjectAccessReview(spec=spec))
        assert review.status
        return bool(review.status.allowed)

    return may


@pytest.fixture(scope="module")
def people(client: lightkube.Client, apply: Callable[..., Any], may: Callable[..., bool]) -> None:
    """A namespace with an admin, an editor and a viewer; roles aggregated."""
    apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ada"}})
    for level in ("admin", "edit", "view"):
        apply(
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "RoleBinding",
                "metadata": {"name": level, "namespace": "ada"},
                "roleRef": {
                    "apiGroup": "rbac.authorization.k8s.io",
                    "kind": "ClusterRole",
                    "name": f"kubeflow-{level}",
                },
                "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": level}],
            }
        )
    # The controller manager aggregates one level after the other.
    for attempt in tenacity.Retrying(stop=tenacity.stop_after_delay(PATIENCE), wait=tenacity.wait_fixed(0.1)):
        with attempt:
            assert may("admin", "create", "rolebindings.rbac.authorization.k8s.io", "ada")
            assert may("admin", "create", "pods", "ada")
            assert may("admin", "get", "pods", "ada")


@pytest.mark.parametrize(
    ("verb", "resource", "allowed"),
    [
        ("list", "pods", "admin edit view"),
        ("get", "pods/log", "admin edit view"),
        ("list", "poddefaults.kubeflow.org", "admin edit view"),
        ("get", "virtualservices.networking.istio.io", "admin edit view"),
        ("get", "authorizationpolicies.security.istio.io", "admin edit view"),
        ("create", "pods", "admin edit"),
        ("create", "pods/exec", "admin edit"),
        ("get", "secrets", "admin edit"),
        ("create", "deployments.apps", "admin edit"),
        ("delete", "persistentvolumeclaims", "admin edit"),
        ("create", "rolebindings.rbac.authorization.k8s.io", "admin"),
        ("create", "localsubjectaccessreviews.authorization.k8s.io", "admin"),
        ("create", "poddefaults.kubeflow.org", ""),
        ("create", "authorizationpolicies.security.istio.io", ""),
        ("create", "virtualservices.networking.istio.io", ""),
        ("update", "resourcequotas", ""),
    ],
)
def test_what_people_may_do_in_a_profile(may, people, verb, resource, allowed):
    assert [who for who in ("admin", "edit", "view") if may(who, verb, resource, "ada")] == allowed.split()


@pytest.mark.parametrize("resource", ["pods", "profiles.kubeflow.org", "namespaces", "secrets"])
def test_what_people_may_not_do_elsewhere(may, people, resource):
    assert not may("admin", "list", resource, "kube-system")
    assert not may("admin", "list", resource)


CONTROLLER = "profiles-controller-service-account"
WEBHOOK = "admission-webhook-service-account"
RBAC = "rbac.authorization.k8s.io"


@pytest.mark.parametrize(
    ("who", "verb", "resource", "where", "name", "expected"),
    [
        (CONTROLLER, "update", "profiles.kubeflow.org", "", "ada", True),
        (CONTROLLER, "update", "profiles/finalizers.kubeflow.org", "", "ada", True),
        (CONTROLLER, "create", "namespaces", "", "", True),
        (CONTROLLER, "create", f"rolebindings.{RBAC}", "ada", "", True),
        (CONTROLLER, "bind", f"clusterroles.{RBAC}", "", "kubeflow-admin", True),
        (CONTROLLER, "update", "leases.coordination.k8s.io", "<model>", "kubeflow-profile-controller", True),
        (CONTROLLER, "bind", f"clusterroles.{RBAC}", "", "cluster-admin", False),
        (CONTROLLER, "escalate", f"clusterroles.{RBAC}", "", "kubeflow-admin", False),
        (CONTROLLER, "create", f"clusterrolebindings.{RBAC}", "", "", False),
        (CONTROLLER, "get", "secrets", "ada", "", False),
        (CONTROLLER, "create", "pods", "ada", "", False),
        (CONTROLLER, "delete", "namespaces", "", "ada", False),
        (CONTROLLER, "update", "configmaps", "<model>", "", False),
        (CONTROLLER, "update", "leases.coordination.k8s.io", "<model>", "another", False),
        (WEBHOOK, "list", "poddefaults.kubeflow.org", "ada", "", True),
        (WEBHOOK, "create", "poddefaults.kubeflow.org", "ada", "", False),
        (WEBHOOK, "list", "pods", "ada", "", False),
    ],
)
def test_what_the_programs_may_do(may, model, who, verb, resource, where, name, expected):
    user = f"system:serviceaccount:{model}:{who}"
    assert may(user, verb, resource, where.replace("<model>", model), name) is expected
