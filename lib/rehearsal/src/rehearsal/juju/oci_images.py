"""What a user gives for an `oci-image` resource: an image's reference, or a file with that and credentials.

A file is YAML or JSON (juju/juju 3.6, cmd/juju/application/deployer/resources.go, getDockerDetailsData).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from rehearsal.juju.errors import JujuError


def described(value: str) -> dict[str, Any]:
    """Return what the charm reads: `registrypath`, and `username` and `password` if a file names them.

    Args:
        value: the reference, or the absolute path of a file.

    Raises:
        JujuError: if the file names no image.
    """
    path = Path(value)
    if not (path.is_absolute() and path.is_file()):
        return {"registrypath": value}
    try:
        content = yaml.safe_load(path.read_text())
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise JujuError(f"file containing docker registry details: {error}") from None
    content = content if isinstance(content, dict) else {}
    if not content.get("registrypath"):
        raise JujuError('docker image path "" not valid')
    return {key: content[key] for key in ("registrypath", "username", "password") if content.get(key)}
