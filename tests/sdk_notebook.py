"""A notebook with an SDK: tests run cells in it, as people do in theirs.

Each SDK has a Python of its own, which uv makes and keeps: SDKs want other versions than we do, and than each
other.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import uv
import yaml
from kubeflow_platform import Platform
from kubeflow_users import Requests

from kubeflow_charm.cluster.resources import Manifest

KERNEL = Path(__file__).with_name("sdk_kernel.py")


class CellFailed(Exception):
    """A cell raised an exception; the text is its traceback."""

    def __init__(self, error: str, told: str):
        super().__init__(told)
        self.error = error
        """The name of its class."""


class Notebook:
    """A kernel that runs until the notebook is closed.

    Args:
        packages: what pip would install.
        folder: where cells are kept.
        kubeconfig: the content of the kubeconfig that SDKs find.
        user: whom to be; whoever the kubeconfig names if empty.
    """

    def __init__(self, packages: Sequence[str], folder: Path, kubeconfig: Manifest, user: str = ""):
        config = folder / "kubeconfig"
        config.write_text(yaml.safe_dump(kubeconfig))
        self.environment = environment() | {"KUBECONFIG": str(config)}
        command = [*having(packages), "python", str(KERNEL), str(folder), user]
        self.printed = ""
        """What the cell before printed."""
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=self.environment, text=True
        )

    def run(self, cell: str, **values: Any) -> Any:
        """Run a cell that may use some values, and return the value of its last expression as JSON has it.

        Raises:
            CellFailed: if the cell raises an exception.
        """
        assert self._process.stdin and self._process.stdout
        asked = {"cell": textwrap.dedent(cell), "values": values}
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        answer = json.loads(
            self._process.stdout.readline() or '{"error": "", "told": "the kernel has ended"}'
        )
        if "error" in answer:
            raise CellFailed(answer["error"], answer["told"])
        self.printed = answer["printed"]
        return answer["value"]

    def close(self) -> None:
        """End the kernel."""
        self._process.communicate()


@contextlib.contextmanager
def opened(
    platform: Platform, user: Requests, packages: Sequence[str], paths: pytest.TempPathFactory
) -> Iterator[Notebook]:
    """Open a notebook in the profile of ada, in which a user of the platform asks, and close it in the end."""
    platform.have_nodes("default")
    cluster = platform.stage.cluster
    kubeconfig = cluster.kubeconfig(cluster.token, "ada")
    notebook = Notebook(packages, paths.mktemp("cells"), kubeconfig, user=user.user)
    try:
        yield notebook
    finally:
        notebook.close()


def having(packages: Sequence[str]) -> list[str]:
    """Return the beginning of a command whose Python has some packages."""
    wanted = [word for package in packages for word in ("--with", package)]
    return [uv.find_uv_bin(), "run", "--quiet", "--no-project", *wanted]


def environment() -> dict[str, str]:
    """Return the environment of a Python that has nothing to do with ours."""
    # To compile the Kubernetes client anew takes longer than any test, so what is compiled is kept.
    ours = ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE")
    return {key: value for key, value in os.environ.items() if key not in ours}
