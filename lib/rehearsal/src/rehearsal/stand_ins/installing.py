"""Definitions of custom kinds that a stand-in installs, or waits for."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rehearsal.cluster import crds
from rehearsal.cluster.existing import ExistingCluster, Refused
from rehearsal.errors import RehearsalError
from rehearsal.stand_ins.objects import CRD, Objects
from rehearsal.stand_ins.stopping import blocked


def install(objects: Objects, whose: str, read: Callable[[], list[dict[str, Any]]], last: str) -> None:
    """Install definitions unless they are there, and wait until they are served.

    Args:
        objects: of the stand-in.
        whose: whose definitions they are, `Istio's` say, for a status.
        read: reads them, which may take a download.
        last: the one that is installed last: if it exists, all others do.

    Raises:
        Stop: if they cannot be read or installed.
    """
    if objects.exists(CRD, last):
        return
    cluster = ExistingCluster(Path(os.environ["KUBECONFIG"]))
    try:
        definitions = sorted(read(), key=lambda crd: crd["metadata"]["name"] == last)
        crds.install(cluster, definitions)
    except RehearsalError as error:
        raise blocked(f"{whose} CRDs: {error}") from error
    except Refused as refusal:
        if stop := objects.explanation(CRD.__name__, refusal.status, str(refusal)):
            raise stop from refusal
        raise
    finally:
        cluster.stop()
