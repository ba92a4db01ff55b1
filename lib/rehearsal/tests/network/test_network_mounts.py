"""Files that a container finds, without a cluster."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from rehearsal.cluster.existing import Refused
from rehearsal.network.mounts import Mounts
from rehearsal.network.playing import image_name


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


OBJECTS: dict[str, Any] = {
    "/api/v1/namespaces/a/secrets/keys": {"data": {"tls.crt": encoded("C"), "tls.key": encoded("K")}},
    "/api/v1/namespaces/a/configmaps/settings": {"data": {"x": "X"}, "binaryData": {"y": encoded("Y")}},
    "/api/v1/namespaces/a/secrets/empty": {},
}


class Cluster:
    """Answers for OBJECTS, and counts."""

    def __init__(self):
        self.asked: list[str] = []

    def request(self, method: str, path: str, body: bytes | None = None, kind: str = "") -> bytes:
        self.asked.append(path)
        if path not in OBJECTS:
            raise Refused(404, "not found")
        return json.dumps(OBJECTS[path]).encode()


def mounts(cluster: Cluster, *mounted: tuple[dict[str, Any], dict[str, Any]]) -> Mounts:
    """Return the mounts of a container: pairs of a volume and what its mount says."""
    volumes = [{"name": str(at), **volume} for at, (volume, _) in enumerate(mounted)]
    container = {"volumeMounts": [{"name": str(at), **mount} for at, (_, mount) in enumerate(mounted)]}
    return Mounts(cluster, {"metadata": {"namespace": "a"}, "spec": {"volumes": volumes}}, container)


KEYS = {"secret": {"secretName": "keys"}}
SETTINGS = {"configMap": {"name": "settings"}}
SOME = {"secret": {"secretName": "keys", "items": [{"key": "tls.crt", "path": "sub/cert"}]}}
PROJECTED = {"projected": {"sources": [{"secret": {"name": "keys"}}, {"configMap": {"name": "settings"}}]}}


@pytest.mark.parametrize(
    ("volume", "mount", "path", "content"),
    [
        (KEYS, {"mountPath": "/etc/certs"}, "/etc/certs/tls.key", b"K"),
        (KEYS, {"mountPath": "/etc/certs/"}, "/etc//certs/./tls.crt", b"C"),
        (SETTINGS, {"mountPath": "/s"}, "/s/x", b"X"),
        (SETTINGS, {"mountPath": "/s"}, "/s/y", b"Y"),
        (SOME, {"mountPath": "/s"}, "/s/sub/cert", b"C"),
        (SOME, {"mountPath": "/s", "subPath": "sub"}, "/s/cert", b"C"),
        (KEYS, {"mountPath": "/one.pem", "subPath": "tls.crt"}, "/one.pem", b"C"),
        (PROJECTED, {"mountPath": "/p"}, "/p/x", b"X"),
        (PROJECTED, {"mountPath": "/p"}, "/p/tls.crt", b"C"),
    ],
)
def test_a_file_that_is_there(volume, mount, path, content):
    assert mounts(Cluster(), (volume, mount)).read(path) == content


@pytest.mark.parametrize(
    ("volume", "mount", "path"),
    [
        (KEYS, {"mountPath": "/etc/certs"}, "/etc/other/tls.key"),
        (KEYS, {"mountPath": "/etc/certs"}, "/etc/certs-too/tls.key"),
        (KEYS, {"mountPath": "/etc/certs"}, "/etc/certs"),
        (SOME, {"mountPath": "/s"}, "/s/tls.key"),
        ({"emptyDir": {}}, {"mountPath": "/s"}, "/s/x"),
        ({"secret": {"secretName": "empty"}}, {"mountPath": "/s"}, "/s/x"),
    ],
)
def test_a_file_that_is_not_there(volume, mount, path):
    with pytest.raises(FileNotFoundError):
        mounts(Cluster(), (volume, mount)).read(path)


def test_a_secret_that_is_not_there():
    with pytest.raises(Refused):
        mounts(Cluster(), ({"secret": {"secretName": "none"}}, {"mountPath": "/s"})).read("/s/x")


def test_the_innermost_mount_counts():
    both = mounts(Cluster(), (KEYS, {"mountPath": "/etc"}), (SETTINGS, {"mountPath": "/etc/inner"}))
    assert both.read("/etc/inner/x") == b"X"
    assert both.read("/etc/tls.crt") == b"C"


def test_an_object_is_read_once_for_a_connection():
    cluster = Cluster()
    keys = mounts(cluster, (KEYS, {"mountPath": "/k"}))
    assert (keys.read("/k/tls.crt"), keys.read("/k/tls.key")) == (b"C", b"K")
    assert len(cluster.asked) == 1


@pytest.mark.parametrize(
    "reference",
    ["b", "b:1", "docker.io/a/b:v1", "host:5000/a/b", "host:5000/b:1@sha256:00ff", "b@sha256:00ff"],
)
def test_an_image_is_known_by_its_name(reference):
    assert image_name(reference) == "b"
