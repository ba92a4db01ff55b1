"""Write the credentials that a control plane starts with."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec


def write(folder: Path, token: str, others: Iterable[str] = ()) -> None:
    """Write the administrator's token and the key pair that signs service accounts' tokens.

    Args:
        folder: receives `tokens.csv`, `service-account.key` and `service-account.pub`; created if missing.
        token: the administrator's.
        others: lines for other accounts, in the API server's format.
    """
    folder.mkdir(exist_ok=True, mode=0o700)
    lines = [f"{token},admin,admin,system:masters", *others]
    (folder / "tokens.csv").write_text("".join(f"{line}\n" for line in lines))
    key = ec.generate_private_key(ec.SECP256R1())
    (folder / "service-account.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
    )
    (folder / "service-account.pub").write_bytes(
        key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
