"""The one object store for artifacts and logs."""

from __future__ import annotations

from pipelines_config import PipelinesConfig

from kubeflow_charm.relations.object_store import ObjectStore
from kubeflow_charm.relations.one_store import OneStore


def chosen(stores: OneStore, config: PipelinesConfig) -> ObjectStore:
    """Return the store that is related, with its bucket and region.

    Args:
        stores: the endpoints.
        config: the options with the default bucket and the rules that the store must support.

    Raises:
        Problem: if no store or two stores are related, if its data is missing or wrong, or if the store does
            not support the options.
    """
    store = stores.find(config.object_store_bucket_name)
    if store is None:
        raise stores.missing()
    config.retention(stores.application, store)
    return store
