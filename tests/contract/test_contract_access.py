"""Who reaches what of ours: the whole answer, written out, for all charms in one cluster.

It fails for a Service or a pod without a row, and for a rule that lets in somebody whom no row names. Charms that
come are under it at once.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from access import ANY, CALLERS, NO_USER, TOKEN, USER, Platform, Port, pod_of
from policy_evaluator import Pod, Request
from rendering import MODEL, RELATED, everything

from kubeflow_charm.cluster.ownership import INSTANCE
from kubeflow_charm.cluster.resources import Manifest, kind_of
from kubeflow_charm.gateway import principal

Make = Callable[..., Platform]

NOBODY: dict[str, str] = {}
EVERYBODY = dict.fromkeys(CALLERS, ANY)
GATEWAY = {"gateway": ANY}
INNER = {"platform": ANY, "platform, no sidecar": ANY}
"""The platform without its gateway: of charms that have no web app. The gateway is let in where it is in the model."""
PLATFORM = {"gateway": ANY, "platform": ANY, "platform, no sidecar": ANY}
WITH_PROFILES = PLATFORM | {"profile": ANY, "profile, no sidecar": ANY}
DASHBOARD = {"centraldashboard": ANY}
PIPELINES = dict.fromkeys(
    (
        "ml-pipeline",
        "ml-pipeline-ui",
        "ml-pipeline-persistenceagent",
        "ml-pipeline-scheduledworkflow",
        "ml-pipeline-viewer-crd",
        "cache-server",
    ),
    ANY,
)
"""Programs of pipelines, whose word on who the user is counts among them."""
TOKEN_OR_PIPELINES = dict.fromkeys(CALLERS.keys() - {"API server"}, NO_USER) | PIPELINES
"""Whoever names no user is asked for a token by the program."""

# Port to who is let in by the mesh, and by the network; `*` is any port that a pod does not name.
TABLE = {
    "centraldashboard:80": (GATEWAY, PLATFORM),
    "pod centraldashboard:*": (GATEWAY, PLATFORM),
    # Access management and the profile controller are one pod.
    "profiles-kfam:8081": (DASHBOARD, PLATFORM),
    "pod profiles-deployment:8080": (DASHBOARD, PLATFORM),
    "pod profiles-deployment:9876": (DASHBOARD, PLATFORM),
    "pod profiles-deployment:*": (DASHBOARD, PLATFORM),
    "jupyter-web-app-service:80": (GATEWAY, PLATFORM),
    "pod jupyter-web-app-deployment:*": (GATEWAY, PLATFORM),
    "volumes-web-app-service:80": (GATEWAY, PLATFORM),
    "pod volumes-web-app-deployment:*": (GATEWAY, PLATFORM),
    "tensorboards-web-app-service:80": (GATEWAY, PLATFORM),
    "pod tensorboards-web-app-deployment:*": (GATEWAY, PLATFORM),
    "notebook-controller-service:8080": (NOBODY, PLATFORM),
    "pod notebook-controller-deployment:*": (NOBODY, PLATFORM),
    "ml-pipeline:8888": (TOKEN_OR_PIPELINES, WITH_PROFILES),
    "ml-pipeline:8887": (TOKEN_OR_PIPELINES, WITH_PROFILES),
    "pod ml-pipeline:*": (TOKEN_OR_PIPELINES, WITH_PROFILES),
    "ml-pipeline-ui:80": (GATEWAY, PLATFORM),
    "pod ml-pipeline-ui:*": (GATEWAY, PLATFORM),
    "ml-pipeline-visualizationserver:8888": (PIPELINES, PLATFORM),
    "pod ml-pipeline-visualizationserver:*": (PIPELINES, PLATFORM),
    # Steps of runs report here.
    "metadata-grpc-service:8080": (EVERYBODY, WITH_PROFILES),
    "pod metadata-grpc-deployment:*": (NOBODY, WITH_PROFILES),
    "pod ml-pipeline-persistenceagent:*": (NOBODY, PLATFORM),
    "pod ml-pipeline-scheduledworkflow:9090": (NOBODY, PLATFORM),
    "pod ml-pipeline-scheduledworkflow:*": (NOBODY, PLATFORM),
    "pod ml-pipeline-viewer-crd:8080": (NOBODY, PLATFORM),
    "pod ml-pipeline-viewer-crd:*": (NOBODY, PLATFORM),
    "pod metadata-writer:*": (NOBODY, PLATFORM),
    "pod workflow-controller:9090": (NOBODY, PLATFORM),
    "pod workflow-controller:6060": (NOBODY, PLATFORM),
    "pod workflow-controller:*": (NOBODY, PLATFORM),
    "katib-ui:80": (GATEWAY, PLATFORM),
    "pod katib-ui:*": (GATEWAY, PLATFORM),
    # Metrics collectors and early stopping services of trials report here. The pod has no sidecar, as upstream's.
    "katib-db-manager:6789": (EVERYBODY, WITH_PROFILES),
    "pod katib-db-manager:*": (EVERYBODY, WITH_PROFILES),
    # No sidecar either; its webhooks are below.
    "katib-controller:8080": (EVERYBODY, PLATFORM),
    "katib-controller:18080": (EVERYBODY, PLATFORM),
    "pod katib-controller:*": (EVERYBODY, PLATFORM),
    # Webhooks: the network has no name for the API server.
    "katib-controller:443": (EVERYBODY, EVERYBODY),
    "cache-server:443": (EVERYBODY, EVERYBODY),
    "pod cache-server:*": (NOBODY, PLATFORM),
    # These pods have no sidecar.
    "admission-webhook-service:443": (EVERYBODY, EVERYBODY),
    "pod admission-webhook-deployment:*": (EVERYBODY, PLATFORM),
    "pvcviewer-webhook-service:443": (EVERYBODY, EVERYBODY),
    "pod pvcviewer-controller-manager:8080": (EVERYBODY, PLATFORM),
    "pod pvcviewer-controller-manager:*": (EVERYBODY, PLATFORM),
    "pod tensorboard-controller-deployment:8080": (EVERYBODY, PLATFORM),
    "pod tensorboard-controller-deployment:*": (EVERYBODY, PLATFORM),
    "metadata-envoy-service:9090": (EVERYBODY, PLATFORM),
    "pod metadata-envoy-deployment:9902": (EVERYBODY, PLATFORM),
    "pod metadata-envoy-deployment:*": (EVERYBODY, PLATFORM),
    # Controllers without a sidecar. JobSet tells its metrics who asks with a token, and lets nobody turn that off.
    "training-operator:443": (EVERYBODY, EVERYBODY),
    "training-operator:8080": (EVERYBODY, INNER),
    "pod training-operator:*": (EVERYBODY, INNER),
    "kubeflow-trainer-controller-manager:443": (EVERYBODY, EVERYBODY),
    "kubeflow-trainer-controller-manager:8080": (EVERYBODY, INNER),
    "pod kubeflow-trainer-controller-manager:*": (EVERYBODY, INNER),
    "jobset-webhook-service:443": (EVERYBODY, EVERYBODY),
    "jobset-controller-manager-metrics-service:8443": (EVERYBODY, EVERYBODY),
    "pod jobset-controller-manager:*": (EVERYBODY, INNER),
    "kserve-models-web-app:80": (GATEWAY, PLATFORM),
    "pod kserve-models-web-app:*": (GATEWAY, PLATFORM),
    # Without a sidecar.
    "kserve-webhook-server-service:443": (EVERYBODY, EVERYBODY),
    "pod kserve-controller-manager:8080": (EVERYBODY, PLATFORM),
    "pod kserve-controller-manager:*": (EVERYBODY, PLATFORM),
    "llmisvc-webhook-server-service:443": (EVERYBODY, EVERYBODY),
    "pod llmisvc-controller-manager:8080": (EVERYBODY, PLATFORM),
    "pod llmisvc-controller-manager:*": (EVERYBODY, PLATFORM),
    "pod kserve-localmodel-controller-manager:8080": (EVERYBODY, PLATFORM),
    "pod kserve-localmodel-controller-manager:*": (EVERYBODY, PLATFORM),
}
KUBERNETES_STORE = TABLE | {"ml-pipeline:8443": (EVERYBODY, EVERYBODY)}
"""With `pipeline-store=kubernetes` the API server of Kubernetes calls that of pipelines."""

STORES = {"database": TABLE, "kubernetes": KUBERNETES_STORE}


def expected(store: str, gateway: str) -> dict[str, tuple[dict[str, str], dict[str, str]]]:
    """Return the table for a gateway in some namespace."""
    inner = PLATFORM if gateway == MODEL else INNER
    return {
        name: (mesh, inner if network is INNER else network)
        for name, (mesh, network) in STORES[store].items()
    }


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Make a platform; what is rendered is rendered once."""
    rendered: dict[tuple[str, str], list[Manifest]] = {}

    def make(store: str = "database", root: str = MODEL, gateway: str = MODEL, **options) -> Platform:
        if (store, gateway) not in rendered:
            rendered[store, gateway] = everything(
                tmp_path_factory.mktemp("charms"),
                {"kubeflow-pipelines": {"pipeline-store": store}},
                gateway_namespace=gateway,
            )
        return Platform(rendered[store, gateway], root=root, gateway=gateway, **options)

    return make


def table(platform: Platform) -> dict[str, tuple[dict[str, str], dict[str, str]]]:
    """Return what `TABLE` says of a platform."""
    return {port.name: (platform.mesh(port), platform.network(port)) for port in platform.ports()}


@pytest.mark.parametrize("gateway", [MODEL, "edge"])
@pytest.mark.parametrize("root", [MODEL, "istio-system"])
@pytest.mark.parametrize("store", STORES)
def test_every_port_is_reached_by_those_of_the_table(make: Make, store: str, root: str, gateway: str) -> None:
    assert table(make(store, root, gateway)) == expected(store, gateway)


def test_every_webhook_is_reached_by_the_api_server(make: Make) -> None:
    platform = make("kubernetes")
    ports = {port.name: port for port in platform.ports()}
    configurations = [d for d in platform.objects if d["kind"].endswith("WebhookConfiguration")]
    assert configurations
    for webhook in itertools.chain.from_iterable(d["webhooks"] for d in configurations):
        service = webhook["clientConfig"]["service"]
        port = ports[f"{service['name']}:{service.get('port', 443)}"]
        assert platform.both(port).get("API server") == ANY, webhook["name"]


def test_the_mesh_alone_keeps_forged_users_from_all_who_believe_the_header(make: Make) -> None:
    """Where the network of a cluster does not enforce NetworkPolicies, or the sidecar is gone around."""
    platform = make("kubernetes")
    believing = [
        d for d in platform.objects if d["kind"] == "Deployment" and "kubeflow-userid" in json.dumps(d)
    ]
    assert len(believing) >= 8
    for workload in believing:
        pod = pod_of(workload)
        assert pod.sidecar, workload["metadata"]["name"]
        for number in {*pod.ports.values(), 1} - {8443}:  # there, a webhook listens, which believes no header
            found = platform.mesh(Port(workload["metadata"]["name"], pod, number))
            strangers = {found.get(caller, "") for caller in CALLERS.keys() - {"gateway"}}
            assert strangers <= {"", NO_USER}, (workload["metadata"]["name"], number, found)


def test_every_pod_has_a_policy_of_either_kind(make: Make) -> None:
    platform = make("kubernetes")
    for workload, pod in platform.pods.items():
        for kind, selector in (("NetworkPolicy", "podSelector"), ("AuthorizationPolicy", "selector")):
            selectors = [d["spec"][selector]["matchLabels"] for d in platform.objects if d["kind"] == kind]
            assert any(each.items() <= pod.labels.items() for each in selectors), (workload, kind)


def test_policies_are_there_before_the_pods_they_guard(make: Make) -> None:
    by_kind = {d["kind"]: kind_of(d).rank for d in make().objects}
    assert max(by_kind["AuthorizationPolicy"], by_kind["NetworkPolicy"]) < by_kind["Deployment"]


def test_every_selector_of_pods_names_the_application(make: Make) -> None:
    """A policy of Istio's root namespace holds in profiles, where users choose the label `app`."""
    for document in make("kubernetes").objects:
        spec = document.get("spec") or {}
        match document["kind"]:
            case "Service":
                selector = spec["selector"]
            case "NetworkPolicy":
                selector = spec["podSelector"]["matchLabels"]
            case "AuthorizationPolicy" | "PeerAuthentication" | "RequestAuthentication" | "Sidecar":
                selector = spec["selector"]["matchLabels"]
            case "EnvoyFilter":
                selector = spec["workloadSelector"]["labels"]
            case _:
                continue
        assert selector[INSTANCE] == document["metadata"]["labels"][INSTANCE], document["metadata"]["name"]


def test_no_policy_lets_everybody_in(make: Make) -> None:
    for document in make("kubernetes").objects:
        if document["kind"] == "AuthorizationPolicy":
            rules = document["spec"].get("rules", [])
            assert all(rules), document["metadata"]["name"]
            assert '"principals": ["*"]' not in json.dumps(rules)


def test_every_identity_in_a_policy_is_that_of_somebody(make: Make) -> None:
    """One that nobody has yet could be taken by whoever makes an account of that name."""
    platform = make("kubernetes")
    known = {pod.principal for pod in (*platform.pods.values(), platform.gateway)}
    # Charmhub's dashboard runs as the account that Juju names after the application.
    known.add(principal(MODEL, RELATED["kubeflow-profiles"]))
    policies = [d for d in platform.objects if d["kind"] == "AuthorizationPolicy"]
    assert set(re.findall(r"cluster\.local/ns/[^\"]*", json.dumps(policies))) <= known


def owner_policy() -> Manifest:
    """Return what the profile controller makes in Alice's profile (kubeflow/kubeflow v1.10.0,
    components/profile-controller/controllers/profile_controller.go), the culler's rule left out.
    """
    gateway = principal(MODEL, "istio-ingressgateway-workload-service-account")
    return {
        "apiVersion": "security.istio.io/v1",
        "kind": "AuthorizationPolicy",
        "metadata": {"name": "ns-owner-access-istio", "namespace": "alice"},
        "spec": {
            "rules": [
                {
                    "from": [{"source": {"principals": [gateway]}}],
                    "when": [{"key": "request.headers[kubeflow-userid]", "values": ["alice@example.com"]}],
                },
                {"when": [{"key": "source.namespace", "values": ["alice"]}]},
                {"to": [{"operation": {"paths": ["/healthz", "/metrics", "/wait-for-drain"]}}]},
            ]
        },
    }


def namesakes(platform: Platform) -> Iterator[dict[str, str]]:
    """Yield labels that make a user's pod look like each of ours, and all subsets of those."""
    for pod in platform.pods.values():
        labels = [(key, value) for key, value in pod.labels.items() if key != INSTANCE]
        for size in range(1, len(labels) + 1):
            yield from map(dict, itertools.combinations(labels, size))


@pytest.mark.parametrize("root", [MODEL, "istio-system"])
@pytest.mark.parametrize("guarded", [True, False], ids=["guarded", "unguarded"])
def test_a_users_pod_called_like_one_of_ours_is_neither_opened_nor_shut(
    make: Make, root: str, guarded: bool
) -> None:
    """Notebooks and boards have the label `app` with the name that their user chose."""
    platform = make("kubernetes", root, theirs=[owner_policy()] if guarded else [])

    def answers(labels: dict[str, str]) -> list[bool]:
        target = Pod("alice", labels, "default-editor", sidecar=True)
        callers = [*CALLERS.values(), platform.gateway, Pod("mallory", {}, "default-editor", sidecar=True)]
        users = [{}, USER, TOKEN, {"kubeflow-userid": "alice@example.com"}]
        return [
            platform.cluster.allows(Request(caller, target, port, headers, http=caller is not None))
            for caller, headers, port in itertools.product(callers, users, (80, 5000, 8080, 8443, 8888))
        ]

    usual = answers({"app": "my-notebook"})
    assert set(usual) == ({True, False} if guarded else {True})
    for labels in namesakes(platform):
        assert answers(labels) == usual, labels


def test_a_service_leads_to_our_pods_and_to_none_of_another_application(make: Make) -> None:
    platform = make("kubernetes")
    for service in (each for each in platform.objects if each["kind"] == "Service"):
        selector = service["spec"]["selector"]
        assert len(platform.selected(selector)) == 1, service["metadata"]["name"]
        for labels in namesakes(platform):
            assert not selector.items() <= labels.items()


def test_webhooks_about_pods_are_called_for_profiles_or_for_pods_of_a_kind_only(make: Make) -> None:
    """Otherwise no pod of the cluster would start while a webhook of ours is away."""
    found = 0
    labels = ("jobset.sigs.k8s.io/jobset-name", "serving.kserve.io/inferenceservice")
    of_a_kind = [{"matchExpressions": [{"key": label, "operator": "Exists"}]} for label in labels]
    for document in make("kubernetes").objects:
        for webhook in document.get("webhooks", ()):
            if any("pods" in rule["resources"] for rule in webhook["rules"]):
                found += 1
                if webhook.get("objectSelector") in of_a_kind:
                    continue
                selector = webhook["namespaceSelector"]["matchLabels"]
                # Trials may be in other namespaces as well, by upstream's own label, which profiles have.
                if webhook["name"] == "mutator.pod.katib.kubeflow.org":
                    assert selector == {"katib.kubeflow.org/metrics-collector-injection": "enabled"}
                    continue
                assert selector == {"app.kubernetes.io/part-of": "kubeflow-profile"}, webhook["name"]
    assert found == 6


ADDED = {
    "everybody": {},
    "a profile's accounts": {"from": [{"source": {"namespaces": ["alice"]}}]},
    "another program": {"from": [{"source": {"principals": [principal(MODEL, "mlflow")]}}]},
    "a header": {"when": [{"key": "request.headers[authorization]", "values": ["*"]}]},
    "who names no user": {"when": [{"key": "request.headers[kubeflow-userid]", "notValues": ["*"]}]},
    "one path": {"to": [{"operation": {"paths": ["/*"], "ports": ["1"]}}]},
}


@pytest.mark.parametrize("rule", ADDED.values(), ids=list(ADDED))
@pytest.mark.parametrize(
    "name",
    [
        "kubeflow-dashboard-default",
        "kubeflow-notebooks-default",
        "kubeflow-pipelines-default",
        "ml-pipeline-ui",
        "katib-ui",
    ],
)
def test_the_table_notices_a_rule_that_somebody_adds(make: Make, name: str, rule: Manifest) -> None:
    """Even where the network hides what the mesh lets in."""
    policy = {"kind": "AuthorizationPolicy", "metadata": {"name": "more", "namespace": MODEL}}
    platform = make()
    (ours,) = [
        d for d in platform.objects if (d["kind"], d["metadata"]["name"]) == ("AuthorizationPolicy", name)
    ]
    more = policy | {"spec": ours["spec"] | {"rules": [rule]}}
    assert table(Platform(platform.objects, root=MODEL, gateway=MODEL, theirs=[more])) != TABLE


@pytest.mark.parametrize(
    "name",
    ["kubeflow-dashboard-default", "kubeflow-notebooks-default", "kubeflow-pipelines-default", "ml-pipeline"],
)
def test_the_table_notices_what_somebody_opens_in_the_network(make: Make, name: str) -> None:
    platform = make()
    (ours,) = [d for d in platform.objects if (d["kind"], d["metadata"]["name"]) == ("NetworkPolicy", name)]
    more = ours | {
        "spec": ours["spec"] | {"ingress": [{"ports": [{"port": 8888}, {"port": 8082}, {"port": 1}]}]}
    }
    assert table(Platform(platform.objects, root=MODEL, gateway=MODEL, theirs=[more])) != TABLE


PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "who-can-read-what.md"


def row(answers: dict[str, str]) -> list[str]:
    """Return the cells of the page's table for a port: callers with and without a sidecar share one."""
    cells = []
    for column in ("gateway", "", "platform", "profile", "elsewhere", "API server"):
        if not column:
            cells.append(", ".join(sorted(answers.keys() - CALLERS.keys())))
            continue
        found = {answers.get(name, "") for name in CALLERS if name.partition(",")[0] == column}
        (one,) = found
        cells.append({ANY: "yes"}.get(one, one))
    return cells


def test_the_page_about_who_can_read_what_is_true(make: Make) -> None:
    lines = [
        line.strip().strip("|").split("|") for line in PAGE.read_text().splitlines() if line.startswith("|")
    ]
    shown = {cells[0].strip(): [cell.strip() for cell in cells[1:-1]] for cells in lines[2:]}
    platform = make("kubernetes")
    found = {
        port.name: row(platform.both(port)) for port in platform.ports() if not port.name.startswith("pod ")
    }
    assert shown == found
    assert all(cells[-1].strip() for cells in lines)
