"""Values of `oci-image` resources: an image's reference, or a file with the reference and credentials.

The file is YAML or JSON (juju/juju 3.6, cmd/juju/application/deployer/resources.go, getDockerDetailsData).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from rehearsal.juju.model.errors import JujuError


def described(value: str) -> dict[str, Any]:
    """Return the details for the charm: `registrypath`, and `username` and `password` if a file has them.

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
