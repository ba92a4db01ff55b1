"""The models whose offers a bundle consumes: which bundle belongs into each, and in what order.

Beside a bundle, `models/<model>.yaml` is the bundle of the model of that name.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from rehearsal.errors import RehearsalError
from rehearsal.juju.bundle import merge
from rehearsal.juju.model import offer_urls
from rehearsal.juju.model.errors import JujuError

FOLDER = "models"


def given(words: Sequence[str]) -> dict[str, Path]:
    """Return the bundles that `MODEL=BUNDLE` words name, by model.

    Raises:
        RehearsalError: if a word is no such word, or its bundle is not there.
    """
    found = {}
    for word in words:
        name, sign, bundle = word.partition("=")
        if not (name and sign and Path(bundle).is_file()):
            raise RehearsalError(f"--also takes MODEL=BUNDLE, and BUNDLE must be a file: {word}")
        found[name] = Path(bundle).resolve()
    return found


def needed(paths: Sequence[Path], model: str, also: Mapping[str, Path]) -> dict[str, Path]:
    """Return the bundles of other models by model, each after those whose offers it consumes.

    Args:
        paths: the bundle, and overlays.
        model: where these are deployed.
        also: bundles of other models that somebody asked for.

    Raises:
        RehearsalError: if a bundle consumes an offer of a model without a bundle.
    """
    found: dict[str, Path] = {}
    begun = {model}

    def add(name: str, bundle: Path) -> None:
        if name not in begun:
            begun.add(name)
            follow([bundle])
            found[name] = bundle

    def follow(files: Sequence[Path]) -> None:
        for name, url in _consumed(files).items():
            if name in begun:
                continue
            beside = paths[0].resolve().parent / FOLDER / f"{name}.yaml"
            bundle = also.get(name) or (beside if beside.is_file() else None)
            if bundle is None:
                raise RehearsalError(
                    f"the offer {url} is of the model {name}, and there is no {FOLDER}/{name}.yaml beside "
                    f"{paths[0].name}; another bundle for that model: --also {name}=BUNDLE"
                )
            add(name, bundle)

    follow(paths)
    for name, bundle in also.items():
        add(name, bundle)
    return found


def _consumed(files: Sequence[Path]) -> dict[str, str]:
    """Return the models whose offers files consume, each with one of these; errors are found later."""
    found: dict[str, str] = {}
    for url, _ in merge.files(list(files)).saas.values():
        with contextlib.suppress(JujuError):
            found.setdefault(offer_urls.parse(url).model, url)
    return found
