"""Third-party CustomResourceDefinitions, read out of their projects' Go modules.

What our charms write is checked against the real schemas, and none of them is copied into the repository.
`source/crds/go.mod` pins the versions, `go.sum` their content.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from rehearsal.cluster import build, toolchain
from rehearsal.errors import RehearsalError

PLACES = {
    "istio": ("istio.io/api", "kubernetes/customresourcedefinitions.gen.yaml"),
    "gateway-api": ("sigs.k8s.io/gateway-api", "config/crd/standard/*.yaml"),
    "knative": ("knative.dev/serving", "config/core/300-resources/*.yaml"),
}
"""Project to the Go module and the files in it."""

_SOURCE = build.SOURCE / "crds"
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read(project: str, groups: Iterable[str] = ()) -> list[dict[str, Any]]:
    """Return the definitions of a project, of all its API groups or of the ones named.

    Raises:
        RehearsalError: if the module is not there and cannot be downloaded.
    """
    pinned = (_SOURCE / "go.mod").read_bytes()
    name = f"crds-{project}-{hashlib.sha256(pinned).hexdigest()[:12]}.json"
    cached = build.cache() / name
    if not cached.exists():
        scratch = cached.with_suffix(".new")
        scratch.write_text(json.dumps(_definitions(project)))
        scratch.replace(cached)
    wanted = set(groups)
    definitions = json.loads(cached.read_text())
    return [crd for crd in definitions if not wanted or crd["spec"]["group"] in wanted]


def _definitions(project: str) -> list[dict[str, Any]]:
    module, pattern = PLACES[project]
    found = []
    for path in sorted(_folder(module).glob(pattern)):
        documents = yaml.load_all(path.read_text(), Loader=_Loader)
        found += [d for d in documents if d and d.get("kind") == "CustomResourceDefinition"]
    return found


def _folder(module: str) -> Path:
    """Return where a Go module lies, downloaded if need be and verified."""
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
