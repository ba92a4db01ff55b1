"""The keys and tokens by which the node and the API server know each other."""

from __future__ import annotations

import datetime
import secrets
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_DAYS = 30


@dataclass(frozen=True)
class Credentials:
    """What was made.

    Args:
        kubelet: the kubelet's bearer token.
        proxy: kube-proxy's bearer token.
        certificate: what the API server shows to the kubelet; its own authority.
        key: of the certificate.
    """

    kubelet: str
    proxy: str
    certificate: Path
    key: Path

    def lines(self, node: str) -> tuple[str, ...]:
        """Return the lines of the API server's token file, with the names that Kubernetes gives rights to."""
        return (
            f"{self.kubelet},system:node:{node},{node},system:nodes",
            f"{self.proxy},system:kube-proxy,kube-proxy",
        )


def make(folder: Path) -> Credentials:
    """Write the certificate and its key; the user is one of `system:masters`, as kubeadm has it."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "system:masters"),
            x509.NameAttribute(NameOID.COMMON_NAME, "kube-apiserver-kubelet-client"),
        ]
    )
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    made = Credentials(
        secrets.token_hex(16),
        secrets.token_hex(16),
        folder / "kubelet-client.crt",
        folder / "kubelet-client.key",
    )
    made.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    made.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    made.key.chmod(0o600)
    return made
