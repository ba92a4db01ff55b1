"""Image archives, made once and kept in the user's cache by what is in them."""

from __future__ import annotations

import hashlib
import json
import subprocess
import tarfile
import tempfile
from pathlib import Path

from rehearsal import last_words
from rehearsal.cluster import build
from rehearsal.cluster.build import Progress
from rehearsal.errors import RehearsalError
from rehearsal.guardian import Guardian
from rehearsal.node.images.recipes import IMAGE_WRITER, Recipe

_FOLDERS = {"tmp": 0o1777, "etc": 0o755}
_ACCOUNTS = {"passwd": "root:x:0:0:root:/:/bin/sh\n", "group": "root:x:0:\n"}


def archive(name: str, recipe: Recipe, on_progress: Progress = lambda _: None) -> Path:
    """Return the archive of an image; make it first if the cache does not have it.

    Args:
        name: of the image, without registry and tag.
        recipe: what it is made of.
        on_progress: told what is being made.

    Raises:
        RehearsalError: if it cannot be made.
    """
    said = [json.dumps(recipe.config, sort_keys=True), *(part.content(on_progress) for part in recipe.parts)]
    digest = hashlib.sha256("\n".join(said).encode()).hexdigest()[:16]
    target = build.cache() / "images" / f"{name}-{digest}.tar"
    if target.exists():
        return target
    on_progress(f"making the image {name}")
    writer = build.built(IMAGE_WRITER, on_progress)
    try:
        target.parent.mkdir(exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix="making-", dir=target.parent))
        # The guardian deletes the folder, whatever happens to us.
        with Guardian(scratch):
            try:
                _write(name, recipe, scratch, writer).replace(target)
            except (OSError, RehearsalError) as error:
                if last_words.is_full(str(error), scratch):
                    raise OSError(f"no space is left for {target.parent}") from None
                raise
    except OSError as error:
        raise RehearsalError(
            f"the image {name} cannot be made: {error}: free disk space, set XDG_CACHE_HOME to a folder "
            "elsewhere, or leave --real-node out"
        ) from None
    return target


def _write(name: str, recipe: Recipe, scratch: Path, writer: Path) -> Path:
    """Write the archive into a folder, and return it."""
    root, layer, config, out = (scratch / each for each in ("root", "layer.tar", "config.json", "image.tar"))
    for folder, mode in _FOLDERS.items():
        (root / folder).mkdir(parents=True)
        (root / folder).chmod(mode)
    for file, text in _ACCOUNTS.items():
        (root / "etc" / file).write_text(text)
    for part in recipe.parts:
        part.write(root)
    with tarfile.open(layer, "w") as tar:
        for path in sorted(root.rglob("*")):
            tar.add(path, str(path.relative_to(root)), recursive=False, filter=_undated)
    config.write_text(json.dumps(recipe.config))
    command = [writer, f"rehearsal/{name}:made", layer, config, out]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        words = " ".join(done.stderr.split())[-300:]
        raise RehearsalError(f"the image {name} cannot be made: {words}: leave --real-node out")
    return out


def _undated(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """Make an entry the same each time."""
    entry.mtime = 0
    entry.uname = entry.gname = ""
    return entry
