"""Container images: the references in Juju's oci-image resources, and one registry that serves all images."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

import ops
import pydantic
import yaml

from kubeflow_charm.cluster.resources import Manifest
from kubeflow_charm.problems import blocked, waiting

Credentials = tuple[str, str]
"""User name and password."""


@dataclass(frozen=True)
class Images:
    """The images of a charm.

    Args:
        references: resource name to image reference, as a pod takes it.
        credentials: repository, as `repository` returns it, to user name and password.
    """

    references: dict[str, str]
    credentials: dict[str, Credentials]

    def asks(self, reference: str) -> bool:
        """Whether the registry of an image asks for the credentials that a resource has."""
        return repository(reference) in self.credentials

    def pull_secret(self, application: str, namespace: str) -> Manifest | None:
        """Return the pull secret of the application's pods, or None if no registry needs one."""
        secret = _pull_secret(application, self.credentials)
        return secret and secret | {"metadata": {**secret["metadata"], "namespace": namespace}}

    def profile_pull_secret(self, application: str, references: Iterable[str]) -> Manifest | None:
        """Return the Secret that users' pods pull with, or None where no registry asks.

        Users can read it, so it has credentials only for what their pods run. It has no namespace: the
        resource dispatcher puts it into every profile.

        Args:
            application: the application, for the Secret's name.
            references: the images that users' pods run, as a pod takes them.
        """
        repositories = {repository(reference) for reference in references}
        needed = {key: value for key, value in self.credentials.items() if key in repositories}
        return _pull_secret(application, needed)


def pull_secret_name(application: str) -> str:
    """Return the name of an application's pull secrets."""
    return f"{application}-image-pull"


def _pull_secret(application: str, credentials: dict[str, Credentials]) -> Manifest | None:
    """Return a Secret with the credentials of each repository.

    Charmhub gives each resource credentials of its own for one host. The kubelet takes every key that the
    image's repository begins with, the longest first (kubernetes 1.31, pkg/credentialprovider/keyring.go).
    """
    if not credentials:
        return None
    auths = {
        place: {
            "username": user,
            "password": password,
            "auth": base64.b64encode(f"{user}:{password}".encode()).decode(),
        }
        for place, (user, password) in sorted(credentials.items())
    }
    content = base64.b64encode(json.dumps({"auths": auths}).encode()).decode()
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": pull_secret_name(application)},
        "type": "kubernetes.io/dockerconfigjson",
        "data": {".dockerconfigjson": content},
    }


def read(charm: ops.CharmBase, registry: str) -> Images:
    """Return the images of the charm's oci-image resources.

    If `registry` serves an image instead of the image's own registry, its credentials are not used: they
    belong to the other registry, and must not be sent to this one.

    Args:
        charm: the charm whose `resources` are read.
        registry: `host[:port][/path]` of the registry that serves all images, or empty.

    Raises:
        ExceptionGroup: with one `Problem` for each resource that is missing or names no image.
    """
    references: dict[str, str] = {}
    credentials: dict[str, Credentials] = {}
    problems = []
    for name, meta in charm.meta.resources.items():
        if meta.type != "oci-image":
            continue
        cure = f"juju attach-resource {charm.app.name} {name}=<image>"
        try:
            path = charm.model.resources.fetch(name)
            resource = yaml.safe_load(path.read_text())
        except (NameError, ops.ModelError) as error:
            problems.append(waiting(f"resource {name}", f"Juju has none yet ({error}): {cure}"))
            continue
        except (OSError, yaml.YAMLError):
            resource = None
        resource = resource if isinstance(resource, dict) else {}
        original = resource.get("registrypath")
        if not isinstance(original, str) or not is_reference(original):
            problems.append(blocked(f"resource {name} names no image", cure))
            continue
        references[name] = redirected(original, registry)
        place = repository(references[name])
        if resource.get("username") and place == repository(original):
            credentials[place] = (str(resource["username"]), str(resource.get("password") or ""))
    if problems:
        raise ExceptionGroup("images", problems)
    return Images(references, credentials)


_HUB = ("docker.io", "index.docker.io")


def registry_of(reference: str) -> str:
    """Return the registry host of an image reference, or Docker Hub's if it names none.

    The first component is a host if it has a dot or a colon, or is `localhost` (distribution/reference).
    """
    first, slash, _ = reference.partition("/")
    if slash and _is_host(first):
        return first
    return "docker.io"


def _is_host(component: str) -> bool:
    return "." in component or ":" in component or component == "localhost"


def repository(reference: str) -> str:
    """Return the repository of an image, as the kubelet looks up credentials: `host/path`, no tag, no digest.

    Short names of Docker Hub become complete: `nginx` is `docker.io/library/nginx`.
    """
    host = registry_of(reference)
    path = _path(reference).partition("@")[0].partition(":")[0]
    return f"{'docker.io' if host in _HUB else host}/{path}"


def redirected(reference: str, registry: str) -> str:
    """Return `reference` with `registry` in place of its host; unchanged if `registry` is empty."""
    return f"{registry}/{_path(reference)}" if registry else reference


def _path(reference: str) -> str:
    """Return a reference without its host; short names of Docker Hub become complete."""
    host = registry_of(reference)
    path = reference.removeprefix(f"{host}/")
    return f"library/{path}" if host in _HUB and "/" not in path else path


_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_HOST = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9A-Fa-f:]+\])(?::[0-9]+)?"
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REFERENCE = re.compile(
    rf"(?:{_HOST}/)?{_PART}(?:/{_PART})*(?::[A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}})?(?:@sha256:[0-9a-f]{{64}})?"
)
_REGISTRY = re.compile(rf"{_HOST}(?:/{_PART})*")


def is_reference(text: str) -> bool:
    """Whether a text is an image reference."""
    return len(text) <= 512 and _REFERENCE.fullmatch(text) is not None


def _checked(value: str) -> str:
    if not is_reference(value):
        raise ValueError(f"{value[:60]!r} is no image reference")
    return value


def _checked_registry(value: str) -> str:
    if not value:
        return value
    registry = value.removesuffix("/")
    host = registry.partition("/")[0]
    if len(registry) > 255 or not _REGISTRY.fullmatch(registry) or not _is_host(host):
        raise ValueError(f"{value[:60]!r} is no registry, such as mirror.example.com:5000/kubeflow")
    return registry


ImageReference = Annotated[str, pydantic.AfterValidator(_checked)]
"""`[host[:port]/]path[:tag][@sha256:digest]` (distribution/reference, the grammar of its documentation)."""

Registry = Annotated[str, pydantic.AfterValidator(_checked_registry)]
"""`host[:port][/path]`, or empty. The host has a dot or a port, or is `localhost`; otherwise it would mean a
user of Docker Hub. An IPv6 address is in brackets."""
