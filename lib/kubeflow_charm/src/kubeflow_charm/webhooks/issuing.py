"""X.509 certificates with the cryptography library: a small authority, and serving certificates."""

from __future__ import annotations

import datetime
from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_LEEWAY = datetime.timedelta(minutes=5)
"""Certificates are valid this much earlier, for clocks that are slow."""


_Signer = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


class Pair(NamedTuple):
    """A certificate and its private key, as PEM text."""

    certificate: str
    key: str


def authority(name: str, now: datetime.datetime, until: datetime.datetime) -> Pair:
    """Return a self-signed authority that may sign serving certificates, but no other authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _named(f"{name} CA")
    builder = (
        _builder(subject, subject, key, key, now, until)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)
    )
    return _signed(builder, key, key)


def checked_authority(name: str, now: datetime.datetime, until: datetime.datetime) -> Pair:
    """Return an authority that cert-controller accepts as its own.

    It has an RSA key in PKCS#1 and its name as a DNS name (open-policy-agent/cert-controller v0.16.0,
    pkg/rotator/rotator.go, `validCACert` and `buildArtifactsFromSecret`).
    """
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    builder = (
        _builder(_named(name), _named(name), key, key, now, until)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    )
    return _signed(builder, key, key)


def serving(names: list[str], now: datetime.datetime, until: datetime.datetime, by: Pair) -> Pair:
    """Return a certificate for a server with `names`; the first is its common name.

    Raises:
        ValueError: if `by` is not an authority with its own key.
    """
    try:
        issuer = x509.load_pem_x509_certificate(by.certificate.encode())
        signer = serialization.load_pem_private_key(by.key.encode(), None)
    except (TypeError, UnsupportedAlgorithm) as error:
        raise ValueError(f"not an authority: {error}") from error
    if not isinstance(signer, _Signer) or signer.public_key() != issuer.public_key():
        raise ValueError("not an authority: the key is another's")
    key = ec.generate_private_key(ec.SECP256R1())
    alternatives = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
    builder = (
        _builder(_named(names[0]), issuer.subject, key, signer, now, until)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(digital_signature=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(alternatives, critical=False)
    )
    return _signed(builder, key, signer)


def _named(name: str) -> x509.Name:
    # A common name has at most 64 characters (RFC 5280). The alternative names have the complete name.
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: _Signer,
    signer: _Signer,
    now: datetime.datetime,
    until: datetime.datetime,
) -> x509.CertificateBuilder:
    own = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    # Successive authorities have the same name. This identifier distinguishes them in a bundle.
    signers = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _LEEWAY)
        .not_valid_after(until)
        .add_extension(own, critical=False)
        .add_extension(signers, critical=False)
    )


def _usage(**granted: bool) -> x509.KeyUsage:
    every = [
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    ]
    return x509.KeyUsage(**{name: granted.get(name, False) for name in every})


def _signed(
    builder: x509.CertificateBuilder,
    key: _Signer,
    signer: _Signer,
) -> Pair:
    certificate = builder.sign(signer, hashes.SHA256())
    rsa_key = isinstance(key, rsa.RSAPrivateKey)
    form = serialization.PrivateFormat.TraditionalOpenSSL if rsa_key else serialization.PrivateFormat.PKCS8
    return Pair(
        certificate.public_bytes(serialization.Encoding.PEM).decode(),
        key.private_bytes(
            serialization.Encoding.PEM,
            form,
            serialization.NoEncryption(),
        ).decode(),
    )
