"""What Juju itself makes in Kubernetes (juju/juju 3.6, caas/kubernetes/provider/application)."""

from __future__ import annotations

import contextlib
import itertools
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from juju_model import CHARMS, Juju, eventually

from rehearsal.cluster.controlplane import ControlPlane
from rehearsal.cluster.existing import Refused
from rehearsal.cluster.gate import Gate
from rehearsal.guardian import Guardian
from rehearsal.juju.charm_process.zygote import Zygote
from rehearsal.juju.controller.engine import Engine
from rehearsal.juju.model import charms
from rehearsal.juju.model.errors import JujuError

_numbers = itertools.count(1)

# Asks the API server with the charm's own credentials.
ASKING = """
import lightkube
from lightkube.generic_resource import create_namespaced_resource
if name == "say":
  client = lightkube.Client()
  kind = create_namespaced_resource("", "v1", "X", event.params["words"])
  try: tell(len(list(client.list(kind, namespace=self.model.name))) >= 0)
  except lightkube.ApiError as error: tell(error.status.code)
"""


@pytest.fixture
def juju(
    tmp_path: Path, guardian: Guardian, zygote: Zygote, cluster: ControlPlane, gate: Gate
) -> Iterator[Juju]:
    """A model on the cluster."""
    engine = Engine(
        tmp_path / "e",
        guardian,
        cluster=cluster,
        server=gate.url,
        update_status_interval=3600,
        zygote=zygote,
    )
    with engine.lock:
        model = engine.add_model(f"model-{next(_numbers)}")
    engine.start()
    yield Juju(engine, model)
    engine.stop()
    # The namespace's end takes seconds, which nobody here has to wait for.
    with contextlib.suppress(Refused):
        cluster.request("DELETE", f"/api/v1/namespaces/{model.name}")


def get(cluster: ControlPlane, path: str) -> dict[str, Any]:
    """Return an object; raises KeyError if there is none."""
    try:
        return json.loads(cluster.request("GET", path))
    except Refused as refusal:
        if refusal.status == 404:
            raise KeyError(path) from None
        raise


def there(cluster: ControlPlane, path: str) -> bool:
    """Whether an object is there."""
    try:
        get(cluster, path)
    except KeyError:
        return False
    return True


def paths(model: str, application: str) -> dict[str, str]:
    """Return where the objects of an application are."""
    core, rbac = f"/api/v1/namespaces/{model}", "/apis/rbac.authorization.k8s.io/v1"
    return {
        "StatefulSet": f"/apis/apps/v1/namespaces/{model}/statefulsets/{application}",
        "Service": f"{core}/services/{application}",
        "endpoints": f"{core}/services/{application}-endpoints",
        "Secret": f"{core}/secrets/{application}-application-config",
        "ServiceAccount": f"{core}/serviceaccounts/{application}",
        "Role": f"{rbac}/namespaces/{model}/roles/{application}",
        "RoleBinding": f"{rbac}/namespaces/{model}/rolebindings/{application}",
        "ClusterRole": f"{rbac}/clusterroles/{model}-{application}",
        "ClusterRoleBinding": f"{rbac}/clusterrolebindings/{model}-{application}",
    }


def test_a_model_is_a_namespace_with_jujus_labels(juju: Juju, cluster: ControlPlane) -> None:
    name = juju.model.name
    labels = get(cluster, f"/api/v1/namespaces/{name}")["metadata"]["labels"]
    assert labels["app.kubernetes.io/managed-by"] == "juju"
    assert (labels["model.juju.is/name"], labels["model.juju.is/id"]) == (name, juju.model.uuid)


def test_a_namespace_that_is_somebody_elses_is_not_taken(juju: Juju) -> None:
    with juju.engine.lock, pytest.raises(JujuError) as refusal:
        juju.engine.add_model("kube-system")
    assert 'namespace "kube-system" already exists' in str(refusal.value)
    assert "kube-system" not in juju.engine.models


def test_an_application_has_the_objects_that_juju_makes(juju: Juju, cluster: ControlPlane) -> None:
    juju.deploy("app")
    juju.settle()
    found = {kind: get(cluster, path) for kind, path in paths(juju.model.name, "app").items()}
    for item in found.values():
        assert item["metadata"]["labels"] == {
            "app.kubernetes.io/managed-by": "juju",
            "app.kubernetes.io/name": "app",
        }
        assert item["metadata"]["annotations"]["model.juju.is/id"] == juju.model.uuid
    assert found["Service"]["spec"]["ports"][0]["port"] == 65535
    assert found["endpoints"]["spec"]["clusterIP"] == "None"
    workload = found["StatefulSet"]["spec"]
    assert (workload["replicas"], workload["serviceName"]) == (1, "app-endpoints")
    assert [each["name"] for each in workload["template"]["spec"]["containers"]] == ["charm", "work"]
    assert workload["template"]["metadata"]["labels"] == {"app.kubernetes.io/name": "app"}
    application, unit = juju.model.applications["app"], juju.unit("app/0")
    assert application.address == found["Service"]["spec"]["clusterIP"]
    pod = get(cluster, f"/api/v1/namespaces/{juju.model.name}/pods/app-0")
    assert unit.address == pod["status"]["podIP"]


def test_the_workloads_image_is_that_of_the_resource_from_the_start(
    juju: Juju, cluster: ControlPlane
) -> None:
    path = paths(juju.model.name, "app")["StatefulSet"]
    juju.deploy("app", resources={"image": "registry.example/other:9"})
    (_, work) = get(cluster, path)["spec"]["template"]["spec"]["containers"]
    assert work["image"] == "registry.example/other:9"


def test_opened_ports_are_those_of_the_service(juju: Juju, cluster: ControlPlane) -> None:
    path = paths(juju.model.name, "app")["Service"]
    juju.deploy("app", config={"script": "self.unit.set_ports(8080, ops.Port('udp', 53))"})
    juju.settle()
    ports = [(each["name"], each["port"], each["targetPort"]) for each in get(cluster, path)["spec"]["ports"]]
    assert ports == [("juju-53-udp", 53, 53), ("juju-8080-tcp", 8080, 8080)]
    juju.script("app", "self.unit.set_ports()")
    assert [each["name"] for each in get(cluster, path)["spec"]["ports"]] == ["placeholder"]


@pytest.mark.parametrize(
    ("trust", "kind", "answer"),
    [
        (False, "pods", True),
        (False, "configmaps", 403),
        (False, "secrets", 403),
        (True, "configmaps", True),
        (True, "secrets", True),
    ],
)
def test_a_charm_has_the_rights_that_trust_gives(juju: Juju, trust: bool, kind: str, answer: object) -> None:
    juju.deploy("app", config={"script": ASKING}, trust=trust)
    juju.settle()
    juju.run("app/0", "say", words=kind)
    assert juju.told("app/0") == [answer]


def test_trust_can_be_given_and_taken(juju: Juju) -> None:
    application = juju.deploy("app", config={"script": ASKING})
    juju.settle()
    for trust in (True, False):
        with juju.engine.lock:
            juju.engine.set_trust(juju.model, application, trust)
        juju.settle()
        juju.run("app/0", "say", words="secrets")
    assert juju.told("app/0") == [True, 403]


def test_a_charms_requests_pass_through_the_gate_as_its_own_service_account(
    juju: Juju, gate: Gate, tmp_path: Path
) -> None:
    juju.deploy("app", config={"script": ASKING})
    juju.settle()
    juju.run("app/0", "say", words="pods")
    caller = f"system:serviceaccount:{juju.model.name}:app"
    assert [(each.verb, each.resource) for each in gate.requests(caller=caller)] == [("list", "pods")]
    kubeconfig = tmp_path / "e" / juju.model.name / "app" / "kubeconfig"
    assert kubeconfig.stat().st_mode & 0o077 == 0
    assert yaml.safe_load(kubeconfig.read_text())["clusters"][0]["cluster"]["server"] == gate.url


def test_scaling_changes_the_replicas_and_who_goes_keeps_its_pod_to_the_end(
    juju: Juju, cluster: ControlPlane
) -> None:
    pods = f"/api/v1/namespaces/{juju.model.name}/pods"
    script = "import time\nif name == 'stop': time.sleep(1)"
    juju.deploy("app", scale=2, config={"script": script})
    juju.settle()
    assert there(cluster, f"{pods}/app-1")
    juju.scale("app", 1)
    juju.until(lambda: (hook := juju.unit("app/1").running) is not None and hook.name == "stop")
    assert there(cluster, f"{pods}/app-1")
    juju.settle()
    eventually(lambda: not there(cluster, f"{pods}/app-1"))
    assert get(cluster, paths(juju.model.name, "app")["StatefulSet"])["spec"]["replicas"] == 1


def test_a_refresh_replaces_the_pod(juju: Juju, cluster: ControlPlane) -> None:
    path = f"/api/v1/namespaces/{juju.model.name}/pods/app-0"
    application = juju.deploy("app")
    juju.settle()
    before = get(cluster, path)["metadata"]["uid"]
    with juju.engine.lock:
        juju.engine.refresh(juju.model, application, application.charm)
    juju.settle()
    after = get(cluster, path)
    assert after["metadata"]["uid"] != before
    assert juju.unit("app/0").address == after["status"]["podIP"]
    assert "upgrade-charm" in juju.events("app/0")


def test_a_pod_that_somebody_deletes_begins_anew(juju: Juju, cluster: ControlPlane) -> None:
    juju.deploy("app")
    juju.settle()
    juju.events()
    uid = juju.unit("app/0").pod_uid
    cluster.request("DELETE", f"/api/v1/namespaces/{juju.model.name}/pods/app-0")
    juju.until(lambda: juju.unit("app/0").pod_uid not in ("", uid))
    juju.settle()
    assert juju.events("app/0") == ["config-changed", "start", "work-pebble-ready"]


def test_a_unit_waits_for_its_pod(juju: Juju, cluster: ControlPlane) -> None:
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "none"},
        "spec": {"hard": {"pods": "0"}},
    }
    path = f"/api/v1/namespaces/{juju.model.name}/resourcequotas"
    cluster.request("POST", path, json.dumps(quota).encode())
    eventually(lambda: "hard" in get(cluster, f"{path}/none").get("status", {}))
    juju.deploy("app")
    assert not juju.engine.idle(1.0)
    unit = juju.unit("app/0")
    assert (unit.workload.current, unit.workload.message) == ("waiting", "installing agent")
    assert (unit.agent.current, juju.events()) == ("allocating", [])
    cluster.request("DELETE", f"{path}/none")
    juju.settle()
    assert juju.events("app/0")[0] == "install"


def test_removal_deletes_what_was_made(juju: Juju, cluster: ControlPlane) -> None:
    juju.deploy("app")
    juju.settle()
    made = paths(juju.model.name, "app")
    assert all(there(cluster, path) for path in made.values())
    juju.remove("app")
    juju.settle()
    for path in made.values():
        eventually(lambda path=path: not there(cluster, path))


def test_storage_is_claimed_by_the_pods_and_mounted(
    juju: Juju, cluster: ControlPlane, tmp_path: Path
) -> None:
    folder = shutil.copytree(CHARMS / "puppet", tmp_path / "keeper")
    said: dict[str, Any] = yaml.safe_load((folder / "charmcraft.yaml").read_text())
    said["storage"] = {"data": {"type": "filesystem", "location": "/srv", "minimum-size": "2G"}}
    said["containers"]["work"]["mounts"] = [{"storage": "data", "location": "/var/lib/work"}]
    (folder / "charmcraft.yaml").write_text(yaml.safe_dump(said))
    juju.deploy("app", folder)
    juju.settle()
    claims = f"/api/v1/namespaces/{juju.model.name}/persistentvolumeclaims"
    name = juju.model.storage["data/0"].claim
    claim = get(cluster, f"{claims}/{name}")
    assert (claim["status"]["phase"], claim["status"]["capacity"]) == ("Bound", {"storage": "2Gi"})
    assert claim["metadata"]["labels"]["storage.juju.is/name"] == "data"
    pod = get(cluster, f"/api/v1/namespaces/{juju.model.name}/pods/app-0")["spec"]
    [volume] = [each for each in pod["volumes"] if "persistentVolumeClaim" in each]
    assert volume["persistentVolumeClaim"] == {"claimName": name}
    mounted = {
        container["name"]: mount["mountPath"]
        for container in pod["containers"]
        for mount in container["volumeMounts"]
        if mount["name"] == volume["name"]
    }
    assert mounted == {"charm": "/srv", "work": "/var/lib/work"}
    juju.remove("app", destroy_storage=True)
    juju.settle()
    eventually(lambda: not there(cluster, f"{claims}/{name}"))


def test_a_destroyed_model_takes_its_namespace_with_it(juju: Juju, cluster: ControlPlane) -> None:
    juju.deploy("app")
    juju.settle()
    with juju.engine.lock:
        juju.engine.destroy_model(juju.model)
    juju.until(lambda: juju.model.name not in juju.engine.models)
    assert not there(cluster, f"/api/v1/namespaces/{juju.model.name}")
    assert not there(cluster, paths(juju.model.name, "app")["ClusterRole"])


ASKING_LIKE_A_POD = """
import ssl, os, urllib.request
import ops

ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"


class Alone(ops.CharmBase):
    def __init__(self, framework):
        super().__init__(framework)
        framework.observe(self.on.start, self._start)

    def _start(self, event):
        namespace = open(f"{ACCOUNT}/namespace").read()
        token = open(f"{ACCOUNT}/token").read()
        server = f"https://{os.environ['KUBERNETES_SERVICE_HOST']}:{os.environ['KUBERNETES_SERVICE_PORT']}"
        request = urllib.request.Request(f"{server}/api/v1/namespaces/{namespace}/pods")
        request.add_header("Authorization", f"Bearer {token}")
        tls = ssl.create_default_context(cafile=f"{ACCOUNT}/ca.crt")
        with urllib.request.urlopen(request, context=tls) as answer:
            there = os.path.exists(ACCOUNT) and sorted(os.listdir(ACCOUNT))
            self.unit.status = ops.ActiveStatus(f"{namespace} {answer.status} {there}")


ops.main(Alone)
"""


def test_a_charm_with_its_own_python_finds_its_service_account(juju: Juju, tmp_path: Path) -> None:
    folder = tmp_path / "alone"
    (folder / "src").mkdir(parents=True)
    (folder / "metadata.yaml").write_text("name: alone\nsummary: s\ndescription: d\n")
    (folder / "requirements.txt").write_text("ops==2.23.1\n")
    (folder / "src" / "charm.py").write_text(ASKING_LIKE_A_POD)
    with juju.engine.lock:
        juju.engine.add_application(juju.model, "alone", charms.find(str(folder), Path("/"))[0])
    juju.settle()
    assert juju.unit("alone/0").workload.message == (
        f"{juju.model.name} 200 ['ca.crt', 'namespace', 'token']"
    ), juju.describe()
