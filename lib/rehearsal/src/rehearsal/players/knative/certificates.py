"""The certificate of Knative's webhook, which the webhook itself makes, and tells the API server of.

knative.dev/pkg (release 1.15), webhook/certificates and webhook/configmaps: a Secret with the certificate of
a Service, and its authority and paths in the configurations. What may surprise there, and so here: until the
program has run once, the API server trusts nobody behind the webhook, and refuses what it is to be asked
about.
"""

from __future__ import annotations

import base64
import copy

from rehearsal.players import issuing, kinds
from rehearsal.players.controller import Controller
from rehearsal.players.kinds import Key, Object
from rehearsal.players.program import Program

KEY, CERTIFICATE, AUTHORITY = "server-key.pem", "server-cert.pem", "ca-cert.pem"
MUTATING = "webhook.serving.knative.dev"
VALIDATING = "validation.webhook.serving.knative.dev"
SECRET = "webhook-certs"  # noqa: S105 (a name)
PATHS = {MUTATING: "/defaulting", VALIDATING: "/resource-validation"}


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
        made = issuing.issue(issuing.of_service(self._service, self._namespace), "knative.dev")
        texts = {KEY: made.key, CERTIFICATE: made.certificate, AUTHORITY: made.authority}
        return {each: base64.b64encode(text).decode() for each, text in texts.items()}
