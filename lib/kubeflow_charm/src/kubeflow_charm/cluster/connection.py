"""The connection to the API server: one lightkube client for each hook.

This module also corrects two faults of lightkube: with several threads, and with answers of proxies.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import httpx2
import lightkube
import msgspec
from lightkube.config import models
from lightkube.config.client_adapter import verify_cluster
from lightkube.core import decoders
from lightkube.models import meta_v1

from kubeflow_charm.cluster import metadata_only


class Transport(httpx2.HTTPTransport):
    """Sends requests; tells lightkube which errors are Kubernetes' own."""

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request and return the answer.

        lightkube reads every error of type JSON as a Status of Kubernetes, and needs a Content-Type. Proxies
        and load balancers send other errors, and may leave the Content-Type out.
        """
        metadata_only.prepare(request)
        response = metadata_only.mended(super().handle_request(request))
        if response.is_error and not _is_status(response.read()):
            response.headers["content-type"] = "text/plain"
        return response


def _is_status(body: bytes) -> bool:
    try:
        return msgspec.json.decode(body, type=dict).get("kind") == "Status"
    except msgspec.MsgspecError:
        return False


def client(namespace: str, field_manager: str) -> lightkube.Client:
    """Return the client of a hook.

    Args:
        namespace: the client's own.
        field_manager: the writer that the API server records.

    Raises:
        lightkube.ConfigError: if no cluster is configured.
    """
    decodable()
    config = lightkube.KubeConfig.from_env().get()
    if config is None:
        raise lightkube.ConfigError("no cluster is configured")
    trusted = verify_cluster(config.cluster, config.user or models.User(), config.abs_file)
    return lightkube.Client(
        config=config,
        namespace=namespace,
        field_manager=field_manager,
        transport=Transport(verify=trusted),
    )


def decodable(kinds: Iterable[Any] = ()) -> None:
    """Prepare msgspec for every type that lightkube decodes, before several threads decode at once.

    msgspec analyses a type when it is first used. If another thread sees a half-finished analysis, the
    process crashes with a segmentation fault (msgspec 0.22, src/msgspec/_core.c: StructInfo_Convert).

    Args:
        kinds: the lightkube classes that several threads list at once.
    """
    configuration = (models.Cluster, models.Context, models.User)
    answers = (meta_v1.Status, decoders.ListMetadata, decoders.WatchEvent)
    for each in (*configuration, *answers):
        msgspec.json.Decoder(each)
    for each in kinds:
        decoders.decode_list(b'{"items": []}', each)
