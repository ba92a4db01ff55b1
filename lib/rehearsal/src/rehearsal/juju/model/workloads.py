"""What the user says of workload containers, whose programs do not run: `rehearse --workloads FILE`.

    oidc-gatekeeper:            # application
      oidc-authservice:         # container
        ready: install          # Pebble answers from install on, and pebble-ready comes after it; or: start
        exec:
          - command: [ls, /etc] # the words that a command begins with
            stdout: "passwd"
            exit: 0
        files:                  # of the image
          /etc/motd: hello

All keys of a container may be left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import pydantic
import yaml

from rehearsal.errors import RehearsalError


class Answer(pydantic.BaseModel):
    """What a command answers that a charm runs in a container."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")

    command: tuple[str, ...]
    """The first words of the command; the answer with the most words counts, and none stands for any."""
    stdout: str = ""
    stderr: str = ""
    exit: int = 0


class Workload(pydantic.BaseModel):
    """A container of a unit."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")

    ready: Literal["install", "start"] = "start"
    """After which hook Pebble answers: on Juju it may be either ("make no assumptions at all about the
    moment", Juju's reference of hooks)."""
    exec: tuple[Answer, ...] = ()
    files: Mapping[str, str] = pydantic.Field(default_factory=dict)
    """What the container's image has, by absolute path."""


SILENT = Workload()
"""A container of which nothing is said."""
Workloads = Mapping[str, Mapping[str, Workload]]
"""By application and container."""


class _File(pydantic.RootModel[dict[str, dict[str, Workload]]]):
    pass


def read(path: Path) -> Workloads:
    """Return what a file says.

    Raises:
        RehearsalError: if it says nothing of the kind, with its place.
    """
    try:
        said = yaml.safe_load(path.read_text())
    except OSError as error:
        raise RehearsalError(f"--workloads: {path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RehearsalError(f"--workloads: {path} is no YAML: {' '.join(str(error).split())}") from None
    try:
        return _File.model_validate({} if said is None else said).root
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise RehearsalError(f"--workloads: {path}: {place}: {first['msg']}") from None
