"""Certificates of admission webhooks: made by the charm, kept by Juju, renewed before they end.

An application-owned Juju secret keeps them, so they are the same in every hook and on every unit, and cost a
settled hook no request to Kubernetes. The authority outlives the serving certificates it signs; when it is
replaced, the old one stays in the bundle, so that no admission request fails while a pod still serves the
certificate that its volume has.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass

import ops

AUTHORITY_DAYS = 3650
SERVING_DAYS = 365


@dataclass(frozen=True)
class Certificate:
    """What a webhook serves with, and what its callers trust; all PEM text."""

    ca: str
    certificate: str
    key: str


def webhook_certificate(charm: ops.CharmBase, service: str, namespace: str) -> Certificate:
    """Return the certificate of the webhook behind a Service, making or renewing it if it is time.

    Only the leader may call it, since the secret is the application's. A third of the lifetime before
    the end, a new one is made.

    Args:
        charm: whose application owns the secret, under the label `webhook-certificate-<service>`.
        service: name of the Service.
        namespace: its namespace.
    """
    label = f"webhook-certificate-{service}"
    names = ",".join(_names(service, namespace))
    now = datetime.datetime.now(datetime.UTC)
    try:
        secret = charm.model.get_secret(label=label)
    except ops.SecretNotFoundError:
        content = _issued(names, now, {})
        charm.app.add_secret(content, label=label, description=f"TLS of the webhook {service}")
        return _certificate(content)
    content = secret.peek_content()
    if content.get("names") != names or not _fresh(content, "renew-after", now):
        content = _issued(names, now, content)
        secret.set_content(content)
    return _certificate(content)


def _certificate(content: dict[str, str]) -> Certificate:
    bundle = content["authority"] + content.get("previous-authority", "")
    return Certificate(ca=bundle, certificate=content["certificate"], key=content["private-key"])


def _names(service: str, namespace: str) -> list[str]:
    """The names by which the API server and people reach a Service; no cluster domain is needed."""
    return [f"{service}.{namespace}.svc", f"{service}.{namespace}", service]


def _fresh(content: dict[str, str], key: str, now: datetime.datetime) -> bool:
    try:
        return now < datetime.datetime.fromisoformat(content[key])
    except (KeyError, ValueError, TypeError):
        return False


def _issued(names: str, now: datetime.datetime, old: dict[str, str]) -> dict[str, str]:
    """Return new content; the authority is kept while it is fresh."""
    # Imported where it is needed: a settled hook has no use for it.
    from kubeflow_charm import issuing

    content = {"names": names}
    if _fresh(old, "authority-renew-after", now):
        kept = ("authority", "authority-key", "authority-renew-after", "previous-authority")
        content |= {key: old[key] for key in kept if key in old}
    else:
        authority = issuing.authority(names.split(",")[0], now, AUTHORITY_DAYS)
        content |= {"authority": authority.certificate, "authority-key": authority.key}
        content["authority-renew-after"] = _two_thirds(now, AUTHORITY_DAYS)
        if "authority" in old:
            content["previous-authority"] = old["authority"]
    serving = issuing.serving(
        names.split(","), now, SERVING_DAYS, content["authority"], content["authority-key"]
    )
    content |= {"certificate": serving.certificate, "private-key": serving.key}
    content["renew-after"] = _two_thirds(now, SERVING_DAYS)
    return content


def _two_thirds(now: datetime.datetime, days: int) -> str:
    return (now + datetime.timedelta(days=days * 2 / 3)).isoformat(timespec="seconds")
