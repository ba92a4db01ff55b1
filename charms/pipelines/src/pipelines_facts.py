"""What a hook of pipelines knows after it has read everything."""

from __future__ import annotations

import dataclasses

from pipelines_config import PipelinesConfig

from kubeflow_charm import Manifest, Problem
from kubeflow_charm.gpu.pools import Gpus
from kubeflow_charm.minio.keys import Keys
from kubeflow_charm.relations.gateway_info import Gateway
from kubeflow_charm.relations.mysql_client import Database
from kubeflow_charm.relations.object_store import ObjectStore


@dataclasses.dataclass(frozen=True)
class Facts:
    """What a hook of pipelines knows.

    Args:
        config: the options.
        gateway: the Istio gateway.
        database: the MySQL database of runs and metadata.
        store: the store of artifacts and logs, with its bucket and region.
        keys: who has which key to the store.
        unasked: the problem that the store did not answer in this hook; profiles then get nothing new.
        gpus: the cluster's GPUs; none if the operator has switched discovery off.
        run_pull_secret: what pods of runs pull the charm's images with; None where no registry asks.
    """

    config: PipelinesConfig
    gateway: Gateway
    database: Database
    store: ObjectStore
    keys: Keys
    unasked: Problem | None
    gpus: Gpus
    run_pull_secret: Manifest | None
