"""The hook tools as programs: one Go program under the name of each, built once for the user."""

from __future__ import annotations

from pathlib import Path

from rehearsal.cluster import build
from rehearsal.juju.charm_process.tools import Tools

_PROGRAM = build.Program(
    name="hook-tool",
    title="Juju's hook tools",
    source=Path(__file__).with_name("hook_tool"),
    package=".",
    packages=120,
    linker_flags="-s -w",
    ways_out="leave out charms that need their own dispatch",
)


def folder(base: Path) -> Path:
    """Return the folder with the hook tools; make it in `base` if it is not there.

    Raises:
        RehearsalError: if they cannot be built.
    """
    found = base / "tools"
    if not found.exists():
        program = build.built(_PROGRAM)
        making = base / "tools.new"
        making.mkdir(parents=True, exist_ok=True)
        for name in Tools.names():
            (making / name).symlink_to(program)
        making.rename(found)
    return found
