"""Where the control plane's programs are: an envtest folder of the user's, or the one binary of ours."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from rehearsal.cluster import build
from rehearsal.errors import RehearsalError

PARTS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok")
"""What a control plane needs. An envtest folder has only the first two, and kubectl; it may have all."""


def locate(
    parts: Sequence[str] = PARTS, on_progress: Callable[[str], None] = lambda _: None
) -> dict[str, list[str]]:
    """Return the command line that each part's arguments follow.

    A part that `KUBEBUILDER_ASSETS` has is taken from there (the convention of controller-runtime's envtest),
    another one from our binary, which is built only if a part needs it.

    Raises:
        RehearsalError: if that folder is no envtest folder, or our binary is needed and cannot be built.
    """
    assets = _assets()
    found = {part: [str(assets / part)] for part in parts if assets and (assets / part).is_file()}
    missing = [part for part in parts if part not in found]
    if missing:
        try:
            ours = build.binary(on_progress)
        except RehearsalError as error:
            if assets is None:
                raise
            message = f"{', '.join(missing)} not found in KUBEBUILDER_ASSETS ({assets}), and {error}"
            raise RehearsalError(message) from None
        found |= {part: [str(ours), part] for part in missing}
    return found


def _assets() -> Path | None:
    folder = os.environ.get("KUBEBUILDER_ASSETS")
    if not folder:
        return None
    for part in ("etcd", "kube-apiserver"):
        if not (Path(folder) / part).is_file():
            raise RehearsalError(f"KUBEBUILDER_ASSETS names {folder}, which has no {part} in it")
    return Path(folder)
