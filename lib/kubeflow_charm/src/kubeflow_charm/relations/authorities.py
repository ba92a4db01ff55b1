"""Certificates of authorities, as PEM: bundles of related applications in one form."""

from __future__ import annotations

from collections.abc import Iterable

BEGIN = "-----BEGIN CERTIFICATE-----"


def joined(bundles: Iterable[str]) -> str:
    """Return several bundles as one; the result is empty if all are.

    Every bundle ends with a line break. Otherwise the end of a certificate and the beginning of the next
    would be on one line, and no reader accepts such a bundle.
    """
    return "".join(f"{bundle.strip()}\n" for bundle in bundles if bundle.strip())
