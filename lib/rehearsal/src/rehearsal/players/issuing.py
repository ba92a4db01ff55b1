"""Certificates that programs issue to themselves, and tell the API server of."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_DAYS = 3650


@dataclass(frozen=True)
class Issued:
    """A certificate, its key, and the authority that signed it, in PEM."""

    certificate: bytes
    key: bytes
    authority: bytes
    authority_key: bytes


def of_service(name: str, namespace: str) -> list[str]:
    """Return the names by which a Service is reached, the shortest first."""
    return [name, f"{name}.{namespace}", f"{name}.{namespace}.svc", f"{name}.{namespace}.svc.cluster.local"]


def issue(hosts: Sequence[str], organization: str) -> Issued:
    """Return a new certificate for some host names, by a new authority."""
    root_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    root_name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization)])
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hosts[-2])])
    root = (
        _begin(root_name, root_name, root_key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(root_key, hashes.SHA256())
    )
    names = x509.SubjectAlternativeName([x509.DNSName(each) for each in hosts])
    certificate = (
        _begin(name, root_name, key).add_extension(names, critical=False).sign(root_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    return Issued(certificate.public_bytes(pem), _private(key), root.public_bytes(pem), _private(root_key))


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _begin(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(days=_DAYS))
    )
