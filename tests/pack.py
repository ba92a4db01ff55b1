"""Pack every charm with the real charmcraft, to the paths that bundle.yaml names: `tox -e pack [folder ...]`.

On Ubuntu this is `charmcraft pack` in each charm's folder. Anywhere else there is nothing to build an Ubuntu
charm in, so charmcraft builds on the host and is told that it is Ubuntu: what comes out has the form of the
charm, and is good for tests only. Needs charmcraft 4.5 or newer, uv, and python3-apt, which charmcraft's
builds on the host go through.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
CANNOT_RUN = 3
"""Exit status when this machine lacks what packing needs."""

_APT = Path("/usr/lib/python3/dist-packages")
_UBUNTU = 'ID=ubuntu\nNAME="Ubuntu"\nVERSION_ID="24.04"\nVERSION_CODENAME=noble\n'
_LITTER = ("parts", "stage", "prime", "overlay")


class CannotPackError(Exception):
    """This machine lacks something; the text says what, and where to get it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Pack; print size, time and path of each charm; return the exit status."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("charms", nargs="*", help="folders under charms/ (all)")
    parser.add_argument("--on-host", action="store_true", help="build on this machine even if it is Ubuntu")
    parser.add_argument("--output", type=Path, help="where to leave the charms (each in its own folder)")
    options = parser.parse_args(arguments)
    folders = [ROOT / "charms" / Path(name).name for name in options.charms] or sorted(
        path.parent for path in ROOT.glob("charms/*/charmcraft.yaml")
    )
    on_host = options.on_host or platform.freedesktop_os_release().get("ID") != "ubuntu"
    try:
        packed = list(
            _on_host(folders, options.output) if on_host else _in_instances(folders, options.output)
        )
    except CannotPackError as reason:
        print(f"cannot pack: {reason}", file=sys.stderr)
        return CANNOT_RUN
    except subprocess.CalledProcessError as error:
        print(f"{error.output}\ncharmcraft failed", file=sys.stderr)
        return 1
    return 0 if options.output else _compare(packed)


def _compare(packed: list[Path]) -> int:
    """Return 0 if bundle.yaml names each packed charm by the path it is at."""
    import yaml  # comes with charmcraft

    said = yaml.safe_load((ROOT / "bundle.yaml").read_text())["applications"].values()
    named = {(ROOT / each["charm"]).resolve() for each in said if each["charm"].startswith(".")}
    for path in packed:
        others = [each.name for each in named if each.parent == path.parent]
        if path not in named and others:
            print(f"bundle.yaml names {others[0]}, packed was {path.name}", file=sys.stderr)
            return 1
    return 0


def _in_instances(folders: list[Path], output: Path | None) -> Iterator[Path]:
    """Pack in the ordinary way, in build instances that see the whole repository."""
    environment = os.environ | {"CHARMCRAFT_EXPERIMENTAL_MONOREPO": "1"}
    for folder in folders:
        yield _pack(folder, folder, output or folder, ["charmcraft", "pack"], environment)


def _on_host(folders: list[Path], output: Path | None) -> Iterator[Path]:
    """Pack an export of the repository on this machine."""
    with tempfile.TemporaryDirectory(prefix="pack-") as name:
        scratch = Path(name)
        environment = _environment(scratch)
        export = scratch / "source"
        _export(export)
        version = subprocess.check_output(["python3", "--version"], env=environment, text=True).strip()
        print(
            f"Built on {platform.freedesktop_os_release()['PRETTY_NAME']} with {version}: "
            "the manifest says Ubuntu 24.04, but these are test artefacts. Never publish them."
        )
        for folder in folders:
            source = export / folder.relative_to(ROOT)
            command = ["charmcraft", "pack", "--destructive-mode"]
            yield _pack(folder, source, output or folder, command, environment)
            for litter in _LITTER:
                shutil.rmtree(source / litter, ignore_errors=True)


def _pack(
    folder: Path, source: Path, destination: Path, command: list[str], environment: dict[str, str]
) -> Path:
    """Run charmcraft in `source`, move what it makes to `destination`, and say how it went."""
    started = time.monotonic()
    for old in source.glob("*.charm"):
        old.unlink()
    subprocess.run(
        command,
        cwd=source,
        env=environment,
        check=True,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    (made,) = source.glob("*.charm")
    destination.mkdir(parents=True, exist_ok=True)
    path = Path(shutil.move(made, destination / made.name))
    size, seconds = path.stat().st_size / 1e6, time.monotonic() - started
    print(f"{folder.name:20} {size:5.1f} MB {seconds:5.1f} s  {path}", flush=True)
    return path.resolve()


def _export(target: Path) -> None:
    """Copy what git would: tracked files, and untracked ones that are not ignored."""
    try:
        listed = subprocess.check_output(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, text=True
        )
    except (OSError, subprocess.CalledProcessError):
        raise CannotPackError(f"{ROOT} is no git checkout, or git is not there") from None
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)


def _environment(scratch: Path) -> dict[str, str]:
    """Return an environment in which charmcraft takes this machine for Ubuntu 24.04."""
    if shutil.which("charmcraft") is None or shutil.which("uv") is None:
        raise CannotPackError("charmcraft and uv must be installed, as `tox -e pack` does")
    (scratch / "etc").mkdir()
    (scratch / "etc" / "os-release").write_text(_UBUNTU)
    (scratch / "bin").mkdir()
    (scratch / "bin" / "python3").symlink_to(_interpreter())
    _link_apt(scratch / "apt")
    return os.environ | {
        "PATH": f"{scratch / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(scratch / "apt"),
        "UNIXCONFDIR": str(scratch / "etc"),  # where the `distro` library looks for os-release
        "XDG_RUNTIME_DIR": str(scratch),
    }


def _interpreter() -> str:
    """Return Ubuntu 24.04's Python if there is one that runs, else the one that runs this."""
    found = shutil.which("python3.12")
    if found and subprocess.run([found, "--version"], capture_output=True, check=False).returncode == 0:
        return found
    return os.path.realpath(sys.executable)


def _link_apt(target: Path) -> None:
    """Make python3-apt importable in charmcraft's environment, and nothing else of the system's Python."""
    tag = f"cpython-{sys.version_info.major}{sys.version_info.minor}-"
    modules = [*_APT.glob(f"apt_pkg.{tag}*.so"), *_APT.glob(f"apt_inst.{tag}*.so")]
    if not modules:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        raise CannotPackError(f"python3-apt for Python {version} is not there (apt-get install python3-apt)")
    target.mkdir()
    for module in (_APT / "apt", _APT / "aptsources", *modules):
        (target / module.name).symlink_to(module)


if __name__ == "__main__":
    sys.exit(main())
