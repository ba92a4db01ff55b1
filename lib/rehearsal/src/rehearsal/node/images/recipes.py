"""What each image is made of here: the one place that maps an image to programs of the package registries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rehearsal.cluster.build import Program
from rehearsal.node.images.parts import DebianFiles, GoProgram, Part

PROGRAMS = Path(__file__).parents[1] / "programs"
_WAYS_OUT = "leave --real-node out"
_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Recipe:
    """An image.

    Args:
        parts: what is in it.
        made_of: package and version, for the table of images.
        config: of the OCI image; what the real image has of it.
    """

    parts: tuple[Part, ...]
    made_of: str
    config: Mapping[str, Any] = field(default_factory=dict)


def _go(
    name: str, title: str, packages: int, *, package: str = ".", folder: str = "", completed: str = ""
) -> Program:
    """Return a Go program; its sources are in `folder` of `programs`, or in the folder of its name."""
    return Program(
        name=name,
        title=title,
        source=PROGRAMS / (folder or name),
        package=package,
        packages=packages,
        linker_flags="-s -w",
        ways_out=_WAYS_OUT,
        completed=completed,
    )


IMAGE_WRITER = _go("image", "what writes images", 250)
"""Writes an archive that containerd imports, by github.com/google/go-containerregistry."""

_APPLETS = """sh cat chmod cp cut date dirname echo env expr grep gunzip gzip head hostname httpd id ls
md5sum mkdir mktemp mv nc nslookup od printf ps pwd rm sed seq sha256sum sleep sort stat tail tar tee test
touch tr true uname uniq wc wget xargs"""
"""The names by which images of busybox have its programs."""
_KATIB = "github.com/kubeflow/katib"
_ARGO = "github.com/argoproj/argo-workflows/v4"

MINIO = _go("minio", "MinIO", 1300, package="github.com/minio/minio")
"""MinIO is under the AGPL: it is built where it runs, and never given away with anything of ours."""

_SHELL = Recipe(
    (DebianFiles(("busybox-static",), tuple((f"bin/{name}", "busybox") for name in _APPLETS.split())),),
    "Debian's busybox-static",
    {"Cmd": ["sh"], "Env": [_PATH]},
)

RECIPES: Mapping[str, Recipe] = {
    "pause": Recipe(
        (GoProgram(_go("pause", "what holds pods open", 60), "/pause"),),
        "Go's standard library",
        {"Entrypoint": ["/pause"], "User": "65535:65535"},
    ),
    "coredns": Recipe(
        (GoProgram(_go("coredns", "the cluster's DNS", 1100), "/coredns"),),
        "github.com/coredns/coredns v1.15.0",
        {"Entrypoint": ["/coredns"], "WorkingDir": "/", "User": "65532:65532"},
    ),
    "busybox": _SHELL,
    "alpine": _SHELL,
    "minio": Recipe(
        (GoProgram(MINIO, "/usr/bin/minio"),),
        "github.com/minio/minio",
        {"Entrypoint": ["minio"], "Env": [_PATH]},
    ),
    "charmed-mysql": Recipe(
        (
            DebianFiles(
                ("mariadb-server-core", "mariadb-client-core", "busybox-static"),
                tuple((f"bin/{name}", "busybox") for name in _APPLETS.split()),
            ),
        ),
        "Debian's mariadb-server-core, in the place of MySQL",
        {"Env": [_PATH]},
    ),
    **{
        name: Recipe(
            (GoProgram(_go(name, title, 1200, package=f"{_KATIB}/cmd/{package}", folder="katib"), path),),
            f"{_KATIB} v0.19.0",
            {"Entrypoint": [path], "WorkingDir": "/app", "Env": [_PATH]},
        )
        for name, title, package, path in (
            ("katib-controller", "Katib's controller", "katib-controller/v1beta1", "/app/katib-controller"),
            ("katib-db-manager", "Katib's database manager", "db-manager/v1beta1", "/app/katib-db-manager"),
            (
                "suggestion-goptuna",
                "Katib's goptuna",
                "suggestion/goptuna/v1beta1",
                "/app/goptuna-suggestion",
            ),
            (
                "file-metrics-collector",
                "Katib's metrics collector",
                "metricscollector/v1beta1/file-metricscollector",
                "/app/file-metricscollector",
            ),
        )
    },
    "training-operator": Recipe(
        (
            GoProgram(
                _go(
                    "training-operator",
                    "the training operator",
                    900,
                    package="github.com/kubeflow/training-operator/cmd/training-operator.v1",
                    folder="training",
                ),
                "/manager",
            ),
        ),
        "github.com/kubeflow/training-operator v1.8.1",
        {"Entrypoint": ["/manager"], "Env": [_PATH]},
    ),
    "workflow-controller": Recipe(
        (
            GoProgram(
                _go(
                    "workflow-controller",
                    "Argo's controller",
                    1900,
                    package=f"{_ARGO}/cmd/workflow-controller",
                    folder="argo",
                ),
                "/bin/workflow-controller",
            ),
        ),
        f"{_ARGO} v4.0.5",
        {"Entrypoint": ["workflow-controller"], "Env": [_PATH], "User": "8737"},
    ),
    "argoexec": Recipe(
        (
            GoProgram(
                _go(
                    "argoexec",
                    "Argo's executor",
                    1900,
                    package=f"{_ARGO}/cmd/argoexec",
                    folder="argo",
                    completed=f"{_ARGO}@v4.0.5",
                ),
                "/bin/argoexec",
            ),
        ),
        f"{_ARGO} v4.0.5, with a file for Linux that it lacks",
        {"Entrypoint": ["argoexec"], "Env": [_PATH]},
    ),
}
"""By the last part of an image's path, so that a registry mirror makes no difference."""
