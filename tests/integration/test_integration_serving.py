"""The way of those who serve models, by the commands people type and those of the page about serving.

The service `iris` of the page runs on Knative from the first test on: through another key of the store, without
Knative, and while plain Deployments are usual.
"""

from __future__ import annotations

import base64
import json
import re
import shlex
from pathlib import Path
from typing import Any

import documented
import jubilant
import pytest
import yaml
from kubectl_as import Kubectl, as_somebody, as_user
from partial_bundle import SERVING, part_of_the_bundle, written

from rehearsal.patience import until

Object = dict[str, Any]
ROOT = Path(__file__).parents[2]
OVERLAY = ROOT / "tests" / "mlops_overlay.yaml"
PAGE = "how-to/serve-models.md"
PROFILE = "alice"
"""As in the page."""
USER = f"{PROFILE}@example.com"

MODE = "serving.kserve.io/deploymentMode"
SERVED = "serving.kserve.io/inferenceservice"
OURS = "app.kubernetes.io/instance=mlops.kserve"
KEY = "kserve-s3"
"""The profile's Secret and ServiceAccount."""
SERVER = "kserve/sklearnserver:v0.16.0"
TRAINING = """
import os, boto3, joblib
from sklearn import datasets, svm
joblib.dump(svm.SVC().fit(*datasets.load_iris(return_X_y=True)), "/tmp/model.joblib")
store = boto3.client("s3", endpoint_url=os.environ["ENDPOINT"])
store.upload_file("/tmp/model.joblib", "mlpipeline", "models/alice/iris/model.joblib")
"""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of the part of the bundle that serving needs."""
    return written(tmp_path_factory.mktemp("bundle"), SERVING)


@pytest.fixture(scope="module")
def alice(juju: jubilant.Juju) -> Kubectl:
    """Run kubectl as a user, in the namespace of the user's profile."""
    return as_user(USER, PROFILE)


@pytest.fixture(scope="module")
def admin(juju: jubilant.Juju) -> Kubectl:
    """Run kubectl as an administrator, in the same namespace."""
    return as_somebody("-n", PROFILE)


def the_pages_service() -> tuple[str, str]:
    """Return the service of the page as YAML, and the command that shows it."""
    shown, _, command = documented.cell(PAGE, "name: iris").partition("\n\n")
    return shown, command


def service(name: str, annotations: dict[str, str] | None = None) -> str:
    """Return the page's service with another name."""
    found = yaml.safe_load(the_pages_service()[0])
    found["metadata"] |= {"name": name} | ({"annotations": annotations} if annotations else {})
    return json.dumps(found)


def typed(juju: jubilant.Juju, command: str) -> None:
    """Run a command of juju word for word."""
    program, *words = shlex.split(command)
    assert program == "juju"
    juju.cli(*words)


def said(juju: jubilant.Juju, begin: str) -> str:
    """Wait until the status of kserve begins as told; return it."""
    status = juju.wait(lambda status: whole(status).startswith(begin), delay=0.3, successes=1)
    return whole(status)


def whole(status: jubilant.Status) -> str:
    """Return `blocked: the message` of kserve."""
    current = status.apps["kserve"].app_status
    return f"{current.current}: {current.message}"


def settled(juju: jubilant.Juju) -> jubilant.Status:
    """Wait until everything is active, and stays so for a moment."""
    return juju.wait(jubilant.all_active, error=jubilant.any_error, delay=0.5, successes=2)


def patience(juju: jubilant.Juju) -> int:
    """Return for how many seconds something may take; a real cluster pulls images first."""
    return 120 if "rehearsal" in juju.status().model.controller else 1200


def ready(juju: jubilant.Juju, user: Kubectl, name: str) -> Object:
    """Wait until a service can be asked; return it.

    Whether that is its newest form, its status does not say: KServe reports the generation of what runs it.
    """

    def found() -> Object:
        item = json.loads(user("get", "inferenceservice", name, "-o", "json"))
        status = item.get("status", {})
        states = {each["type"]: each["status"] for each in status.get("conditions", ())}
        return item if states.get("Ready") == "True" else {}

    return until(found, lambda: user("describe", "inferenceservice", name), within=patience(juju))


def pods(kubectl: Kubectl, name: str) -> list[Object]:
    """Return the pods of a service that do not end."""
    found = json.loads(kubectl("get", "pods", "-l", f"{SERVED}={name}", "-o", "json"))["items"]
    return [each for each in found if "deletionTimestamp" not in each["metadata"]]


def identities(items: list[Object]) -> set[str]:
    """Return the UIDs of objects, which live as long as the same objects do."""
    return {each["metadata"]["uid"] for each in items}


def key(kubectl: Kubectl, profile: str = PROFILE) -> dict[str, str]:
    """Return the key of the store that a profile has."""
    found = json.loads(kubectl("get", "secret", KEY, "-n", profile, "-o", "json"))
    return {name: base64.b64decode(value).decode() for name, value in found["data"].items()}


def may(user: Kubectl, kind: str) -> bool:
    """Whether a user may create objects of a kind; what a role says is put together in Kubernetes' own time."""
    try:
        return user("auth", "can-i", "create", kind).strip() == "yes"
    except AssertionError:  # that is how kubectl says no
        return False


def modes(kubectl: Kubectl) -> dict[str, str]:
    """Return what the page's command shows: the mode of each service."""
    page = (documented.DOCS / PAGE).read_text()
    (command,) = re.findall(r"`(kubectl get isvc -A\s[^`]+)`", page)
    lines = map(str.split, kubectl(*shlex.split(command)[1:]).splitlines())
    return {name: mode for _, name, mode in filter(None, lines)}


def scaled(juju: jubilant.Juju, user: Kubectl, name: str, number: int) -> None:
    """Have a service run in so many pods, which takes all of its controllers."""
    change = json.dumps({"spec": {"predictor": {"minReplicas": number}}})
    user("patch", "inferenceservice", name, "--type=merge", "-p", change)
    ready(juju, user, name)
    until(lambda: len(pods(user, name)) == number, f"{number} pods", within=patience(juju))


def test_a_part_of_the_bundle_is_enough_for_serving(juju: jubilant.Juju, bundle: Path) -> None:
    juju.deploy(str(bundle), overlays=[OVERLAY], trust=True)
    status = settled(juju)
    assert set(status.apps) == set(SERVING)


def test_a_profile_gets_a_key_of_its_own_with_which_its_user_stores_a_model(
    juju: jubilant.Juju, kubectl: Kubectl, admin: Kubectl, alice: Kubectl
) -> None:
    profile: Object = {"apiVersion": "kubeflow.org/v1", "kind": "Profile", "metadata": {"name": PROFILE}}
    profile["spec"] = {"owner": {"kind": "User", "name": USER}}
    kubectl("apply", "-f", "-", input=json.dumps(profile))
    there = {f"secret/{KEY}", f"serviceaccount/{KEY}"}
    until(lambda: there <= set(admin("get", "secrets,serviceaccounts", "-o", "name").split()), "the key")
    secret = json.loads(admin("get", "secret", KEY, "-o", "json"))
    assert key(admin)["AWS_SECRET_ACCESS_KEY"] not in (key(kubectl, "mlops")["AWS_SECRET_ACCESS_KEY"], "")
    endpoint = secret["metadata"]["annotations"]["serving.kserve.io/s3-endpoint"]
    container = {
        "name": "training",
        "image": SERVER,
        "command": ["python", "-c", TRAINING],
        "env": [{"name": "ENDPOINT", "value": f"http://{endpoint}"}],
        "envFrom": [{"secretRef": {"name": KEY}}],
    }
    about = {"name": "training", "annotations": {"sidecar.istio.io/inject": "false"}}
    spec = {"restartPolicy": "Never", "containers": [container]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": about, "spec": spec}
    until(
        lambda: may(alice, "pods") and may(alice, "inferenceservices.serving.kserve.io"), "the user's rights"
    )
    alice("create", "-f", "-", input=json.dumps(pod))
    wait = f"--timeout={patience(juju)}s"
    admin("wait", "pod/training", "--for=jsonpath={.status.phase}=Succeeded", wait)


def test_the_pages_service_runs_on_knative_and_fetches_with_the_profiles_key(
    juju: jubilant.Juju, alice: Kubectl
) -> None:
    shown, command = the_pages_service()
    alice("apply", "-f", "-", input=shown)
    made = ready(juju, alice, "iris")
    assert made["status"]["deploymentMode"] == "Knative"
    assert made["status"]["url"] in alice(*shlex.split(command)[1:])
    assert alice("get", "services.serving.knative.dev", "iris-predictor", "-o", "name")
    (pod,) = pods(alice, "iris")
    assert pod["spec"]["serviceAccountName"] == KEY
    (fetcher,) = [each for each in pod["spec"]["initContainers"] if each["name"] == "storage-initializer"]
    told = {each["name"]: each for each in fetcher["env"]}
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        assert told[name]["valueFrom"]["secretKeyRef"] == {"name": KEY, "key": name}
    assert told["AWS_ENDPOINT_URL"]["value"] == "http://minio.mlops:9000"


def test_another_key_of_the_store_reaches_the_profile_and_stops_no_model(
    juju: jubilant.Juju, admin: Kubectl, alice: Kubectl
) -> None:
    before, running = key(admin), identities(pods(alice, "iris"))
    juju.config("minio", {"secret-key": "rotated-once"})
    until(lambda: key(admin)["AWS_SECRET_ACCESS_KEY"] != before["AWS_SECRET_ACCESS_KEY"])
    assert "rotated-once" not in key(admin).values()
    settled(juju)
    assert identities(pods(alice, "iris")) == running
    ready(juju, alice, "iris")


def test_without_knative_it_is_blocked_and_the_statuss_command_cures(
    juju: jubilant.Juju, alice: Kubectl, admin: Kubectl
) -> None:
    running, services = identities(pods(alice, "iris")), modes(admin)
    juju.remove_application("knative-serving")
    juju.wait(lambda status: "knative-serving" not in status.apps)
    message = said(juju, "blocked: deployment-mode")
    assert identities(pods(alice, "iris")) == running
    assert modes(admin) == services
    knative = part_of_the_bundle(["knative-serving"])["applications"]["knative-serving"]
    options = knative["options"] | {"istio.gateway.namespace": "mlops"}
    juju.deploy("knative-serving", channel=knative["channel"], config=options, trust=True)
    typed(juju, message[message.index("juju ") :])
    settled(juju)
    assert modes(admin) == services
    scaled(juju, alice, "iris", 2)


def test_when_deployments_become_usual_services_stay_as_they_are_and_can_be_changed(
    juju: jubilant.Juju, alice: Kubectl, admin: Kubectl
) -> None:
    (command,) = documented.cell(PAGE, "deployment-mode=rawdeployment").splitlines()
    typed(juju, command)
    until(lambda: MODE in alice("get", "inferenceservice", "iris", "-o", "yaml"), "the service's own mode")
    settled(juju)
    # KServe hands the annotation on to the pods, so Knative replaces them once.
    assert ready(juju, alice, "iris")["status"]["deploymentMode"] == "Knative"
    scaled(juju, alice, "iris", 1)
    alice("create", "-f", "-", input=service("plain"))
    ready(juju, alice, "plain")
    assert modes(admin) == {"iris": "Knative", "plain": "Standard"}
    assert alice("get", "deployment", "plain-predictor", "-o", "name")
    assert "plain" not in alice("get", "services.serving.knative.dev", "-o", "name")
    scaled(juju, alice, "plain", 2)


def test_without_knative_plain_deployments_are_served_on(juju: jubilant.Juju, alice: Kubectl) -> None:
    juju.remove_relation("kserve:local-gateway", "knative-serving:local-gateway")
    until(lambda: "knative-serving" not in str(juju.status().apps["kserve"].relations.get("local-gateway")))
    settled(juju)
    scaled(juju, alice, "plain", 1)
    juju.integrate("kserve:local-gateway", "knative-serving")
    settled(juju)


def test_a_runtime_that_an_option_takes_away_is_missed_in_the_service_and_what_runs_runs_on(
    juju: jubilant.Juju, alice: Kubectl, admin: Kubectl
) -> None:
    running = identities(pods(alice, "plain"))

    def failure() -> str:
        words = ("get", "inferenceservice", "plain", "-o", "jsonpath={.status.modelStatus.lastFailureInfo}")
        return alice(*words)

    def changed(most: int) -> None:
        """Have KServe look at the service again; a label or an annotation would make its pods anew."""
        change = json.dumps({"spec": {"predictor": {"maxReplicas": most}}})
        alice("patch", "inferenceservice", "plain", "--type=merge", "-p", change)

    juju.config("kserve", {"runtimes": "[xgbserver]"})
    until(lambda: "kserve-sklearnserver" not in admin("get", "clusterservingruntimes", "-o", "name"))
    settled(juju)
    changed(3)
    until(lambda: "NoSupportingRuntime" in failure(), failure, within=patience(juju))
    assert identities(pods(alice, "plain")) == running
    juju.config("kserve", reset="runtimes")
    until(lambda: "kserve-sklearnserver" in admin("get", "clusterservingruntimes", "-o", "name"))
    settled(juju)
    changed(4)
    state = ("get", "inferenceservice", "plain", "-o", "jsonpath={.status.modelStatus.transitionStatus}")
    until(lambda: alice(*state) == "UpToDate", lambda: alice(*state), within=patience(juju))
    assert identities(pods(alice, "plain")) == running


def test_a_service_on_knative_can_be_deleted_while_deployments_are_usual(
    juju: jubilant.Juju, alice: Kubectl, admin: Kubectl
) -> None:
    alice("delete", "inferenceservice", "iris", "--timeout=60s")
    until(lambda: not pods(alice, "iris"), "the end of its pods", within=patience(juju))
    alice("create", "-f", "-", input=service("asked", {MODE: "Knative"}))
    ready(juju, alice, "asked")
    assert modes(admin) == {"asked": "Knative", "plain": "Standard"}


def test_a_refresh_restarts_no_controller_and_no_model(
    juju: jubilant.Juju, kubectl: Kubectl, alice: Kubectl
) -> None:
    ours = ("get", "pods", "-l", OURS, "-o", "json")
    programs = identities(json.loads(kubectl(*ours))["items"])
    assert len(programs) == 4
    kept = {name: identities(pods(alice, name)) for name in ("asked", "plain")}
    before = juju.status().apps["kserve"].charm_rev
    juju.refresh("kserve", path=part_of_the_bundle(["kserve"])["applications"]["kserve"]["charm"])
    juju.wait(lambda status: status.apps["kserve"].charm_rev > before)
    settled(juju)
    assert identities(json.loads(kubectl(*ours))["items"]) == programs
    assert {name: identities(pods(alice, name)) for name in kept} == kept


def test_the_removal_leaves_services_to_their_users_who_can_delete_them(
    juju: jubilant.Juju, kubectl: Kubectl, admin: Kubectl
) -> None:
    kept = {name: identities(pods(admin, name)) for name in ("asked", "plain")}
    juju.remove_application("kserve")
    juju.wait(lambda status: "kserve" not in status.apps)
    left = ("get", "deployments,services,secrets,configmaps", "-l", OURS, "-o", "name")
    until(lambda: kubectl(*left) == "")
    until(lambda: KEY not in admin("get", "secrets,serviceaccounts", "-o", "name"), "the key's end")
    assert modes(admin) == {"asked": "Knative", "plain": "Standard"}
    assert {name: identities(pods(admin, name)) for name in kept} == kept
    admin("delete", "inferenceservices", "--all", "--timeout=60s")
    until(lambda: not any(pods(admin, name) for name in kept), "the end of the pods", within=patience(juju))
    status = settled(juju)
    assert set(status.apps) == set(SERVING) - {"kserve"}
