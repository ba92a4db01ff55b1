"""Images: where they are pulled from, by which credentials, and what an option may say."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import ops
import pytest
import yaml
from ops import testing

from kubeflow_charm import images
from kubeflow_charm.config import Config, read
from kubeflow_charm.problems import Problem, flattened

DIGEST = "@sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("reference", "registry", "expected"),
    [
        ("nginx:1", "mirror.local:5000", "mirror.local:5000/library/nginx:1"),
        ("docker.io/nginx", "mirror.local", "mirror.local/library/nginx"),
        ("docker.io/library/nginx", "mirror.local", "mirror.local/library/nginx"),
        ("filebrowser/filebrowser:v2", "mirror.local/kf", "mirror.local/kf/filebrowser/filebrowser:v2"),
        ("ghcr.io/kubeflow/a/b:v1", "mirror.local", "mirror.local/kubeflow/a/b:v1"),
        ("localhost/a", "mirror.local", "mirror.local/a"),
        ("registry:5000/a:1", "mirror.local", "mirror.local/a:1"),
        (f"quay.io/a/b:1{DIGEST}", "[::1]:5000", f"[::1]:5000/a/b:1{DIGEST}"),
        ("nginx:1", "", "nginx:1"),
    ],
)
def test_an_image_is_pulled_from_the_registry_with_its_path(reference, registry, expected):
    assert images.redirected(reference, registry) == expected


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("nginx", "docker.io/library/nginx"),
        ("nginx:1", "docker.io/library/nginx"),
        ("index.docker.io/nginx:1", "docker.io/library/nginx"),
        ("a/b:1", "docker.io/a/b"),
        (f"ghcr.io/a/b{DIGEST}", "ghcr.io/a/b"),
        (f"ghcr.io:443/a/b:v1{DIGEST}", "ghcr.io:443/a/b"),
        ("[::1]:5000/a:1", "[::1]:5000/a"),
    ],
)
def test_a_repository_has_neither_tag_nor_digest(reference, expected):
    assert images.repository(reference) == expected


class Lone(ops.CharmBase):
    """A charm with resources."""


def load(
    folder: Path, resources: dict[str, Any], registry: str = ""
) -> tuple[images.Images | None, list[tuple[str, str]]]:
    """Return the images, and the statuses of what is wrong; a resource that is a text is written as it is."""
    given = []
    for name, content in resources.items():
        path = folder / f"{name}.yaml"
        path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
        given.append(testing.Resource(name=name, path=path))
    kinds = {name: {"type": "oci-image"} for name in resources}
    context = testing.Context(Lone, meta={"name": "ours", "resources": kinds})
    with context(context.on.update_status(), testing.State(resources=given)) as manager:
        try:
            return images.read(manager.charm, registry), []
        except* Problem as group:
            problems = flattened(group)
    return None, [(problem.status.name, problem.status.message) for problem in problems]


def charmhub(name: str) -> dict[str, str]:
    """Return a resource as Charmhub gives it: one host, and credentials for each resource."""
    path = f"registry.jujucharms.com/charm/abc/{name}-image{DIGEST}"
    return {"registrypath": path, "username": f"user-{name}", "password": f"pass-{name}"}


def auths(secret: dict[str, Any] | None) -> dict[str, tuple[str, str]]:
    """Return user and password by what the kubelet looks for."""
    assert secret is not None
    found = json.loads(base64.b64decode(secret["data"][".dockerconfigjson"]))["auths"]
    for entry in found.values():
        assert base64.b64decode(entry["auth"]).decode() == f"{entry['username']}:{entry['password']}"
    return {place: (entry["username"], entry["password"]) for place, entry in found.items()}


def test_each_resource_has_its_own_credentials_on_one_host(tmp_path):
    found, _ = load(tmp_path, {"a": charmhub("a"), "b": charmhub("b"), "c": {"registrypath": "nginx"}})
    assert found is not None
    secret = found.pull_secret("ours", "mlops")
    assert secret is not None
    assert secret["metadata"] == {"name": "ours-image-pull", "namespace": "mlops"}
    assert auths(secret) == {
        "registry.jujucharms.com/charm/abc/a-image": ("user-a", "pass-a"),
        "registry.jujucharms.com/charm/abc/b-image": ("user-b", "pass-b"),
    }


def test_users_get_the_credentials_of_what_their_pods_run_and_no_others(tmp_path):
    found, _ = load(tmp_path, {"a": charmhub("a"), "b": charmhub("b"), "c": {"registrypath": "nginx"}})
    assert found is not None
    images = found.references
    assert [name for name, image in images.items() if found.asks(image)] == ["a", "b"]
    secret = found.profile_pull_secret("ours", [images["b"], images["c"]])
    assert auths(secret) == {"registry.jujucharms.com/charm/abc/b-image": ("user-b", "pass-b")}
    assert secret is not None
    assert secret["metadata"] == {"name": "ours-image-pull"}
    assert found.profile_pull_secret("ours", [images["c"], "registry.jujucharms.com/charm/abc/b"]) is None


def test_no_credentials_are_sent_to_another_registry(tmp_path):
    found, _ = load(tmp_path, {"a": charmhub("a")}, registry="mirror.local:5000")
    assert found is not None
    assert found.references["a"].startswith("mirror.local:5000/charm/abc/a-image@")
    assert found.pull_secret("ours", "mlops") is None
    assert found.profile_pull_secret("ours", [found.references["a"]]) is None
    there, _ = load(tmp_path, {"a": charmhub("a")}, registry="registry.jujucharms.com")
    assert there is not None
    assert auths(there.pull_secret("ours", "mlops"))


@pytest.mark.parametrize(
    "content", ["", "[", "[]", "x", {"registrypath": ""}, {"registrypath": 7}, {"registrypath": "a b"}]
)
def test_a_resource_that_names_no_image_is_blocked_with_the_command(tmp_path, content):
    _, statuses = load(tmp_path, {"a": content, "b": {"registrypath": "nginx"}})
    assert statuses == [("blocked", "resource a names no image: juju attach-resource ours a=<image>")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("mirror.example.com", "mirror.example.com"),
        ("mirror.example.com/", "mirror.example.com"),
        ("mirror.example.com:5000/kubeflow/26.03", "mirror.example.com:5000/kubeflow/26.03"),
        ("localhost:32000", "localhost:32000"),
        ("localhost", "localhost"),
        ("mirror:5000", "mirror:5000"),
        ("10.0.0.1:5000/a_b/c-d", "10.0.0.1:5000/a_b/c-d"),
        ("[fd00::1]:5000/kubeflow", "[fd00::1]:5000/kubeflow"),
    ],
)
def test_a_registry_is_a_host_perhaps_with_a_path(text, expected):
    assert read({"image-registry": text}, Config).image_registry == expected


@pytest.mark.parametrize(
    "text",
    [
        "https://reg.example.com",
        "reg.example.com x",
        "x: y",
        "reg.example.com:port",
        "reg.example.com:5000:1",
        "mirror",
        "mirror/kubeflow",
        "reg.example.com//a",
        "reg.example.com/UPPER",
        "reg.example.com/a:v1",
        "reg.example.com/a\n",
        "-a.example.com",
        "::1",
        "[::1",
        "user@reg.example.com",
        "reg.example.com/{{ x }}",
        "/",
        "a." + "b" * 300,
    ],
)
def test_what_is_no_registry_is_blocked_naming_the_option(text):
    with pytest.raises(ExceptionGroup) as caught:
        read({"image-registry": text}, Config)
    (problem,) = flattened(caught.value)
    assert problem.status.name == "blocked"
    assert problem.status.message.startswith("option image-registry: ")
    assert (
        "is no registry, such as mirror.example.com:5000/kubeflow" in problem.status.message or len(text) > 60
    )
