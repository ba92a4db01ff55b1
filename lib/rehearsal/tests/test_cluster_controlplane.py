import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from lightkube.core.exceptions import ApiError
from lightkube.models.apps_v1 import DeploymentSpec
from lightkube.models.batch_v1 import JobSpec
from lightkube.models.core_v1 import (
    Container,
    PersistentVolumeClaimSpec,
    PodSpec,
    PodTemplateSpec,
    ResourceRequirements,
    SecurityContext,
    Toleration,
    VolumeResourceRequirements,
)
from lightkube.models.meta_v1 import LabelSelector, ObjectMeta
from lightkube.resources.apps_v1 import Deployment
from lightkube.resources.batch_v1 import Job
from lightkube.resources.core_v1 import (
    Namespace,
    Node,
    PersistentVolume,
    PersistentVolumeClaim,
    Pod,
    ServiceAccount,
)

from rehearsal import last_words
from rehearsal.cluster import controlplane
from rehearsal.cluster.controlplane import ControlPlane
from rehearsal.errors import RehearsalError
from rehearsal.guardian import Guardian
from rehearsal.patience import PATIENCE

pytestmark = pytest.mark.skipif(
    "REHEARSAL_TEST_KUBECONFIG" in os.environ, reason="about a control plane of our own, not a shared cluster"
)

REHEARSAL = textwrap.dedent("""
    import json, sys, time
    from pathlib import Path
    from rehearsal.cluster.controlplane import ControlPlane
    from rehearsal.guardian import Guardian
    folder = Path(sys.argv[1])
    folder.mkdir()
    with Guardian(folder) as guardian, ControlPlane(folder / "cluster", guardian) as cluster:
        pids = {"guardian": guardian.pid, **cluster.processes()}
        Path(sys.argv[2]).write_text(json.dumps(pids))
        time.sleep(60)
""")

OFFLINE = ["unshare", "--net", "--map-root-user"]
"""Runs a program where the only network is loopback, as on a laptop without one."""
ONCE = textwrap.dedent("""
    import sys
    from pathlib import Path
    from rehearsal.cluster.controlplane import ControlPlane
    from rehearsal.guardian import Guardian
    with Guardian() as guardian, ControlPlane(Path(sys.argv[1]), guardian) as cluster:
        print(cluster.request("GET", "/version").decode())
""")


def eventually(condition, within: float = PATIENCE):
    """Return what the condition returns once that is something."""
    deadline = time.monotonic() + within
    while not (result := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return result


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def deployment(name: str, replicas: int) -> Deployment:
    return Deployment(
        metadata=ObjectMeta(name=name),
        spec=DeploymentSpec(
            replicas=replicas,
            selector=LabelSelector(matchLabels={"app": name}),
            template=PodTemplateSpec(
                metadata=ObjectMeta(labels={"app": name}),
                spec=PodSpec(containers=[Container(name="main", image="example/main:1")]),
            ),
        ),
    )


def gpu_pod(name: str, *tolerations: Toleration) -> Pod:
    resources = ResourceRequirements(limits={"nvidia.com/gpu": "2"})
    container = Container(name="main", image="example/cuda:1", resources=resources)
    return Pod(
        metadata=ObjectMeta(name=name), spec=PodSpec(containers=[container], tolerations=list(tolerations))
    )


def test_a_deployment_rolls_out_with_an_address_for_each_pod(client, namespace):
    client.create(deployment("web", 40), namespace=namespace)

    def rolled_out() -> bool:
        status = client.get(Deployment, "web", namespace=namespace).status
        return bool(status and status.availableReplicas == 40)

    eventually(rolled_out)
    pods = list(client.list(Pod, namespace=namespace))
    assert len({pod.status.podIP for pod in pods}) == 40
    assert {pod.spec.nodeName for pod in pods} == {"cpu-0", "cpu-1"}
    assert {pod.status.hostIP for pod in pods} == {"10.0.0.1", "10.0.0.2"}


def test_a_gpu_pod_lands_on_the_tainted_node_only_if_it_tolerates_the_taint(client, namespace):
    tolerates = Toleration(key="nvidia.com/gpu", operator="Exists", effect="NoSchedule")
    client.create(gpu_pod("tolerating", tolerates), namespace=namespace)
    client.create(gpu_pod("plain"), namespace=namespace)
    eventually(lambda: client.get(Pod, "tolerating", namespace=namespace).status.phase == "Running")
    assert client.get(Pod, "tolerating", namespace=namespace).spec.nodeName == "gpu-0"

    def unschedulable() -> str:
        conditions = client.get(Pod, "plain", namespace=namespace).status.conditions or []
        return "".join(c.message or "" for c in conditions if c.reason == "Unschedulable")

    assert "1 node(s) had untolerated taint(s)" in eventually(unschedulable)


def test_a_job_completes(client, namespace):
    pod = PodSpec(restartPolicy="Never", containers=[Container(name="main", image="example/main:1")])
    job = Job(metadata=ObjectMeta(name="once"), spec=JobSpec(template=PodTemplateSpec(spec=pod)))
    client.create(job, namespace=namespace)
    eventually(lambda: (client.get(Job, "once", namespace=namespace).status.succeeded or 0) == 1)


def test_a_claim_is_bound_and_its_volume_goes_with_it(client, namespace):
    spec = PersistentVolumeClaimSpec(
        accessModes=["ReadWriteOnce"], resources=VolumeResourceRequirements(requests={"storage": "3Gi"})
    )
    claim = PersistentVolumeClaim(metadata=ObjectMeta(name="data"), spec=spec)
    client.create(claim, namespace=namespace)

    def bound() -> str:
        found = client.get(PersistentVolumeClaim, "data", namespace=namespace)
        return found.spec.volumeName if found.status.phase == "Bound" else ""

    volume = eventually(bound)
    assert client.get(PersistentVolume, volume).spec.capacity == {"storage": "3Gi"}
    client.delete(PersistentVolumeClaim, "data", namespace=namespace)
    eventually(lambda: volume not in {each.metadata.name for each in client.list(PersistentVolume)})


def test_a_service_account_may_do_nothing_without_a_role(cluster, namespace, tmp_path):
    body = json.dumps({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}).encode()
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/default/token"
    token = json.loads(cluster.request("POST", path, body))["status"]["token"]
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(json.dumps(cluster.kubeconfig(token, namespace)))
    kubectl = subprocess.run(
        [*cluster.kubectl, f"--kubeconfig={kubeconfig}", "get", "pods"],
        env={"HOME": "/nonexistent"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert kubectl.returncode == 1
    user = f"system:serviceaccount:{namespace}:default"
    assert f'User "{user}" cannot list resource "pods"' in kubectl.stderr


def test_pod_security_admission_is_on(client, namespace):
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    client.patch(Namespace, namespace, {"metadata": {"labels": labels}})
    privileged = Container(name="main", image="x", securityContext=SecurityContext(privileged=True))
    pod = Pod(metadata=ObjectMeta(name="bad"), spec=PodSpec(containers=[privileged]))
    with pytest.raises(ApiError, match='violates PodSecurity "restricted:latest": privileged'):
        client.create(pod, namespace=namespace)


def test_clients_see_the_version_that_go_mod_asks_for(control_plane):
    version = json.loads(control_plane.request("GET", "/version"))
    assert (version["major"], version["minor"], version["gitVersion"]) == ("1", "36", "v1.36.3")


def test_two_stand_side_by_side_and_leave_nothing_when_they_stop(
    control_plane, client, namespace, guardian, tmp_path, record_property
):
    began = time.monotonic()
    other = ControlPlane(tmp_path / "other", guardian)
    with other:
        record_property("ready after seconds", time.monotonic() - began)
        processes = other.processes()
        assert sorted(processes) == sorted(controlplane.programs.PARTS)
        assert not set(processes.values()) & set(control_plane.processes().values())
        names = json.loads(other.request("GET", "/api/v1/namespaces"))["items"]
        assert namespace not in {item["metadata"]["name"] for item in names}
    other.stop()  # once more does nothing
    assert not any(map(alive, processes.values()))
    assert control_plane.processes()


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL], ids=lambda number: number.name)
def test_no_process_and_no_file_outlives_the_rehearsal(tmp_path, end):
    folder, told = tmp_path / "run", tmp_path / "pids"
    rehearsal = subprocess.Popen(
        [sys.executable, "-c", REHEARSAL, folder, told], stderr=subprocess.DEVNULL, start_new_session=True
    )
    eventually(lambda: told.exists() and told.read_text())
    pids = json.loads(told.read_text())
    assert all(map(alive, pids.values()))
    rehearsal.send_signal(end)
    rehearsal.wait(PATIENCE)
    eventually(lambda: not any(map(alive, pids.values())))
    eventually(lambda: not folder.exists())


def test_it_starts_on_a_machine_without_a_route(tmp_path):
    if subprocess.run([*OFFLINE, "true"], check=False, capture_output=True).returncode:
        pytest.skip("this machine does not let us make a network namespace")
    command = 'ip link set lo up && exec "$@"'
    done = subprocess.run(
        [*OFFLINE, "sh", "-c", command, "sh", sys.executable, "-c", ONCE, str(tmp_path)],
        check=False,
        capture_output=True,
        text=True,
    )
    assert "gitVersion" in done.stdout, done.stderr


def test_a_part_that_dies_early_says_its_last_words(tmp_path, guardian):
    (tmp_path / "etcd").write_text("where etcd wants a folder")
    cluster = ControlPlane(tmp_path, guardian)
    with pytest.raises(RehearsalError, match=r"etcd has ended: .*not a directory"):
        cluster.start()
    cluster.stop()


def test_a_full_disk_is_told_in_one_sentence(tmp_path, guardian, monkeypatch):
    monkeypatch.setattr(last_words, "LEAST_SPACE", 1 << 60)
    (tmp_path / "etcd").write_text("where etcd wants a folder")
    cluster = ControlPlane(tmp_path, guardian)
    with pytest.raises(RehearsalError, match=f"no space is left for {tmp_path}: free some, or set TMPDIR"):
        cluster.start()
    cluster.stop()


def test_a_part_that_dies_later_is_found(tmp_path):
    with Guardian() as guardian, ControlPlane(tmp_path, guardian) as cluster:
        cluster.check()
        os.kill(cluster.processes()["kube-scheduler"], signal.SIGKILL)
        eventually(lambda: "kube-scheduler" not in cluster.processes())
        with pytest.raises(RehearsalError, match="kube-scheduler has ended"):
            cluster.check()


@pytest.mark.parametrize("taken", [0, 2], ids=["etcd", "API server"])
def test_a_port_that_is_taken_meanwhile_is_replaced(tmp_path, guardian, monkeypatch, taken):
    free_ports, calls = controlplane.free_ports, []
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))

        def ports(count: int) -> list[int]:
            found = free_ports(count)
            if not calls:
                found[taken] = other.getsockname()[1]
            calls.append(found)
            return found

        monkeypatch.setattr(controlplane, "free_ports", ports)
        with ControlPlane(tmp_path, guardian) as cluster:
            assert cluster.request("GET", "/readyz") == b"ok"
    assert len(calls) == 2


def test_a_folder_that_cannot_be_written_is_named(tmp_path, guardian):
    (tmp_path / "file").write_text("")
    with pytest.raises(RehearsalError, match=r"cannot start in .*/file/run: .*Not a directory"):
        ControlPlane(tmp_path / "file" / "run", guardian).start()


def test_the_nodes_are_those_of_the_file(tmp_path, guardian):
    file = tmp_path / "nodes.yaml"
    file.write_text("nodes: [{name: only, allocatable: {amd.com/gpu: 4}}]")
    with ControlPlane(tmp_path / "run", guardian, node_file=file) as cluster:
        (node,) = json.loads(cluster.request("GET", "/api/v1/nodes"))["items"]
    assert node["metadata"]["name"] == "only"
    assert node["status"]["allocatable"]["amd.com/gpu"] == "4"


def test_default_nodes_are_ready_at_the_start(client):
    ready = {
        node.metadata.name: condition.status
        for node in client.list(Node)
        for condition in node.status.conditions
        if condition.type == "Ready"
    }
    assert ready == {"cpu-0": "True", "cpu-1": "True", "gpu-0": "True"}


def test_a_namespace_gets_its_default_account(client, namespace):
    assert client.get(ServiceAccount, "default", namespace=namespace).metadata.uid
