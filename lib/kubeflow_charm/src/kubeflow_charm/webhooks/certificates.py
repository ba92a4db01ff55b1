"""Certificates of admission webhooks: the charm creates and renews them, and Juju stores them.

A Juju secret of the application has them. So every hook and every unit has the same certificates. A
settled hook needs two hook tools and no request to Kubernetes. The secret also has their dates, so a settled
hook does not import the library that creates them.

A webhook's caller trusts the authorities in the webhook's configuration; the API server notices a change at
once. The webhook's pod serves the certificate in its Secret volume; the kubelet notices a change within a
minute or two. The charm writes both in one hook, or only one of them if the hook fails half-way. So no
request may depend on both changes:

- The same authority signs a new serving certificate. Callers trust the old one and the new one.
- Callers trust a new authority before it signs. The first renewal creates it and only adds it to the bundle.
  The second renewal, about eight months later, lets it sign the serving certificate, and keeps the old
  authority in the bundle. The third renewal drops the old authority; every certificate that it signed has
  expired by then.

Everything is new at once only if the secret is unusable: it has another format, or its authority is about to
expire.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Annotated, Any

import ops
import pydantic

AUTHORITY_DAYS = 3650
SERVING_DAYS = 365

_SKEW = datetime.timedelta(days=1)
"""The greatest difference between the clocks of two nodes."""

_PEM = r"^\s*-----BEGIN [A-Z ]+-----\s[A-Za-z0-9+/=\s]+-----END [A-Z ]+-----\s*$"
_Pem = Annotated[str, pydantic.Field(pattern=_PEM)]


@dataclass(frozen=True)
class Certificate:
    """A webhook's certificate, and the authorities that its callers trust; all PEM text.

    Args:
        ca: one or two authorities, for `caBundle`.
        certificate: the certificate that the webhook serves.
        key: its private key.
        authority_key: the private key of the first of `ca`; empty unless a program checks its authority.
    """

    ca: str
    certificate: str
    key: str
    authority_key: str = ""


class _Authority(pydantic.BaseModel):
    """An authority with its key."""

    model_config = pydantic.ConfigDict(frozen=True, defer_build=True)

    certificate: _Pem
    key: _Pem
    not_after: pydantic.AwareDatetime


class _Kept(pydantic.BaseModel):
    """The content of the secret, as JSON under one key: values of a Juju secret are text."""

    model_config = pydantic.ConfigDict(frozen=True, defer_build=True)

    names: list[str]
    checked: str = ""
    """The name of the authority that a program checks; empty if none does."""
    certificate: _Pem
    key: _Pem
    not_after: pydantic.AwareDatetime
    authority: _Authority
    """The authority that signed the certificate."""
    coming: _Authority | None = None
    """The next authority, which has signed nothing yet."""
    gone: _Pem | None = None
    """The certificate of the former authority, which signs nothing any more."""

    def content(self) -> dict[str, str]:
        """Return the content of the Juju secret."""
        return {_KEY: self.model_dump_json(exclude_none=True)}

    def public(self) -> Certificate:
        """Return the part that manifests need."""
        coming = self.coming.certificate if self.coming else None
        bundle = "".join(f"{pem.strip()}\n" for pem in (self.authority.certificate, coming, self.gone) if pem)
        return Certificate(bundle, self.certificate, self.key, self.authority.key if self.checked else "")


_KEY = "certificates"


def webhook_certificate(
    charm: ops.CharmBase,
    service: str,
    namespace: str,
    *,
    cluster_domain: str = "cluster.local",
    checked: str = "",
) -> Certificate:
    """Return the certificate of the webhook behind a Service; create or renew it if necessary.

    It has the four names of the Service, and more than a third of its lifetime is left. Only the leader may
    call this, because the application owns the secret.

    Args:
        charm: the charm whose application owns the secret, with the label `webhook-certificate-<service>`.
        service: name of the Service.
        namespace: its namespace.
        cluster_domain: the DNS domain of the cluster.
        checked: the name of the authority, for a program that checks its own certificate and cannot be told
            not to: `issuing.checked_authority`.
    """
    label = f"webhook-certificate-{service}"
    name = f"{service}.{namespace}.svc"
    names = [name, f"{name}.{cluster_domain}", f"{service}.{namespace}", service]
    now = datetime.datetime.now(datetime.UTC)
    try:
        secret = charm.model.get_secret(label=label)
    except ops.SecretNotFoundError:
        kept = _made(names, now, checked)
        charm.app.add_secret(kept.content(), label=label, description=f"TLS of the webhook {service}")
        return kept.public()
    known = _parsed(secret.get_content(refresh=True), now)
    if known is not None and known.checked != checked:
        known = None
    kept = _made(names, now, checked) if known is None else _kept_up(known, names, now)
    if kept != known:
        secret.set_content(kept.content())
    return kept.public()


def _parsed(content: dict[str, str], now: datetime.datetime) -> _Kept | None:
    """Return the secret's content, or None if it is unusable.

    It is unusable if it has another format, if the authority expires before another certificate would, or if
    a wrong clock created it in the future.
    """
    try:
        kept = _Kept.model_validate_json(content.get(_KEY, ""))
    except pydantic.ValidationError:
        return None
    serving, signing = kept.not_after - now, kept.authority.not_after - now
    sound = (
        serving <= _days(SERVING_DAYS) + _SKEW
        and _days(SERVING_DAYS) <= signing <= _days(AUTHORITY_DAYS) + _SKEW
    )
    return kept if sound else None


def _kept_up(kept: _Kept, names: list[str], now: datetime.datetime) -> _Kept:
    """Return the next content: the same, unless a renewal is due or the names differ."""
    if _due(kept.not_after, SERVING_DAYS, now):
        step: dict[str, Any] = {"gone": None}
        if kept.coming:
            step = {"authority": kept.coming, "coming": None, "gone": kept.authority.certificate}
        elif _due(kept.authority.not_after, AUTHORITY_DAYS, now):
            step |= {"coming": _authority(names, now, kept.checked)}
        kept = kept.model_copy(update=step)
    elif kept.names == names:
        return kept
    try:
        return kept.model_copy(update=_serving(kept.authority, names, now))
    except ValueError:  # the authority is no valid PEM
        return _made(names, now, kept.checked)


def _made(names: list[str], now: datetime.datetime, checked: str) -> _Kept:
    """Return a new authority and a certificate that it signs."""
    authority = _authority(names, now, checked)
    return _Kept(authority=authority, checked=checked, **_serving(authority, names, now))


def _authority(names: list[str], now: datetime.datetime, checked: str) -> _Authority:
    from kubeflow_charm.webhooks import issuing  # a settled hook does not need the cryptography library

    until = now + _days(AUTHORITY_DAYS)
    if checked:
        pair = issuing.checked_authority(checked, now, until)
    else:
        pair = issuing.authority(names[0], now, until)
    return _Authority(certificate=pair.certificate, key=pair.key, not_after=until)


def _serving(authority: _Authority, names: list[str], now: datetime.datetime) -> dict[str, Any]:
    """Return the fields of a new serving certificate; raises ValueError if the authority is invalid."""
    from kubeflow_charm.webhooks import issuing

    until = now + _days(SERVING_DAYS)
    pair = issuing.serving(names, now, until, issuing.Pair(authority.certificate, authority.key))
    return {"names": names, "certificate": pair.certificate, "key": pair.key, "not_after": until}


def _due(not_after: datetime.datetime, days: int, now: datetime.datetime) -> bool:
    """Whether at most a third of the lifetime is left."""
    return not_after - now <= _days(days) / 3


def _days(number: int) -> datetime.timedelta:
    return datetime.timedelta(days=number)
