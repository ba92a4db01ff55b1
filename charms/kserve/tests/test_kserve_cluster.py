"""The charm against a real API server: what only shows there."""

from __future__ import annotations

import contextlib
import importlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import lightkube
import ops
import pytest
from charm_harness import deployed as deploy
from charm_harness import names, without_webhooks
from ops import testing
from serving_examples import OTHERS, SERVICES, WRONG, Object, service

from kubeflow_charm.cluster.executor import Cluster
from rehearsal.cluster.controlplane import ControlPlane
from rehearsal.cluster.existing import Refused
from rehearsal.patience import until

MODEL = "serving-3026"
PROFILE = "serving-ada"
ALPHA, BETA = "/apis/serving.kserve.io/v1alpha1", "/apis/serving.kserve.io/v1beta1"
RUNTIMES = f"{ALPHA}/clusterservingruntimes"
CONFIGS = f"{ALPHA}/namespaces/{MODEL}/llminferenceserviceconfigs"
ISVCS = f"{BETA}/namespaces/{PROFILE}/inferenceservices"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
GPUS = {"gpu-discovery": True}
MODE = "serving.kserve.io/deploymentMode"
MERGE = "application/merge-patch+json"


@pytest.fixture(scope="module")
def profile(cluster: ControlPlane) -> Iterator[str]:
    """A profile."""
    labels = {"app.kubernetes.io/part-of": "kubeflow-profile", "user.kubeflow.org/enabled": ""}
    namespace = {"metadata": {"name": PROFILE, "labels": labels}}
    cluster.request("POST", "/api/v1/namespaces", json.dumps(namespace).encode())
    yield PROFILE
    cluster.request("DELETE", f"/api/v1/namespaces/{PROFILE}")


@pytest.fixture(scope="module")
def deployed(
    kserve: Any, cluster: ControlPlane, client: lightkube.Client, profile: str
) -> Iterator[testing.State]:
    """The state after the hooks that it takes for the types to be there; all is removed in the end."""
    with deploy(kserve, cluster, client, MODEL) as state:
        until(lambda: (kserve.run(MODEL, GPUS), len(names(cluster, CONFIGS)) == 8)[1], every=0.5)
        until(lambda: (kserve.run(MODEL, GPUS), len(names(cluster, RUNTIMES)) == 11)[1], every=0.5)
        yield state


def write(cluster: ControlPlane, body: Object, *, dry: bool = False) -> Object:
    """Create an object as a user would, with strict validation."""
    version, kind = body["apiVersion"], body["kind"]
    query = "fieldValidation=Strict" + ("&dryRun=All" if dry else "")
    path = f"/apis/{version}/namespaces/{PROFILE}/{kind.lower()}s?{query}"
    return json.loads(cluster.request("POST", path, json.dumps(body).encode()))


@pytest.fixture
def unchecked(cluster: ControlPlane, deployed: testing.State) -> None:
    """No webhook is called."""
    without_webhooks(cluster)


def test_everything_is_taken_and_becomes_active(kserve, deployed):
    until(lambda: isinstance(kserve.run(MODEL, GPUS).unit_status, ops.ActiveStatus), every=0.5)


@pytest.mark.usefixtures("unchecked")
def test_thirty_services_and_other_objects_of_users_are_taken_as_they_are(cluster):
    assert len({each["metadata"]["name"] for each in SERVICES}) == 30
    for example in (*SERVICES, *OTHERS):
        made = write(cluster, example, dry=True)
        assert within(example["spec"], made["spec"]), example["metadata"]["name"]


def within(wanted: Any, found: Any) -> bool:
    """Whether everything of a value is in another, which may have more."""
    if isinstance(wanted, dict):
        return all(key in found and within(value, found[key]) for key, value in wanted.items())
    if isinstance(wanted, list):
        return len(wanted) == len(found) and all(map(within, wanted, found))
    return wanted == found


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(("wrong", "place"), WRONG, ids=[place for _, place in WRONG])
def test_an_object_that_is_wrong_at_one_place_is_refused_with_the_place(cluster, wrong, place):
    with pytest.raises(Refused, match=place):
        write(cluster, wrong, dry=True)


LENGTHS = [
    ("Standard", 41, "predictor", False),
    ("Standard", 42, "predictor", True),
    ("RawDeployment", 42, "predictor", True),
    ("Standard", 39, "transformer", False),
    ("Standard", 40, "transformer", True),
    # Knative makes its addresses otherwise.
    ("Knative", 53, "transformer", False),
    ("", 53, "predictor", False),
]
"""Mode, length of the name, longest component, and whether the address has too long a label."""


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(("mode", "length", "component", "too_long"), LENGTHS, ids=str)
def test_a_name_that_is_too_long_with_its_profiles_is_refused_with_the_address(
    cluster, mode, length, component, too_long
):
    """KServe would make no pod, and say so in an event only."""
    container = {"name": "kserve-container", "image": "example.com/t:1"}  # the webhook gives it this name
    others = {} if component == "predictor" else {component: {"containers": [container]}}
    made = service("n" * length, SERVICES[0]["spec"]["predictor"], **others)
    if mode:
        made["metadata"]["annotations"] = {MODE: mode}
    until(lambda: "metadata.name: the address" in refusal(cluster, TOO_LONG), "the policy in force")
    label = f"{made['metadata']['name']}-{component}-{PROFILE}"
    said = f"the address begins with {label}, which has more than 63 characters: choose a shorter name"
    assert (said in refusal(cluster, made)) is too_long
    assert (
        bool(refusal(cluster, made))
        is too_long
        is (len(label) > 63 and mode in ("Standard", "RawDeployment"))
    )


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("mode", "length", "too_long"),
    [
        ("", 51, False),
        ("Standard", 51, False),
        ("Standard", 52, True),
        ("RawDeployment", 52, True),
        ("Knative", 52, False),
        # Plain Deployments are usual here, and no webhook notes that at graphs.
        ("", 52, True),
    ],
    ids=str,
)
def test_a_graph_whose_address_would_be_too_long_is_refused(cluster, mode, length, too_long):
    nodes = {"root": {"routerType": "Sequence", "steps": [{"serviceName": "a"}]}}
    about = {"name": "g" * length, "namespace": PROFILE, "annotations": {MODE: mode} if mode else {}}
    made = {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "InferenceGraph",
        "metadata": about,
        "spec": {"nodes": nodes},
    }
    said = f"the address begins with {made['metadata']['name']}-{PROFILE}, which has more than 63 characters"
    long = made | {"metadata": about | {"name": "g" * 63, "annotations": {MODE: "Standard"}}}
    until(lambda: "metadata.name: the address" in refusal(cluster, long), "the policy in force")
    assert (said in refusal(cluster, made)) is bool(refusal(cluster, made)) is too_long


TOO_LONG = service("a" * 53, SERVICES[0]["spec"]["predictor"], annotations={MODE: "Standard"})


def refusal(cluster: ControlPlane, body: Object) -> str:
    """Return why the API server would not create an object; empty if it would."""
    try:
        write(cluster, body, dry=True)
    except Refused as refused:
        return str(refused)
    return ""


def test_a_profile_gets_the_policies_of_its_models(kserve, deployed, cluster):
    policies = f"/apis/networking.k8s.io/v1/namespaces/{PROFILE}/networkpolicies"
    until(lambda: (kserve.run(MODEL, GPUS), len(names(cluster, policies)) == 3)[1], every=0.5)
    assert names(cluster, policies) == {"kserve-models-1", "kserve-models-2", "kserve-models-3"}


SERVED = "serving.kserve.io/inferenceservice"
PLACES = [
    ({SERVED: "m", "component": "predictor"}, "1", True),
    ({SERVED: "m", "component": "transformer"}, "1", True),
    # A worker of a model on several nodes has the labels of its predictor.
    ({SERVED: "m", "component": "predictor", "isvc.generation": "1"}, "1", True),
    ({"app.kubernetes.io/part-of": "llminferenceservice", "kserve.io/component": "workload"}, "1", True),
    # On Knative the pod has the labels of its service, too.
    ({SERVED: "m", "component": "predictor", "serving.knative.dev/service": "m-predictor"}, "1", True),
    ({SERVED: "m", "component": "predictor"}, "", False),
    ({"serving.kserve.io/inferencegraph": "g"}, "", False),
    ({"app.kubernetes.io/part-of": "llminferenceservice"}, "", False),
    ({"app": "something-else"}, "1", None),
]
"""Labels, how many GPUs, and whether the pod runs on a node with some; None if it runs nowhere."""


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(("labels", "gpus", "on_gpu"), PLACES, ids=str)
def test_who_asks_for_gpus_runs_on_them_and_nobody_else(kserve, cluster, labels, gpus, on_gpu):
    """With the real scheduler; the nodes with GPUs have a taint, and the pods no toleration."""
    kserve.run(MODEL, GPUS)
    resources = {"limits": {"nvidia.com/gpu": gpus}} if gpus else {}
    container = {"name": "kserve-container", "image": "example.com/server:1", "resources": resources}
    pod = {"metadata": {"name": "pod", "labels": labels}, "spec": {"containers": [container]}}
    path = f"/api/v1/namespaces/{PROFILE}/pods"
    for kind in ("validating", "mutating"):
        hooks = f"/apis/admissionregistration.k8s.io/v1/{kind}webhookconfigurations"
        for name in names(cluster, hooks):
            cluster.request("DELETE", f"{hooks}/{name}")

    def scheduled() -> str:
        """Return the node, or why there is none."""
        found = json.loads(cluster.request("GET", f"{path}/pod"))
        conditions = found.get("status", {}).get("conditions", [])
        reasons = [each["reason"] for each in conditions if each.get("status") == "False"]
        return found["spec"].get("nodeName", "") or next((r for r in reasons if r == "Unschedulable"), "")

    cluster.request("POST", path, json.dumps(pod).encode())
    try:
        node = until(scheduled)
        assert node.startswith("gpu") if on_gpu else not node.startswith("gpu")
        assert (node == "Unschedulable") is (on_gpu is None)
    finally:
        cluster.request("DELETE", f"{path}/pod?gracePeriodSeconds=0")
        until(lambda: "pod" not in names(cluster, path))


def test_services_of_users_stay_when_the_application_goes_and_can_be_deleted(
    kserve, cluster, client, profile
):
    """What a controller holds by its finalizer, nobody could delete without it."""
    model = "serving-3027"
    with deploy(kserve, cluster, client, model):
        until(lambda: (kserve.run(model), "inferenceservices" in str(names(cluster, CRDS)))[1], every=0.5)
        for kind in ("validating", "mutating"):
            hooks = f"/apis/admissionregistration.k8s.io/v1/{kind}webhookconfigurations"
            for name in names(cluster, hooks):
                cluster.request("DELETE", f"{hooks}/{name}")
        held = service("held", SERVICES[0]["spec"]["predictor"])
        held["metadata"]["finalizers"] = ["inferenceservice.finalizers"]
        write(cluster, held)
    assert "held" in names(cluster, ISVCS)
    cluster.request("DELETE", f"{ISVCS}/held")
    until(lambda: "held" not in names(cluster, ISVCS))


def test_services_that_say_no_mode_keep_theirs_when_deployments_become_usual(deployed, client, cluster):
    """KServe's webhook would give them another, and then refuse every change."""
    kept = importlib.import_module("serving_modes").kept
    without_webhooks(cluster)
    ran = {"old": "Knative", "new": "", "plain": "Standard", "said": "Standard"}
    for name, mode in ran.items():
        made = service(name, SERVICES[0]["spec"]["predictor"])
        made["metadata"]["annotations"] = {MODE: "Standard"} if name == "said" else {}
        write(cluster, made)
        told = json.dumps({"status": {"deploymentMode": mode}} if mode else {}).encode()
        cluster.request("PATCH", f"{ISVCS}/{name}/status", told, "application/merge-patch+json")
    for _ in range(2):
        with contextlib.closing(Cluster("kserve", MODEL)) as application:
            kept(application, "kserve")
        modes = {name: said(cluster, name) for name in ran}
        assert modes == {"old": "Knative", "new": "Knative", "plain": "", "said": "Standard"}
    for name in ran:
        cluster.request("DELETE", f"{ISVCS}/{name}")


WORDS = [
    ("RawDeployment", "Standard", False),
    ("Serverless", "Knative", False),
    ("RawDeployment", "Knative", True),
    ("Serverless", "Standard", True),
    ("RawDeployment", "RawDeployment", True),
    ("Standard", "Standard", True),
    ("RawDeployment", "", True),
    ("", "Knative", True),
    ("", "", True),
]
"""What a service says of its mode, what KServe says, and whether KServe is to be asked about a change."""


def worded(number: int, annotation: str) -> Object:
    """Return a service that says so of its mode, and has a finalizer."""
    made = service(f"worded-{number}", SERVICES[0]["spec"]["predictor"])
    annotations = {MODE: annotation} if annotation else {}
    made["metadata"] |= {"annotations": annotations, "finalizers": ["example.com/held"]}
    return made


@pytest.fixture(scope="module")
def asked(kserve: Any, deployed: testing.State, cluster: ControlPlane) -> Iterator[str]:
    """The services, and a policy that says this of what KServe would be asked: no webhook is called here."""
    kserve.run(MODEL, GPUS)
    name, words = "inferenceservice.serving.kserve.io", "KServe would be asked"
    hooks = "/apis/admissionregistration.k8s.io/v1"
    told = json.loads(cluster.request("GET", f"{hooks}/validatingwebhookconfigurations/{name}"))
    without_webhooks(cluster)
    for number, (annotation, status, _) in enumerate(WORDS):
        write(cluster, worded(number, annotation))
        if status:
            body = json.dumps({"status": {"deploymentMode": status}}).encode()
            cluster.request("PATCH", f"{ISVCS}/worded-{number}/status", body, MERGE)
    (hook,) = told["webhooks"]
    policy = {
        "failurePolicy": "Fail",
        "matchConstraints": {"resourceRules": hook["rules"]},
        "matchConditions": hook["matchConditions"],
        "validations": [{"expression": "false", "message": words}],
    }
    binding = {"policyName": name, "validationActions": ["Deny"]}
    for kind, spec in (("ies", policy), ("ybindings", binding)):
        body = json.dumps({"metadata": {"name": name}, "spec": spec}).encode()
        cluster.request("POST", f"{hooks}/validatingadmissionpolic{kind}", body)
    # The API server takes up a policy a moment after it is written. A new service is always asked about.
    until(lambda: words in refused(lambda: write(cluster, worded(99, "RawDeployment"), dry=True)))
    yield words
    for number, _ in enumerate(WORDS):
        cluster.request("DELETE", f"{ISVCS}/worded-{number}")
        # A service that is being deleted loses its finalizers, whatever its mode.
        free = json.dumps({"metadata": {"finalizers": None}}).encode()
        cluster.request("PATCH", f"{ISVCS}/worded-{number}", free, MERGE)
    for kind in ("ybindings", "ies"):
        cluster.request("DELETE", f"{hooks}/validatingadmissionpolic{kind}/{name}")


def refused(request: Callable[[], object]) -> str:
    """Return what the API server says against a request; empty if it takes it."""
    try:
        request()
    except Refused as refusal:
        return str(refusal)
    return ""


@pytest.mark.parametrize("number", range(len(WORDS)), ids=lambda number: "-".join(map(str, WORDS[number])))
def test_the_old_word_for_the_mode_that_a_service_has_is_no_change_of_it(cluster, asked, number):
    """KServe 0.16.0 would refuse each later change of the service, and the end of its finalizer."""
    change = json.dumps({"metadata": {"labels": {"a": "b"}}}).encode()
    said = refused(lambda: cluster.request("PATCH", f"{ISVCS}/worded-{number}", change, MERGE))
    assert (asked in said) == bool(said) == WORDS[number][2]


def said(cluster: ControlPlane, name: str) -> str:
    """Return the mode that a service's annotation says."""
    found = json.loads(cluster.request("GET", f"{ISVCS}/{name}"))
    return (found["metadata"].get("annotations") or {}).get(MODE, "")
