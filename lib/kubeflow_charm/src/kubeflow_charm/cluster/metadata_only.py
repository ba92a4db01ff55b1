"""Lists of objects without what is in them: half of what is read where there are thousands.

Whether an object is settled, and whose it is, its metadata tell (`settled.py`, `ownership.py`). The API
server leaves out the rest for those who ask for it so, which lightkube does not (metadata-only fetches,
https://kubernetes.io/docs/reference/using-api/api-concepts/).
"""

from __future__ import annotations

import httpx2
import lightkube

from kubeflow_charm.watch import process

ACCEPT = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"
_NOTHING = b'"items":null}'


class MetadataOnly(httpx2.HTTPTransport):
    """Asks for lists of metadata, or for whatever else there is."""

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request, which lists.

        A list of no metadata has `null` for its items, which lightkube does not take.
        """
        request.headers["accept"] = ACCEPT
        response = super().handle_request(request)
        if response.is_success and response.read().rstrip().endswith(_NOTHING):
            return httpx2.Response(response.status_code, json={**response.json(), "items": []})
        return response


def client(namespace: str) -> lightkube.Client:
    """Return a client for lists, with the credentials that any other has.

    Raises:
        lightkube.ConfigError: if no cluster is configured.
    """
    return process.connected(namespace, lambda trusted: MetadataOnly(verify=trusted))
