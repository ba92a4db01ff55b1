"""Webhook certificates: for the right names, the same in every hook, and no gap in trust when they change."""

from __future__ import annotations

import datetime
import itertools
import json
import ssl
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import ops
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import verification
from cryptography.x509.oid import ExtendedKeyUsageOID
from ops import testing

from kubeflow_charm.webhooks import certificates
from kubeflow_charm.webhooks.certificates import Certificate, webhook_certificate

NAMES = ["hook.mlops.svc", "hook.mlops.svc.cluster.local", "hook.mlops", "hook"]
DAY = datetime.timedelta(days=1)
NOW = datetime.datetime(2026, 11, 23, tzinfo=datetime.UTC)


class Lone(ops.CharmBase):
    """A charm with a webhook and nothing else."""


class Unit:
    """The leader, hook after hook, on a clock of the test's own."""

    def __init__(self, patch: pytest.MonkeyPatch):
        self.secrets: list[testing.Secret] = []
        self.now = NOW
        clock = SimpleNamespace(now=lambda _: self.now)
        fake = SimpleNamespace(datetime=clock, timedelta=datetime.timedelta, UTC=datetime.UTC)
        patch.setattr(certificates, "datetime", fake)

    def hook(self, **others: Any) -> Certificate:
        """Ask for the certificate in a hook of its own."""
        context = testing.Context(Lone, meta={"name": "ours"}, juju_version="3.6.9")
        state = testing.State(leader=True, secrets=self.secrets)
        with context(context.on.update_status(), state) as manager:
            certificate = webhook_certificate(manager.charm, "hook", "mlops", **others)
            assert webhook_certificate(manager.charm, "hook", "mlops", **others) == certificate
            self.secrets = list(manager.run().secrets)
        return certificate

    def change(self, change: Callable[[dict[str, Any]], None]) -> None:
        """Change what the secret holds behind the charm's back."""
        (secret,) = self.secrets
        kept = json.loads(secret.tracked_content["certificates"])
        change(kept)
        self.hold(json.dumps(kept))

    def hold(self, text: str) -> None:
        """Put another text into the secret."""
        (secret,) = self.secrets
        self.secrets = [testing.Secret({"certificates": text}, id=secret.id, label=secret.label, owner="app")]


@pytest.fixture
def unit(monkeypatch: pytest.MonkeyPatch) -> Unit:
    return Unit(monkeypatch)


def trusted(ca: str, certificate: str, when: datetime.datetime, name: str = NAMES[0]) -> None:
    """Check the chain of a served certificate as a TLS client does; raises if it is not trusted."""
    store = verification.Store(x509.load_pem_x509_certificates(ca.encode()))
    leaf = x509.load_pem_x509_certificate(certificate.encode())
    policy = verification.PolicyBuilder().store(store).time(when)
    policy.build_server_verifier(x509.DNSName(name)).verify(leaf, [])


def authorities(certificate: Certificate) -> list[int]:
    """Return the serial numbers of the authorities in the bundle."""
    return [each.serial_number for each in x509.load_pem_x509_certificates(certificate.ca.encode())]


def shake_hands(certificate: Certificate, folder: Path, name: str) -> None:
    """Have OpenSSL as client and server agree on TLS; raises if they do not."""
    (folder / "chain.pem").write_text(certificate.key + certificate.certificate)
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(folder / "chain.pem")
    client_side = ssl.create_default_context(cadata=certificate.ca)
    one, two = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_side.wrap_bio(one, two, server_hostname=name)
    server = server_side.wrap_bio(two, one, server_side=True)
    waiting = [client, server]
    for side in itertools.islice(itertools.cycle(waiting), 10):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    assert client.version() == server.version() == "TLSv1.3"


@pytest.mark.parametrize("name", NAMES)
def test_openssl_trusts_it_for_every_name_of_the_service(unit, tmp_path, name):
    unit.now = datetime.datetime.now(datetime.UTC)
    shake_hands(unit.hook(), tmp_path, name)


def test_no_other_name_is_trusted(unit):
    certificate = unit.hook()
    for name in NAMES:
        trusted(certificate.ca, certificate.certificate, NOW, name)
    with pytest.raises(verification.VerificationError):
        trusted(certificate.ca, certificate.certificate, NOW, "hook.other.svc")


def test_the_key_is_of_p_256_and_the_certificate_is_for_servers_only(unit):
    leaf = x509.load_pem_x509_certificate(unit.hook().certificate.encode())
    key = leaf.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert key.curve.name == "secp256r1"
    assert leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False
    usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.SERVER_AUTH]
    assert leaf.not_valid_after_utc == NOW + 365 * DAY
    assert leaf.not_valid_before_utc < NOW


def test_the_application_owns_the_secret_under_a_label_of_the_service(unit):
    unit.hook()
    (secret,) = unit.secrets
    assert (secret.owner, secret.label) == ("app", "webhook-certificate-hook")


def test_it_is_the_same_in_every_hook_until_a_third_of_its_life_is_left(unit):
    first = unit.hook()
    held = unit.secrets
    for unit.now in (NOW + DAY, NOW + 100 * DAY, NOW + 243 * DAY):
        assert unit.hook() == first
        assert unit.secrets == held
    unit.now = NOW + 244 * DAY
    second = unit.hook()
    assert (second.ca, second.certificate == first.certificate) == (first.ca, False)
    assert second.key != first.key


def test_a_settled_hook_does_not_import_cryptography(unit):
    unit.hook()
    (secret,) = unit.secrets
    script = f"""
import sys, ops
from ops import testing
from kubeflow_charm.webhooks.certificates import webhook_certificate
class Lone(ops.CharmBase): pass
secret = testing.Secret({secret.tracked_content!r}, label={secret.label!r}, owner="app")
context = testing.Context(Lone, meta={{"name": "ours"}})
with context(context.on.update_status(), testing.State(leader=True, secrets=[secret])) as manager:
    webhook_certificate(manager.charm, "hook", "mlops")
assert "cryptography" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], check=True)


def test_another_cluster_domain_makes_a_certificate_of_the_same_authority(unit):
    first, second = unit.hook(), unit.hook(cluster_domain="example.org")
    assert second.ca == first.ca
    trusted(second.ca, second.certificate, NOW, "hook.mlops.svc.example.org")
    trusted(second.ca, second.certificate, NOW)
    assert unit.hook(cluster_domain="example.org") == second


def test_in_thirty_years_no_change_leaves_a_caller_without_trust(unit):
    """Whatever of a change has arrived, the old or the new of each half, the two halves fit."""
    before = unit.hook()
    sizes, seen = set(), set()
    for days in range(0, 30 * 365, 40):
        unit.now = NOW + days * DAY
        after = unit.hook()
        if after != before:
            for ca, served in itertools.product((before.ca, after.ca), (before, after)):
                trusted(ca, served.certificate, unit.now)
        trusted(after.ca, after.certificate, unit.now)
        sizes.add(len(authorities(after)))
        seen.update(authorities(after))
        before = after
    assert sizes == {1, 2}
    assert len(seen) == 5


def test_an_authority_is_trusted_before_it_signs_and_until_nothing_of_it_is_left(unit):
    old = unit.hook()
    unit.now = NOW + 2434 * DAY
    unit.change(lambda kept: kept.update(not_after=str(unit.now + 100 * DAY)))
    announced = unit.hook()
    assert authorities(announced)[0] == authorities(old)[0]
    assert len(authorities(announced)) == 2
    trusted(old.ca, announced.certificate, unit.now)

    unit.now += 244 * DAY
    changed = unit.hook()
    assert authorities(changed) == authorities(announced)[::-1]
    trusted(announced.ca, changed.certificate, unit.now)
    with pytest.raises(verification.VerificationError):
        trusted(old.ca, changed.certificate, unit.now)

    unit.now += 244 * DAY
    assert authorities(unit.hook()) == authorities(changed)[:1]


def test_openssl_tells_authorities_of_one_name_apart(unit, tmp_path):
    unit.now = datetime.datetime.now(datetime.UTC)
    unit.hook()
    held = unit.secrets
    unit.secrets = []
    unit.hook()
    other = json.loads(unit.secrets[0].tracked_content["certificates"])["authority"]["certificate"]
    unit.secrets = held
    unit.change(lambda kept: kept.update(gone=other))
    certificate = unit.hook()
    assert len(authorities(certificate)) == 2
    shake_hands(certificate, tmp_path, NAMES[0])
    first, second = certificate.ca.split("-----END CERTIFICATE-----\n")[:2]
    end = "-----END CERTIFICATE-----\n"
    swapped = Certificate(second + end + first + end, certificate.certificate, certificate.key)
    shake_hands(swapped, tmp_path, NAMES[0])


@pytest.mark.parametrize(
    "text",
    ["", "{}", "null", "[]", "\0", "not JSON", '{"names": 1}', "{" * 10_000],
    ids=lambda text: repr(text)[:12],
)
def test_a_secret_of_another_form_is_made_anew(unit, text):
    unit.hook()
    unit.hold(text)
    certificate = unit.hook()
    trusted(certificate.ca, certificate.certificate, NOW)
    assert unit.hook() == certificate


@pytest.mark.parametrize(
    "change",
    [
        lambda kept: kept.pop("key"),
        lambda kept: kept.update(certificate="garbage"),
        lambda kept: kept.update(not_after="soon"),
        lambda kept: kept.update(not_after="2027-01-01T00:00:00"),
        lambda kept: kept["authority"].pop("key"),
        lambda kept: kept.update(coming={"certificate": kept["certificate"]}),
        lambda kept: kept["authority"].update(not_after=str(NOW - DAY)),
        lambda kept: kept["authority"].update(not_after=str(NOW + 3700 * DAY)),
        lambda kept: kept.update(not_after=str(NOW + 400 * DAY)),
    ],
    ids=[
        "no key",
        "no PEM",
        "no date",
        "no time zone",
        "authority without key",
        "half of the next authority",
        "authority has ended",
        "authority of the future",
        "certificate of the future",
    ],
)
def test_what_cannot_be_built_on_is_made_anew(unit, change):
    first = unit.hook()
    unit.change(change)
    second = unit.hook()
    assert authorities(second) != authorities(first)
    trusted(second.ca, second.certificate, NOW)
    assert unit.hook() == second


@pytest.mark.parametrize("field", ["certificate", "key"])
def test_an_authority_that_only_looks_like_one_is_made_anew_when_it_has_to_sign(unit, field):
    unit.hook()
    unit.change(lambda kept: kept["authority"].update({field: "-----BEGIN X-----\nAAAA\n-----END X-----\n"}))
    unit.now = NOW + 300 * DAY
    certificate = unit.hook()
    trusted(certificate.ca, certificate.certificate, unit.now)


def test_a_key_of_another_authority_does_not_sign(unit):
    unit.hook()
    unit.change(lambda kept: kept["authority"].update(key=kept["key"]))
    unit.now = NOW + 300 * DAY
    certificate = unit.hook()
    trusted(certificate.ca, certificate.certificate, unit.now)


def test_what_lost_its_last_newline_is_still_the_same(unit):
    first = unit.hook()
    unit.change(lambda kept: kept["authority"].update(certificate=kept["authority"]["certificate"].strip()))
    assert unit.hook() == first


def test_a_clock_a_few_minutes_off_changes_nothing(unit):
    first = unit.hook()
    unit.now = NOW - datetime.timedelta(minutes=4)
    assert unit.hook() == first
    trusted(first.ca, first.certificate, unit.now)


def test_a_service_with_a_long_name_has_it_whole_among_the_alternatives(unit):
    context = testing.Context(Lone, meta={"name": "ours"})
    with context(context.on.update_status(), testing.State(leader=True)) as manager:
        certificate = webhook_certificate(manager.charm, "s" * 63, "n" * 63)
    trusted(certificate.ca, certificate.certificate, NOW, f"{'s' * 63}.{'n' * 63}.svc")


def checked_by_its_program(certificate: Certificate, name: str, at: datetime.datetime) -> None:
    """Check what cert-controller checks before it leaves a certificate alone, ninety days ahead.

    open-policy-agent/cert-controller v0.16.0, pkg/rotator/rotator.go: the first authority of the bundle has its
    name as a DNS name and an RSA key in PKCS#1, and signed the certificate.
    """
    assert certificate.authority_key.startswith("-----BEGIN RSA PRIVATE KEY-----")
    key = serialization.load_pem_private_key(certificate.authority_key.encode(), None)
    authority, *_ = x509.load_pem_x509_certificates(certificate.ca.encode())
    assert key.public_key() == authority.public_key()
    names = authority.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [name]
    serving = x509.load_pem_x509_certificate(certificate.certificate.encode())
    serving.verify_directly_issued_by(authority)
    assert min(serving.not_valid_after_utc, authority.not_valid_after_utc) > at + 90 * DAY


def test_a_program_that_checks_its_authority_finds_it_right_for_twenty_years(unit: Unit) -> None:
    before = unit.hook(checked="our-ca")
    for _ in range(20 * 12):
        certificate = unit.hook(checked="our-ca")
        checked_by_its_program(certificate, "our-ca", unit.now)
        trusted(before.ca, certificate.certificate, unit.now)
        before = certificate
        unit.now += 30 * DAY
    assert len(authorities(before)) <= 2


def test_other_programs_never_see_the_key_of_their_authority(unit: Unit) -> None:
    assert unit.hook().authority_key == ""


def test_an_authority_is_made_anew_if_a_program_begins_to_check_it(unit: Unit) -> None:
    before = unit.hook()
    after = unit.hook(checked="our-ca")
    assert authorities(after) != authorities(before)
    checked_by_its_program(after, "our-ca", unit.now)
