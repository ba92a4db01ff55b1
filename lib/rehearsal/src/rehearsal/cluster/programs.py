"""Find the control plane's programs: in the user's envtest folder, or in our single binary."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from rehearsal.cluster import build
from rehearsal.errors import RehearsalError

PARTS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok")
"""The parts of a control plane. An envtest folder needs only the first two and kubectl, but may have all."""


def locate(
    parts: Sequence[str] = PARTS, on_progress: Callable[[str], None] = lambda _: None
) -> dict[str, list[str]]:
    """Return the command of each part; the part's arguments follow it.

    A part comes from the folder `KUBEBUILDER_ASSETS` (the convention of controller-runtime's envtest), or,
    if it is not there, from our binary, which is built only if a part needs it.

    Raises:
        RehearsalError: if the folder is no envtest folder, or if our binary is needed and cannot be built.
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
