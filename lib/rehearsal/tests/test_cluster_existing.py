import json
import socket

import pytest
import yaml

from rehearsal.cluster.existing import ExistingCluster, Refused
from rehearsal.errors import RehearsalError


@pytest.fixture
def kubeconfig(control_plane, tmp_path):
    """Write a variation of the control plane's kubeconfig, and return its file."""

    def write(change=lambda document: None):
        document = yaml.safe_load(control_plane.admin_kubeconfig.read_text())
        change(document)
        (tmp_path / "config").write_text(yaml.safe_dump(document))
        return tmp_path / "config"

    return write


def test_a_cluster_of_the_users_own_does_what_the_control_plane_does(control_plane, kubeconfig, tmp_path):
    cluster = ExistingCluster(kubeconfig())
    cluster.start()
    assert (cluster.url, cluster.token) == (control_plane.url, control_plane.token)
    assert cluster.kubeconfig("t", "ns") == control_plane.kubeconfig("t", "ns")
    assert len(json.loads(cluster.request("GET", "/api/v1/nodes"))["items"]) == 3
    with pytest.raises(Refused) as caught:
        cluster.request("GET", "/api/v1/nodes/none")
    assert caught.value.status == 404
    cluster.stop()
    assert control_plane.request("GET", "/readyz") == b"ok"


def test_a_certificate_authority_may_be_a_file(control_plane, kubeconfig):
    def change(document):
        del document["clusters"][0]["cluster"]["certificate-authority-data"]
        document["clusters"][0]["cluster"]["certificate-authority"] = str(control_plane.ca)

    cluster = ExistingCluster(kubeconfig(change))
    cluster.start()
    cluster.stop()


def _closed_port(document):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        document["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{free.getsockname()[1]}"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda document: document.update({"current-context": "none"}), "is no kubeconfig with a current"),
        (lambda document: document.pop("clusters"), "is no kubeconfig with a current context"),
        (
            lambda document: document["users"][0].update(user={"exec": {}}),
            "has neither a token nor a client certificate",
        ),
        (_closed_port, "does not answer: ConnectionRefusedError"),
        (lambda document: document["users"][0]["user"].update(token="wrong"), "does not answer: HTTP 401"),
    ],
)
def test_a_kubeconfig_that_does_not_work_is_one_sentence(kubeconfig, change, said):
    with pytest.raises(RehearsalError, match=said):
        ExistingCluster(kubeconfig(change)).start()


def test_a_kubeconfig_that_is_not_there_is_named(tmp_path):
    with pytest.raises(RehearsalError, match="none is no kubeconfig"):
        ExistingCluster(tmp_path / "none")
