"""The certificate of Knative's webhook, which the webhook itself makes, and tells the API server of.

knative.dev/pkg (release 1.15), webhook/certificates and webhook/configmaps: a Secret with the certificate of
a Service, and its authority and paths in the configurations. What may surprise there, and so here: until the
program has run once, the API server trusts nobody behind the webhook, and refuses what it is to be asked
about.
"""

from __future__ import annotations

import base64
import copy
import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from rehearsal.players import kinds
from rehearsal.players.controller import Controller
from rehearsal.players.kinds import Key, Object
from rehearsal.players.program import Program

KEY, CERTIFICATE, AUTHORITY = "server-key.pem", "server-cert.pem", "ca-cert.pem"
MUTATING = "webhook.serving.knative.dev"
VALIDATING = "validation.webhook.serving.knative.dev"
SECRET = "webhook-certs"  # noqa: S105 (a name)
PATHS = {MUTATING: "/defaulting", VALIDATING: "/resource-validation"}

_DAYS = 3650


class Certificates:
    """Keeps the Secret and the configurations.

    Args:
        program: Knative's webhook.
    """

    def __init__(self, program: Program):
        self._api = program.api
        self._namespace = program.settings.variable("SYSTEM_NAMESPACE", "knative-serving")
        self._service = program.settings.variable("WEBHOOK_NAME", "webhook")
        self.controller: Controller = program.controller(kinds.SECRET, self._reconcile, "certificates")
        for kind in (kinds.MUTATING_WEBHOOKS, kinds.VALIDATING_WEBHOOKS):
            self.controller.watches(kind, lambda item: [(self._namespace, SECRET)])

    def _reconcile(self, key: Key) -> None:
        if key != (self._namespace, SECRET):
            return
        secret = self._api.get(kinds.SECRET, key)
        if secret is None:
            return
        if not {KEY, CERTIFICATE, AUTHORITY} <= (secret.get("data") or {}).keys():
            changed = {**secret, "data": {**(secret.get("data") or {}), **self._issue()}}
            secret = self._api.replace(kinds.SECRET, changed, secret)
        for kind, name in ((kinds.MUTATING_WEBHOOKS, MUTATING), (kinds.VALIDATING_WEBHOOKS, VALIDATING)):
            live = self._api.get(kind, ("", name))
            if live is not None:
                self._tell(kind, live, secret["data"][AUTHORITY])

    def _tell(self, kind: kinds.Kind, live: Object, authority: str) -> None:
        wanted = copy.deepcopy(live)
        for each in wanted["webhooks"]:
            each["clientConfig"]["caBundle"] = authority
            each["clientConfig"]["service"]["path"] = PATHS[live["metadata"]["name"]]
        self._api.replace(kind, wanted, live)

    def _issue(self) -> dict[str, str]:
        """Return a new certificate with its key and authority, encoded for a Secret."""
        hosts = [
            f"{self._service}{suffix}"
            for suffix in (
                "",
                f".{self._namespace}",
                f".{self._namespace}.svc",
                f".{self._namespace}.svc.cluster.local",
            )
        ]
        root_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        root_name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "knative.dev")])
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hosts[2])])
        root = (
            _begin(root_name, root_name, root_key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(root_key, hashes.SHA256())
        )
        certificate = (
            _begin(name, root_name, key)
            .add_extension(
                x509.SubjectAlternativeName([x509.DNSName(each) for each in hosts]), critical=False
            )
            .sign(root_key, hashes.SHA256())
        )
        pem = serialization.Encoding.PEM
        private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        texts = {KEY: private, CERTIFICATE: certificate.public_bytes(pem), AUTHORITY: root.public_bytes(pem)}
        return {each: base64.b64encode(text).decode() for each, text in texts.items()}


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
