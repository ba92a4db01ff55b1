"""Packed charms: zip files, unpacked once for each content into the user's cache."""

from __future__ import annotations

import hashlib
import shutil
import stat
import tempfile
import zipfile
from pathlib import Path, PurePosixPath

from rehearsal.cluster import build
from rehearsal.juju.model.metadata import CharmError

_LARGEST = 1 << 30
"""Bytes that a charm may have when it is unpacked; a larger one is taken for a trap."""


def unpacked(path: Path) -> Path:
    """Return the folder with the content of a packed charm; unpack it if the cache does not have it.

    Raises:
        CharmError: if it is no zip file, or would write outside its folder.
        RehearsalError: if the cache cannot be written.
    """
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()[:16]
    except OSError as error:
        raise CharmError(f'no charm was found at "{path}": {error.strerror}') from None
    target = build.cache() / "charms" / f"{path.name.partition('_')[0]}-{digest}"
    if target.exists():
        return target
    target.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="unpacking-", dir=target.parent) as scratch:
        folder = Path(scratch) / "charm"
        try:
            with zipfile.ZipFile(path) as archive:
                _check(path, archive)
                for entry in archive.infolist():
                    _extract(archive, entry, folder)
        except (zipfile.BadZipFile, EOFError, NotImplementedError) as error:
            raise CharmError(f'charm file "{path}" is no zip file: {error}') from None
        if not target.exists():
            folder.rename(target)
    return target


def _check(path: Path, archive: zipfile.ZipFile) -> None:
    size = 0
    for entry in archive.infolist():
        name = PurePosixPath(entry.filename)
        if name.is_absolute() or ".." in name.parts:
            raise CharmError(f'charm file "{path}" holds a path outside of it: {entry.filename}')
        size += entry.file_size
    if size > _LARGEST:
        raise CharmError(f'charm file "{path}" would take {size >> 20} MiB')


def _extract(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, folder: Path) -> None:
    """Extract a file with its mode, or a link that stays inside."""
    place, mode = folder / entry.filename, entry.external_attr >> 16
    if entry.is_dir():
        place.mkdir(parents=True, exist_ok=True)
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    if stat.S_ISLNK(mode):
        link = archive.read(entry).decode()
        if not (place.parent / link).resolve().is_relative_to(folder.resolve()):
            raise CharmError(f"{entry.filename} is a link to {link}, outside of the charm")
        place.symlink_to(link)
        return
    with archive.open(entry) as source, place.open("wb") as file:
        shutil.copyfileobj(source, file)
    place.chmod(mode & 0o777 or 0o644)
