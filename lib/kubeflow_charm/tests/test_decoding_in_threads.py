"""Threads that decode at once, in processes of their own: only the first use of a type is dangerous."""

from __future__ import annotations

import subprocess
import sys

import pytest

KINDS = {
    "charm": """
from kubeflow_charm.cluster import connection
from kubeflow_charm.cluster.resources import Kind
kind = Kind("example.org/v1", "Thing", "things", rank=0, namespaced=False).resource
connection.decodable([kind])
""",
    "rehearsal": """
from rehearsal import documents
kind = documents.cluster_wide("example.org", "v1", "Thing", "things")
""",
}
THREADS = """
import sys, threading
from lightkube import KubeConfig
from lightkube.core import decoders

CONFIG = {
    "current-context": "a",
    "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
    "clusters": [{"name": "a", "cluster": {"server": "https://127.0.0.1"}}],
    "users": [{"name": "a", "user": {"token": "b"}}],
}
start = threading.Barrier(8)
done = []

def decode():
    start.wait()
    KubeConfig.from_dict(CONFIG)
    decoders.decode_status(b'{"details": {"causes": [{"field": "a"}]}}')
    decoders.decode_list(b'{"items": [], "metadata": {"resourceVersion": "1"}}', kind)
    decoders.decode_watch_event(b'{"type": "ADDED", "object": {}}')
    done.append(True)

sys.setswitchinterval(1e-6)
threads = [threading.Thread(target=decode) for _ in range(8)]
for each in threads:
    each.start()
for each in threads:
    each.join()
assert len(done) == 8
"""
"""Crashes about every second time if the types are not known before."""


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_types_are_known_before_threads_decode_them(kind: str):
    for _ in range(6):
        run = subprocess.run(
            [sys.executable, "-X", "faulthandler", "-c", kind + THREADS],
            check=False,
            capture_output=True,
            text=True,
        )
        assert run.returncode == 0, run.stderr
