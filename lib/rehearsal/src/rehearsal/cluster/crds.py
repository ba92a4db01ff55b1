"""Read third-party CustomResourceDefinitions, and Knative's whole releases, from their projects' Go modules.

The real schemas check our charms' objects, and the repository contains no copy of them. `source/crds/go.mod`
pins the versions, `go.sum` their content. Knative's come from its operator, whose module carries the
manifests of the releases that it installs: no proxy serves the module of eventing, and that of serving lacks
the networking kinds and the Istio ingress.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

import yaml

from rehearsal.cluster import build, toolchain
from rehearsal.cluster.existing import Refused
from rehearsal.errors import RehearsalError
from rehearsal.patience import PATIENCE

PLACES = {
    "istio": ("istio.io/api", "kubernetes/customresourcedefinitions.gen.yaml"),
    "gateway-api": ("sigs.k8s.io/gateway-api", "config/crd/standard/*.yaml"),
    "knative-operator": ("knative.dev/operator", "config/crd/bases/*.yaml"),
    "knative-serving": ("knative.dev/operator", "cmd/operator/kodata/knative-serving/1.15.2/*.yaml"),
    "knative-ingress": ("knative.dev/operator", "cmd/operator/kodata/ingress/1.15/istio/*.yaml"),
    "knative-eventing": ("knative.dev/operator", "cmd/operator/kodata/knative-eventing/1.15.0/*.yaml"),
    "prometheus-operator": (
        "github.com/prometheus-operator/prometheus-operator",
        "example/prometheus-operator-crd/*.yaml",
    ),
}
"""The Go module of each project, and the files in it."""

_SOURCE = build.SOURCE / "crds"
_DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_Base):
    """Reads YAML as Go does: a lone `=`, as in the Prometheus operator's definitions, is a string."""


_Loader.add_constructor("tag:yaml.org,2002:value", lambda loader, node: loader.construct_scalar(node))


class Cluster(Protocol):
    """What `install` needs of a cluster; the control plane and existing clusters both provide it."""

    def apply(self, path: str, body: bytes) -> bytes:
        """Apply an object on the server side."""
        ...

    def request(self, method: str, path: str) -> bytes:
        """Send one request."""
        ...


def read(project: str, groups: Iterable[str] = (), kinds: Iterable[str] = ()) -> list[dict[str, Any]]:
    """Return a project's definitions: all, or only those of the given API groups and kinds.

    Raises:
        RehearsalError: if the module is missing and cannot be downloaded.
    """
    definitions = [each for each in manifests(project) if each["kind"] == "CustomResourceDefinition"]
    if not definitions:
        raise RehearsalError(f"the Go module {PLACES[project][0]} has no CRDs in {PLACES[project][1]}")
    of_groups, of_kinds = set(groups), set(kinds)
    return [
        crd
        for crd in definitions
        if (not of_groups or crd["spec"]["group"] in of_groups)
        and (not of_kinds or crd["spec"]["names"]["kind"] in of_kinds)
    ]


def manifests(project: str) -> list[dict[str, Any]]:
    """Return all of a project's documents, each once, in the order of its files.

    Raises:
        RehearsalError: if the module is missing and cannot be downloaded.
    """
    pinned = (_SOURCE / "go.mod").read_bytes()
    digest = hashlib.sha256(pinned + repr(PLACES[project]).encode()).hexdigest()[:12]
    cached = build.cache() / f"crds-{project}-{digest}.json"
    if not cached.exists():
        with tempfile.TemporaryDirectory(prefix="crds-", dir=cached.parent) as scratch:
            (Path(scratch) / "new").write_text(json.dumps(_documents(project)))
            (Path(scratch) / "new").replace(cached)
    return json.loads(cached.read_text())


def install(cluster: Cluster, definitions: Iterable[dict[str, Any]], *, within: float = PATIENCE) -> None:
    """Apply definitions and wait until the cluster serves them.

    Args:
        cluster: the cluster to install into.
        definitions: the definitions, from `read`.
        within: seconds to wait.

    Raises:
        RehearsalError: if one is not established in time.
        OSError: if the cluster refuses one.
    """
    definitions = list(definitions)
    for crd in definitions:
        _apply(cluster, crd)
    deadline = time.monotonic() + within
    for crd in definitions:
        while not (_stays(cluster, crd) and _served(cluster, crd)):
            if time.monotonic() > deadline:
                name = crd["metadata"]["name"]
                raise RehearsalError(f"the CRD {name} is not established after {within:.0f} s")
            time.sleep(0.02)


def _apply(cluster: Cluster, crd: dict[str, Any]) -> None:
    path = f"{_DEFINITIONS}/{crd['metadata']['name']}?fieldManager=rehearsal&force=true"
    cluster.apply(path, json.dumps(crd).encode())


def _stays(cluster: Cluster, crd: dict[str, Any]) -> bool:
    """Tell whether the definition stays; if it was being deleted when it was applied, apply it again."""
    try:
        found = json.loads(cluster.request("GET", f"{_DEFINITIONS}/{crd['metadata']['name']}"))
    except Refused as refusal:
        if refusal.status != 404:
            raise
        _apply(cluster, crd)
        return False
    return "deletionTimestamp" not in found["metadata"]


def _served(cluster: Cluster, crd: dict[str, Any]) -> bool:
    """Tell whether its objects can be listed, which is slightly later than its condition Established says."""
    said = crd["spec"]
    version = next(each["name"] for each in said["versions"] if each["storage"])
    try:
        cluster.request("GET", f"/apis/{said['group']}/{version}/{said['names']['plural']}?limit=1")
    except Refused as refusal:
        if refusal.status in (404, 429, 503):
            return False
        raise
    return True


def _documents(project: str) -> list[dict[str, Any]]:
    module, pattern = PLACES[project]
    found: dict[tuple[str, ...], dict[str, Any]] = {}
    for path in sorted(_folder(module).glob(pattern)):
        for document in yaml.load_all(path.read_text(), Loader=_Loader):
            if document:
                metadata = document["metadata"]
                name = metadata.get("name") or metadata.get("generateName", "")
                found.setdefault((document["kind"], metadata.get("namespace", ""), name), document)
    if not found:
        raise RehearsalError(f"the Go module {module} has nothing in {pattern}")
    return list(found.values())


def _folder(module: str) -> Path:
    """Return the folder of a Go module; download and verify it if needed."""
    go = toolchain.find(build.cache())
    done = subprocess.run(
        [go, "mod", "download", "-json", module],
        cwd=_SOURCE,
        env=toolchain.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    said = json.loads(done.stdout or "{}")
    if "Dir" not in said:
        raise RehearsalError(
            f"the CRDs of {module} could not be had: {said.get('Error') or done.stderr.strip()}"
        )
    return Path(said["Dir"])
