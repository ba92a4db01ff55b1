"""Certificates of admission webhooks: made by the charm, kept by Juju, renewed before they end.

An application-owned Juju secret keeps them, so they are the same in every hook and on every unit, and cost a
settled hook two hook tools and no request to Kubernetes. Their dates stand beside them, so that such a hook
need not import the library that makes them.

A webhook's callers trust the authorities in its configuration, which the API server follows at once; its pod
serves what its Secret volume has, which the kubelet follows within a minute or two. The charm writes both in
one hook, or one of them only if that fails half-way. So no request may depend on both having changed:

- A new serving certificate is of the same authority: whichever of the two is served, it is trusted.
- A new authority is trusted before it signs. It is made in one renewal, and only joins the bundle. In the
  next, some eight months later, it signs the serving certificate, and the one before it stays in the bundle.
  In the third, that one goes, by when all that it had signed has ended.

Only where there is nothing to build on (the secret is not of this form, or its authority has all but ended)
is all new at once.
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
"""By how much the clocks of two nodes may differ."""

_PEM = r"^\s*-----BEGIN [A-Z ]+-----\s[A-Za-z0-9+/=\s]+-----END [A-Z ]+-----\s*$"
_Pem = Annotated[str, pydantic.Field(pattern=_PEM)]


@dataclass(frozen=True)
class Certificate:
    """What a webhook serves with, and what its callers trust; all PEM text.

    Args:
        ca: one or two authorities, for `caBundle`.
        certificate: what the webhook serves.
        key: the private key of that.
    """

    ca: str
    certificate: str
    key: str


class _Authority(pydantic.BaseModel):
    """An authority that can sign."""

    model_config = pydantic.ConfigDict(frozen=True, defer_build=True)

    certificate: _Pem
    key: _Pem
    not_after: pydantic.AwareDatetime


class _Kept(pydantic.BaseModel):
    """What the secret holds, as JSON under one key: values of a Juju secret are text."""

    model_config = pydantic.ConfigDict(frozen=True, defer_build=True)

    names: list[str]
    certificate: _Pem
    key: _Pem
    not_after: pydantic.AwareDatetime
    authority: _Authority
    """The one that signed the certificate."""
    coming: _Authority | None = None
    """One that has not signed yet."""
    gone: _Pem | None = None
    """The certificate of one that signs no more."""

    def content(self) -> dict[str, str]:
        """Return it as Juju takes it."""
        return {_KEY: self.model_dump_json(exclude_none=True)}

    def public(self) -> Certificate:
        """Return what the manifests need."""
        coming = self.coming.certificate if self.coming else None
        bundle = "".join(f"{pem.strip()}\n" for pem in (self.authority.certificate, coming, self.gone) if pem)
        return Certificate(bundle, self.certificate, self.key)


_KEY = "certificates"


def webhook_certificate(
    charm: ops.CharmBase, service: str, namespace: str, *, cluster_domain: str = "cluster.local"
) -> Certificate:
    """Return the certificate of the webhook behind a Service, making or renewing it if it is time.

    It is for the four names of the Service, and more than a third of its lifetime is left. Only the leader
    may call this, since the secret is the application's.

    Args:
        charm: whose application owns the secret, under the label `webhook-certificate-<service>`.
        service: name of the Service.
        namespace: its namespace.
        cluster_domain: the DNS domain of the cluster.
    """
    label = f"webhook-certificate-{service}"
    name = f"{service}.{namespace}.svc"
    names = [name, f"{name}.{cluster_domain}", f"{service}.{namespace}", service]
    now = datetime.datetime.now(datetime.UTC)
    try:
        secret = charm.model.get_secret(label=label)
    except ops.SecretNotFoundError:
        kept = _made(names, now)
        charm.app.add_secret(kept.content(), label=label, description=f"TLS of the webhook {service}")
        return kept.public()
    known = _parsed(secret.get_content(refresh=True), now)
    kept = _made(names, now) if known is None else _kept_up(known, names, now)
    if kept != known:
        secret.set_content(kept.content())
    return kept.public()


def _parsed(content: dict[str, str], now: datetime.datetime) -> _Kept | None:
    """Return what is kept, or None if it cannot be built on.

    So it is if it is not of this form, if the authority does not last for another certificate, or if it was
    made in what now is the future, by a clock that was wrong.
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
    """Return what is to be kept from now on: the same, unless it is time or the names are others."""
    if _due(kept.not_after, SERVING_DAYS, now):
        step: dict[str, Any] = {"gone": None}
        if kept.coming:
            step = {"authority": kept.coming, "coming": None, "gone": kept.authority.certificate}
        elif _due(kept.authority.not_after, AUTHORITY_DAYS, now):
            step |= {"coming": _authority(names, now)}
        kept = kept.model_copy(update=step)
    elif kept.names == names:
        return kept
    try:
        return kept.model_copy(update=_serving(kept.authority, names, now))
    except ValueError:  # it looked like PEM and is not
        return _made(names, now)


def _made(names: list[str], now: datetime.datetime) -> _Kept:
    """Return a new authority, and what it signs."""
    authority = _authority(names, now)
    return _Kept(authority=authority, **_serving(authority, names, now))


def _authority(names: list[str], now: datetime.datetime) -> _Authority:
    from kubeflow_charm.webhooks import issuing  # a settled hook has no use for the cryptography library

    until = now + _days(AUTHORITY_DAYS)
    made = issuing.authority(names[0], now, until)
    return _Authority(certificate=made.certificate, key=made.key, not_after=until)


def _serving(authority: _Authority, names: list[str], now: datetime.datetime) -> dict[str, Any]:
    """Return the fields of a new serving certificate; raises ValueError if the authority is none."""
    from kubeflow_charm.webhooks import issuing

    until = now + _days(SERVING_DAYS)
    made = issuing.serving(names, now, until, issuing.Pair(authority.certificate, authority.key))
    return {"names": names, "certificate": made.certificate, "key": made.key, "not_after": until}


def _due(not_after: datetime.datetime, days: int, now: datetime.datetime) -> bool:
    """Whether no more than a third of the lifetime is left."""
    return not_after - now <= _days(days) / 3


def _days(number: int) -> datetime.timedelta:
    return datetime.timedelta(days=number)
