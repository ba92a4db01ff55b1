"""Certificates of authorities, as PEM: what related applications write, brought into one form."""

from __future__ import annotations

from collections.abc import Iterable

BEGIN = "-----BEGIN CERTIFICATE-----"


def joined(bundles: Iterable[str]) -> str:
    """Return one bundle of several, empty if all are.

    Every bundle ends with a line break. Without one, the end of a certificate and the beginning of the next
    would stand on one line, and no reader takes such a bundle.
    """
    return "".join(f"{bundle.strip()}\n" for bundle in bundles if bundle.strip())
