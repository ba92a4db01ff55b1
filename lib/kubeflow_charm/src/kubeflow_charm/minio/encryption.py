"""MinIO's encryption of bodies with secrets, with a key from its administrator's secret.

The format: 32 bytes of salt, 1 for the cipher, 8 of nonce, and the text in pieces of 16 KiB, each with a tag
of 16 bytes (github.com/minio/madmin-go, encrypt.go; the format of github.com/secure-io/sio-go).
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

SALT = 32
"""Bytes of salt."""
_NONCE, _TAG, _PIECE = 8, 16, 2**14
_ONE_AT_A_TIME = threading.Lock()
"""For key derivations: each takes 64 MiB, and parallel ones may wait forever for lanes of OpenSSL."""


class Unreadable(ValueError):
    """An answer is not encrypted in MinIO's format, or has another key."""


def encrypted(text: bytes, salt: bytes, key: bytes) -> bytes:
    """Return an encrypted text that MinIO can read.

    Args:
        text: the text to encrypt.
        salt: 32 random bytes.
        key: the result of `key_of` for the salt and the secret.
    """
    nonce, cipher = os.urandom(_NONCE), AESGCM(key)
    pieces = [text[at : at + _PIECE] for at in range(0, len(text), _PIECE)] or [b""]
    numbered = zip(_numbered(cipher, nonce, len(pieces)), pieces, strict=True)
    return b"".join(
        [salt, b"\0", nonce, *(cipher.encrypt(number, piece, tag) for (number, tag), piece in numbered)]
    )


def decrypted(answer: bytes, secret: str) -> bytes:
    """Decrypt an answer of MinIO with the administrator's secret.

    Raises:
        Unreadable: if the answer has another format or another key.
    """
    salt, kind, nonce = answer[:SALT], answer[SALT : SALT + 1], answer[SALT + 1 : SALT + 1 + _NONCE]
    text, size = answer[SALT + 1 + _NONCE :], _PIECE + _TAG
    if len(text) < _TAG:
        raise Unreadable("too short")
    if kind == b"\0":
        cipher = AESGCM(key_of(salt, secret))
    elif kind == b"\1":  # MinIO on machines without AES instructions
        cipher = ChaCha20Poly1305(key_of(salt, secret))
    elif kind == b"\2":  # builds of MinIO for FIPS 140
        cipher = AESGCM(hashlib.pbkdf2_hmac("sha256", secret.encode(), salt, 8192, 32))
    else:
        raise Unreadable("a cipher that we do not know")
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    numbered = zip(_numbered(cipher, nonce, len(pieces)), pieces, strict=True)
    try:
        return b"".join([cipher.decrypt(number, piece, tag) for (number, tag), piece in numbered])
    except InvalidTag:
        raise Unreadable("encrypted with another key") from None


def _numbered(cipher: AESGCM | ChaCha20Poly1305, nonce: bytes, count: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield nonce and authenticated data of every piece; those of the last piece mark it as the last."""
    tag = cipher.encrypt(nonce + bytes(4), b"", None)
    for number in range(1, count + 1):
        yield nonce + number.to_bytes(4, "little"), (b"\x80" if number == count else b"\0") + tag


def key_of(salt: bytes, secret: str) -> bytes:
    """Derive the encryption key from a secret, by Argon2id."""
    with _ONE_AT_A_TIME:
        derivation = Argon2id(salt=salt, length=32, iterations=1, lanes=4, memory_cost=2**16)
        return derivation.derive(secret.encode())
