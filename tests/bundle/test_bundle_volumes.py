"""Volumes, viewers, TensorBoards and idle notebooks, as users of the platform have them."""

from __future__ import annotations

import datetime

import pytest
from kubeflow_platform import NOTEBOOKS, Platform
from kubeflow_users import Requests, running, warnings

from kubeflow_charm.cluster.resources import Manifest
from rehearsal.cluster.existing import Refused
from rehearsal.patience import until

pytestmark = pytest.mark.usefixtures("cleared", "on_plain_nodes")

CLAIMS = "/api/v1/namespaces/ada/persistentvolumeclaims"
VIEWERS = "/apis/kubeflow.org/v1alpha1/namespaces/ada/pvcviewers"
BOARDS = "/apis/tensorboard.kubeflow.org/v1alpha1/namespaces/ada/tensorboards"
ROUTES = "/apis/networking.istio.io/v1/namespaces/ada/virtualservices"
STOPPED = "kubeflow-resource-stopped"
ACTIVITY = "notebooks.kubeflow.org/last-activity"


@pytest.fixture(scope="module")
def on_plain_nodes(platform: Platform) -> None:
    """Three nodes without anything special."""
    platform.have_nodes("no-gpu")


def ready_viewer(user: Requests, name: str) -> Manifest:
    """Return a viewer as soon as it can be used."""
    until(lambda: user.get(f"{VIEWERS}/{name}").get("status", {}).get("ready"))
    return user.get(f"{VIEWERS}/{name}")


def pod_of(user: Requests, application: str) -> Manifest:
    """Return the pod with this label `app.kubernetes.io/instance` or `app`."""
    for label in ("app.kubernetes.io/instance", "app"):
        found = user.items(f"/api/v1/namespaces/ada/pods?labelSelector={label}={application}")
        if found:
            return found[0]
    raise AssertionError(application)


def test_a_volume_is_made_viewed_and_deleted(platform: Platform, ada: Requests) -> None:
    platform.volumes.create(ada, "ada", "data", "3Gi")
    until(lambda: ada.get(f"{CLAIMS}/data")["status"]["phase"] == "Bound")
    platform.volumes.view(ada, "ada", "data")
    assert ready_viewer(ada, "data")["status"]["url"] == "/pvcviewers/ada/data/"
    assert pod_of(ada, "pvcviewer-data")["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"] == "data"
    route = ada.get(f"{ROUTES}/pvcviewer-data")
    assert route["spec"]["gateways"] == ["mlops/kubeflow-gateway"]
    assert platform.volumes.delete(ada, "ada", "data") == []
    # The claim goes when no pod uses it any more, and the viewer's pod when the garbage collector, which looks
    # for new types every half minute, has found its type.
    until(lambda: not ada.items("/api/v1/namespaces/ada/pods") and not ada.items(CLAIMS))
    assert ada.items(VIEWERS) == []


def test_a_viewer_joins_the_node_where_the_volume_is_in_use(platform: Platform, ada: Requests) -> None:
    platform.jupyter.post(ada, "ada", "mine")
    node = running(ada, "ada", "mine")["spec"]["nodeName"]
    platform.volumes.view(ada, "ada", "mine-workspace")
    ready_viewer(ada, "mine-workspace")
    assert pod_of(ada, "pvcviewer-mine-workspace")["spec"]["nodeName"] == node


def test_a_viewer_without_a_pod_gets_the_default_and_one_of_another_volume_is_refused(ada: Requests) -> None:
    viewer = {
        "apiVersion": "kubeflow.org/v1alpha1",
        "kind": "PVCViewer",
        "metadata": {"name": "bare"},
        "spec": {"pvc": "bare"},
    }
    (container,) = ada.create(VIEWERS, viewer)["spec"]["podSpec"]["containers"]
    assert container["name"] == "pvcviewer"
    pod = {"containers": [{"name": "a", "image": "b"}]}
    with pytest.raises(Refused, match="PVC other must be used in the podSpec"):
        ada.create(VIEWERS, viewer | {"metadata": {"name": "o"}, "spec": {"pvc": "other", "podSpec": pod}})


def test_a_volume_in_use_is_not_lost_when_its_notebook_goes(platform: Platform, ada: Requests) -> None:
    platform.jupyter.post(ada, "ada", "mine")
    running(ada, "ada", "mine")
    claim = ada.get(f"{CLAIMS}/mine-workspace")
    assert platform.volumes.delete(ada, "ada", "mine-workspace") == ["mine-0"]
    ada.delete(f"{NOTEBOOKS}/namespaces/ada/notebooks/mine")
    until(lambda: not ada.items("/api/v1/namespaces/ada/pods"))
    after = ada.get(f"{CLAIMS}/mine-workspace")
    assert (after["metadata"]["uid"], after["status"]["phase"]) == (claim["metadata"]["uid"], "Bound")
    volume = {"mount": "/home/jovyan", "newPvc": {"metadata": {"name": "second"}, "spec": claim["spec"]}}
    volume["newPvc"]["spec"].pop("volumeName", None)
    platform.jupyter.post(ada, "ada", "again", workspace=volume)
    running(ada, "ada", "again")


def test_a_tensorboard_shows_the_logs_of_a_notebooks_volume(platform: Platform, ada: Requests) -> None:
    platform.jupyter.post(ada, "ada", "mine")
    node = running(ada, "ada", "mine")["spec"]["nodeName"]
    board = {
        "apiVersion": "tensorboard.kubeflow.org/v1alpha1",
        "kind": "Tensorboard",
        "metadata": {"name": "board"},
        "spec": {"logspath": "pvc://mine-workspace/logs"},
    }
    ada.create(BOARDS, board)
    until(lambda: ada.get(f"{BOARDS}/board").get("status", {}).get("readyReplicas") == 1)
    pod = pod_of(ada, "board")
    assert pod["spec"]["nodeName"] == node
    (container,) = pod["spec"]["containers"]
    assert container["image"] == "tensorflow/tensorflow:2.5.1"
    mount = next(each for each in container["volumeMounts"] if each["name"] == "tbpd")
    assert mount["subPath"] == "logs"
    assert ada.get(f"{ROUTES}/board")["spec"]["gateways"] == ["mlops/kubeflow-gateway"]


def test_a_notebook_is_reached_through_the_gateway(platform: Platform, ada: Requests) -> None:
    platform.jupyter.post(ada, "ada", "mine")
    running(ada, "ada", "mine")
    route = until(lambda: ada.find(f"{ROUTES}/notebook-ada-mine"))
    assert route["spec"]["gateways"] == ["mlops/kubeflow-gateway"]
    assert route["spec"]["http"][0]["match"][0]["uri"]["prefix"] == "/notebook/ada/mine/"
    destination = route["spec"]["http"][0]["route"][0]["destination"]["host"]
    assert destination == "mine.ada.svc.cluster.local"


@pytest.mark.parametrize("policy", ["restricted", "privileged"])
def test_notebooks_and_viewers_pass_the_security_policy_of_profiles(
    platform: Platform, ada: Requests, policy: str
) -> None:
    """Made for `restricted`, they run under it; made as upstream does, they do not, and say why."""
    juju, label = platform.stage.juju, "pod-security.kubernetes.io/enforce"
    juju("config", "kubeflow-profiles", "security-policy=restricted")
    juju("config", "kubeflow-notebooks", f"notebook-security-policy={policy}")
    try:
        until(
            lambda: (
                platform.admin.get("/api/v1/namespaces/ada")["metadata"]["labels"].get(label) == "restricted"
            )
        )
        template = "/api/v1/namespaces/mlops/configmaps/jupyter-web-app-notebook-template"
        until(
            lambda: (
                ("runAsNonRoot" in platform.admin.get(template)["data"]["notebook_template.yaml"])
                == (policy == "restricted")
            )
        )
        platform.jupyter.post(ada, "ada", "mine")
        if policy == "privileged":
            assert 'violates PodSecurity "restricted' in warnings(ada, "ada", "mine")
            return
        running(ada, "ada", "mine")
        platform.volumes.view(ada, "ada", "mine-workspace")
        ready_viewer(ada, "mine-workspace")
    finally:
        juju("config", "kubeflow-profiles", "--reset", "security-policy")
        juju("config", "kubeflow-notebooks", "--reset", "notebook-security-policy")
        until(
            lambda: (
                platform.admin.get("/api/v1/namespaces/ada")["metadata"]["labels"].get(label) != "restricted"
            )
        )
        platform.settle()


def test_an_idle_notebook_is_stopped_and_a_busy_one_is_not(platform: Platform, ada: Requests) -> None:
    options = {"enable-culling": "true", "cull-idle-time": "60", "idleness-check-period": "1"}
    settings = [f"{option}={value}" for option, value in options.items()]
    platform.stage.juju("config", "kubeflow-notebooks", *settings)
    began = platform.outside.now().isoformat()
    for name in ("idle", "busy"):
        platform.jupyter.post(ada, "ada", name)
        running(ada, "ada", name)
        platform.outside.kernels[name] = [{"execution_state": name, "last_activity": began}]
    idle, busy = (f"{NOTEBOOKS}/namespaces/ada/notebooks/{name}" for name in ("idle", "busy"))
    try:
        until(lambda: ACTIVITY in ada.get(idle)["metadata"].get("annotations", {}))
        platform.hours_later(2)
        until(lambda: STOPPED in ada.get(idle)["metadata"]["annotations"])
        until(lambda: ada.get(idle)["status"]["readyReplicas"] == 0)
        assert ada.get(f"{CLAIMS}/idle-workspace")["status"]["phase"] == "Bound"
        assert STOPPED not in ada.get(busy)["metadata"]["annotations"]
        assert ada.get(busy)["status"]["readyReplicas"] == 1
    finally:
        platform.stage.juju("config", "kubeflow-notebooks", "--reset", ",".join(options))
        platform.settle()


def test_a_charm_that_is_removed_leaves_what_users_have_and_goes_on_with_it_when_it_is_back(
    platform: Platform, ada: Requests
) -> None:
    juju, mine = platform.stage.juju, f"{NOTEBOOKS}/namespaces/ada/notebooks/mine"
    platform.jupyter.post(ada, "ada", "mine")
    before = running(ada, "ada", "mine")["metadata"]["uid"]
    juju("remove-application", "kubeflow-notebooks", "--no-prompt")
    model = platform.stage.engine.models["mlops"]
    until(lambda: "kubeflow-notebooks" not in model.applications)
    # The roles of users are gone with the charm; what they have is not.
    admin = platform.admin
    assert admin.get(mine)["status"]["readyReplicas"] == 1
    assert admin.get(f"{CLAIMS}/mine-workspace")["status"]["phase"] == "Bound"
    assert admin.get("/api/v1/namespaces/ada/pods/mine-0")["metadata"]["uid"] == before
    platform.deploy()
    platform.settle()
    until(lambda: _may_stop(ada, mine))
    until(lambda: ada.get(mine)["status"]["readyReplicas"] == 0)
    assert ada.get(f"{CLAIMS}/mine-workspace")["status"]["phase"] == "Bound"


def _may_stop(user: Requests, notebook: str) -> bool:
    """Stop a notebook as the web app does, if the user's role is there already."""
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    try:
        user.patch(notebook, {"metadata": {"annotations": {STOPPED: now}}})
    except Refused as refusal:
        assert refusal.status == 403
        return False
    return True
