"""Container images: what Juju's oci-image resources say, and one registry to pull all of them from."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass
from typing import Annotated

import ops
import pydantic
import yaml

from kubeflow_charm.cluster.resources import Manifest
from kubeflow_charm.problems import blocked, waiting


@dataclass(frozen=True)
class Images:
    """The images of a charm.

    Args:
        references: resource name to image reference, as a pod takes it.
        credentials: registry host to user name and password, of the registries that ask for them.
    """

    references: dict[str, str]
    credentials: dict[str, tuple[str, str]]

    def pull_secret(self, application: str, namespace: str) -> Manifest | None:
        """Return the Secret that pods pull with, or None where no registry asks."""
        if not self.credentials:
            return None
        auths = {
            host: {
                "username": user,
                "password": password,
                "auth": base64.b64encode(f"{user}:{password}".encode()).decode(),
            }
            for host, (user, password) in sorted(self.credentials.items())
        }
        content = base64.b64encode(json.dumps({"auths": auths}).encode()).decode()
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": f"{application}-image-pull", "namespace": namespace},
            "type": "kubernetes.io/dockerconfigjson",
            "data": {".dockerconfigjson": content},
        }


def read(charm: ops.CharmBase, registry: str) -> Images:
    """Return the images that Juju has for the charm's oci-image resources.

    Args:
        charm: the charm whose `resources` are read.
        registry: `host[:port][/path]` to pull everything from, or empty.

    Raises:
        ExceptionGroup: with one `Problem` for each resource that Juju does not have or that says no image.
    """
    references: dict[str, str] = {}
    credentials: dict[str, tuple[str, str]] = {}
    problems = []
    for name, meta in charm.meta.resources.items():
        if meta.type != "oci-image":
            continue
        cure = f"juju attach-resource {charm.app.name} {name}=<image>"
        try:
            path = charm.model.resources.fetch(name)
            said = yaml.safe_load(path.read_text())
        except (NameError, ops.ModelError) as error:
            problems.append(waiting(f"resource {name}", f"Juju has none yet ({error}): {cure}"))
            continue
        except (OSError, yaml.YAMLError):
            said = None
        if not isinstance(said, dict) or not said.get("registrypath"):
            problems.append(blocked(f"resource {name} names no image", cure))
            continue
        references[name] = redirected(said["registrypath"], registry)
        if said.get("username"):
            host = registry_of(references[name])
            credentials[host] = (str(said["username"]), str(said.get("password", "")))
    if problems:
        raise ExceptionGroup("images", problems)
    return Images(references, credentials)


def registry_of(reference: str) -> str:
    """Return the registry host of an image reference; Docker Hub's where it names none.

    The first component is a host if it has a dot or a colon, or is `localhost` (distribution/reference).
    """
    first, slash, _ = reference.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return first
    return "docker.io"


def redirected(reference: str, registry: str) -> str:
    """Return `reference` as pulled from `registry`, the path kept; unchanged if `registry` is empty."""
    if not registry:
        return reference
    host = registry_of(reference)
    path = reference.removeprefix(f"{host}/")
    if host == "docker.io" and "/" not in path:
        path = f"library/{path}"
    return f"{registry.rstrip('/')}/{path}"


_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_HOST = rf"(?:{_LABEL}(?:\.{_LABEL})*(?::[0-9]+)?/)?"
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REFERENCE = re.compile(
    rf"{_HOST}{_PART}(?:/{_PART})*(?::[A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}})?(?:@sha256:[0-9a-f]{{64}})?"
)


def _checked(value: str) -> str:
    if len(value) > 512 or not _REFERENCE.fullmatch(value):
        raise ValueError(f"{value[:60]!r} is no image reference")
    return value


ImageReference = Annotated[str, pydantic.AfterValidator(_checked)]
"""`[host[:port]/]path[:tag][@sha256:digest]` (distribution/reference, the grammar of its documentation)."""
