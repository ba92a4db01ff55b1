"""istiod, where the real charm of istio-pilot has installed it: the API server's calls to it are answered.

istio/istio 1.28, pilot/pkg/bootstrap/{sidecarinjector,configcontroller}.go, pkg/webhooks/webhookpatch.go,
pkg/webhooks/validation/controller and security/pkg/pki/ca. What it does: it keeps the mesh's authority in a
Secret, tells the API server to trust it, and lets everything pass. What it does not: no pod gets a sidecar
(there is nothing to run it), and Istio's own objects are not checked beyond their types.
"""

from __future__ import annotations

import base64
import copy
import socket

from rehearsal.network.addresses import Unreachable
from rehearsal.network.playing import Answer, Visit
from rehearsal.players import answers, issuing, kinds, webhook
from rehearsal.players.controller import Controller
from rehearsal.players.direct import Direct
from rehearsal.players.kinds import Key, Kind, Object
from rehearsal.players.program import Program

IMAGE = "pilot"
PORT = 15017
SECRET = "istio-ca-secret"  # noqa: S105 (a name)
_KEY, _CERTIFICATE, _AUTHORITY, _AUTHORITY_KEY = "key.pem", "cert-chain.pem", "ca-cert.pem", "ca-key.pem"
_REVISION = "istio.io/rev"


class Trust:
    """Keeps the mesh's authority, and the API server's trust in it.

    Args:
        program: istiod.
    """

    def __init__(self, program: Program):
        self._api = program.api
        self._namespace = program.settings.variable("POD_NAMESPACE", "istio-system")
        self._revision = program.settings.variable("REVISION", "default")
        self.controller: Controller = program.controller(kinds.SECRET, self._reconcile)
        for kind in (kinds.MUTATING_WEBHOOKS, kinds.VALIDATING_WEBHOOKS):
            self.controller.watches(kind, lambda item: [(self._namespace, SECRET)])

    def _reconcile(self, key: Key) -> None:
        if key != (self._namespace, SECRET):
            return
        secret = self._api.get(kinds.SECRET, key) or self._api.ensure(kinds.SECRET, self._issue())
        authority = secret["data"][_AUTHORITY]
        for kind in (kinds.MUTATING_WEBHOOKS, kinds.VALIDATING_WEBHOOKS):
            for live in self._api.items(kind, ""):
                if (live["metadata"].get("labels") or {}).get(_REVISION) == self._revision:
                    self._tell(kind, live, authority)

    def _tell(self, kind: Kind, live: Object, authority: str) -> None:
        wanted = copy.deepcopy(live)
        for each in wanted["webhooks"]:
            if (each["clientConfig"].get("service") or {}).get("namespace") == self._namespace:
                each["clientConfig"]["caBundle"] = authority
        self._api.replace(kind, wanted, live)

    def _issue(self) -> Object:
        made = issuing.issue(issuing.of_service("istiod", self._namespace), "cluster.local")
        texts = {
            _KEY: made.key,
            _CERTIFICATE: made.certificate,
            _AUTHORITY: made.authority,
            _AUTHORITY_KEY: made.authority_key,
        }
        return {
            "metadata": {"name": SECRET, "namespace": self._namespace},
            "type": "istio.io/ca-root",
            "data": {name: base64.b64encode(text).decode() for name, text in texts.items()},
        }


def controllers(program: Program) -> list[Controller]:
    """Return what istiod runs."""
    return [Trust(program).controller]


def program(visit: Visit) -> Answer | None:
    """Answer on the port of istiod's webhooks: yes to everything."""
    if visit.port != PORT:
        return None
    secret = Direct(visit.client()).read(kinds.SECRET, (visit.pod["metadata"]["namespace"], SECRET))
    data = (secret or {}).get("data") or {}
    if _KEY not in data:
        raise Unreachable("istiod has no certificate yet")
    chain, key = (base64.b64decode(data[each]) for each in (_CERTIFICATE, _KEY))
    reviewers = {path: answers.checking(lambda request: None) for path in ("/inject", "/validate")}

    def answer(connection: socket.socket) -> None:
        webhook.answer(connection, chain, key, reviewers)

    return answer
